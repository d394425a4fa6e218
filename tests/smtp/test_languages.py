"""Scripts on the whole way: the client's bytes, the handset's text."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.running import Client, handsets, running, template

SERVICE = "emailtosms@sms.example.com"
TEXTS = {
    "koi8-u": "Ґанок, їжак",
    "utf-8": "გამარჯობა 👨‍👩‍👧‍👦 🇰🇿 ң",
    "iso-2022-jp": "サーバーが停止",
    "windows-1255": "השרת נפל \u200f(5)",
    "gb18030": "服务器 𠮷",
    "windows-1256": "توقف الخادم",
}


async def test_every_script_reaches_the_handset(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        for charset, text in TEXTS.items():
            body = base64.encodebytes(
                template().partition(b"\r\n\r\n")[2].decode("cp1251").replace("Привет", text).encode(charset)
            )
            mail = (
                b"From: alerts@bank.example\r\nSubject: x\r\nContent-Transfer-Encoding: base64\r\n"
                b"Content-Type: text/plain; charset=" + charset.encode() + b"\r\n\r\n" + body.replace(b"\n", b"\r\n")
            )
            assert (await client.mail(mail, SERVICE)).startswith("250")
        assert {sms.text for sms in await handsets(daemon, len(TEXTS))} == set(TEXTS.values())
