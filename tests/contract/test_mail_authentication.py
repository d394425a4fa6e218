"""DKIM, DMARC and SPF against a DNS server: dkimpy's signatures, RFC 7208's records, RFC 9989's trees."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from gateway.mail.read import open_mail
from gateway.model import Check, Door, Envelope, Vouch
from gateway.policy.senders import SenderChecks
from gateway.senders.alignment import aligned, organizational, walk
from gateway.senders.dns import Lookups, Resolver
from gateway.senders.examine import Examiner
from gateway.senders.permits import permitted
from gateway.senders.signatures import signatures
from tests.names import Names, Records, names
from tests.signing import FIELDS, record, signed

MAIL = (
    b"From: Alerts <alerts@bank.example>\r\nTo: 79101234567@sms.example\r\nSubject: My Bank;user;\r\n"
    b"Date: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@bank.example>\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nFire  in\tthe \r\nserver room\r\n\r\n"
)
KEYS: Records = {
    ("s1._domainkey.bank.example", "TXT"): [record()],
    ("s1._domainkey.mail.bank.example", "TXT"): [record()],
}


def lookups(server: Names, timeout_s: float = 5.0) -> Lookups:
    return Lookups(Resolver([server.address], timeout_s))


async def dkim_of(raw: bytes, keys: Records, *, now: float | None = None) -> list[Check]:
    async with names(keys) as server:
        message = open_mail(raw).message
        found = await signatures(raw, message, "bank.example", lookups(server), time.time() if now is None else now)
        return list(found)


# ── DKIM ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("raw", "result", "why"),
    [
        (signed(MAIL), "pass", ""),
        (signed(MAIL, canonicalize=(b"simple", b"simple")), "pass", ""),
        (signed(MAIL, canonicalize=(b"relaxed", b"simple")), "pass", ""),
        (signed(MAIL).replace(b"in\tthe \r\n", b"in    the\r\n"), "pass", ""),
        (signed(MAIL, canonicalize=(b"relaxed", b"simple")).replace(b"the \r\n", b"the\r\n"), "fail", "was changed"),
        (b"Received: from x\r\n" + signed(MAIL), "pass", ""),
        (signed(MAIL, fields=(*FIELDS, "from", "content-transfer-encoding")), "pass", ""),
        (signed(MAIL.replace(b"Content-Type: text/plain; charset=utf-8\r\n", b"")), "pass", ""),
        (MAIL, "none", "not signed"),
        (signed(MAIL).replace(b"Fire", b"Hire"), "fail", "was changed"),
        (signed(MAIL).replace(b"My Bank;user", b"My Benk;user"), "fail", "does not match"),
        # what dkimpy lets pass
        (signed(MAIL, length=True) + b"and more", "policy", "l="),
        (signed(MAIL, length=True), "policy", "l="),
        (signed(MAIL, signature_algorithm=b"rsa-sha1"), "policy", "rsa-sha256"),
        (signed(MAIL, fields=("from", "to", "content-type", "date")), "policy", "h= leaves subject unsigned"),
        (signed(MAIL, fields=("from", "subject", "content-type", "date")), "policy", "h= leaves to unsigned"),
        (signed(MAIL, fields=("from", "to", "subject", "date")), "policy", "h= leaves content-type unsigned"),
        (b"Cc: 79990000000@sms.example\r\n" + signed(MAIL), "policy", "h= leaves cc unsigned"),
        (b"Content-Transfer-Encoding: base64\r\n" + signed(MAIL), "policy", "h= leaves content-transfer-encoding"),
        (b"Subject: Evil\r\n" + signed(MAIL), "policy", "more than one field subject"),
        (b"From: evil@evil.example\r\n" + signed(MAIL), "policy", "more than one field from"),
        (b"subject : Evil\r\n" + signed(MAIL), "policy", "more than one field subject"),
        # who signed
        (signed(MAIL, "esp.example"), "neutral", "not of the From domain"),
        (signed(MAIL, "unknown.bank.example"), "permerror", "no such key"),
        (signed(MAIL, "broken.bank.example"), "temperror", "no answer"),
        # nonsense
        (b"DKIM-Signature: v=1; a=rsa-sha256\r\n" + MAIL, "permerror", "cannot be read"),
        (b"DKIM-Signature: ;;;=\r\n" + MAIL, "permerror", "cannot be read"),
        (b"DKIM-Signature: a;b" + b" " * 5000 + b"\r\n" + MAIL, "permerror", "cannot be read"),
        (b"DKIM-Signature: v=1;\xff=\xff\r\n" + MAIL, "permerror", "cannot be read"),
    ],
)
async def test_signatures(raw: bytes, result: str, why: str) -> None:
    keys = {**KEYS, ("s1._domainkey.esp.example", "TXT"): [record()]}
    found = await dkim_of(raw, {**keys, ("s1._domainkey.broken.bank.example", "TXT"): []})
    if "broken" in raw.decode("latin-1"):
        found = await _broken(raw)
    assert (found[0].result, why in found[0].why) == (result, True), found
    assert bool(found[0].key) is (result == "pass")


async def _broken(raw: bytes) -> list[Check]:
    async with names({}) as server:
        server.silent = True
        return list(await signatures(raw, open_mail(raw).message, "bank.example", lookups(server, 0.2), time.time()))


@pytest.mark.parametrize(
    ("key", "result", "why"),
    [
        ([record(2048)], "fail", "does not match"),
        ([record(), record(2048)], "permerror", "several keys"),
        (['"v=DKIM1; p="'], "permerror", "cannot be used"),
        (['"v=DKIM2; p=abc"'], "permerror", "cannot be used"),
        ([record(1024, "s=other; ")], "permerror", "not for mail"),
        ([record(1024, "s=email; ")], "pass", ""),
        (['"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="'], "permerror", ""),
    ],
)
async def test_keys(key: list[str], result: str, why: str) -> None:
    found = await dkim_of(signed(MAIL), {("s1._domainkey.bank.example", "TXT"): key})
    assert (found[0].result, why in found[0].why) == (result, True), found


async def test_a_key_that_can_be_broken_proves_nothing() -> None:
    found = await dkim_of(signed(MAIL, bits=768), {("s1._domainkey.bank.example", "TXT"): [record(768)]})
    assert (found[0].result, found[0].why) == ("policy", "a key under 1024 bits")


async def test_an_old_signature_is_a_copy() -> None:
    raw, now = signed(MAIL), time.time()
    assert [check.result for check in await dkim_of(raw, KEYS, now=now + 4.9 * 86400)] == ["pass"]
    late = await dkim_of(raw, KEYS, now=now + 5.1 * 86400)
    early = await dkim_of(raw, KEYS, now=now - 2 * 3600)
    assert [check.why for check in (*late, *early)] == ["signed more than 5 days ago", "signed in the future"]


async def test_a_header_full_of_signatures_costs_five_checks() -> None:
    one, _, _ = signed(MAIL).partition(b"From:")
    found = await dkim_of(one * 8 + MAIL, KEYS)
    assert [check.result for check in found] == ["pass"] * 5


async def test_a_body_of_blanks_is_checked_in_no_time() -> None:
    """dkimpy's own canonicalization takes minutes for it."""
    body = b"x" + b" \t" * 200_000 + b"y\r\n"
    raw = signed(MAIL + b"x y\r\n").replace(b"x y\r\n", body)
    started = time.process_time()
    assert [check.result for check in await dkim_of(raw, KEYS)] == ["pass"]
    assert time.process_time() - started < 5


