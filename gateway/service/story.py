"""The story of one mail as a chain of steps: what was decided, what providers were asked, what went back. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.mail.outline import LEFT_OUT, MADE_OF, Part, noted
from gateway.sms.numbers import masked
from gateway.spool.desk import Story


class Phase(StrEnum):
    """A stretch of the way."""

    SESSION = "session"
    MIME = "mime"
    CHARSET = "charset"
    DIALECT = "dialect"
    SENDER = "sender"
    RULES = "rules"
    TEXT = "text"
    WAITING = "waiting"
    PROVIDER = "provider"
    RECEIPT = "receipt"
    OPERATOR = "operator"
    REPLY = "reply"


_PHASES = {
    "door": Phase.SESSION,
    "smtp": Phase.SESSION,
    "mime": Phase.MIME,
    "charset": Phase.CHARSET,
    "dialect": Phase.DIALECT,
    "sender": Phase.SENDER,
    "policy": Phase.RULES,
    "text": Phase.TEXT,
    "storm": Phase.WAITING,
    "relay": Phase.WAITING,
    "provider": Phase.PROVIDER,
    "desk": Phase.OPERATOR,
    "reply": Phase.REPLY,
}


def phase_of(room: str, what: str) -> Phase:
    """Where on the way a note is made."""
    if room == "provider" and what.startswith("receipt"):
        return Phase.RECEIPT
    return _PHASES.get(room, Phase.RULES)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened."""

    at: float
    job: str | None
    """The SMS that it is about; None: the whole mail."""
    room: str
    what: str
    values: Mapping[str, str | int]
    """What it was decided on. No number in full."""

    @property
    def phase(self) -> Phase:
        """Where on the way it was."""
        return phase_of(self.room, self.what)

    @property
    def tree(self) -> tuple[Part, ...]:
        """The parts of the mail, where that is what happened: it was taken apart."""
        return noted(self.values) if (self.room, self.what) == ("mime", MADE_OF) else ()

    @property
    def left_out(self) -> int:
        """Further parts of the mail, which the tree has not."""
        return int(self.values.get(LEFT_OUT, 0))


def in_order(story: Story) -> list[Step]:
    """All of it, the earliest first; what was noted together stays together."""
    steps = [Step(at, job_id, note.room, note.what, note.values) for at, job_id, note in story.trail]
    steps += _calls(story)
    steps += _replies(story)
    return sorted(steps, key=lambda step: step.at)


def _calls(story: Story) -> Iterator[Step]:
    for one in story.attempts:
        values: dict[str, str | int] = {"provider": one["provider"], "attempt": one["number"]}
        if one["finished_at"] is not None:
            values["ms"] = round((one["finished_at"] - one["started_at"]) * 1000)
            values["outcome"] = one["outcome"] or ""
        if one["detail"]:
            values["answer"] = masked(one["detail"])
        yield Step(one["started_at"], one["job_id"], "provider", "called", values)


def _replies(story: Story) -> Iterator[Step]:
    for one in story.replies:
        if one["sent_at"] is not None:
            values: dict[str, str | int] = {"to": one["to"]}
            if one["error"]:
                values["why"] = one["error"]
            yield Step(one["sent_at"], None, "reply", one["state"], values)
