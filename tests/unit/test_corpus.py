"""Whole mails, as people and devices send them, through the real reading, dialects and policy."""

from __future__ import annotations

import asyncio
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.mail.outline import MADE_OF
from gateway.model import Door, Envelope
from gateway.senders.examine import Examiner
from gateway.service.credentials import Credentials
from gateway.service.judge import Case, judge
from gateway.settings.load import load
from gateway.sms.numbers import mask

CORPUS = Path(__file__).parent.parent / "corpus"
FOLDERS = sorted(path for path in CORPUS.iterdir() if path.is_dir())
CONFIGURATION = load(CORPUS / "gateway.yaml")
CREDENTIALS = Credentials()
TRACE = (
    b"Return-Path: <bounces@relay.example>\r\n"
    b"Received: from mail.bank.example (unknown [192.0.2.7])\r\n"
    b"\tby relay.example (Postfix) with ESMTP id 4Wz1kF2yqHz9sT\r\n"
    b"\tfor <someone@sms.example.com>; Thu, 12 Mar 2026 10:15:01 +0300 (MSK)\r\n"
)


def expectation(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "expect.yaml").read_text("utf-8")))


def judged(raw: bytes, envelope: dict[str, Any]) -> Case:
    """The envelope is what ``email2sms parse`` would guess from the header, unless it is given."""
    header = BytesHeaderParser().parsebytes(raw)
    sender = [address for _, address in getaddresses([str(header.get("From", ""))])]
    to = [address for _, address in getaddresses([str(value) for value in header.get_all("To", [])])]
    given = Envelope(
        queue_id="Q",
        door=Door.SMTP,
        listener="lan",
        peer="192.0.2.7",
        trusted=envelope.get("trusted", True),
        identity=None,
        reverse_path=envelope.get("from", sender[0] if sender else ""),
        recipients=tuple(envelope.get("to", to)),
        received_at=1773299700.0,
    )
    return asyncio.run(judge(given, raw, CONFIGURATION, CREDENTIALS, Examiner()))


def found(case: Case) -> dict[str, Any]:
    """What came of a mail, in the words of ``expect.yaml``. Numbers are masked there."""
    assert case.dialect is not None or case.refusal is not None
    result: dict[str, Any] = {}
    if case.dialect is not None:
        result["dialect"] = case.dialect.name
    for note in case.notes:
        if note.what.startswith("form "):
            result["form"] = note.what.removeprefix("form ")
        elif (note.room, note.what) == ("mime", "part chosen"):
            result["part"] = note.values["type"]
        elif note.what == MADE_OF:
            continue  # test_outline.py looks at it
        elif note.room in ("mime", "dialect"):
            result.setdefault("notes", []).append(note.what)
        elif note.room == "charset":
            result["charset"], result["why"] = note.what, note.values["why"]
    if case.opened is not None and case.opened.automatic:
        result["automatic"] = case.opened.automatic
    if case.refusal is not None:
        return {**result, "verdict": case.refusal.code, "reason": case.refusal.reason.key}
    assert case.accepted is not None
    assert case.submission is not None
    result["account"] = case.accepted.account
    result["originator"] = case.submission.originator
    result["to"] = [mask(job.destination) for job in case.accepted.jobs]
    result["text"] = case.submission.text
    if case.accepted.jobs:
        result["segments"] = case.accepted.jobs[0].segments
    if case.accepted.dropped:
        result["dropped"] = [
            {mask(drop.asked.typed): f"{drop.refusal.code} {drop.refusal.reason.key}"} for drop in case.accepted.dropped
        ]
    if cuts := [note.what for note in case.notes if note.room == "text"]:
        result["cuts"], result["sent"] = cuts, case.accepted.jobs[0].text
    for job in case.accepted.jobs:  # what is sent is what was read, unless the account cuts it
        assert (job.text, job.originator) == (result.get("sent", result["text"]), result["originator"])
        assert case.submission.own_number or job.recipient in case.envelope.recipients
    return result


def cases() -> list[Any]:
    found = []
    for folder in FOLDERS:
        why = expectation(folder).get("xfail")
        marks = [pytest.mark.xfail(strict=True, reason=why)] if why else []
        found.append(pytest.param(folder, id=folder.name, marks=marks))
    return found


@pytest.mark.parametrize("folder", cases())
def test_what_comes_of_a_mail(folder: Path) -> None:
    expected = expectation(folder)
    expected.pop("xfail", None)
    raw = (folder / "mail.eml").read_bytes()
    case = judged(raw, expected.pop("envelope", {}))
    read = expected.pop("read", None)
    assert found(case) == expected
    if read is not None:  # the text of a mail that no dialect took
        assert case.mail is not None
        assert case.mail.text.strip() == read


def lines_end_with_lf(raw: bytes) -> bytes:
    return raw.replace(b"\r\n", b"\n")


def without_the_last_line_end(raw: bytes) -> bytes:
    return raw.removesuffix(b"\r\n")


def with_an_empty_line_more(raw: bytes) -> bytes:
    return raw + b"\r\n"


def with_a_trace_header(raw: bytes) -> bytes:
    return TRACE + raw


CHANGES = [lines_end_with_lf, without_the_last_line_end, with_an_empty_line_more, with_a_trace_header]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: str(change.__name__))
def test_what_carries_a_mail_does_not_change_it(change: Any) -> None:
    """Postfix's pipe(8) ends lines with LF, relays add their trace; what comes of the mail stays the same."""
    for folder in FOLDERS:
        raw = (folder / "mail.eml").read_bytes()
        if change is with_a_trace_header and b"\nFrom:" not in b"\n" + raw:
            continue  # where there is no header, what a relay makes of the first line is the relay's affair
        envelope = dict(expectation(folder).get("envelope", {}))
        before = judged(raw, envelope)
        envelope.setdefault("from", before.envelope.reverse_path)
        envelope.setdefault("to", before.envelope.recipients)
        assert found(judged(change(raw), envelope)) == found(before), folder.name


def test_the_story_of_a_mail_tells_no_secret_and_no_number() -> None:
    for folder in FOLDERS:
        case = judged((folder / "mail.eml").read_bytes(), expectation(folder).get("envelope", {}))
        story = repr(case.notes) + repr(case.refusal)
        for secret in ("qwerty", "0a1b2c", "зима2026", "9f8e7d", "mon1t0", "0ff1ce"):
            assert secret not in story, folder.name
        if case.submission is not None:
            for typed in (asked.typed for asked in case.submission.destinations):
                assert len(typed) < 10 or typed not in story, folder.name


def test_each_folder_says_who_sends_such_a_mail() -> None:
    assert len(FOLDERS) >= 45
    for folder in FOLDERS:
        assert {path.name for path in folder.iterdir()} == {"mail.eml", "expect.yaml"}
        assert (folder / "expect.yaml").read_text("utf-8").startswith("# ")


def test_what_was_mended_is_told_with_the_refusal() -> None:
    raw = (CORPUS / "170-outlook-joined-and-linkified" / "mail.eml").read_bytes().replace(b"My Bank", b"Nobody")
    refusal = judged(raw, {}).refusal
    assert refusal is not None
    assert "joined lines parted" in str(refusal.values["repaired"])
