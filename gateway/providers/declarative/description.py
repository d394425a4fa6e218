"""The description of a provider: one YAML file of ``config/providers``, or ``describe:`` in the provider's section.

Every mistake that can be seen without calling the provider is an error when the file is read.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.providers.declarative.template import FORMATS, names
from gateway.strict import Strict

ACCOUNT_WORDS = ("user", "password")
"""Placeholders that the provider's section fills."""
JOB_WORDS = (
    "destination",
    "originator",
    "text",
    "text_gsm",
    "text_unicode",
    "alphabet",
    "job",
    "key",
    "callback_url",
)
"""Placeholders that the job fills. ``text_gsm`` and ``text_unicode``: the text if it fits into the alphabet of GSM, or
if it does not; otherwise empty. ``job``: our own id."""
STATUS_WORDS = ("id", "destination")


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from None
    return value


def _capturing(value: str) -> str:
    if re.compile(_regex(value)).groups < 1:
        raise ValueError(f"{value!r} needs brackets around what is wanted")
    return value


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str | int) else value


Regex = Annotated[str, AfterValidator(_regex)]
Capture = Annotated[str, AfterValidator(_capturing)]
Status = Annotated[str, Field(pattern=r"^[1-5](\d\d|xx)$")]
Words = Annotated[tuple[str, ...], BeforeValidator(_several)]
Tree = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": {}})]
States = dict[str, Literal["submitted", "delivered", "undelivered", "expired", "uncertain"]]


class Call(Strict):
    """A request. Values are templates; each is escaped as its place demands."""

    method: Literal["GET", "POST"] | None = Field(None, description="Empty: POST if there is a form or JSON, or GET.")
    path: str = Field("", pattern=r"^[!-~]*$", description="What follows the provider's `url`.")
    query: dict[str, str] = Field({}, description="Parameters in the URL.")
    form: dict[str, str] | None = Field(None, description="A body of form fields (urlencoded, UTF-8).")
    tree: Tree | None = Field(
        None,
        alias="json",
        description="A body of JSON. Its strings are templates: `{destination:number}`, `{true}`.",
    )
    headers: dict[str, str] = Field({}, description="More headers, such as the key of the account.")

    @model_validator(mode="after")
    def _one_body(self) -> Call:
        if self.form is not None and self.tree is not None:
            raise ValueError("give form or json, not both")
        if self.method == "GET" and (self.form is not None or self.tree is not None):
            raise ValueError("GET has no body: put the values into query, or use POST")
        return self


class Signs(Strict):
    """By what an answer is known. All that is given must be so."""

    status: Annotated[tuple[Status, ...], BeforeValidator(_several)] = Field(
        (), description="HTTP statuses: `[200, 201]` or `4xx`. Empty: any."
    )
    where: dict[str, Words] = Field(
        {}, description="Path in the JSON answer → one of these values. With `*` in the path each must be one of them."
    )
    match: Regex = Field("", description="A regular expression that is found in the answer; letter case is ignored.")


class Taken(Signs):
    """The answer that means: the provider has the SMS."""

    status: Annotated[tuple[Annotated[str, Field(pattern=r"^2(\d\d|xx)$")], ...], BeforeValidator(_several)] = Field(
        ("2xx",), description="HTTP statuses of success."
    )
    id: str = Field("", description="Path of the provider's id. More than one: the parts of a long SMS.")
    id_match: Capture | None = Field(None, description="Or a regular expression; the id stands in its first brackets.")
    id_is: str = Field("", description="Or our own id, by which the provider will report: `{job}`.")
    cost: str = Field("", description="Path of what it cost.")

    @model_validator(mode="after")
    def _one_id(self) -> Taken:
        if sum(map(bool, (self.id, self.id_match, self.id_is))) != 1:
            raise ValueError("give one of id, id_match and id_is: without an id no receipt can be matched")
        return self


