"""Families of dialects: the entries of ``config/dialects``, and whatever may come in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import Dialect
from gateway.model import ApiKey, Credential, Door, Envelope, Password, ReceivedEmail, Speaker, Submission
from gateway.senders.examine import Examiner
from gateway.service.credentials import Credentials
from gateway.service.judge import judge
from gateway.settings.faults import ConfigError
from gateway.settings.load import Configuration, load
from gateway.verdicts import Refused
from tests.running import ACCOUNT, write_config

ENTRIES = Path(__file__).parent.parent.parent / "config/dialects"


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    families = [entry for path in sorted(ENTRIES.glob("*.yaml")) for entry in yaml.safe_load(path.read_text("utf-8"))]
    accounts = [{**ACCOUNT, "originators": ["Alarm"]}, {**ACCOUNT, "login": "other", "api_keys": []}]
    return load(write_config(tmp_path_factory.mktemp("families"), {"dialects": {"families": families}}, accounts))


def dialect(configuration: Configuration, name: str) -> Dialect:
    return next(found for found in configuration.dialects if found.name == name)


def parse(dialect: Dialect, subject: str, text: str, to: str = "79101234567@x.example") -> Submission:
    mail = ReceivedEmail(subject, text, (), "", "", (), ())
    return dialect.parse(mail, (to,), lambda login: False)


CLICKATELL = "user:u\npassword:s:1\napi_id:9\nTo: 79101234567\nto:79102345678\n"


@pytest.mark.parametrize(
    ("name", "subject", "body", "credential", "originator", "text", "count"),
    [
        ("clickatell", "", CLICKATELL + "text:a: b\nc\n\ntext:d", Password("u", "s:1"), "", "a: b\nc\n\nd", 2),
        ("clickatell", "", CLICKATELL + "from:Bank\ntext:a", Password("u", "s:1"), "Bank", "a", 2),
        ("bulkgate", "u;p;1", "a\n", Password("u", "p"), "", "a", 1),
        ("bulkgate", "u;p;1;0;Bank;", "a", Password("u", "p"), "Bank", "a", 1),
        ("bulkgate", "u;p;1;;Bank", "a", Password("u", "p"), "Bank", "a", 1),
        ("gatewayapi", "0a1b2c", "a", ApiKey("0a1b2c"), "", "a", 1),
        ("devices", "Power", "off", Speaker("test_user"), "Alarm", "Power\noff", 1),
        ("devices", "Power", "", Speaker("test_user"), "Alarm", "Power", 1),
    ],
)
def test_read(
    configuration: Configuration,
    name: str,
    subject: str,
    body: str,
    credential: Credential,
    originator: str,
    text: str,
    count: int,
) -> None:
    found = parse(dialect(configuration, name), subject, body)
    assert (found.credential, found.originator, found.text) == (credential, originator, text)
    assert [asked.typed for asked in found.destinations] == ["79101234567", "79102345678"][:count]


@pytest.mark.parametrize(
    ("name", "subject", "body", "reason"),
    [
        ("clickatell", "", "Hello\n" + CLICKATELL, "family_line"),
        ("clickatell", "", CLICKATELL + "subject:x\ntext:a", "family_line"),
        ("clickatell", "", CLICKATELL + "text:", "text_empty"),
        ("clickatell", "", CLICKATELL + "user:v\ntext:a", "field_repeated"),
        ("clickatell", "", "user:u\npassword:p\ntext:a", "family_field_missing"),
        ("clickatell", "", "user:u\nto:79101234567\ntext:a", "family_field_missing"),
        ("bulkgate", "u;p", "a", "family_subject"),
        ("bulkgate", "u;;1", "a", "family_subject"),
        ("bulkgate", "u;p;1;0;Bank;more", "a", "family_subject"),
        ("devices", " ", "\n", "text_empty"),
    ],
)
def test_refused(configuration: Configuration, name: str, subject: str, body: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(dialect(configuration, name), subject, body)
    assert caught.value.refusal.reason.key == reason


ENVELOPE = Envelope(
    queue_id="Q",
    door=Door.SMTP,
    listener="lan",
    peer="192.0.2.7",
    trusted=False,
    identity=None,
    reverse_path="alerts@bank.example",
    recipients=("79102345678@devices.example",),
    received_at=1773299700.0,
)
RAW = b"From: alerts@bank.example\nTo: 79102345678@devices.example\nSubject: Power\n\noff\n"


@pytest.mark.parametrize(
    ("changes", "account"),
    [
        ({"trusted": True}, "test_user"),
        ({"identity": "test_user"}, "test_user"),
        ({"identity": "other", "trusted": True}, None),  # Alarm is not its originator: never test_user's SMS
        ({}, None),
        ({"accept_unverified": True}, None),
        ({"trusted": True, "reverse_path": "nobody@else.example"}, None),
    ],
)
async def test_plain_stands_for_who_is_verified(
    configuration: Configuration, changes: dict[str, Any], account: str | None
) -> None:
    case = await judge(replace(ENVELOPE, **changes), RAW, configuration, Credentials(), Examiner())
    assert (case.accepted.account if case.accepted else None) == account, case.refusal
    if changes.get("identity") == "other":
        assert case.refusal is not None
        assert case.refusal.reason.key == "originator_not_allowed"


LINES = st.lists(
    st.sampled_from(["user:u", "password:p", "to:79101234567", "text:a", "SmsUser=u", "x;y;z", ":", ";;", "＝"])
    | st.text(max_size=30),
    max_size=8,
).map("\n".join)


@given(subject=LINES, body=LINES)
def test_whatever_comes_in_is_read_or_refused(configuration: Configuration, subject: str, body: str) -> None:
    for found in configuration.dialects:
        try:
            submission = parse(found, subject, body)
        except Refused as refused:
            assert refused.refusal.reason.key
        else:
            assert submission.text.strip()
            written = "".join(f"{subject}{body}".split())
            assert found.name == "clickatell" or "".join(submission.text.split()) in written


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ({"style": "plain"}, "families[0]: style plain needs domains"),
        ({"style": "plain", "domains": ["sms.example.com"]}, '"sms.example.com" is claimed by another dialect'),
        ({"style": "plain", "domains": ["d"], "account": "nobody"}, 'families[0].account: "nobody" is no account'),
        ({"style": "plain", "domains": ["d"], "fields": ["key"]}, "families[0].fields: means nothing for style plain"),
        ({"style": "plain", "domains": ["d"], "name": "address"}, 'families[0].name: "address" is the name of another'),
        ({"style": "subject", "domains": ["d"], "fields": ["login"]}, "families[0].fields: hold no credential"),
        ({"style": "subject", "domains": ["d"], "fields": ["key", "text"]}, '"text": the address is the destination'),
        ({"style": "subject", "domains": ["d"], "fields": ["key", "key"]}, '"key" is there 2 times'),
        ({"style": "fields", "addresses": ["a@d"], "keys": {"k": "key", "t": "text"}}, "name no destination"),
        ({"style": "fields", "addresses": ["a@d"], "keys": {"k": "key", "to": "destination"}}, "name no text"),
        ({"style": "fields", "addresses": ["a@d"], "keys": {"k": "kee"}}, "families[0].keys.k"),
        ({"style": "pigeon"}, "families[0].style"),
    ],
)
def test_what_cannot_be_a_family(tmp_path: Path, family: dict[str, Any], words: str) -> None:
    dialects = {"address": {"domains": ["sms.example.com"]}, "families": [{"name": "mine", **family}]}
    with pytest.raises(ConfigError) as caught:
        load(write_config(tmp_path, {"dialects": dialects}))
    assert words in str(caught.value)
    assert "gateway.yaml:" in str(caught.value)
