"""Who wrote a mail, what a border MTA says of it, and what that is worth."""

from __future__ import annotations

import json
from dataclasses import replace
from email.parser import BytesParser
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.mail.author import author, names_all
from gateway.mail.read import open_mail
from gateway.mail.results import stated
from gateway.model import Check, Conversation, Door, Envelope, NoSecret, Password, Submission, Vouch
from gateway.policy import checks
from gateway.policy.accounts import Account
from gateway.policy.senders import Border, Parties, SenderChecks, covers, weigh_own, weigh_stated
from gateway.senders.examine import Examiner
from gateway.verdicts import Refused
from tests.running import listener as door
from tests.running import write_config

PARTIES = Parties("bank.example", "bank.example", named=True)
ENVELOPE = Envelope("Q", Door.SMTP, "mx", "192.0.2.1", False, None, "alerts@bank.example", ("x@y.example",), 0.0)


# ── the From field ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"From: alerts@bank.example", "alerts@bank.example"),
        (b"from: Alerts <Alerts@BANK.example>", "alerts@bank.example"),
        (b'From: "Bank. Alerts" <alerts@bank.example>', "alerts@bank.example"),
        (b"From: =?utf-8?B?0JHQsNC90Lo=?= <alerts@bank.example>", "alerts@bank.example"),
        ("From: Банк <alerts@bank.example>".encode(), "alerts@bank.example"),
        (b"From: Bank\r\n <alerts@bank.example>", "alerts@bank.example"),
        (b"X: y", ""),
        (b"From: ", ""),
        # espoofer A8 to A19: where mail programs disagree
        (b"From: alerts@bank.example\r\nFrom: evil@evil.example", ""),  # A8
        (b"From: evil@evil.example\r\nfrom: alerts@bank.example", ""),
        (b"From : alerts@bank.example", ""),
        (b"From: evil@evil.example\r\nFrom : alerts@bank.example", "evil@evil.example"),  # for us and dkimpy: no field
        (b"X: y\r\n From: evil@evil.example\r\nFrom: alerts@bank.example", "alerts@bank.example"),  # A10: it is X's
        (b"From: alerts@bank.example, evil@evil.example", ""),
        (b"From: <alerts@bank.example>, <evil@evil.example>", ""),
        (b"From: alerts@bank.example <evil@evil.example>", ""),
        (b'From: "alerts@bank.example" <evil@evil.example>', ""),
        (b"From: =?utf-8?B?PGFsZXJ0c0BiYW5rLmV4YW1wbGU+?=, <evil@evil.example>", ""),  # A15
        (b"From: =?utf-8?B?YWxlcnRzQGJhbmsuZXhhbXBsZQ==?=", ""),
        (b"From: <@evil.example,@x.example:alerts@bank.example>", ""),  # A16
        (b"From: <alerts@bank.example>evil@evil.example", ""),
        (b"From: <alerts@bank.example> <evil@evil.example>", ""),
        (b"From: alerts@bank.example(<evil@evil.example>)", ""),  # A19
        (b"From: (evil@evil.example) <alerts@bank.example>", ""),
        (b'From: "<evil@evil.example>" <alerts@bank.example>', ""),
        (b"From: \\<alerts@bank.example> <evil@evil.example>", ""),
        (b"From: group: alerts@bank.example;", ""),
        (b"From: alerts@bank.example\x00@evil.example", ""),
        (b"From: alerts@bank.example\x0c", ""),
        ("From: alerts@bänk.example".encode(), ""),
        (b"From: alerts@localhost", ""),
        (b"From: " + b"a" * 250 + b"@bank.example", ""),
    ],
)
def test_the_author_is_who_every_program_would_name(header: bytes, found: str) -> None:
    assert author(BytesParser().parsebytes(header + b"\r\nSubject: x\r\n\r\ntext")) == found


@given(st.text(st.sampled_from('<>@,;:()"\\ \t=?ab.й'), max_size=60))
def test_any_other_field_costs_no_time_and_names_one_address(value: str) -> None:
    found = author(BytesParser().parsebytes(b"From: " + value.encode() + b"\r\n\r\n"))
    assert found == "" or (found.count("@") == 1 and value.count("@") == 1)


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (b"To: 79101234567@sms.example", True),
        (b"To: SMS <79101234567@SMS.example>, x@y.example", True),
        (b"To: x@y.example\r\nCc: <79101234567@sms.example>", True),
        (b"To: 179101234567@sms.example", False),
        (b"To: 79101234567@sms.example.evil.example", False),
        (b"Subject: 79101234567@sms.example", False),
        (b"X: y", False),
    ],
)
def test_recipients_that_the_signed_header_names(header: bytes, named: bool) -> None:
    assert names_all(BytesParser().parsebytes(header + b"\r\n\r\n"), ["79101234567@sms.example"]) is named


