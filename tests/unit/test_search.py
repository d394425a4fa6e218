from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.search import KEYS, STATUSES, VERDICTS, Key, Mistake, Query, Term, parse, word

NOW = datetime(2026, 11, 26, 14, 0, tzinfo=timezone(timedelta(hours=3)))
HOUR = 3600.0


def parsed(text: str) -> Query:
    return parse(text, NOW)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()),
        ("  \t ", ()),
        ("-", ()),
        ("account:shop", (Term(Key.ACCOUNT, ("shop",)),)),
        ("ACCOUNT:Shop", (Term(Key.ACCOUNT, ("Shop",)),)),
        ("account:a account:b account:a", (Term(Key.ACCOUNT, ("a", "b")),)),
        ("-account:a account:b", (Term(Key.ACCOUNT, ("a",), True), Term(Key.ACCOUNT, ("b",)))),
        ('from:"My Bank"', (Term(Key.FROM, ("My Bank",)),)),
        ('from:"a ""b"" c"', (Term(Key.FROM, ('a "b" c',)),)),
        ("from:Alerts@Bank.example", (Term(Key.FROM, ("alerts@bank.example",)),)),
        ("to:+7(910)123-45-67", (Term(Key.TO, ("79101234567", "+7(910)123-45-67")),)),
        ('to:"+7 910 123-45-67"', (Term(Key.TO, ("79101234567", "+7 910 123-45-67")),)),
        ("to:79101234567", (Term(Key.TO, ("79101234567",)),)),
        ("to:12ab", (Term(Key.TO, ("12ab",)),)),
        ("status:Failed", (Term(Key.STATUS, ("failed",)),)),
        ("status:refused", (Term(Key.STATUS, ("refused",)),)),
        ("status:open", (Term(Key.STATUS, ("queued", "submitting", "held", "uncertain")),)),
        ("verdict:auth", (Term(Key.VERDICT, ("AUTH",)),)),
        ('verdict:"no list" verdict:NO_LIST', (Term(Key.VERDICT, ("NO LIST",)),)),
        ("verdict:no-list", (Term(Key.VERDICT, ("NO LIST",)),)),
        ("verdict:msg:7a", (Term(Key.VERDICT, ("MSG:7a",)),)),
        ("verdict:stop_listed", (Term(Key.VERDICT, ("stop_listed",)),)),
        ("id:0kx7-1", (Term(Key.ID, ("0kx7-1", "0KX7-1")),)),
        ("79101234567", (Term(Key.ANY, ("79101234567",)),)),
        ("+79101234567 x", (Term(Key.ANY, ("+79101234567", "79101234567", "x", "X")),)),
        ('"a:b"', (Term(Key.ANY, ("a:b", "A:B")),)),
        ("-x", (Term(Key.ANY, ("x", "X"), True),)),
        ("dialect:template provider:main", (Term(Key.DIALECT, ("template",)), Term(Key.PROVIDER, ("main",)))),
        ("account:a\0b", (Term(Key.ACCOUNT, ("a",)), Term(Key.ANY, ("b", "B")))),
    ],
)
def test_words_become_terms(text: str, terms: tuple[Term, ...]) -> None:
    assert parsed(text) == Query(terms)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("90s", NOW - timedelta(seconds=90)),
        ("5m", NOW - timedelta(minutes=5)),
        ("5min", NOW - timedelta(minutes=5)),
        ("3d", NOW - timedelta(days=3)),
        ("2W", NOW - timedelta(weeks=2)),
        ("today", NOW.replace(hour=0)),
        ("Yesterday", NOW.replace(hour=0) - timedelta(days=1)),
        ("9:30", NOW.replace(hour=9, minute=30)),
        ("09:30:10", NOW.replace(hour=9, minute=30, second=10)),
        ("2026-11-25", NOW.replace(day=25, hour=0)),
        ("2026-11-25T10:00", NOW.replace(day=25, hour=10)),
        ('"2026-11-25 10:00"', NOW.replace(day=25, hour=10)),
        ("2026-11-25T10:00Z", datetime(2026, 11, 25, 10, tzinfo=UTC)),
        ("2026-11-25T10:00+05:00", datetime(2026, 11, 25, 5, tzinfo=UTC)),
    ],
)
def test_times_are_those_of_the_clock_on_the_wall(text: str, moment: datetime) -> None:
    assert parsed(f"after:{text}") == Query((), after=moment.timestamp())
    assert parsed(f"before:{text}") == Query((), before=moment.timestamp())


