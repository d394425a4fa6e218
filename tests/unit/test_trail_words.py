"""The console says in three languages what the rooms note in English: nothing that they can note is left out."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway.dialects import REPAIRED
from gateway.model import Door, Note, Vouch
from gateway.service.messages import CHANGES
from gateway.service.quirks import WORDS
from gateway.spool.receipts import EVENTS
from gateway.verdicts import NUMBER_TOO_SHORT, REASONS, Refusal
from gateway.web.telling import told
from gateway.web.wording import LANGUAGES, Words, catalog

SOURCE = Path(gateway.__file__).parent
STORY = SOURCE / "service" / "story.py"
CUTS = SOURCE / "policy" / "cutting.py"
RESULTS = ("pass", "fail", "softfail", "neutral", "none", "policy", "temperror", "permerror")
"""Of RFC 8601, as far as our methods have them, and ours."""
SAME_EVERYWHERE = {"SMTP AUTH", "DMARC", "DKIM", "AUTH CRAM-MD5"}
AGAIN = ("note.what", "step.what")
"""Notes and steps that are made of others."""


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def arguments(file: str, function: str, place: int) -> list[str]:
    """The literals in a place of all calls of ``function`` in ``file``."""
    calls = [node for node in ast.walk(tree_of(SOURCE / file)) if isinstance(node, ast.Call)]
    named = [call for call in calls if ast.unparse(call.func).rpartition(".")[2] == function and len(call.args) > place]
    return [str(arg.value) for arg in (call.args[place] for call in named) if isinstance(arg, ast.Constant)]


def repairs() -> list[str]:
    """What ``template`` repairs; a key stands for all."""
    calls = [node for node in ast.walk(tree_of(SOURCE / "dialects/template.py")) if isinstance(node, ast.Call)]
    given = [call.args[0] for call in calls if ast.unparse(call.func) == "self._repaired"]
    return [REPAIRED + re.sub(r"\{\w+\}", "Password", ast.unparse(arg).strip("f'")) for arg in given]


def cuts() -> list[str]:
    """The steps of ``cutting.cut``."""
    steps = next(
        node.value
        for node in ast.walk(tree_of(CUTS))
        if isinstance(node, ast.AnnAssign) and node.target.id == "steps"  # type: ignore[union-attr]
    )
    assert isinstance(steps, ast.Tuple)
    return [str(step.elts[1].value) for step in steps.elts if isinstance(step, ast.Tuple)]  # type: ignore[attr-defined]


MADE: dict[str, list[str]] = {
    "f'{check.method} {check.result}'": [
        *(f"{method} {result}" for method in ("dkim", "dmarc", "spf") for result in RESULTS),
        "Authentication-Results permerror",
    ],
    "f'form {form}'": [f"form {form}" for form in "abcde"],
    "f'{REPAIRED}{what}'": repairs(),
    "what": cuts(),
    "f'not {what}: nothing would be left'": [f"not {cut}: nothing would be left" for cut in cuts()],
    "f'refused: {self.refusal.code}'": [f"refused: {Refusal(reason).code}" for reason in REASONS.values()],
    "f'came in by {envelope.door.value}'": [f"came in by {door.value}" for door in Door],
    "f'receipt: {self.state.value}'": [f"receipt: {state.value}" for state in EVENTS],
    "event.value": [event.value for event in CHANGES],
    "outcome": arguments("service/settlement.py", "_settled", 3),
    "state": arguments("service/post.py", "_finish", 1),
    "one['state']": ["pending", *arguments("service/post.py", "_finish", 1)],
    "result.charset": [],  # a charset has one name in all languages
}
"""What of a note's words is not written where it is made: all that it can be."""
FROM_ELSEWHERE = {
    "self.refusal.values": [],  # the sentence of the reason says them
    "drop.refusal.values": [],
    "_details(self.item.receipt)": ["at", "price"],  # and what the provider calls its own
}
"""Values that are put together in another place, and our keys in them."""


