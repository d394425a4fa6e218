from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smtp.xclient import BadXclient, Told, parse


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("ADDR=192.0.2.7", Told("192.0.2.7")),
        ("NAME=x.example ADDR=192.0.2.7 PORT=25 PROTO=ESMTP HELO=x.example", Told("192.0.2.7", "x.example")),
        ("addr=IPV6:2001:db8::7 login=user+40x.example", Told("2001:db8::7", None, "user@x.example")),
        ("ADDR=[UNAVAILABLE] HELO=[TEMPUNAVAIL]", Told("unknown", "")),
        ("NAME=[UNAVAILABLE] DESTADDR=10.0.0.1 DESTPORT=25", Told()),
    ],
)
def test_what_postfix_says(argument: str, told: Told) -> None:
    assert parse(argument) == told


@pytest.mark.parametrize(
    "argument",
    [
        *("", "ADDR", "ADDR=", "ADDR=x", "ADDR=192.0.2.7/8", "ADDR=192.0.2.7 ADDR=10.0.0.1", "PEER=192.0.2.7"),
        *("HELO=a+0D+0AMAIL", "HELO=a+", "HELO=a+zz", "LOGIN=a+00", "PROTO=HTTP", "HELO=" + "x" * 600),
    ],
)
def test_what_nobody_means(argument: str) -> None:
    with pytest.raises(BadXclient):
        parse(argument)


@given(st.text(max_size=60) | st.from_regex(r"(ADDR|HELO|LOGIN)=[!-~]{1,30}", fullmatch=True))
def test_any_words(argument: str) -> None:
    try:
        told = parse(argument)
    except BadXclient:
        return
    assert all(value is None or value.isprintable() for value in (told.addr, told.helo, told.login))