# ── Authentication-Results ───────────────────────────────────────────────────────────────────

PASS = b"Authentication-Results: mx.bank.example; dmarc=pass header.from=bank.example\r\n"
FAIL = b"Authentication-Results: mx.bank.example; dmarc=fail (p=reject) header.from=bank.example\r\n"
RECEIVED = b"Received: from somewhere\r\n\tby mx.bank.example; Thu, 12 Mar 2026 10:15:01 +0300\r\n"
OPENDKIM = (
    b"Authentication-Results: mx.bank.example;\r\n\tdkim=pass (2048-bit key; unprotected) header.d=bank.example "
    b'header.i=@bank.example header.a=rsa-sha256 header.s=s1 header.b="abc+d/="\r\n'
)
MICROSOFT = (
    b"Authentication-Results: spf=pass (sender IP is 1.2.3.4) smtp.mailfrom=bank.example; dkim=pass\r\n"
    b" (signature was verified) header.d=bank.example;dmarc=pass action=none header.from=bank.example\r\n"
)


def results(value: str) -> bytes:
    return f"Authentication-Results: {value}\r\n".encode()


@pytest.mark.parametrize(
    ("header", "vouched", "why"),
    [
        (PASS + RECEIVED, Vouch.DMARC, ""),
        (b"Return-Path: <x@y>\r\n" + PASS + RECEIVED, Vouch.DMARC, ""),
        (PASS.replace(b"mx.bank", b"MX.Bank") + RECEIVED, Vouch.DMARC, ""),
        (results("mx.bank.example 1; dmarc=pass (a (b) c) header.from=bank.example policy.dmarc=none"), "DMARC", ""),
        (OPENDKIM + RECEIVED, Vouch.DKIM, ""),
        (results("mx.bank.example; dkim=pass header.d=BANK.example; spf=fail smtp.mailfrom=x@y.example"), "DKIM", ""),
        # not the border's
        (RECEIVED + PASS, None, "says nothing"),
        (RECEIVED, None, "says nothing"),
        (b"", None, "says nothing"),
        (results("mx.evil.example; dmarc=pass header.from=bank.example") + RECEIVED, None, "says nothing"),
        (results("mx.bank.example.evil.example; dmarc=pass header.from=bank.example"), None, "says nothing"),
        (results("evil.example (mx.bank.example); dmarc=pass header.from=bank.example"), None, "says nothing"),
        (b"X-Authentication-Results: mx.bank.example; dmarc=pass header.from=bank.example\r\n", None, "says nothing"),
        # not clear
        (FAIL + RECEIVED, None, "DMARC is fail"),
        (PASS + FAIL + RECEIVED, None, "several results for DMARC"),
        (PASS + PASS + RECEIVED, None, "several results for DMARC"),
        (
            results("mx.bank.example; dmarc=fail header.from=bank.example; dmarc=pass header.from=bank.example"),
            None,
            "several results for DMARC",
        ),
        (OPENDKIM + FAIL + RECEIVED, None, "DMARC is fail"),
        (OPENDKIM + OPENDKIM, None, "several results for DKIM"),
        (
            results("mx.bank.example; dkim=fail header.d=bank.example; dkim=pass header.d=bank.example"),
            None,
            "several results for DKIM",
        ),
        (results("mx.bank.example; dmarc=temperror header.from=bank.example"), None, "DMARC is temperror"),
        (results("mx.bank.example; dmarc=pass header.from=evil.example"), None, "another domain"),
        (results("mx.bank.example; dmarc=pass header.from=x.bank.example"), None, "another domain"),
        (results("mx.bank.example; dmarc=pass"), None, "DMARC is permerror"),
        (
            results("mx.bank.example; dmarc=pass header.from=bank.example header.from=evil.example"),
            None,
            "DMARC is permerror",
        ),
        (results("mx.bank.example; dkim=pass header.d=evil.example"), None, "no signature of the From"),
        (results("mx.bank.example; dkim=pass header.d=example"), None, "no signature of the From"),
        (results("mx.bank.example; dkim=pass header.i=@bank.example"), None, "no signature of the From"),
        (results("mx.bank.example; spf=pass smtp.mailfrom=alerts@bank.example"), None, "says nothing"),
        (results("mx.bank.example; none"), None, "says nothing"),
        # not understood
        (MICROSOFT + RECEIVED, None, "Exchange Online"),
        (MICROSOFT + PASS + RECEIVED, None, "Exchange Online"),
        (results("mx.bank.example; dmarc=pass action=none header.from=bank.example"), None, "cannot be read"),
        (results("mx.bank.example; dmarc=pass header.from=bank.example (((("), None, "cannot be read"),
        (results("mx.bank.example; dmarc=pass header.from=bank.example" + "(a" * 3000), None, "cannot be read"),
        (results("mx.bank.example"), None, "cannot be read"),
    ],
)
def test_what_the_border_says(header: bytes, vouched: Vouch | None, why: str) -> None:
    message = open_mail(header + b"From: alerts@bank.example\r\nTo: x@y.example\r\n\r\ntext").message
    found = weigh_stated(PARTIES, stated(message, "mx.bank.example", 0), "mx.bank.example")
    assert found.vouched == vouched
    assert found.refusal is None or why in str(found.refusal.values["why"])
    assert (found.refusal is None) is (vouched is not None)


