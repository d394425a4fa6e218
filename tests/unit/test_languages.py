"""Languages and scripts: from a mail in the charset that people there use to the segments of an SMS."""

from __future__ import annotations

import base64

import pytest

from gateway.mail.read import open_mail, read
from gateway.sms.segments import Alphabet, segment

TEXTS = [
    ("windows-1251", "Съешь же ещё этих мягких французских булок"),
    ("koi8-r", "Съешь же ещё этих мягких французских булок"),
    ("iso-8859-5", "Съешь же ещё этих мягких французских булок"),
    ("ibm866", "Съешь же ещё этих мягких французских булок"),
    ("koi8-u", "Ґанок, їжак, єнот, ікра - кінець"),
    ("windows-1251", "Ґанок, їжак, єнот, ікра – № 5"),
    ("utf-8", "Әріптер: ә ғ қ ң ө ұ ү һ і"),
    ("pt154", "Қазақстан: ә ғ қ ң ө ұ ү һ і"),
    ("utf-8", "გამარჯობა, მსოფლიო! ქართული ₾"),
    ("utf-8", "Բարեւ, աշխարհ"),
    ("gb18030", "服务器已停机,请检查 𠮷"),
    ("gb2312", "服务器已停机"),
    ("big5", "伺服器已停機"),
    ("shift_jis", "サーバーが停止しました"),
    ("euc-jp", "サーバーが停止しました"),
    ("iso-2022-jp", "サーバーが停止しました"),
    ("euc-kr", "서버가 중지되었습니다"),
    ("iso-2022-kr", "서버가 중지되었습니다"),
    ("windows-1255", "השרת נפל \u200f(5)\u200e"),
    ("iso-8859-8-i", "השרת נפל"),
    ("windows-1256", "توقف الخادم عن العمل"),
    ("iso-8859-6", "توقف الخادم"),
    ("windows-1254", "Sunucu durdu: ığşçöüİ"),
    ("windows-1253", "Ο διακομιστής σταμάτησε"),
    ("windows-1258", "Đơn hàng 5₫"),
    ("tis-620", "เซิร์ฟเวอร์หยุดทำงาน"),
    ("utf-16", "Привет, 世界 😀"),
    ("utf-32", "Привет, 世界 😀"),
    ("utf-8", "Family 👨‍👩‍👧‍👦, flags 🇺🇦🇰🇿🇬🇪, 👍🏽 ❤️"),
    ("utf-8", "\u202bשלום\u202c \u2067مرحبا\u2069 \u200fx\u200e"),
    ("utf-8", "می\u200cخواهم क्\u200dष"),
]


@pytest.mark.parametrize(("charset", "text"), TEXTS)
def test_text_and_subject_arrive_as_sent(charset: str, text: str) -> None:
    codec = {"ibm866": "cp866", "iso-8859-8-i": "iso-8859-8"}.get(charset, charset)
    coded = base64.b64encode(text.encode(codec)).decode()
    mail = read(
        open_mail(
            f"Subject: =?{charset}?B?{coded}?=\r\nContent-Type: text/plain; charset={charset}\r\n"
            f"Content-Transfer-Encoding: base64\r\n\r\n{coded}\r\n".encode()
        ),
        "windows-1251",
    )
    assert (mail.text, mail.subject) == (text, text)


@pytest.mark.parametrize(
    ("text", "units", "lengths"),
    [
        ("გ" * 70, 70, [70]),
        ("გ" * 71, 71, [67, 4]),
        ("Қ" * 70, 70, [70]),
        ("停" * 134, 134, [67, 67]),
        ("👨‍👩‍👧‍👦" * 6, 66, [42]),
        ("👨‍👩‍👧‍👦" * 7, 77, [42, 7]),
        ("🇺🇦" * 17, 68, [34]),
        ("🇺🇦" * 18, 72, [33, 3]),
        ("\u200fש" * 35, 70, [70]),
        ("𠮷" * 35, 70, [35]),
        ("𠮷" * 36, 72, [33, 3]),
    ],
)
def test_segments_of_scripts_and_joiners(text: str, units: int, lengths: list[int]) -> None:
    result = segment(text)
    assert (result.alphabet, result.units) == (Alphabet.UCS2, units)
    assert [len(part) for part in result.segments] == lengths
    assert "".join(result.segments) == text
    assert all(len(part.encode("utf-16-le")) <= 140 for part in result.segments)
