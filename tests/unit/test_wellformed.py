"""The quick parser of mails against the library's: the same parts, or none."""

from __future__ import annotations

import re
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.mail import wellformed
from gateway.mail.structure import parse

CORPUS = sorted((Path(__file__).parent.parent / "corpus").glob("*/mail.eml"))


def tree(message: Message) -> tuple[Any, ...]:
    inner = vars(message)["_payload"]
    parts = [tree(part) for part in inner] if isinstance(inner, list) else inner
    return list(message.raw_items()), message.get_content_type(), list(map(type, message.defects)), parts


def is_taken(raw: bytes) -> bool:
    """Whether it is taken apart; fails where the library understands it otherwise."""
    found = wellformed.parse(raw.decode("ascii", "surrogateescape"), Message)
    if found is not None:
        assert tree(found) == tree(BytesParser().parsebytes(raw))
    return found is not None


def test_mails_of_the_corpus() -> None:
    taken = [path.parent.name for path in CORPUS if is_taken(path.read_bytes())]
    assert len(taken) > len(CORPUS) * 3 / 4
    assert {"20-mail-ru-web", "41-outlook-mixed-related-alternative", "46-subject-cut-inside-a-letter"} <= set(taken)


ENDS = st.sampled_from(["\r\n"] * 8 + ["\n"] * 4 + ["\r"])
FIELDS = st.sampled_from(
    [
        "Subject: x",
        "Subject:",
        "Subject:  \r\n  folded",
        "X-Long: a\n\tb\r\n c: d",
        "x!#$: \udcd0\udc9f ",
        "Content-Transfer-Encoding: 8bit",
        "Content-Transfer-Encoding: base64",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Type: text",
    ]
)
BOUNDARIES = st.sampled_from(["b", "bb", "b-", "b--", "-", "b b", "(.*)"])
KINDS = st.sampled_from(["mixed", "alternative", "related", "digest"])
LINES = st.sampled_from(
    ["", " ", "word", "word: word", "-- ", "--", "--c", "----b", "-- b", "From me", "\x0b\x0c\x85\0"]
)
ODD = st.one_of(
    FIELDS,
    LINES,
    st.sampled_from(
        [
            "--b",
            "--b ",
            "--b\t",
            "--bb",
            "--b--",
            "--b-- ",
            "--b--x",
            "\r--b",
            "\r",
            ": x",
            "No-Colon",
            "Blank : x",
            "From me@here.example Mon Jan  1 00:00:00 2026",
            "Content-Type: message/rfc822",
            "Content-Type: message/delivery-status",
            "Content-Type: multipart/mixed; boundary=b",
            "Content-Type: multipart/mixed",
            'Content-Type: multipart/mixed; boundary=""',
        ]
    ),
)


MIXED = 'Content-Type: multipart/mixed; boundary="b"\n\n'


@st.composite
def part(draw: st.DrawFn, depth: int = 0) -> str:
    end = draw(ENDS)
    fields = [field + end for field in draw(st.lists(FIELDS, max_size=3))]
    lines = "".join(line + end for line in draw(st.lists(LINES, max_size=3)))
    if depth > 2 or draw(st.booleans()):
        return f"{''.join(fields)}{end}{lines}"
    boundary = draw(BOUNDARIES)
    fields.insert(0, f'Content-Type: multipart/{draw(KINDS)}; boundary="{boundary}"{end}')
    inner = "".join(f"--{boundary}{end}{piece}{end}" for piece in draw(st.lists(part(depth + 1), max_size=3)))
    return f"{''.join(fields)}{end}{lines}{inner}--{boundary}--{draw(st.sampled_from(['', end, end + lines]))}"


@given(part(), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2), ODD, ENDS), max_size=3))
@example(f"{MIXED}--b\n\nx\r--b\n\ny\n--b--\n", [])
@example(f"{MIXED}--b\n--b\n\nx\n--b--\n", [])
@example(f"{MIXED}--b\n\nx\n--b \n\ny\n--b--\n", [])
@example(f"{MIXED}--b\n\nx\n--b\rA: b\n\ny\n--b--\n", [])
@example(f"{MIXED}--b\n\nx\n--bb\n\ny\n--b\n\nz", [])
@example(f"Content-Transfer-Encoding: base64\n{MIXED}--b\n\nx\n--b--\n", [])
@example(f"{MIXED}--b\n\nx\n--b--\n".replace("mixed", "digest"), [])
@example(f"{MIXED}--b\n c\n\nx\n--b\n c--\n".replace('"b"', '"b\n c"'), [])
@example("Content-Type: message/rfc822\n\nA: b\n\nx\n", [])
def test_what_is_taken_is_what_the_library_finds(mail: str, changes: list[tuple[int, int, str, str]]) -> None:
    lines = re.findall(r"[^\n]*\n|[^\n]+", mail)
    for at, left_out, odd, end in changes:
        lines[at : at + left_out] = [odd + end]
    is_taken("".join(lines).encode("utf-8", "surrogateescape"))


@given(
    st.lists(
        st.sampled_from(["A: b", "--b", "--b--", "", "x", "Content-Type: multipart/mixed; boundary=b"]), max_size=12
    )
)
def test_lines_in_any_order(lines: list[str]) -> None:
    is_taken("\n".join(lines).encode())


@pytest.mark.parametrize("param", ["charset", "format", "boundary"])
@given(
    value=st.lists(
        st.sampled_from(
            [*"text/plain", "; ", ";", "charset", "CHARSET", "=", '"', "\\", "'", "*", "*0", "utf-8", " ", "<x>"]
        )
    ).map("".join)
)
@example("text/plain; charset=utf-8")
@example('text/plain; Charset="utf-8"')
@example('text/plain; charset="utf-8')
@example("text; charset=x; format=flowed")
def test_parameters_are_the_librarys(param: str, value: str) -> None:
    raw = f"Content-Type: {value}\n\n".encode()
    theirs, ours = BytesParser().parsebytes(raw), parse(raw)
    if ours["Content-Type"] != theirs["Content-Type"]:  # mended
        theirs.replace_header("Content-Type", ours["Content-Type"])
    try:
        expected = theirs.get_param(param)
    except TypeError:
        expected = None
    assert ours.get_param(param) == expected