class ErrorRow(Signs):
    """An answer that means something else. The first row that fits decides."""

    code: Words = Field((), description="The provider's code (see `code` of the description) is one of these.")
    fate: Literal["reject", "reroute", "retry", "stop", "held", "duplicate"] = Field(
        description="`reject`: refused for good. `reroute`: another provider may take it. `retry`: not now. `stop`: "
        "the account stops until somebody acts. `held`: taken, and sent later. `duplicate`: it saw the same before."
    )
    reason: Literal["refused", "number", "originator", "stop_list", "closed"] = Field(
        "refused", description="What the sender is told."
    )
    after: float | None = Field(None, gt=0, description="Seconds to wait; empty: as the gateway's backoff says.")

    @model_validator(mode="after")
    def _some_sign(self) -> ErrorRow:
        if not (self.status or self.where or self.match or self.code):
            raise ValueError("an error needs a code, status, where or match to be known by")
        return self


class Key(Strict):
    """The provider knows a repeated request by the key in it, and sends no second SMS."""

    bits: int | None = Field(None, ge=31, le=63, description="`{key}` is a number of so many bits. Empty: our own id.")
    lasts: float = Field(gt=0, description="Seconds for which it remembers the key.")


class StatusCall(Call):
    """The question what became of an SMS. Further placeholders: `{id}`, `{destination}`."""

    state: str = Field("", description="Path of the state's word in the answer.")
    state_match: Capture | None = Field(None, description="Or a regular expression with the word in brackets.")
    price: str = Field("", description="Path of the price.")


class BalanceCall(Call):
    """The question what is left."""

    amount: str = Field("", description="Path of the amount.")
    amount_match: Capture | None = Field(None, description="Or a regular expression with the amount in brackets.")
    currency: str = Field("", description="Path of the currency.")
    currency_is: str = Field("", description="Or the currency itself.")


class Signature(Strict):
    """How a callback proves where it comes from. The secret is the section's `signing_secret`, or the password."""

    kind: Literal["twilio", "hmac-sha256"] = Field(
        description="`twilio`: HMAC-SHA1 over the address and the sorted fields, base64. `hmac-sha256`: over the body."
    )
    header: str = Field("x-twilio-signature", description="The header that holds it.")
    encoding: Literal["hex", "base64"] = Field("hex", description="Of hmac-sha256.")


class ReceiptFields(Strict):
    """Where a receipt's values stand."""

    where: dict[str, Words] = Field({}, description="What makes an item a receipt, if it is not its id and state.")
    id: str = Field(description="Path of the id.")
    state: str = Field(description="Path of the state's word.")
    code: str = Field("", description="Path of the error code.")
    at: str = Field("", description="Path of the time.")
    price: str = Field("", description="Path of the price.")


class IncomingFields(Strict):
    """Where an incoming SMS's values stand."""

    where: dict[str, Words] = Field({}, description="What makes an item an SMS, if it is not its sender and text.")
    id: str = Field(description="Path of the id.")
    sender: str = Field(description="Path of the subscriber's number.")
    destination: str = Field(description="Path of our number.")
    text: str = Field(description="Path of the text.")


class CallbackCall(Strict):
    """What the provider reports to us."""

    read: Literal["fields", "json", "blocks"] = Field(
        "fields", description="`fields`: of the query and the form. `json`: a body. `blocks`: fields of several lines."
    )
    each: str = Field("", description="Path of the items, such as `results.*`; of blocks: the field's name.")
    signature: Signature | None = Field(None, description="Checked before anything is read.")
    receipt: ReceiptFields | None = Field(None, description="A receipt.")
    incoming: IncomingFields | None = Field(None, description="An SMS from a subscriber.")
    answer: str = Field("", description="What the provider wants to hear.")


