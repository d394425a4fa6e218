"""Nobody reads a text without a trace."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.spool import audit, desk, retention
from gateway.spool.audit import Look, Words
from gateway.spool.store import Store
from tests.contract.spool.given import NOW, mail
from tests.process import command
from tests.running import write_config


async def test_a_look_is_written_down_and_forgotten_with_the_records(store: Store) -> None:
    item = mail("79101234567", words="the words")
    await store.put(item)
    mail_id = item.envelope.queue_id
    story = await store.read(lambda c: desk.story(c, mail_id))
    assert "the words" not in repr(story)
    assert "copy" not in story.mail if story else False
    assert await store.read(lambda c: audit.looks(c, 9)) == []
    words = await store.write(lambda c: audit.words(c, mail_id, "alice", NOW))
    assert words == Words("Subject: x", {f"{mail_id}-1": "the words"}, words.jobs)
    assert [(job.id, job.text, job.route) for job in words.jobs] == [(f"{mail_id}-1", "the words", ("main",))]
    await store.write(lambda c: audit.words(c, mail_id, "bob", NOW + 1))
    newest = [Look(NOW + 1, "bob", "text", mail_id), Look(NOW, "alice", "text", mail_id)]
    assert await store.read(lambda c: audit.looks(c, 9)) == newest
    assert await store.read(lambda c: audit.looks(c, 1)) == newest[:1]
    await store.write(lambda c: retention.delete_records(c, NOW + 1))
    assert await store.read(lambda c: audit.looks(c, 9)) == newest[:1]


async def test_show_tells_no_text_unless_asked(tmp_path: Path) -> None:
    config = ("--config", str(write_config(tmp_path)))
    given = ("--account", "test_user", "--from", "My Bank", "--to", "79102345678", "the words", "--json")
    (job,) = json.loads((await command("send", *config, *given))[1])["jobs"]
    show = ("queue", "show", job, *config, "--json")
    _, out, _ = await command(*show)
    assert "the words" not in out
    assert "79102345678" not in out
    done = json.loads((await command("audit", *config, "--json"))[1])
    assert [row["what"] for row in done] == ["send"]
    _, out, _ = await command(*show, "--text", SUDO_USER="alice")
    words = json.loads(out)["words"]
    assert words["texts"] == {job: "the words"}
    assert words["requests"][job].startswith("GET http")
    assert "dadr=7910***5678" in words["requests"][job]
    assert "79102345678" not in out
    _, out, _ = await command(*show[:-1], "--text", "--numbers", SUDO_USER="alice")
    assert "the request, as it would be made now:" in out
    assert "dadr=79102345678" in out
    looks = json.loads((await command("audit", *config, "--json"))[1])
    assert [row["what"] for row in looks] == ["text", "text", "send"]
    look = looks[0]
    assert (look["who"], look["what"], look["subject"]) == ("alice", "text", job.rpartition("-")[0])


async def test_export_and_erase_by_the_command(tmp_path: Path) -> None:
    config = ("--config", str(write_config(tmp_path)))
    given = ("--account", "test_user", "--from", "My Bank", "--to", "79102345678", "the words", "--json")
    (job,) = json.loads((await command("send", *config, *given))[1])["jobs"]
    _, out, _ = await command("export", "+7 910 234-56-78", *config)
    assert [sms["text"] for sms in json.loads(out)["sms"]] == ["the words"]
    code, _, err = await command("erase", "79102345678", "--yes", *config)
    assert (code, job in err, "cancel them" in err) == (1, True, True)
    assert (await command("queue", "cancel", job, *config))[0] == 0
    code, out, _ = await command("erase", "79102345678", "--yes", *config, "--json")
    assert (code, json.loads(out)["jobs"]) == (0, 1)
    assert "the words" not in (await command("export", "79102345678", *config))[1]
    assert (await command("export", "12", *config))[0] == 64
