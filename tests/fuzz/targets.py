"""One function for each room that reads what strangers write: bytes in, and nothing but the room's own refusal out."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import yaml

from gateway.dialects import Dialect
from gateway.mail.read import open_mail, read
from gateway.model import Door, Envelope, ReceivedEmail
from gateway.senders.examine import Examiner
from gateway.service.credentials import Credentials
from gateway.service.judge import judge
from gateway.settings.faults import ConfigError
from gateway.settings.load import load
from gateway.smpp.pdu import Garbage, Reader
from gateway.verdicts import Refused
from tests.fuzz import dialogue, providers
from tests.unit.test_wellformed import is_taken

TESTS = Path(__file__).parent.parent
CORPUS = TESTS / "corpus"
ENTRIES = TESTS.parent / "config/dialects"
CONFIGURATION = load(CORPUS / "gateway.yaml")
CREDENTIALS = Credentials()


def mail(data: bytes) -> None:
    """MIME: a text or a refusal; and the quick parser finds what the library finds."""
    is_taken(data)
    try:
        read(open_mail(data), "windows-1251")
    except Refused:
        return


def _dialects() -> tuple[Dialect, ...]:
    families = [entry for path in sorted(ENTRIES.glob("*.yaml")) for entry in yaml.safe_load(path.read_text("utf-8"))]
    settings = yaml.safe_load((CORPUS / "gateway.yaml").read_text("utf-8"))
    settings["dialects"]["families"] = families
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.yaml"
        path.write_text(yaml.safe_dump(settings), "utf-8")
        (path.parent / "accounts.yaml").write_bytes((CORPUS / "accounts.yaml").read_bytes())
        return load(path).dialects


DIALECTS = _dialects()


def dialects(data: bytes) -> None:
    """The first line is the subject; every dialect reads the rest. No note holds the credential."""
    subject, _, body = data.decode("utf-8", "replace").partition("\n")
    received = ReceivedEmail(subject, body, (), "", "", (), ())
    for dialect in DIALECTS:
        if dialect.name == "reply":
            continue
        try:
            submission = dialect.parse(received, ("79101234567@sms.example.com",), lambda login: login == "test_user")
        except Refused:
            continue
        told = [str(value) for note in submission.notes for value in (note.what, *note.values.values())]
        shown = "\n".join([submission.text, submission.originator, *told])
        for secret in submission.secrets:  # short ones stand everywhere, what is typed twice may be shown once
            assert len(secret) < 6 or body.count(secret) + subject.count(secret) > 1 or secret not in shown, shown


def whole(data: bytes) -> None:
    """A mail through all of the admission: accepted or refused."""
    envelope = Envelope(
        queue_id="Q",
        door=Door.SMTP,
        listener="lan",
        peer="192.0.2.7",
        trusted=True,
        identity=None,
        reverse_path="robot@bank.example",
        recipients=("emailtosms@sms.example.com",),
        received_at=1773299700.0,
    )
    case = asyncio.run(judge(envelope, data, CONFIGURATION, CREDENTIALS, Examiner()))
    assert (case.refusal is None) != (case.accepted is None)


def config(data: bytes) -> None:
    """``gateway.yaml``: a configuration or a ``ConfigError``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.yaml"
        path.write_bytes(data)
        (path.parent / "accounts.yaml").write_bytes((CORPUS / "accounts.yaml").read_bytes())
        try:
            load(path)
        except ConfigError as error:
            assert str(error)


def smpp(data: bytes) -> None:
    """What comes on an SMPP connection: PDUs, or the end of it."""
    reader = Reader()
    reader.feed(data)
    try:
        list(reader.pdus())
    except Garbage:
        return


@cache
def _gateway() -> dialogue.Gateway:
    return dialogue.Gateway()


def smtp(data: bytes) -> None:
    """What a client says to the SMTP doors."""
    _gateway().hear(data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "mail": mail,
    "dialects": dialects,
    "whole": whole,
    "config": config,
    "smpp": smpp,
    "providers": providers.answer,
    "callbacks": providers.call,
    "smtp": smtp,
}
MUTATORS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "providers": providers.damage,
    "callbacks": providers.damage,
    "smtp": dialogue.damage,
}
"""Where bytes that are changed at random would seldom be understood far enough."""


def seeds(name: str) -> list[bytes]:
    """What the fuzzer begins with."""
    mails = [path.read_bytes() for path in sorted(CORPUS.glob("*/mail.eml"))]
    match name:
        case "mail" | "whole":
            return mails
        case "dialects":
            bodies = (raw.replace(b"\r\n", b"\n").partition(b"\n\n")[2] for raw in mails)
            return [b"My Bank;test_user;qwerty12;\n" + body for body in bodies]
        case "config":
            return [(CORPUS / "gateway.yaml").read_bytes(), (TESTS.parent / "config/gateway.yaml").read_bytes()]
        case "providers":
            return providers.answers()
        case "callbacks":
            return providers.calls()
        case "smtp":
            return dialogue.seeds()
    return [bytes.fromhex("00000010000000150000000000000001")]
