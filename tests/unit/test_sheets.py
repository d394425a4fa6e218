"""Tables of numbers, as people save them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sms import sheets
from gateway.sms.sheets import Unreadable, read

A, B, C = "79101234567", "79102345678", "380501234567"


@pytest.mark.parametrize(
    ("raw", "country", "expected"),
    [
        (f"{A}\n{B}\n", "", [A, B]),
        (f"{A}\r\n\r\n+7 (910) 234-56-78\r\n", "", [A, B]),
        (f"\ufeffName;Phone\nИван;{A}\nOlga;{B}\n", "", [A, B]),
        (f"имя,телефон,город\nИван,{A},Москва\nОльга,{B},Тверь\n", "", [A, B]),
        (f"id\tMobile\n79\t{A}\n80\t{B}\n", "", [A, B]),
        (f'"Smith, J";"+7 910 123-45-67"\n"Sokolova, O";"{B}"\n', "", [A, B]),
        (f"{A}, {B}, {C}", "", [A, B, C]),
        (f"{A};{B}\n{C};{A}\n", "", [A, B, C]),
        (f'Phone\n{A}.0\n\'{B}\n="{C}"\n', "", [A, B, C]),
        (f"Phone;Home\n{A};{B}\n{C};\n", "", [A, C]),
        (f'name;phones\nIvan;"{A}, {B}"\nOlga;{C}\n', "", [A, B, C]),
        ("8 910 123-45-67\n(910) 234 56 78\n+380501234567\n", "RU", [A, B, C]),
        ("0501234567\n", "UA", [C]),
        (f"{A}\n{A}\n+{A}\n", "", [A]),
    ],
)
def test_what_is_taken(raw: str, country: str, expected: list[str]) -> None:
    sheet = read(raw.encode(), country)
    assert list(sheet.numbers) == expected
    assert sheet.refused == ()


def test_what_is_refused_and_why() -> None:
    raw = f"Имя;Телефон\nИван;{A}\nОльга;7910\nПётр;7,91E+10\nАнна;\nЮрий;8 910 123-45-67\nЯна;{A}\n"
    sheet = read(raw.encode("windows-1251"))
    assert (sheet.charset, sheet.separator, sheet.heading) == ("windows-1251", ";", "Телефон")
    assert (sheet.numbers, sheet.repeated) == ((A,), 1)
    assert [(line.number, line.typed, line.refusal.reason.key) for line in sheet.refused] == [
        (3, "7910", "number_too_short"),
        (4, "7,91E+10", "number_shortened"),
        (5, "Анна", "number_not_a_number"),
        (6, "8 910 123-45-67", "number_not_a_number"),
    ]


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "windows-1251"])
def test_charsets_of_office_programs(charset: str) -> None:
    sheet = read(f"Номер\n{A}\n".encode(charset))
    assert (sheet.numbers, sheet.heading) == ((A,), "Номер")


@pytest.mark.parametrize(
    ("raw", "why"), [(b"PK\x03\x04...", "workbook"), (b"", "empty"), (b"\n \n", "empty"), (b"1\n" * 101, "long")]
)
def test_what_is_no_table(raw: bytes, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MAX_LINES", 100)
    with pytest.raises(Unreadable, match=why):
        read(raw)


@given(st.binary(max_size=300) | st.text(alphabet='79 +-;,\n\t"8eE.', max_size=200).map(str.encode))
def test_anything_is_read_or_refused(raw: bytes) -> None:
    try:
        sheet = read(raw, "RU")
    except Unreadable:
        return
    assert len(set(sheet.numbers)) == len(sheet.numbers)
    assert all(number.isdigit() for number in sheet.numbers)