def test_yesterday_begins_at_midnight_when_the_clocks_have_changed() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    day_after = datetime(2026, 10, 26, 9, tzinfo=berlin)
    assert parse("after:yesterday", day_after).after == datetime(2026, 10, 25, tzinfo=berlin).timestamp()
    assert parse("after:yesterday", day_after).after == parse("after:2026-10-25", day_after).after
    assert parse("after:today before:today", day_after).after == parse("after:yesterday", day_after).after + 25 * HOUR  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "what", "told"),
    [
        ("number:79101234567", "key", "number: is no key; the keys are to, from, account, status, verdict, "),
        (":x", "key", ": is no key"),
        ("account:", "value", "account: a value is missing"),
        ('account:""', "value", "account: a value is missing"),
        ('from:"My Bank', "quote", '"My begins with a quotation mark that does not end'),
        ("status:lost", "status", "lost is no status; it is one of queued, "),
        ("verdict:WRONG", "verdict", "WRONG is no verdict; it is one of AUTH, "),
        ("verdict:msg:", "verdict", "msg: is no verdict"),
        ("after:soon", "time", "soon is no time; write 30m, "),
        ("before:2026-13-01", "time", "2026-13-01 is no time"),
        ("after:2h after:3h", "once", "after: can be given only once"),
        ("-before:2h", "once", "before: can be given only once, and not be excluded"),
        ("x" * 2001, "long", "the query is too long: 2001 of 2000 characters"),
        (" ".join(f"account:{n}" for n in range(51)), "long", "the query is too long: 51 of 50 values of account"),
    ],
)
def test_a_mistake_names_the_word(text: str, what: str, told: str) -> None:
    with pytest.raises(Mistake, match=f"^{re.escape(told)}") as caught:
        parsed(text)
    assert caught.value.what == what


def test_the_keys_that_a_mistake_tells_are_those_that_there_are() -> None:
    with pytest.raises(Mistake, match=", ".join(KEYS)):
        parsed("x:y")
    for key in KEYS:
        value = {"status": STATUSES[0], "verdict": VERDICTS[0], "after": "1h", "before": "1h"}.get(key, "x")
        assert parsed(f"{key}:{value}") != Query()


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_a_mistake(text: str) -> None:
    try:
        query = parsed(text)
    except Mistake as mistake:
        assert str(mistake)
        return
    for term in query.terms:
        assert term.values
        assert all(value.strip() == value != "" and "\0" not in value for value in term.values)


@given(st.sampled_from([Key.ACCOUNT, Key.PROVIDER, Key.FROM, Key.DIALECT]), st.text(min_size=1, max_size=20))
def test_what_is_written_is_read_again(key: Key, value: str) -> None:
    value = value.replace("\0", "").strip()
    if value and "@" not in value:
        assert parsed(word(key, value)) == Query((Term(key, (value,)),))


@given(
    st.lists(st.sampled_from(["account:a", "-account:b", "status:held", "after:1h", "x", 'from:"b c"']), unique=True)
)
def test_the_order_of_words_does_not_matter(words: list[str]) -> None:
    one, other = parsed(" ".join(words)), parsed("  ".join(reversed(words)))
    assert set(one.terms) == set(other.terms)
    assert (one.after, one.before) == (other.after, other.before)
