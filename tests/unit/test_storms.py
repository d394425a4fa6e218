"""Which alarms are alike, what is never gathered, and how one SMS tells of many."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import After, Asked, Channel, Conversation, StormRule, Wishes
from gateway.policy import storms
from gateway.sms import segments
from tests.unit.test_policy import ACCOUNT, SUBMISSION, accept

RULE = StormRule(5, 600.0, 600.0)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("CPU 91% on web-01", "cpu  97% on web-01\n"),
        ("Load 0.5 on db", "Load 12,75 on db"),
        ("Температура -5", "температура 12"),
        ("PROBLEM 26.11.2026 09:00:01 disk full", "PROBLEM 27.11.2026 10:15:59 disk full"),
        ("at 2026-11-26T09:00:00Z down", "at 2026-11-26T09:00:01.250+03:00 down"),
        ("login failed from 10.0.0.1:4711", "login failed from 192.168.17.3:80"),
        ("trace 4bf92f3577b34da6 lost", "trace 00f067aa0ba902b7 lost"),
        ("id 0xdeadbeef", "id 0x1"),
        ("job 123e4567-e89b-12d3-a456-426614174000 hangs", "job 00000000-e89b-12d3-a456-426614174001 hangs"),
        ("answered in 95ms", "answered in 1.5s"),
        ("down for 5m30s", "down for 12m"),
        ("free 1.5GB", "free 900mb"),
        ("Задержка 15мин", "Задержка 3ч"),
        ("error 1001", "error 1,002"),
        ("http://grafana/alert/17?x=1", "http://grafana/alert/18?x=2"),
    ],
)
def test_figures_do_not_matter(one: str, another: str) -> None:
    assert storms.shape(one) == storms.shape(another)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("CPU 91% on web-01", "CPU 91% on web-02"),
        ("host12 down", "host13 down"),
        ("db_1 down", "db_2 down"),
        ("node-3-4 down", "node-3-5 down"),
        ("srv1.example.com down", "srv2.example.com down"),
        ("rack 1a", "rack 2a"),
        ("Версия v1.2.3", "Версия v1.2.4"),
        ("mail down", "nail down"),
        ("Склад открыт", "Склад закрыт"),
        ("disk full", "disk full!"),
        ("link up", "link up 5"),
    ],
)
def test_letters_do_and_so_do_figures_in_names(one: str, another: str) -> None:
    assert storms.shape(one) != storms.shape(another)


@given(st.text())
def test_a_shape_is_a_shape(text: str) -> None:
    assert storms.shape(f"  {text} \n") == storms.shape(text)
    assert not any(char.isspace() and char != " " for char in storms.shape(text))


@given(st.text(alphabet=st.characters(categories=["L"], max_codepoint=0x4FF), min_size=1), st.integers(0, 10**6))
def test_the_letters_of_a_text_are_in_its_shape(word: str, number: int) -> None:
    assert storms.shape(f"{word} {number}") == f"{' '.join(word.casefold().split())} #"


@pytest.mark.parametrize(
    "text",
    [
        "Your code is 1234",
        "123456 is your Google verification code",
        "Код подтверждения: 4821. Никому не говорите его",
        "Ваш код 4821",
        "Пароль: 4821",
        "Код: 4821",
        "Одноразовый пароль 482193",
        "Код підтвердження 4821",
        "Use one-time password 4821",
        "OTP 482193 for your card",
        "PIN=4821",
    ],
)
def test_one_time_codes_are_never_gathered(text: str) -> None:
    assert storms.mark(replace(SUBMISSION, text=text), text) == ""


@pytest.mark.parametrize(
    "text", ["Failed password for root from 10.0.0.1", "exit code 1001", "Error code: 1001", "Код ошибки 1001"]
)
def test_alarms_about_codes_are_alarms(text: str) -> None:
    assert storms.mark(SUBMISSION, text) == "sms " + storms.shape(text)


@pytest.mark.parametrize(
    "submission",
    [
        replace(SUBMISSION, wishes=Wishes(channel=Channel.CALL)),
        replace(SUBMISSION, wishes=Wishes(when=After(60))),
        replace(SUBMISSION, credential=Conversation("79101234567")),
    ],
    ids=["another channel", "a time of its own", "an answer of a person"],
)
def test_what_else_is_never_gathered(submission: object) -> None:
    assert storms.mark(submission, "CPU 91%") == ""  # type: ignore[arg-type]


def test_only_an_account_that_asks_for_it_gathers() -> None:
    assert [job.storm for job in accept().jobs] == [None]
    gathering = replace(ACCOUNT, storm=RULE, originators=frozenset({"My Bank", "Other"}))
    assert accept(account=gathering).storm == RULE
    different = (
        SUBMISSION,
        replace(SUBMISSION, text="another"),
        replace(SUBMISSION, destinations=(Asked("79102345678", "x@y.example"),)),
        replace(SUBMISSION, originator="Other"),
    )
    keys = {job.storm for submission in different for job in accept(submission, gathering).jobs}
    assert len(keys - {None}) == 4


@pytest.mark.parametrize(
    ("text", "count", "language", "most", "expected"),
    [
        ("CPU 91%", 37, "ru", 10, "CPU 91% (x37, 10 min)"),
        ("Диск полон", 37, "ru", 10, "Диск полон (×37, 10 мин)"),
        ("Диск повний", 2, "uk", 10, "Диск повний (×2, 10 хв)"),
        ("Диск", 2, "en", 10, "Диск (×2, 10 min)"),
        ("CPU 91%", 1, "en", 10, "CPU 91%"),
        ("a" * 160, 37, "en", 1, "a" * 143 + "... (x37, 10 min)"),
        ("ж" * 70, 37, "ru", 1, "ж" * 55 + "… (×37, 10 мин)"),
    ],
)
def test_one_sms_tells_of_all(text: str, count: int, language: str, most: int, expected: str) -> None:
    composed = storms.summary(text, count, 600.0, language, most)
    assert (composed.text, composed.segments) == (expected, 1)


@given(st.text(min_size=1, max_size=700), st.integers(2, 100_000), st.integers(1, 3))
def test_it_never_takes_more_than_it_may(text: str, count: int, most: int) -> None:
    composed = storms.summary(text, count, 600.0, "ru", most)
    assert composed.segments == segments.count(composed.text) <= most
    assert f"{count}, 10 " in composed.text
