"""What a mail from a pipe needs."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import typer

from gateway.cli.common import configuration, store_of
from gateway.model import Envelope
from gateway.service.credentials import Credentials
from gateway.service.explain import pipe_envelope
from gateway.service.intake import Answer, Intake
from gateway.service.rejections import At
from gateway.service.roster import whole
from gateway.settings.load import Configuration

EX_TEMPFAIL = 75


def take(config: Path | None, recipients: tuple[str, ...], sender: str, raw: bytes, *, reply: bool) -> int:
    """Answer it on standard output; the exit code. ``reply``: refusals are answered by mail."""
    loaded = configuration(config)
    envelope = pipe_envelope(sender, recipients, time.time(), answer_by_mail=reply)
    return asyncio.run(_inject(loaded, envelope, raw))


async def _note_refusal(intake: Intake, envelope: Envelope, answer: Answer) -> None:
    """For the operator. The MTA hears the refusal, whether or not it can be noted."""
    assert answer.refusal is not None
    at = At(envelope.listener, "", True, sender=envelope.reverse_path, recipients=envelope.recipients)
    intake.rejections.refused(answer.refusal, replace(at, account=answer.account), answer.line)
    with suppress(Exception):
        await intake.rejections.write()


async def _inject(loaded: Configuration, envelope: Envelope, raw: bytes) -> int:
    try:
        async with store_of(loaded) as store:
            intake = Intake(await whole(loaded, store), store, Credentials())
            await store.read(intake.bans.follow)
            answer = await intake.accept(envelope, raw)
            if answer.refusal is not None:
                await _note_refusal(intake, envelope, answer)
    except Exception as error:
        typer.echo(f"4.3.0 temporary fault: {type(error).__name__}")
        return EX_TEMPFAIL
    typer.echo(answer.line.partition(" ")[2])
    return answer.refusal.verdict.sysexit if answer.refusal else 0
