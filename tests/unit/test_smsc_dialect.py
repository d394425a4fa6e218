from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.smsc import SmscDialect
from gateway.model import After, ApiKey, At, Between, Channel, Password, ReceivedEmail, Submission, When
from gateway.policy.schedule import DAY_S, resolve
from gateway.verdicts import Refused

SERVICE = "send@sms.example.com"
DIALECT = SmscDialect(frozenset({SERVICE}))
MONTH_S = 30.0 * DAY_S


def parse(text: str) -> Submission:
    mail = ReceivedEmail("ignored", text, (), "", "", (), ())
    return DIALECT.parse(mail, (SERVICE,), lambda login: False)


def numbers(submission: Submission) -> list[str]:
    return [asked.typed for asked in submission.destinations]


@pytest.mark.parametrize(
    ("mail", "text"),
    [
        ("corp:pass77::0:0,0,My Bank:79101234567:text", "text"),
        ("corp:pass77:0:0:0,0,My Bank:79101234567:text: with: colons", "text: with: colons"),
        ("corp:pass77:17:,0:0,0,My Bank,0:79101234567:a\nb\n\nc\n", "a\nb\n\nc"),
        ("\ufeff\n corp : pass77 : 17 : 0 : 0,0,My Bank : 79101234567 :  text ", "text"),
        ("Dear service,\n[text]corp:pass77:::,,My Bank:79101234567:text[/text]\n-- \nsignature", "text"),
        ("[TEXT]corp:pass77:::,,My Bank:79101234567:text[/TEXT]", "text"),
    ],
)
def test_the_seven_fields(mail: str, text: str) -> None:
    submission = parse(mail)
    assert (submission.text, submission.originator, numbers(submission)) == (text, "My Bank", ["79101234567"])
    assert submission.credential == Password("corp", "pass77")
    assert submission.secrets == ("pass77",)


def test_an_empty_login_means_a_key() -> None:
    assert parse(":k3y77:::0,0,My Bank:79101234567:text").credential == ApiKey("k3y77")


@pytest.mark.parametrize("phones", ["79101234567,79102345678", "79101234567;79102345678", "+79101234567, 79102345678"])
def test_several_phones(phones: str) -> None:
    assert [n.lstrip("+") for n in numbers(parse(f"u:p:::,,S:{phones}:t"))] == ["79101234567", "79102345678"]


def test_a_list_with_one_text() -> None:
    submission = parse("u:p:::,,S::79101234567:Hello: you\n\n79102345678: Hello: you\n")
    assert (numbers(submission), submission.text) == (["79101234567", "79102345678"], "Hello: you")
    assert submission.form == "list"


@pytest.mark.parametrize(
    ("form", "channel"),
    [("0", "sms"), ("", "sms"), ("1", "flash"), ("8", "email"), ("9", "call"), ("10", "viber"), ("11", "soc")],
)
def test_the_formats(form: str, channel: str) -> None:
    assert parse(f"u:p:::0,{form},S:79101234567:t").wishes.channel is Channel(channel)


@pytest.mark.parametrize(("form", "channel"), [("3", Channel.HLR), ("6", Channel.PING)])
def test_questions_need_no_text(form: str, channel: Channel) -> None:
    submission = parse(f"u:p:::0,{form},S:79101234567:")
    assert (submission.wishes.channel, submission.text) == (channel, "")


@pytest.mark.parametrize(("field", "wish"), [("0", None), ("", None), ("1", True), ("2", True)])
def test_transliteration(field: str, wish: bool | None) -> None:
    assert parse(f"u:p:::{field},0,S:79101234567:t").wishes.transliterate is wish


@pytest.mark.parametrize("sender", ["", ".", " . "])
def test_the_accounts_own_sender(sender: str) -> None:
    assert parse(f"u:p:::0,0,{sender}:79101234567:t").originator == ""


def at(text: str) -> At:
    return At(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("field", "when"),
    [
        ("", None),
        ("0", None),
        ("3112261530", at("2026-12-31T12:30")),
        ("3112261530,0", at("2026-12-31T12:30")),
        ("3112261530,2", at("2026-12-31T10:30")),
        ("3112261530,-3", at("2026-12-31T15:30")),
        ("01800000000", At(1_800_000_000.0)),
        ("+90", After(5400.0)),
        ("10-18", Between(10, 18, 10800)),
        ("22-6,2", Between(22, 6, 18000)),
    ],
)
def test_the_time(field: str, when: When | None) -> None:
    assert parse(f"u:p::{field}:0,0,S:79101234567:t").wishes.when == when