# ── SPF ──────────────────────────────────────────────────────────────────────────────────────

ZONE: Records = {
    ("ip.example", "TXT"): ['"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"'],
    ("soft.example", "TXT"): ['"other"', '"v=spf1 ip4:198.51.100.1 ~all"'],
    ("a.example", "TXT"): ['"v=spf1 a -all"'],
    ("a.example", "A"): ["192.0.2.1"],
    ("mx.example", "TXT"): ['"v=spf1 mx -all"'],
    ("mx.example", "MX"): ["10 a.example."],
    ("ptr.example", "TXT"): ['"v=spf1 ptr -all"'],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["host.ptr.example."],
    ("host.ptr.example", "A"): ["192.0.2.1"],
    ("include.example", "TXT"): ['"v=spf1 include:ip.example -all"'],
    ("redirect.example", "TXT"): ['"v=spf1 redirect=ip.example"'],
    ("macro.example", "TXT"): ['"v=spf1 exists:%{ir}.%{l}.ok.example -all"'],
    ("1.2.0.192.alerts.ok.example", "A"): ["127.0.0.2"],
    ("exp.example", "TXT"): ['"v=spf1 -all exp=slow.example"'],
    ("two.example", "TXT"): ['"v=spf1 -all"', '"v=spf1 +all"'],
    ("typo.example", "TXT"): ['"v=spf1 ipv4:192.0.2.1 -all"'],
    ("loop.example", "TXT"): ['"v=spf1 include:loop.example -all"'],
    ("void.example", "TXT"): ['"v=spf1 a:n1.void.example a:n2.void.example a:n3.void.example ip4:192.0.2.1 -all"'],
    ("eleven.example", "TXT"): ['"v=spf1 ' + " ".join(f"a:h{n}.many.example" for n in range(11)) + ' +all"'],
    **{(f"h{n}.many.example", "A"): ["198.51.100.1"] for n in range(11)},
    ("deep.example", "TXT"): ['"v=spf1 include:slow.example ip4:192.0.2.1 -all"'],
}