def test_a_border_that_writes_below_its_own_received_field() -> None:
    message = open_mail(RECEIVED + PASS + RECEIVED + FAIL + b"From: alerts@bank.example\r\n\r\ntext").message
    assert [check.result for check in stated(message, "mx.bank.example", 1)] == ["pass"]
    assert len(stated(message, "mx.bank.example", 2)) == 2


@given(st.text(st.sampled_from('();="\\ \t.,@abdkimrcpsfh\r\n'), max_size=80))
def test_every_field_is_read_or_not_but_never_for_long(value: str) -> None:
    message = BytesParser().parsebytes(b"")
    message["Authentication-Results"] = "mx.bank.example; " + value
    stated(message, "mx.bank.example", 0)


async def test_from_another_address_the_fields_prove_nothing() -> None:
    border = Border("mx.bank.example", (ip_network("192.0.2.1/32"),))
    raw = PASS + b"From: alerts@bank.example\r\nTo: x@y.example\r\n\r\ntext"
    mail = open_mail(raw)
    found = await Examiner().examine(ENVELOPE, mail, raw, SenderChecks(border))
    assert found is not None
    assert found.vouched is Vouch.DMARC
    assert await Examiner().examine(replace(ENVELOPE, peer="192.0.2.2"), mail, raw, SenderChecks(border)) is None
    elsewhere = await Examiner().examine(
        replace(ENVELOPE, recipients=("z@y.example",)), mail, raw, SenderChecks(border)
    )
    assert elsewhere is not None
    assert elsewhere.refusal is not None
    assert elsewhere.refusal.reason.key == "recipient_not_named"


# ── what it is worth ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("signer", "speaks"),
    [
        ("bank.example", True),
        ("ops.bank.example", True),
        ("a.ops.bank.example", False),
        ("evilbank.example", False),
        ("example", False),
        ("", False),
    ],
)
def test_a_signer_speaks_for_what_is_below(signer: str, speaks: bool) -> None:
    assert covers(signer, "ops.bank.example") is speaks


DKIM = Check("dkim", "pass", "bank.example", key="K")
OWN = frozenset({"dkim", "dmarc", "spf"})


@pytest.mark.parametrize(
    ("found", "own", "vouched", "refusal"),
    [
        ([DKIM], OWN, Vouch.DKIM, ""),
        ([DKIM, Check("dmarc", "pass", "bank.example")], OWN, Vouch.DMARC, ""),
        ([DKIM, Check("dmarc", "none", "bank.example")], {"dmarc"}, None, "5.7.22"),
        ([replace(DKIM, domain="mail.bank.example")], OWN, None, "5.7.22"),
        ([replace(DKIM, domain="mail.bank.example"), Check("dmarc", "pass")], OWN, Vouch.DMARC, ""),
        ([Check("dkim", "none")], OWN, None, "5.7.20"),
        ([Check("dkim", "fail", "bank.example")], OWN, None, "5.7.20"),
        ([Check("dkim", "policy", "bank.example", "l= …")], OWN, None, "5.7.21"),
        ([Check("dkim", "neutral", "esp.example")], OWN, None, "5.7.22"),
        ([Check("dkim", "none"), Check("spf", "fail", "bank.example")], OWN, None, "5.7.23"),
        ([Check("dkim", "none"), Check("spf", "pass", "bank.example")], OWN, None, "5.7.20"),
        ([Check("dkim", "temperror", "bank.example")], OWN, None, "4.4.3"),
        ([Check("dkim", "none"), Check("spf", "temperror")], OWN, None, "4.4.3"),
        ([DKIM, Check("dmarc", "temperror")], OWN, Vouch.DKIM, ""),
    ],
)
def test_our_own_results(found: list[Check], own: Any, vouched: Vouch | None, refusal: str) -> None:
    evidence = weigh_own(PARTIES, found, frozenset(own))
    assert evidence.vouched is vouched
    assert (evidence.refusal.verdict.smtp.split()[1] if evidence.refusal else "") == refusal
    assert bool(evidence.key) is (vouched is not None)