@pytest.mark.parametrize(
    ("mail", "reason"),
    [
        ("", "fields_missing"),
        ("hello", "fields_missing"),
        ("u:p:1:0:0,0,S:79101234567", "fields_missing"),
        ("u::1:0:0,0,S:79101234567:t", "fields_missing"),
        ("SmsUser=u\nPassword: x\na:b:c:d:e", "fields_missing"),
        ("u:p:0x1:0:0,0,S:79101234567:t", "id_not_valid"),
        ("u:p:2147483648:0:0,0,S:79101234567:t", "id_not_valid"),
        ("u:p::soon:0,0,S:79101234567:t", "schedule_not_supported"),
        ("u:p::3113261530:0,0,S:79101234567:t", "schedule_not_supported"),
        ("u:p::25-3:0,0,S:79101234567:t", "schedule_not_supported"),
        ("u:p::5-5:0,0,S:79101234567:t", "schedule_not_supported"),
        ("u:p::0,x:0,0,S:79101234567:t", None),
        ("u:p::3112261530,x:0,0,S:79101234567:t", "schedule_not_supported"),
        ("u:p:::0,2,S:79101234567:t", "format_not_supported"),
        ("u:p:::0,7,S:79101234567:t", "format_not_supported"),
        ("u:p:::3,0,S:79101234567:t", "format_not_supported"),
        ("u:p:::0,0,S,1:79101234567:t", "test_only"),
        ("u:p:::0,0,S:79101234567:  \n ", "text_empty"),
        ("u:p:::0,0,S::79101234567:a\n79102345678:b", "several_texts"),
        ("u:p:::0,0,S::79101234567", "fields_missing"),
    ],
)
def test_refusals(mail: str, reason: str | None) -> None:
    if reason is None:
        assert parse(mail).text == "t"
        return
    with pytest.raises(Refused) as caught:
        parse(mail)
    assert caught.value.refusal.reason.key == reason
    assert "p" not in map(str, caught.value.refusal.values.values())


@given(st.text(alphabet=st.sampled_from("u:p0,S7\n+- 1а[text]/"), max_size=60))
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        submission = parse(text)
    except Refused as refused:
        assert refused.refusal.verdict.code == "FORMAT"
        return
    assert submission.secrets


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1), st.integers(1, 2**31 - 1))
def test_what_is_written_is_read(text: str, key: int) -> None:
    if not re.search(r"\[/?text\]", text, re.IGNORECASE):
        assert parse(f"u:p:{key}:0:0,0,S:79101234567:{text}").text == text.strip("\ufeff") or text


# ── when ─────────────────────────────────────────────────────────────────────────────────────

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("when", "after_s"),
    [
        (None, None),
        (At(NOON - 1), None),
        (At(NOON + 60), 60),
        (After(0), None),
        (After(90), 90),
        (Between(10, 18, 0), None),
        (Between(10, 18, 3 * 3600), None),
        (Between(10, 14, 3 * 3600), 19 * 3600),
        (Between(13, 14, 0), 3600),
        (Between(22, 6, 0), 10 * 3600),
        (Between(22, 13, 0), None),
        (Between(8, 12, 0), 20 * 3600),
        (Between(12, 13, 0), None),
    ],
)
def test_resolved(when: When | None, after_s: float | None) -> None:
    resolved = resolve(when, NOON, MONTH_S)
    assert resolved == (None if after_s is None else NOON + after_s)


@given(st.integers(0, 23), st.integers(0, 24), st.integers(-12, 12), st.integers(0, 10**10))
def test_between_hours_is_the_first_such_moment(first: int, last: int, zone: int, now: int) -> None:
    if first in (last, last - 24):
        return
    at = resolve(Between(first, last, zone * 3600), now, MONTH_S) or now
    local = (at + zone * 3600) % DAY_S
    assert first * 3600 <= local < last * 3600 or (first > last and not last * 3600 <= local < first * 3600)
    assert now <= at < now + DAY_S
    assert at == now or local == first * 3600


@pytest.mark.parametrize("when", [At(NOON + MONTH_S + 1), After(MONTH_S + 1)])
def test_not_too_far_ahead(when: When) -> None:
    with pytest.raises(Refused) as caught:
        resolve(when, NOON, MONTH_S)
    assert (caught.value.refusal.code, caught.value.refusal.values) == ("LIMIT", {"days": 30})


def test_a_password_in_the_place_of_the_format_is_not_told() -> None:  # found by make fuzz
    with pytest.raises(Refused) as caught:
        DIALECT.parse(
            ReceivedEmail("", "a:b:0:0:qwerty12:79101234567:text", (), "", "", (), ()), ("x@y",), lambda login: False
        )
    assert caught.value.refusal.reason.key == "format_not_supported"
    assert "qwerty12" not in repr(caught.value.refusal.values)
