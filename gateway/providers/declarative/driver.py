"""The driver that a description makes: one destination a request, answers read by the description's rules."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

from pydantic import SecretStr

from gateway.lifecycle import State
from gateway.model import (
    Attempt,
    Balance,
    Deferred,
    Outcome,
    Receipt,
    Rejected,
    Request,
    Response,
    Scope,
    Submitted,
    Uncertain,
)
from gateway.providers import Traits, client_id
from gateway.providers.declarative.callbacks import Callbacks
from gateway.providers.declarative.description import Call, Description, ErrorRow, Signs
from gateway.providers.declarative.paths import MAX_AMOUNT, MAX_ID, MAX_TEXT, first, parse, texts
from gateway.providers.declarative.settings import HttpSettings
from gateway.providers.declarative.template import fill, names, prepare
from gateway.providers.web_answers import hidden, unreadable
from gateway.sms.numbers import mask
from gateway.sms.segments import Alphabet, alphabet
from gateway.verdicts import (
    PROVIDER_CLOSED,
    PROVIDER_NUMBER,
    PROVIDER_ORIGINATOR,
    PROVIDER_REFUSED,
    PROVIDER_STOP_LIST,
    PROVIDER_UNKNOWN_ANSWER,
    Reason,
    Refusal,
    Refused,
)

REASONS: Mapping[str, Reason] = {
    "refused": PROVIDER_REFUSED,
    "number": PROVIDER_NUMBER,
    "originator": PROVIDER_ORIGINATOR,
    "stop_list": PROVIDER_STOP_LIST,
    "closed": PROVIDER_CLOSED,
}
DUPLICATE_PAUSE_S = 70.0
"""How long an honest repeat waits where the description knows no window."""

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,40}")


class Declarative:
    """A provider account behind a description.

    What the description cannot do, the object has not: ``status`` and ``read_status``, ``balance`` and
    ``read_balance``, ``read_callback`` are set only where it says how.
    """

    def __init__(self, settings: HttpSettings, callback_url: str = "") -> None:
        self._described = described = settings.description
        self.traits = _traits(described)
        self._wire = _Wire(settings, callback_url)
        self._send = self._wire.prepared(described.send)
        if described.status:
            asked = _Status(described, self._wire)
            self.status, self.read_status = asked.ask, asked.read
        if described.balance:
            counted = _Balance(described, self._wire)
            self.balance, self.read_balance = counted.ask, counted.read
        if described.callback:
            self.read_callback = Callbacks(described.callback, described.states, settings).read

    def submit(self, attempts: Sequence[Attempt]) -> Request:
        """One destination a request."""
        return self._send(self._words(attempts[0]))

    def read_submit(self, attempts: Sequence[Attempt], response: Response) -> list[Outcome]:
        """Success first, then the rows of errors, then what the web server may have meant."""
        return [self._outcome(attempts[0], Answer(self._described, response))] * len(attempts)

    def _outcome(self, attempt: Attempt, answer: Answer) -> Outcome:
        is_taken = answer.shows(self._described.taken)
        if is_taken and (taken := self._taken(attempt, answer)) is not None:
            return taken
        said = self._wire.shown(answer.words, attempt)
        if is_taken:
            return Uncertain(f"taken, but without an id: {said}")
        if answer.shows_in_part(self._described.taken):
            return Uncertain(f"taken in part: {said}")
        row = next((row for row in self._described.errors if answer.is_error(row)), None)
        if row is not None:
            return _known(attempt, row, answer, said, self._described.duplicate_window or DUPLICATE_PAUSE_S)
        if answer.is_broken and 200 <= answer.response.status < 300:
            return Uncertain(f"HTTP {answer.response.status}, not JSON: {said or 'empty answer'}")
        return unreadable(answer.response, said)

    def _taken(self, attempt: Attempt, answer: Answer) -> Submitted | None:
        taken = self._described.taken
        if taken.id_is:
            return Submitted(fill(taken.id_is, self._words(attempt)), cost=answer.amount(taken.cost))
        ids = answer.ids()
        return Submitted(ids[0], parts=ids[1:], cost=answer.amount(taken.cost)) if ids else None

    def _words(self, attempt: Attempt) -> dict[str, str]:
        job, described = attempt.job, self._described
        is_gsm = alphabet(job.text) is Alphabet.GSM7
        bits = described.key.bits if described.key else None
        return {
            "destination": _number(job.destination, described.number),
            "originator": _originator(job.originator, described.originator),
            "text": job.text,
            "text_gsm": job.text if is_gsm else "",
            "text_unicode": "" if is_gsm else job.text,
            "alphabet": described.alphabet.get("gsm" if is_gsm else "unicode", ""),
            "job": job.key,
            "key": str(client_id(job.key, bits)) if bits else job.key,
        }


class Answer:
    """A response, read once, and asked many things."""

    def __init__(self, described: Description, response: Response) -> None:
        self._described = described
        self.response = response
        text = response.text
        self.text = text[:MAX_TEXT]
        self.tree: Any = None
        try:
            self.tree = parse(text)
        except ValueError:
            self.is_json = False
        else:
            self.is_json = True

    @property
    def is_broken(self) -> bool:
        """JSON was expected, and this is none: perhaps the rest of a good answer."""
        taken = self._described.taken
        return bool(taken.where or taken.id) and not self.is_json and not self.text.startswith("<")

    @property
    def words(self) -> str:
        """What the provider says for people."""
        return next(filter(None, (self.first(path) for path in self._described.says)), self.text)

    @property
    def given_code(self) -> str:
        """The provider's error code; empty where the answer has none."""
        return next(filter(None, (self.first(path) for path in self._described.code)), "")

    @property
    def code(self) -> str:
        """The provider's error code, or the HTTP status, for people."""
        given = self.given_code or str(self.response.status)
        return given if _CODE.fullmatch(given) else "0"

    def first(self, path: str) -> str:
        """The text at the path, or empty."""
        return first(self.tree, path)

    def amount(self, path: str) -> str:
        """What something costs, as it is written."""
        return self.first(path)[:MAX_AMOUNT]

    def find(self, path: str, regex: str | None) -> str:
        """The text at the path, or what the regular expression captures; otherwise empty."""
        if not regex:
            return self.first(path).strip()
        found = re.search(regex, self.text, re.IGNORECASE)
        return (found[1] or "").strip() if found else ""

    def ids(self) -> tuple[str, ...]:
        """The provider's ids, each once."""
        taken = self._described.taken
        given = texts(self.tree, taken.id) if taken.id else [self.find("", taken.id_match)]
        return tuple(dict.fromkeys(text.strip() for text in given if text.strip() and len(text) <= MAX_ID))

    def shows(self, signs: Signs) -> bool:
        """All that is asked for is there."""
        if signs.status and not any(_is_status(self.response.status, wanted) for wanted in signs.status):
            return False
        if signs.match and re.search(signs.match, self.text, re.IGNORECASE) is None:
            return False
        return all(_all_among(texts(self.tree, path), wanted) for path, wanted in signs.where.items())

    def is_error(self, row: ErrorRow) -> bool:
        """The row fits."""
        return (not row.code or self.given_code in row.code) and self.shows(row)

    def shows_in_part(self, signs: Signs) -> bool:
        """Of several parts some are as wanted, some are not."""
        return any(
            set(texts(self.tree, path)) & set(wanted) and set(texts(self.tree, path)) - set(wanted)
            for path, wanted in signs.where.items()
        )