class Made:
    """A note, or a step of the story, where it is made."""

    def __init__(self, path: Path, function: ast.AST, call: ast.Call, words: list[ast.expr]) -> None:
        self.path, self.function = path, function
        self.at = f"{path.relative_to(SOURCE)}:{call.lineno}"
        self.what, self.values = words[0], words[1] if len(words) > 1 else None

    def said(self) -> list[str]:
        if (text := self._constant(self.what)) is not None:
            return [text]
        made = ast.unparse(self.what)
        assert made in MADE, f"{self.at}: add to MADE what {made} can be"
        return MADE[made]

    def called(self) -> list[str]:
        return list(self._keys(self.values)) if self.values is not None else []

    def _constant(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Constant):
            return str(node.value)
        if not isinstance(node, ast.Name):
            return None
        for value in self._assigned(node.id):
            if isinstance(value, ast.Constant):
                return str(value.value)
        name = ".".join(("gateway", *self.path.relative_to(SOURCE).with_suffix("").parts))
        found = getattr(importlib.import_module(name), node.id, None)
        return found if isinstance(found, str) else None

    def _assigned(self, name: str) -> Iterator[ast.expr]:
        for node in ast.walk(self.function):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            value = getattr(node, "value", None)
            if value is not None and any(isinstance(one, ast.Name) and one.id == name for one in targets):
                yield value

    def _keys(self, node: ast.expr) -> Iterator[str]:
        match node:
            case ast.Dict(keys, values):
                for key, value in zip(keys, values, strict=True):
                    yield from self._keys(value) if key is None else [self._constant(key) or ast.unparse(key)]
            case ast.Call(func=ast.Name("_given" | "dict")):
                yield from (word.arg for word in node.keywords if word.arg)
                for argument in node.args[:1]:
                    yield from self._keys(argument)
            case ast.BinOp(left, _, right):
                yield from [*self._keys(left), *self._keys(right)]
            case ast.IfExp(_, body, orelse):
                yield from [*self._keys(body), *self._keys(orelse)]
            case ast.Name(name):
                for value in self._assigned(name):
                    yield from self._keys(value)
                yield from self._put_in(name)
            case _:
                made = ast.unparse(node)
                assert made in FROM_ELSEWHERE, f"{self.at}: add to FROM_ELSEWHERE which keys {made} has"
                yield from FROM_ELSEWHERE[made]

    def _put_in(self, name: str) -> Iterator[str]:
        for node in ast.walk(self.function):
            for target in node.targets if isinstance(node, ast.Assign) else ():
                if isinstance(target, ast.Subscript) and ast.unparse(target.value) == name:
                    yield from [str(target.slice.value)] if isinstance(target.slice, ast.Constant) else []


def made() -> list[Made]:
    """All of them, in the whole program."""
    return [one for path in sorted(SOURCE.rglob("*.py")) for one in made_in(path)]


def made_in(path: Path) -> Iterator[Made]:
    functions = [one for one in ast.walk(tree_of(path)) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    inner = {node for one in functions for node in ast.walk(one) if node is not one and node in functions}
    for function in (one for one in functions if one not in inner):
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            if ast.unparse(call.func) == "Note":
                words = call.args[1:3]
            elif ast.unparse(call.func) == "Step" and path == STORY:
                words = call.args[3:5]
            else:
                continue
            if words and ast.unparse(words[0]) not in (*AGAIN, "''"):
                yield Made(path, function, call, words)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_note_and_what_its_values_are_called_has_a_text(language: str) -> None:
    words, notes = Words(language), made()
    assert len(notes) > 50
    for note in notes:
        for what in note.said():
            assert words.knows("trail", what), f"{note.at}: texts/{language}/trail.yaml has nothing for: {what}"
            assert language == "en" or re.search("[а-яіїєґ]", words.said("trail", what)), (note.at, what)
        for key in note.called():
            assert words.has(f"trail_keys.{key}"), f"{note.at}: texts/{language}/trail_keys.yaml has nothing for: {key}"


@pytest.mark.parametrize("language", ["ru", "uk"])
def test_what_values_say_has_a_text(language: str) -> None:
    words = Words(language)
    for english in {*WORDS.values(), *Vouch, "nothing", *RESULTS} - SAME_EVERYWHERE:
        assert words.knows("trail", english), english


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["trail", "faults"])
def test_a_text_has_the_holes_of_its_words(language: str, name: str) -> None:
    for english, text in catalog(language)[name].items():
        holes = [sorted(re.findall(r"\{\w+\}", said)) for said in (english, text)]
        assert holes[0] == holes[1], english


def test_words_inside_of_words_are_said_too_and_strange_ones_stay() -> None:
    words = Words("ru")
    assert words.said("trail", "receipt: delivered") == "отчёт: доставлено"
    assert words.said("trail", "no charset declared; valid UTF-8") == "в письме не указана; это верный UTF-8"
    repaired = "repaired: SmsUser= was written otherwise"
    assert words.said("trail", repaired) == "исправлено: SmsUser= было написано иначе"
    assert words.said("trail", "something new in {braces}") == "something new in {braces}"
    assert words.said("trail", "x" * 100_000) == "x" * 100_000
    assert Words("en").said("trail", "what an older version wrote") == "what an older version wrote"


def test_a_reason_is_told_in_a_sentence_and_a_login_stays_one() -> None:
    dropped = Note("policy", "destination dropped", {"number": "7910***", "digits": 9, "verdict": "NUMBER"})
    values: dict[str, Any] = {**dropped.values, "why": NUMBER_TOO_SHORT.key}
    shown = told(dropped.room, dropped.what, values, Words("ru"))
    assert shown.what == "номер не принят"
    assert dict(shown.values)["вердикт"] == "NUMBER"
    assert "7910***" in dict(shown.values)["почему"]
    assert told("desk", "hold", {"by": "nothing"}, Words("ru")).values == (("кем", "nothing"),)
    assert told("policy", "sender verified", {"by": "nothing"}, Words("ru")).values == (("кем", "никем"),)
    assert told("door", "came in by smtp", {"bytes": 1234567}, Words("en")).values == (("bytes", "1,234,567"),)