@pytest.mark.parametrize(
    ("domain", "result"),
    [
        ("ip.example", "pass"),
        ("soft.example", "softfail"),
        ("a.example", "pass"),
        ("mx.example", "pass"),
        ("ptr.example", "pass"),
        ("include.example", "pass"),
        ("redirect.example", "pass"),
        ("macro.example", "pass"),
        ("exp.example", "fail"),
        ("none.example", "none"),
        ("two.example", "permerror"),
        ("typo.example", "permerror"),
        ("loop.example", "permerror"),
        ("void.example", "permerror"),
        ("eleven.example", "permerror"),
        ("broken.example", "temperror"),
    ],
)
async def test_spf(domain: str, result: str) -> None:
    async with names(ZONE) as server:
        found = await permitted("192.0.2.1", f"alerts@{domain}", "client.example", lookups(server))
        assert (found.result, found.domain) == (result, domain), found
        assert len(server.asked) <= 13


@pytest.mark.parametrize(
    ("peer", "sender", "result"),
    [
        ("::ffff:192.0.2.1", "x@ip.example", "pass"),
        ("2001:db8::1", "x@ip.example", "pass"),
        ("198.51.100.7", "x@ip.example", "fail"),
        ("192.0.2.1", "", "none"),
        ("", "x@ip.example", "none"),
        ("192.0.2.1", "x@пример.example", "none"),
        ("192.0.2.1", "x@" + "a" * 70 + ".example", "none"),
        ("192.0.2.1", "%{i}@macro.example", "fail"),
    ],
)
async def test_spf_of_odd_clients_and_senders(peer: str, sender: str, result: str) -> None:
    async with names(ZONE) as server:
        assert (await permitted(peer, sender, "", lookups(server))).result == result


async def test_a_slow_directory_ends_in_time_and_blocks_nobody() -> None:
    async with names(ZONE) as server:
        meanwhile = asyncio.create_task(asyncio.sleep(0))
        found = await permitted("192.0.2.1", "alerts@deep.example", "", lookups(server, 0.2))
        assert (found.result, meanwhile.done()) == ("temperror", True)


# ── DMARC ────────────────────────────────────────────────────────────────────────────────────

TREE: Records = {
    ("_dmarc.bank.example", "TXT"): ['"v=DMARC1; p=reject"'],
    ("_dmarc.strict.example", "TXT"): ['"v=DMARC1; p=none; adkim=s"'],
    ("_dmarc.gov.example", "TXT"): ['"v=DMARC1; psd=y; p=reject"'],
    ("_dmarc.own.corp.example", "TXT"): ['"v=DMARC1; psd=n"'],
    ("_dmarc.corp.example", "TXT"): ['"v=DMARC1; p=none"'],
    ("_dmarc.two.example", "TXT"): ['"v=DMARC1; p=none"', '"v=DMARC1; p=reject"'],
    ("_dmarc.bad.example", "TXT"): ['"v=DMARC2; p=none"', '"other"'],
}


