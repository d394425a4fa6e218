"""What is kept of who was turned away: nothing secret; and what an operator is told to do."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.replies.wording import LANGUAGES
from gateway.service.advice import advise, catalog
from gateway.service.rejections import Door, Rejection, Spoken, masked_recipient
from gateway.verdicts import REASONS


def ours(address: str) -> bool:
    return address.lower().endswith("@sms.example.com")


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("EHLO ups-room-5", "C: EHLO ups-room-5"),
        ("helo [192.168.10.200]", "C: HELO [192.168.10.200]"),
        ("EHLO 79101234567", "C: EHLO 7910***4567"),
        ("MAIL FROM:<alerts@bank.example> SIZE=12345678", "C: MAIL FROM:<alerts@bank.example> SIZE=12345678"),
        ("MAIL FROM:<79101234567@mms.example>", "C: MAIL FROM:<7910***4567@mms.example>"),
        ("RCPT TO:<79101234567@sms.example.com>", "C: RCPT TO:<7910***4567@sms.example.com>"),
        ("RCPT TO:<+7 (910) 123-45-67>", None),
        ("RCPT TO:<emailtosm@sms.example.com>", "C: RCPT TO:<emailtosm@sms.example.com>"),
        ("RCPT TO:<victim@elsewhere.example>", "C: RCPT TO:<v***@elsewhere.example>"),
        ("AUTH PLAIN AGxvZ2luAHNlY3JldA==", "C: AUTH PLAIN ***"),
        ("auth login c2VjcmV0", "C: AUTH LOGIN ***"),
        ("AUTH c2VjcmV0", "C: AUTH ***"),
        ("c2VjcmV0", "C: (8 characters that are no command)"),
        ("Password=secret", "C: (15 characters that are no command)"),
        ("NOOP secret", "C: NOOP"),
        ("XCLIENT LOGIN=secret", "C: XCLIENT"),
        ("GET /?password=secret HTTP/1.1", "C: (30 characters that are no command)"),
        ("QUIT", "C: QUIT"),
    ],
)
def test_what_is_kept_of_a_command(line: str, kept: str | None) -> None:
    spoken = Spoken()
    spoken.client(line)
    (found,) = spoken.masked(ours)
    assert kept is None or found == kept
    assert "secret" not in found
    assert "c2VjcmV0" not in found
    assert "123-45-67" not in found


@given(
    st.text(max_size=60),
    st.sampled_from(["AUTH PLAIN ", "AUTH LOGIN ", "auth ", "XCLIENT LOGIN=", "NOOP ", "", "PASS "]),
)
def test_a_password_is_nowhere(password: str, before: str) -> None:
    spoken = Spoken()
    spoken.client(f"{before}Zq7{password}")
    assert "Zq7" not in "".join(spoken.masked(ours))


def test_the_last_lines_are_kept() -> None:
    spoken = Spoken()
    for number in range(200):
        spoken.client(f"EHLO {number}")
        spoken.server("250-not this")
        spoken.server("250 but this")
    kept = spoken.masked(ours)
    assert len(kept) == 40
    assert kept[-2:] == ("C: EHLO 199", "S: 250 but this")


def test_mails_that_were_taken_before_are_forgotten() -> None:
    spoken = Spoken()
    spoken.server("220 here")
    spoken.client("EHLO x")
    for number in range(3):
        spoken.client(f"MAIL FROM:<{number}@b.example>")
        spoken.server("250 OK")
    assert spoken.masked(ours) == ("S: 220 here", "C: EHLO x", "C: MAIL FROM:<2@b.example>", "S: 250 OK")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("79101234567@sms.example.com", "7910***4567@sms.example.com"),
        ("79101234567", "7910***4567"),
        ("nobody@sms.example.com", "nobody@sms.example.com"),
        ("somebody@elsewhere.example", "s***@elsewhere.example"),
        ("", ""),
    ],
)
def test_recipients_are_masked(address: str, shown: str) -> None:
    assert masked_recipient(address, ours) == shown


# ── what to do ───────────────────────────────────────────────────────────────────────────────────


def rejection(reason: str, **changes: object) -> Rejection:
    usual: dict[str, object] = {
        "id": 1,
        "first_at": 1.0,
        "last_at": 1.0,
        "count": 1,
        "listener": "lan",
        "peer": "10.1.5.77",
        "trusted": False,
        "helo": "",
        "tls": False,
        "reason": reason,
        "values": {},
        "reply": "500 5.5.1 command not recognized",
        "sender": "alerts@x.example",
        "recipients": ("emailtosm@sms.example.com",),
        "account": "shop",
        "dialogue": (),
    }
    return Rejection(**{**usual, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", [*REASONS, *Door])
def test_there_is_something_to_say_of_everything(reason: str, language: str) -> None:
    found = advise(rejection(str(reason)), language)
    assert found.what
    assert found.fix
    assert found.what != reason
    assert not re.search(r"\{\w+\}", found.what + found.fix)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_it(language: str) -> None:
    def shape(words: object) -> object:
        return {key: shape(value) for key, value in words.items()} if isinstance(words, dict) else None

    assert shape(catalog(language)) == shape(catalog("en"))


@pytest.mark.parametrize(
    ("found", "fix"),
    [
        (rejection("sender_not_verified"), "add 10.1.5.0/24 to trust of listener lan."),
        (rejection("sender_not_verified", peer="198.51.100.7"), None),
        (rejection("sender_not_verified", peer="8.8.8.8"), "do not trust its network."),
        (rejection("sender_not_verified", peer="fd00:1:2:3::9"), "add fd00:1:2:3::/64 to trust of listener lan."),
        (rejection("sender_not_verified", peer="fd00:1:2:3::/64"), "add fd00:1:2:3::/64 to trust of listener lan."),
        (rejection("door_tls_first", peer=""), "tls mode implicit"),
        (rejection("door_lf_only", peer="*"), "lenient listener that trusts its network."),
        (rejection("door_not_smtp", trusted=True), "whose trust must hold its network."),
        (rejection("sender_not_allowed"), "alerts@x.example is in no account's senders"),
        (rejection("relay_denied"), "“emailtosm@sms.example.com” is no address of this gateway"),
        (rejection("credentials_wrong", account=None), "account (unknown)."),
        (rejection("what a later version knows"), ""),
    ],
)
def test_what_to_do(found: Rejection, fix: str | None) -> None:
    advice = advise(found, "en")
    assert fix is None or fix in advice.fix