class _Wire:
    """From templates to requests, and what must never be shown of them."""

    def __init__(self, settings: HttpSettings, callback_url: str) -> None:
        described = settings.description
        self._url = (settings.url or described.url).rstrip("/")
        password = settings.password.get_secret_value() if settings.password else ""
        account = {"user": settings.user, "password": password}
        values = {**{key: fill(text, account) or "" for key, text in described.values.items()}, **settings.values}
        self._account = {**values, **account, "callback_url": callback_url}
        self._headers = _authorization(described, settings.user, password)
        self._secrets = _forms(settings.user, password, settings.callback_token)

    def prepared(self, call: Call) -> Callable[[Mapping[str, str]], Request]:
        """What makes the call's requests, given the words for its templates."""
        path, query, form, tree, more = map(prepare, (call.path, call.query, call.form, call.tree, call.headers))
        in_path = {name for name, _ in names(call.path)}
        method = call.method or ("GET" if call.form is None and call.tree is None else "POST")

        def request(words: Mapping[str, str]) -> Request:
            words = {**self._account, **words}
            url = self._url + (path({name: quote(words[name], safe="", errors="replace") for name in in_path}) or "")
            headers, body = {**self._headers}, b""
            if asked := query(words):
                url += ("&" if "?" in url else "?") + _encoded(asked)
            if call.form is not None:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
                body = _encoded(form(words)).encode()
            if call.tree is not None:
                headers["Content-Type"] = "application/json"
                body = json.dumps(tree(words)).encode()
            headers |= more(words) or {}
            return Request(method, url, headers, body, self._secrets)

        return request

    def shown(self, words: str, attempt: Attempt | None = None) -> str:
        """The provider's words, short and on one line, without what they may repeat of the request."""
        words = hidden(words, self._secrets)
        if attempt is not None:
            words = words.replace(attempt.job.destination, mask(attempt.job.destination))
            words = words.replace(attempt.job.text, "***") if len(attempt.job.text) > 5 else words
        return " ".join(words.split())[:200]

    def refused(self, answer: Answer) -> Refused:
        """Of a question that is no SMS."""
        said = self.shown(answer.words) or f"HTTP {answer.response.status}"
        return Refused(PROVIDER_UNKNOWN_ANSWER, code=self.shown(answer.code), text=said)