@pytest.mark.parametrize(
    ("author", "signer", "result"),
    [
        ("bank.example", "bank.example", "pass"),
        ("bank.example", "mail.bank.example", "pass"),
        ("ops.bank.example", "bank.example", "pass"),
        ("ops.bank.example", "mail.bank.example", "pass"),
        ("bank.example", "evilbank.example", "fail"),
        ("strict.example", "strict.example", "pass"),
        ("strict.example", "mail.strict.example", "fail"),
        ("a.gov.example", "a.gov.example", "pass"),
        ("x.a.gov.example", "y.a.gov.example", "pass"),
        ("a.gov.example", "b.gov.example", "fail"),
        ("x.own.corp.example", "y.own.corp.example", "pass"),
        ("x.own.corp.example", "corp.example", "fail"),
        ("x.corp.example", "y.corp.example", "pass"),
        ("two.example", "two.example", "none"),
        ("bad.example", "bad.example", "none"),
        ("none.example", "none.example", "none"),
        ("broken.example", "broken.example", "none"),
    ],
)
async def test_alignment(author: str, signer: str, result: str) -> None:
    async with names(TREE) as server:
        found = await aligned(author, [signer], lookups(server))
        assert (found.result, found.domain) == (result, author), found


def test_the_walk_is_short() -> None:
    assert walk("a.b.example") == ("a.b.example", "b.example", "example")
    assert walk("1.2.3.4.5.6.7.8.9.example") == (
        "1.2.3.4.5.6.7.8.9.example",
        *("4.5.6.7.8.9.example", "5.6.7.8.9.example", "6.7.8.9.example", "7.8.9.example", "8.9.example"),
        *("9.example", "example"),
    )
    assert organizational("a.b.example", {}) == "a.b.example"


# ── all of it ────────────────────────────────────────────────────────────────────────────────

ALL = SenderChecks(own=frozenset({"dkim", "dmarc", "spf"}))
WHOLE: Records = {**KEYS, **TREE, ("bank.example", "TXT"): ['"v=spf1 ip4:192.0.2.1 -all"']}


def envelope(peer: str = "192.0.2.1") -> Envelope:
    to = ("79101234567@sms.example",)
    return Envelope("Q", Door.SMTP, "mx", peer, False, None, "alerts@bank.example", to, time.time())


async def test_a_mail_is_examined_and_its_answers_are_kept() -> None:
    async with names(WHOLE) as server:
        examiner, raw = Examiner([server.address]), signed(MAIL)
        for _ in range(2):
            found = await examiner.examine(envelope(), open_mail(raw), raw, ALL)
            assert found is not None
            assert (found.vouched, found.answerable, found.refusal) == (Vouch.DMARC, True, None)
            assert [check.result for check in found.checks] == ["pass", "pass", "pass"]
        assert len(server.asked) == len(set(server.asked))


async def test_a_signed_mail_that_is_sent_on_to_others_verifies_nobody() -> None:
    async with names(WHOLE) as server:
        raw = signed(MAIL)
        elsewhere = replace(envelope("198.51.100.1"), recipients=("79990000000@sms.example",))
        found = await Examiner([server.address]).examine(elsewhere, open_mail(raw), raw, ALL)
        assert found is not None
        assert found.refusal is not None
        assert (found.vouched, found.refusal.reason.key, found.key) == (None, "recipient_not_named", "")


async def test_a_signature_is_one_mail_whoever_sends_it() -> None:
    async with names(WHOLE) as server:
        raw, examiner = signed(MAIL), Examiner([server.address])
        keys = set()
        for sent in (raw, b"Received: from x\r\n" + raw):
            for peer in ("192.0.2.1", "198.51.100.1"):
                found = await examiner.examine(envelope(peer), open_mail(sent), sent, ALL)
                assert found is not None
                keys.add(found.key)
        assert len(keys) == 1
        assert keys != {""}
