"""What clients were told, what handsets showed, what the program says of it: compared at the end, as Jepsen does.

The judges stand outside: the clients' own record of each 250, the provider's journal, the smarthost's mails. The
program is asked by its command line only.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import smtplib
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.sandbox.platform import Platform
from tests.process import command
from tests.running import template
from tests.smarthost import Smarthost

SERVICE = "emailtosms@sms.example.com"


def seed() -> int:
    """Of this run's chances: EMAIL2SMS_SEED repeats one. pytest shows it with a failure."""
    chosen = int(os.environ.get("EMAIL2SMS_SEED") or random.randrange(1_000_000))
    say(f"EMAIL2SMS_SEED={chosen}")
    return chosen


def say(line: object) -> None:
    """Into pytest's report (-rP shows it of tests that pass, too)."""
    print(line)  # noqa: T201


@dataclass
class Mail:
    """One mail, and what its client knows of it."""

    text: str
    """Of the SMS; no other mail's is equal."""
    number: str = "79101234567"
    refused: bool = False
    """It is to be refused, and the refusal to be answered by mail."""
    declined: bool = False
    """The provider is to refuse its SMS, whenever asked, and the sender to learn of it by mail."""
    answers: list[str] = field(default_factory=list)
    """One for each try; empty: the connection died first."""

    @property
    def message_id(self) -> str:
        return f"<{self.text}@bank.example>"

    @property
    def content(self) -> bytes:
        whole = template(self.text, numbers=self.number, more=f"Message-ID: {self.message_id}\r\n")
        return whole.replace(b"My Bank", b"Evil") if self.refused else whole

    @property
    def acknowledged(self) -> bool:
        return any(answer.startswith("250") for answer in self.answers)

    @property
    def queue_ids(self) -> set[str]:
        """As the 250s named them."""
        return {answer.rpartition(" ")[2] for answer in self.answers if answer.startswith("250")}

    def send(self, port: int) -> bool:
        """One try, in the calling thread. Whether it was acknowledged."""
        answer = ""
        try:
            with smtplib.SMTP("127.0.0.1", port, local_hostname="client", timeout=20) as client:
                client.ehlo()
                client.mail("alerts@bank.example")
                code, _ = client.rcpt(SERVICE)
                if code == 250:
                    code, words = client.data(self.content)
                    answer = f"{code} {words.decode()}"
        except (OSError, smtplib.SMTPException):
            pass  # a 250 that was read before stays read
        self.answers.append(answer)
        return answer.startswith("250")


@dataclass
class Verdict:
    """Jepsen's figures of a queue, and every mail whose story is wrong."""

    ok: int = 0
    recovered: int = 0
    """Acknowledged after more than one try."""
    uncertain: int = 0
    """In the end; each of them was seen by the provider."""
    replied: int = 0
    faults: list[str] = field(default_factory=list)
    lost: int = 0
    duplicated: int = 0
    unexpected: int = 0

    def wrong(self, kind: str, what: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        self.faults.append(f"{kind}: {what}")


async def jobs_of(config: Path) -> list[dict[str, Any]]:
    """All jobs, as an operator sees them."""
    code, out, err = await command("queue", "list", "--json", "--numbers", "--limit", "10000", "--config", str(config))
    assert code == 0, err
    jobs: list[dict[str, Any]] = json.loads(out)["jobs"]
    assert len(jobs) < 10_000, "more than one list shows"
    return jobs


async def settled(config: Path, timeout_s: float = 90) -> list[dict[str, Any]]:
    """All jobs, once nothing more happens to any of them by itself; or as they are when the time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        jobs = await jobs_of(config)
        under_way = [job for job in jobs if job["due_at"] is not None or job["state"] == "submitting"]
        if not under_way or time.monotonic() > deadline:
            return jobs
        await asyncio.sleep(0.5)


def judge(mails: Sequence[Mail], jobs: Iterable[dict[str, Any]], platform: Platform, host: Smarthost) -> Verdict:
    """Each acknowledged mail has exactly one story; nothing else has any."""
    verdict = Verdict()
    stories: dict[str, list[dict[str, Any]]] = {}
    for job in jobs:
        if job["state"] == "refused":  # a mail, not an SMS
            continue
        stories.setdefault(job["id"].rpartition("-")[0], []).append(job)
    shown = Counter(sms.text for sms in platform.messages)
    asked = Counter(entry["text"] for entry in platform.journal)
    replied = Counter(_in_reply_to(envelope.original_content or b"") for envelope in host.envelopes)
    for mail in mails:
        verdict.recovered += mail.acknowledged and len(mail.answers) > 1
        if mail.refused:
            _judge_refused(mail, verdict, replied, asked)
        else:
            mine = [job for queue_id in mail.queue_ids for job in stories.pop(queue_id, [])]
            if mail.declined:
                _judge_declined(mail, verdict, mine, shown[mail.text], replied)
            else:
                _judge_sent(mail, verdict, mine, shown[mail.text], asked[mail.text])
    unacknowledged = sum(not mail.refused and not mail.acknowledged for mail in mails)
    if len(stories) > unacknowledged:
        verdict.wrong("unexpected", f"jobs of nobody's mail: {sorted(stories)}")
    for text in asked.keys() - {mail.text for mail in mails if not mail.refused}:
        verdict.wrong("unexpected", f"the provider was asked for {text!r}")
    return verdict


def _judge_sent(mail: Mail, verdict: Verdict, jobs: list[dict[str, Any]], shown: int, asked: int) -> None:
    story = f"{mail.text}: {mail.answers}, {[(job['id'], job['state'], job['why']) for job in jobs]}, asked {asked}"
    if shown > 1:
        verdict.wrong("duplicated", f"{shown} times on the handset, {story}")
    elif not mail.acknowledged:
        pass
    elif len(mail.queue_ids) > 1 or len(jobs) > 1:
        verdict.wrong("duplicated", f"stored more than once, {story}")
    elif not jobs:
        verdict.wrong("lost", f"acknowledged, and unknown to the program, {story}")
    elif jobs[0]["state"] == "uncertain":
        verdict.uncertain += 1
        if not asked:
            verdict.wrong("lost", f"uncertain, and the provider was never asked, {story}")
    elif not shown or jobs[0]["state"] not in {"submitted", "delivered"}:
        verdict.wrong("lost", f"{shown} on the handset, {story}")
    else:
        verdict.ok += 1


def _judge_declined(
    mail: Mail, verdict: Verdict, jobs: list[dict[str, Any]], shown: int, replied: Counter[str]
) -> None:
    states = [job["state"] for job in jobs]
    if shown or len(jobs) > 1:
        verdict.wrong("unexpected", f"{mail.text}: {shown} on the handset, {states}")
    elif mail.acknowledged and (states != ["failed"] or not replied[mail.message_id]):
        verdict.wrong("lost", f"{mail.text}: {states}, {replied[mail.message_id]} replies")
    else:
        verdict.replied += 1


def _judge_refused(mail: Mail, verdict: Verdict, replied: Counter[str], asked: Counter[str]) -> None:
    if asked[mail.text]:
        verdict.wrong("unexpected", f"{mail.text} was refused, and sent")
    if replied[mail.message_id]:
        verdict.replied += 1
    elif mail.acknowledged:
        verdict.wrong("lost", f"no reply to {mail.text}: {mail.answers}")


def _in_reply_to(content: bytes) -> str:
    found = [line for line in content.splitlines() if line.lower().startswith(b"in-reply-to:")]
    return found[0].partition(b":")[2].strip().decode() if found else ""