class _Status:
    def __init__(self, described: Description, wire: _Wire) -> None:
        self._described, self._wire = described, wire
        self._states = {word.casefold(): State(state) for word, state in described.states.items()}
        assert described.status is not None
        self._request = wire.prepared(described.status)

    def ask(self, provider_id: str, destination: str) -> Request:
        return self._request({"id": provider_id, "destination": _number(destination, self._described.number)})

    def read(self, provider_id: str, response: Response) -> Receipt:
        call, answer = self._described.status, Answer(self._described, response)
        assert call is not None
        word = answer.find(call.state, call.state_match)
        state = self._states.get(word.casefold())
        if state is None or not 200 <= response.status < 300:
            raise self._wire.refused(answer)
        return Receipt(provider_id, state, raw=word, price=answer.amount(call.price) or None)


class _Balance:
    def __init__(self, described: Description, wire: _Wire) -> None:
        self._described, self._wire = described, wire
        assert described.balance is not None
        self._request = wire.prepared(described.balance)

    def ask(self) -> Request:
        return self._request({})

    def read(self, response: Response) -> Balance:
        call, answer = self._described.balance, Answer(self._described, response)
        assert call is not None
        amount = answer.find(call.amount, call.amount_match).replace(",", ".")
        if not 200 <= response.status < 300 or re.fullmatch(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?", amount) is None:
            raise self._wire.refused(answer)
        return Balance(amount, call.currency_is or self._wire.shown(answer.first(call.currency))[:10])


def _traits(described: Description) -> Traits:
    window = described.duplicate_window
    if described.key is None:
        return Traits(duplicate_window_s=window)
    return Traits(duplicate_window_s=window, keyed=True, repeat_within_s=described.key.lasts)


def _known(attempt: Attempt, row: ErrorRow, answer: Answer, said: str, pause_s: float) -> Outcome:
    said = said or f"HTTP {answer.response.status}"
    match row.fate:
        case "retry":
            return Deferred(Scope.ROUTE, said, after_s=row.after)
        case "stop":
            return Deferred(Scope.PROVIDER, said, after_s=row.after)
        case "held":
            return Submitted(None, remark="held by provider until the bill is paid")
        case "duplicate" if attempt.repeats:
            return Submitted(None, remark="the first request was seen; no id, so no receipt")
        case "duplicate":
            return Deferred(Scope.JOB, said, after_s=row.after or pause_s)
    refusal = Refusal(REASONS[row.reason], {"code": answer.code, "text": said})
    return Rejected(refusal, other_route=row.fate == "reroute")


def _authorization(described: Description, user: str, password: str) -> dict[str, str]:
    match described.auth:
        case "basic":
            return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
        case "bearer":
            return {"Authorization": f"Bearer {password}"}
    return {}


def _forms(user: str, password: str, token: SecretStr | None) -> tuple[str, ...]:
    """Each way in which a secret may stand in a request."""
    found = [base64.b64encode(f"{user}:{password}".encode()).decode()] if password else []
    for secret in (password, token.get_secret_value() if token else ""):
        found += [secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]]
    return tuple(dict.fromkeys(filter(None, found)))


def _encoded(fields: Mapping[str, str] | None) -> str:
    return urlencode(fields or {}, quote_via=quote, safe="", errors="replace")


def _number(digits: str, form: str) -> str:
    if form == "plus":
        return f"+{digits}"
    return digits.removeprefix(form.partition(":")[2])


def _originator(name: str, form: str) -> str:
    return f"+{name}" if form == "plus" and re.fullmatch("[0-9]{10,15}", name) else name


def _is_status(status: int, wanted: str) -> bool:
    return wanted in (str(status), f"{status // 100}xx")


def _all_among(found: Sequence[str], wanted: Sequence[str]) -> bool:
    return bool(found) and set(found) <= set(wanted)