@pytest.mark.parametrize(
    ("parties", "found", "answerable"),
    [
        (PARTIES, [DKIM], True),
        (replace(PARTIES, sender="victim.example"), [DKIM], False),
        (replace(PARTIES, sender=""), [DKIM], False),
        (replace(PARTIES, sender="esp.example"), [DKIM, Check("spf", "pass", "esp.example")], True),
        (PARTIES, [Check("dkim", "none"), Check("spf", "pass", "bank.example")], True),
        (PARTIES, [Check("dkim", "none"), Check("spf", "pass", "evil.example")], False),
        (PARTIES, [Check("dkim", "none"), Check("spf", "softfail", "bank.example")], False),
        (replace(PARTIES, author=""), [Check("spf", "pass", "bank.example")], True),
    ],
)
def test_who_may_be_answered_by_mail(parties: Parties, found: list[Check], answerable: bool) -> None:
    assert weigh_own(parties, found, OWN).answerable is answerable
    assert weigh_stated(parties, found, "mx").answerable is answerable


SUBMISSION = Submission("template", "template", Password("user", "x"), "Bank", (), "text", "x@y.example")


@pytest.mark.parametrize(
    ("found", "credential", "refused"),
    [
        ([Check("dkim", "none")], Password("user", "x"), ""),
        ([Check("dkim", "none")], NoSecret("user"), "sender_unsigned"),
        ([Check("dkim", "none")], Conversation("1"), "sender_unsigned"),
        ([Check("dkim", "none"), Check("spf", "fail", "bank.example")], Password("user", "x"), "sender_spf"),
        ([Check("dkim", "none"), Check("spf", "temperror")], Password("user", "x"), "sender_dns"),
        ([DKIM], NoSecret("user"), ""),
    ],
)
def test_a_listener_that_takes_unverified_senders_takes_no_known_forgery(
    found: list[Check], credential: Any, refused: str
) -> None:
    evidence = weigh_own(PARTIES, found, OWN)
    lax = replace(ENVELOPE, accept_unverified=True)
    submission = replace(SUBMISSION, credential=credential)
    try:
        checks.sender_is_verified(lax, submission, evidence.vouched or "", evidence)
    except Refused as error:
        assert error.refusal.reason.key == refused
    else:
        assert refused == ""


@pytest.mark.parametrize(
    ("verify", "enough"),
    [
        ("any", {"", *Vouch}),
        ("dmarc", set(Vouch) - {Vouch.DKIM}),
        ("network", set(Vouch) - {Vouch.DKIM, Vouch.DMARC}),
        ("auth", {Vouch.AUTH, Vouch.OPERATOR}),
    ],
)
def test_a_strict_account(verify: str, enough: set[str]) -> None:
    account = Account("user", verify=verify)
    for verified in ("", *Vouch):
        try:
            checks.verification_is_enough(account, verified, None)
        except Refused as error:
            assert error.refusal.reason.key == "sender_not_enough"
            assert verified not in enough
        else:
            assert verified in enough


def test_dmarc_that_could_not_be_asked_for_is_put_off_and_not_refused() -> None:
    evidence = weigh_own(PARTIES, [DKIM, Check("dmarc", "temperror")], OWN)
    with pytest.raises(Refused) as refused:
        checks.verification_is_enough(Account("user", verify="dmarc"), Vouch.DKIM, evidence)
    assert refused.value.refusal.reason.key == "sender_dns"


@pytest.mark.parametrize(
    ("listener", "peer", "verdict", "trail"),
    [
        ("inside", "192.0.2.1", "OK", "sender dmarc pass mx.bank.example"),
        ("inside", "192.0.2.2", "FORBIDDEN", "policy refused: FORBIDDEN"),
        ("lan", "127.0.0.1", "OK", "policy sender verified"),
    ],
)
def test_parse_explains_what_a_listener_would_find(
    tmp_path: Path, listener: str, peer: str, verdict: str, trail: str
) -> None:
    border = {"authserv_id": "mx.bank.example", "peers": ["192.0.2.1"]}
    doors = [door(), door(name="inside", trust=[], authentication_results=border)]
    config = str(write_config(tmp_path, {"listeners": doors}))
    mail = tmp_path / "mail.eml"
    mail.write_bytes(
        PASS + RECEIVED + b"From: alerts@bank.example\r\nTo: test_user@sms.example.com\r\nSubject: My Bank\r\n\r\nx"
    )
    where = ["--listener", listener, "--peer", peer]
    result = CliRunner().invoke(app, ["parse", str(mail), *where, "--json", "--config", config])
    found = json.loads(result.stdout)
    told = [f"{note['room']} {note['what']} {note.get('by', '')}".strip() for note in found["trail"]]
    assert found["verdict"] == verdict
    assert any(line.startswith(trail) for line in told), told