class Description(Strict):
    """How a provider is spoken to."""

    url: str = Field("", description="Where the provider lives. The section's own `url` takes its place.")
    auth: Literal["none", "basic", "bearer"] = Field(
        "none", description="`basic`: user and password. `bearer`: the password as a token. Others by header or query."
    )
    number: str = Field(
        "digits",
        pattern=r"^(digits|plus|national:\d{1,4})$",
        description="How it wants numbers: `plus` (+7910…), `digits` (7910…), `national:7` (without that prefix).",
    )
    originator: Literal["as_is", "plus"] = Field(
        "as_is", description="`plus`: an originator of 10 to 15 digits gets a plus; short codes and names stay."
    )
    alphabet: dict[Literal["gsm", "unicode"], str] = Field(
        {}, description="What `{alphabet}` says if the text fits into the alphabet of GSM, and if it does not."
    )
    values: dict[str, str] = Field(
        {}, description="Further placeholders that the section's `values` may set, each with its default."
    )
    send: Call = Field(description="The request that sends one SMS.")
    taken: Taken = Field(description="The answer that means: taken.")
    code: Words = Field((), description="Paths of the provider's error code, which people see as `MSG:<code>`.")
    says: Words = Field((), description="Paths of the provider's words. Empty: the whole answer, shortened.")
    errors: tuple[ErrorRow, ...] = Field((), description="Answers that mean something else.")
    key: Key | None = Field(None, description="Idempotency: a lost answer can be asked for again.")
    duplicate_window: float | None = Field(None, gt=0, description="Seconds for which it refuses the same SMS.")
    states: States = Field({}, description="The provider's words for what became of an SMS; letter case is ignored.")
    status: StatusCall | None = Field(None, description="The question what became of an SMS.")
    balance: BalanceCall | None = Field(None, description="The question what is left.")
    callback: CallbackCall | None = Field(None, description="What the provider reports to us.")

    @model_validator(mode="after")
    def _placeholders(self) -> Description:
        account = (*ACCOUNT_WORDS, *self.values)
        sending = (*account, *JOB_WORDS)
        _known("values", self.values, ("user",))
        _known("send", _templates(self.send), sending)
        _known("send.headers", self.send.headers, (*account, "key", "job"))
        _known("taken.id_is", self.taken.id_is, ("job", "key"))
        if self.status:
            _known("status", _templates(self.status), (*account, *STATUS_WORDS))
        if self.balance:
            _known("balance", _templates(self.balance), account)
        return self

    @model_validator(mode="after")
    def _whole(self) -> Description:
        if bool({name for name, _ in names(_templates(self.send))} & {"alphabet"}) != bool(self.alphabet):
            raise ValueError("alphabet: give gsm and unicode, and use {alphabet} in send")
        if self.alphabet and set(self.alphabet) != {"gsm", "unicode"}:
            raise ValueError("alphabet: give both gsm and unicode")
        if any(row.code for row in self.errors) and not self.code:
            raise ValueError("code: say where the provider's error code stands, or know the errors by where")
        if self.status and bool(self.status.state) == bool(self.status.state_match):
            raise ValueError("status: give state or state_match")
        if self.balance and bool(self.balance.amount) == bool(self.balance.amount_match):
            raise ValueError("balance: give amount or amount_match")
        if (self.status or (self.callback and self.callback.receipt)) and not self.states:
            raise ValueError("states: say what the provider's words for the fate of an SMS mean")
        return self

    def needs(self) -> set[str]:
        """What the section must say: of user, password."""
        trees = [_templates(call) for call in (self.send, self.status, self.balance) if call]
        wanted = {name for tree in (*trees, self.values) for name, _ in names(tree)} & set(ACCOUNT_WORDS)
        return wanted | {"none": set(), "basic": {"user", "password"}, "bearer": {"password"}}[self.auth]


def _templates(call: Call) -> dict[str, Any]:
    return {
        "path": call.path,
        "query": call.query,
        "form": call.form or {},
        "json": call.tree or {},
        "headers": call.headers,
    }


def _known(where: str, tree: Any, allowed: tuple[str, ...]) -> None:
    for key, text in _strings(where, tree):
        for name, form in names(text):
            if name not in allowed:
                near = difflib.get_close_matches(name, allowed, 1, 0.5)
                hint = f'did you mean "{{{near[0]}}}"?' if near else ""
                choice = ", ".join(f"{{{word}}}" for word in allowed)
                raise ValueError(f"{key}: {{{name}}} is no placeholder here; {hint or f'one of {choice}'}")
            if form and form not in FORMATS:
                raise ValueError(f'{key}: {{{name}:{form}}}: "{form}" is no format; one of {", ".join(FORMATS)}')


def _strings(where: str, tree: Any) -> Iterator[tuple[str, str]]:
    if isinstance(tree, str):
        yield where, tree
    elif isinstance(tree, Mapping | list):
        rows = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
        for key, inner in rows:
            yield from _strings(f"{where}.{key}", inner)
