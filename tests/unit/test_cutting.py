"""What is cut of a text by the account's wishes, and that no text makes it slow. Whole mails: corpus 150 to 169."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Note, Operator, Submission
from gateway.policy.composing import TextRules, compose
from gateway.policy.cutting import Cuts, cut, line_pattern
from gateway.text.links import joined, without_half_a_link
from gateway.text.monitoring import shortened
from gateway.text.quoting import without_quotations
from gateway.verdicts import Refused

ALL = Cuts(
    end_markers=("[[END]]",),
    cut_from=(line_pattern("^regards"),),
    quotes=True,
    monitoring=True,
    links=True,
    blank_lines=True,
    max_lines=3,
)


def test_the_default_cuts_nothing() -> None:
    notes: list[Note] = []
    assert cut("a\n\n\n> b\n[[END]] ", Cuts(), notes) == "a\n\n\n> b\n[[END]] "
    assert notes == []


@pytest.mark.parametrize(
    ("text", "cuts", "left", "values"),
    [
        ("a b\n[[end]]\nc", Cuts(end_markers=("[[END]]",)), "a b", {"lines": 2, "characters": 10}),
        ("ПРИВЕТ ==|| конец текста ||== x", Cuts(end_markers=("==|| КОНЕЦ ТЕКСТА ||==",)), "ПРИВЕТ", None),
        ("İİ[[END]]x", Cuts(end_markers=("[[END]]",)), "İİ", None),
        ("a$b.*c", Cuts(end_markers=(".*c",)), "a$b", None),
        ("a\nС УВАЖЕНИЕМ\nb", Cuts(cut_from=(line_pattern("^с уважением"),)), "a", {"lines": 2, "characters": 14}),
        ("a\nb \ud800 x", Cuts(cut_from=(line_pattern("x$"),)), "a", None),
        ("a  \n\n\n\nb\n\n", Cuts(blank_lines=True), "a\n\nb", {"lines": 4, "characters": 6}),
        ("a\n\nb\nc", Cuts(max_lines=2), "a\n\nb", {"lines": 1, "characters": 2}),
        ("a\n\nb\n", Cuts(max_lines=2), "a\n\nb\n", None),
    ],
)
def test_a_cut(text: str, cuts: Cuts, left: str, values: dict[str, int] | None) -> None:
    notes: list[Note] = []
    assert cut(text, cuts, notes) == left
    assert values is None or [note.values for note in notes] == [values]


@pytest.mark.parametrize(
    ("text", "cuts"),
    [("[[END]]secret", Cuts(end_markers=("[[END]]",))), ("regards", ALL), ("> secret", Cuts(quotes=True))],
)
def test_what_would_leave_nothing_is_left_undone(text: str, cuts: Cuts) -> None:
    notes: list[Note] = []
    assert cut(text, cuts, notes) == text
    assert "nothing would be left" in notes[0].what
    assert "secret" not in repr(notes)


def test_the_dialects_limit_is_for_what_is_left() -> None:
    """A signature is not written for the SMS; the letters of what is, are counted before any are changed."""
    text = "Привет\nregards\n" + "x" * 500
    submission = Submission("t", "f", Operator("u"), "S", (), text, "", max_text_length=500)
    assert compose(submission, TextRules(cuts=ALL)).text == "Привет"
    with pytest.raises(Refused):
        compose(submission, TextRules())


def test_what_no_sms_can_hold_is_not_looked_at() -> None:
    notes: list[Note] = []
    assert cut("Yes\n" + "> x\n" * 1_000_000, Cuts(quotes=True), notes) == "Yes"
    assert [note.what for note in notes] == ["only the beginning looked at", "quoted mail left out"]
    assert len(cut("x" * 200_000, Cuts(), [])) == 200_000


@given(st.text(st.sampled_from("a >\n\n[END]regards:<https://12 пишет"), max_size=200))
def test_cutting_ends_with_some_of_the_text(text: str) -> None:
    left = cut(text, ALL, [])
    assert bool(left.strip()) == bool(text.strip())
    assert len(left) <= len(text)


# ── quoted mails ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Yes\n\nOn Thu, 12 Mar 2026 at 10:15, Ivan\n<a@b.example> wrote:\n\n> x\n> y", "Yes"),
        ("Yes\nOn Thu, 12 Mar 2026 at 10:15, Ivan\n<a@b.example> wrote:\n\nunmarked", "Yes"),
        ("Так\n\nчт, 12 бер. 2026 р. о 10:15 Іван <a@b.example> пише:\n\n> x", "Так"),
        ("Да\n\nИванов написал(а) 12.03.2026:\nстарое", "Да"),
        ("Да\n-----Исходное сообщение-----\nОт: x", "Да"),
        ("Yes\n-----Original Message-----\nFrom: x", "Yes"),
        ("Yes\n\nFrom: a\nSent: b\nTo: c\nSubject: d\n\nold", "Yes"),
        ("Так\n________________________________\n\nВід: a\nНадіслано: b\nКому: c\n\nстаре", "Так"),
        ("> a\none\n> b\ntwo", "one\ntwo"),
        ("Клиент пишет:\nбанкомат сломан", None),
        ("Заявка\nОт: Иванов\nСрочно", None),
        ("From: Moscow\nTo: Kyiv", None),
        ("5 > 3", None),
    ],
)
def test_quotations(text: str, left: str | None) -> None:
    assert without_quotations(text) == (text if left is None else left)


# ── links ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("<https://a.example/b\nc\nd> e", "<https://a.example/bcd> e"),
        ("https://a.example/b\nc", None),
        ("<https://a.example/b c\nd>", None),
        ("<mailto:a\nb>", None),
        ("www.a.example<http://www.a.example/> b", "www.a.example b"),
        ("a@b.example<mailto:a@b.example>", "a@b.example"),
        ("here<http://www.a.example/>", None),
    ],
)
def test_links(text: str, whole: str | None) -> None:
    assert joined(text) == (text if whole is None else whole)


def test_a_link_is_not_cut_in_the_middle() -> None:
    text = "See " + "https://a.example/" + "x" * 60 + " now"
    assert without_half_a_link(text[:50], text) == "See "
    assert without_half_a_link(text[:82], text) == text[:82]
    assert without_half_a_link(text[4:50], text[4:]) == text[4:50]
    submission = Submission("t", "f", Operator("u"), "S", (), "word " * 25 + text, "")
    sent = compose(submission, TextRules(cut=True, max_segments=1)).text
    assert sent.endswith("word See...")


# ── monitoring ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (
            "***** Nagios *****\n\nNotification Type: RECOVERY\nHost: web7\nState: UP\nAddress: 10.1.2.3\n"
            "Info: PING OK\n\nDate/Time: Thu Mar 12 10:55:00 MSK 2026",
            "UP: web7\nPING OK\nThu Mar 12 10:55:00 MSK 2026",
        ),
        (
            "Problem has been resolved in 8m 2s at 10:50:02 on 2026.03.12\nProblem name: X\nHost: h\nSeverity: High",
            "RESOLVED: X\nh, High\n10:50:02 2026.03.12",
        ),
        ("(1) FIRING\n---\nLabels: [{alertname X} {instance h}]\nDescription: d", "FIRING: X\nh\nd"),
        ("Firing\nX\nView alert\nValues\nA=1\nLabels\nalertname X\nhost h", "FIRING: X\nh\nA=1"),
        ("Problem started at 10:42:00 on 2026.03.12 and nobody knows why", None),
        ("Host: a\nSeverity: b\nProblem name: c", None),
        ("Firing\nthe gardener", None),
        ("Labels\n[1] Firing\nAnnotations", None),
        ("", None),
    ],
)
def test_monitoring(text: str, short: str | None) -> None:
    assert shortened(text) == short


# ── nothing is slow ──────────────────────────────────────────────────────────────────────────


def test_a_pattern_that_re_would_never_end_with() -> None:
    assert line_pattern("(a+)+$").search(b"a" * 50_000 + b"!") is None


@pytest.mark.parametrize("pattern", ["(?=a)", r"(a)\1", "(a", "x*", ""])
def test_a_pattern_that_cannot_be_used(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"RE2|empty line"):
        line_pattern(pattern)


def test_hostile_texts_take_no_time() -> None:
    """Each of these takes minutes if a pattern of ours is quadratic."""
    pieces = [
        "a ",
        "\n",
        "> ",
        "On 1 ",
        "wrote:\n",
        "From: x\n",
        "<https://",
        "<https://a\n",
        "Labels\n",
        "[1] Firing\n",
    ]
    pieces += ["www.a.example<", "Problem started at 1 on 2\n", "1. (", "{a b} ", "a=", " is OK!", "________", "пишет"]
    for piece in pieces:
        text = piece * (40_000 // len(piece))
        cut(text, ALL, [])
        cut("Firing\nLabels\n" + text, ALL, [])
        cut("Problem started at 1 on 2\n" + text, ALL, [])
