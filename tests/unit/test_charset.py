from __future__ import annotations

import pytest

from gateway.mail.charset import decode, of_code_page
from gateway.verdicts import Refused

RUSSIAN = "Привет, мир"


@pytest.mark.parametrize(
    ("data", "declared", "undeclared", "text", "charset"),
    [
        (RUSSIAN.encode("cp1251"), "windows-1251", "utf-8", RUSSIAN, "windows-1251"),
        (RUSSIAN.encode("cp1251"), "WIN-1251", "utf-8", RUSSIAN, "windows-1251"),
        (RUSSIAN.encode("koi8-r"), "koi8-r", "utf-8", RUSSIAN, "koi8-r"),
        (RUSSIAN.encode(), "utf-8", "windows-1251", RUSSIAN, "utf-8"),
        ("Ґанок їжак".encode("koi8-u"), "koi8-u", "utf-8", "Ґанок їжак", "koi8-u"),
        ("日本".encode("iso-2022-jp"), "iso-2022-jp", "utf-8", "日本", "iso-2022-jp"),
        ("Қазақ".encode("utf-16-le"), "utf-16le", "utf-8", "Қазақ", "utf-16le"),
        # nothing declared: UTF-8 wins where it is valid, else the dialect's charset
        (RUSSIAN.encode("cp1251"), None, "windows-1251", RUSSIAN, "windows-1251"),
        (RUSSIAN.encode(), None, "windows-1251", RUSSIAN, "utf-8"),
        (b"plain", None, "windows-1251", "plain", "us-ascii"),
        (RUSSIAN.encode("cp1251"), "unknown-8bit", "windows-1251", RUSSIAN, "windows-1251"),
        # declared wrongly, and the bytes say so
        (RUSSIAN.encode("cp1251"), "us-ascii", "windows-1251", RUSSIAN, "windows-1251"),
        (RUSSIAN.encode("cp1251"), "iso-8859-1", "windows-1251", RUSSIAN, "windows-1251"),
        (RUSSIAN.encode(), "windows-1251", "windows-1251", RUSSIAN, "utf-8"),
        (RUSSIAN.encode(), "iso-8859-1", "windows-1251", RUSSIAN, "utf-8"),
        (b"\xef\xbb\xbf" + RUSSIAN.encode(), "windows-1251", "windows-1251", RUSSIAN, "utf-8"),
        ("障害①".encode("cp932"), "shift_jis", "utf-8", "障害①", "cp932"),
        ("똠방각하".encode("cp949"), "euc-kr", "utf-8", "똠방각하", "cp949"),
        ("镕".encode("gb18030"), "gb2312", "utf-8", "镕", "gb18030"),
        ("嘅".encode("big5hkscs"), "big5", "utf-8", "嘅", "big5hkscs"),
        ("“x” €".encode("cp1252"), "iso-8859-1", "utf-8", "“x” €", "cp1252"),
        ("移动侦测".encode(), "gb2312", "utf-8", "移动侦测", "utf-8"),
        (b"\xff\xfe" + RUSSIAN.encode("utf-16-le"), None, "windows-1251", RUSSIAN, "utf-16-le"),
        (b"\xfe\xff" + RUSSIAN.encode("utf-16-be"), None, "windows-1251", RUSSIAN, "utf-16-be"),
        ("яю odd".encode("cp1251")[:5], None, "windows-1251", "яю od", "windows-1251"),
        (RUSSIAN.encode(), "utf8mb4", "windows-1251", RUSSIAN, "utf-8"),
        # nothing that only looks like a shift
        (b"call +79101234567- or +BAnK- now", None, "utf-8", "call +79101234567- or +BAnK- now", "us-ascii"),
        (b"+BATTERYLOW", None, "utf-8", "+BATTERYLOW", "us-ascii"),
        (b"\x1b[1mred\x1b(B\x1b[m", None, "utf-8", "\x1b[1mred\x1b(B\x1b[m", "us-ascii"),
        # what is right stays
        ("Zürich – Café".encode("cp1252"), "windows-1252", "windows-1251", "Zürich – Café", "windows-1252"),
        ("é".encode("latin-1"), "iso-8859-1", "windows-1251", "é", "iso-8859-1"),
        (RUSSIAN.encode("gb18030"), "gb18030", "utf-8", RUSSIAN, "gb18030"),
    ],
)
def test_decode(data: bytes, declared: str | None, undeclared: str, text: str, charset: str) -> None:
    decoded = decode(data, declared, undeclared)
    assert (decoded.text, decoded.charset) == (text, charset)


@pytest.mark.parametrize(
    ("number", "charset"),
    [
        (1251, "cp1251"),
        (65001, "utf-8"),
        (28595, "iso8859-5"),
        (21866, "koi8-u"),
        (50220, "iso-2022-jp"),
        (936, "gb18030"),
    ],
)
def test_code_pages(number: int, charset: str) -> None:
    assert of_code_page(number) == charset


@pytest.mark.parametrize(
    ("data", "declared", "reason"),
    [
        (RUSSIAN.encode("cp1251"), "utf-8", "charset_undecodable"),
        (b"\x98", "windows-1251", "charset_undecodable"),
        (b"\x98\xff", None, "charset_undecodable"),
        (b"x", "klingon", "charset_unknown"),
        (b"+AGEAYg-", "utf-7", "charset_unknown"),
        (RUSSIAN.encode("utf-7"), None, "charset_unknown"),
        (RUSSIAN.encode("utf-7"), "us-ascii", "charset_unknown"),
        (RUSSIAN.encode("utf-7"), "unicode-1-1-utf-7", "charset_unknown"),
        ("紙".encode("iso-2022-jp"), None, "charset_undecodable"),
        ("종이".encode("iso-2022-kr"), "us-ascii", "charset_undecodable"),
        (b"\x1b$B\x80", "iso-2022-jp", "charset_undecodable"),
        (b"\x81\x20", "shift_jis", "charset_undecodable"),
        (b"x", "zlib", "charset_unknown"),
        (b"x", "rot13", "charset_unknown"),
        (b"x", "idna", "charset_unknown"),
        (b"x", "utf-8\0", "charset_unknown"),
        (b"x", "../../etc/passwd\r\nX: y", "charset_unknown"),
    ],
)
def test_refused(data: bytes, declared: str | None, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        decode(data, declared, "windows-1251")
    assert caught.value.refusal.reason.key == reason
    assert "\n" not in str(caught.value.refusal.values)
