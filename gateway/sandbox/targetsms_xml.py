"""The platform's XML face: POST ``/xml/``, ``/xml/state.php``, ``/xml/balance.php`` (smsgate/xmlGateDoc)."""

from __future__ import annotations

from xml.etree import ElementTree as Tree
from xml.sax.saxutils import escape, quoteattr

from defusedxml import ElementTree as SafeTree

from gateway.sandbox.platform import Answer, Platform
from gateway.sandbox.targetsms import BAD_LOGIN, DUPLICATE, moscow, wrong

BAD_DOCUMENT = "Неправильный формат XML документа"


def post(platform: Platform, path: str, body: bytes) -> Answer:
    """``path`` is what follows ``/xml/``."""
    try:
        request = SafeTree.fromstring(body)
    except Tree.ParseError:
        return _error(BAD_DOCUMENT)
    if not _may(platform, request):
        return _error(BAD_LOGIN)
    match path:
        case "state.php":
            return _response("".join(_state(platform, e.text or "") for e in request.iterfind("get_state/id_sms")))
        case "balance.php":
            value, currency = platform.balance.split()
            return _response(f'<money currency="{currency}">{value}</money>')
        case "" | "index.php":
            return _send(platform, request, body)
    return _error(BAD_DOCUMENT)


def _may(platform: Platform, request: Tree.Element) -> bool:
    def given(name: str) -> str | None:
        element = request.find(f"security/{name}")
        return element.get("value") if element is not None else None

    by_login = (given("login"), given("password")) == (platform.user, platform.password)
    return not platform.user or by_login or given("token") == platform.password


def _response(inside: str) -> Answer:
    return Answer(f'<?xml version="1.0" encoding="utf-8"?><response>{inside}</response>')


def _error(words: str) -> Answer:
    return _response(f"<error>{escape(words)}</error>")


def _send(platform: Platform, request: Tree.Element, body: bytes) -> Answer:
    message = request.find("message")
    if message is None:
        return _error(BAD_DOCUMENT)
    originator, text = message.findtext("sender", ""), message.findtext("text", "").replace("\\n", "\n")
    abonents = list(message.iterfind("abonent"))
    numbers = [abonent.get("phone", "") for abonent in abonents]

    def usual() -> str:
        keys = {abonent.get("client_id_sms") for abonent in abonents}
        if not keys & platform.keys.keys() and platform.repeated(body):
            return _error(DUPLICATE).body
        return _response("".join(_taken(platform, originator, text, abonent) for abonent in abonents)).body

    return platform.sending(originator, numbers, text, usual)


def _taken(platform: Platform, originator: str, text: str, abonent: Tree.Element) -> str:
    number, key, phone = (abonent.get(name, "") for name in ("number_sms", "client_id_sms", "phone"))
    if error := wrong({"sadr": originator, "text": text}, [phone]):
        return f"<information number_sms={quoteattr(number)}>{escape(error)}</information>"
    sms_id = platform.keys.get(key) or platform.deliver(originator, phone, text).id
    if key:
        platform.keys[key] = sms_id
    return f'<information number_sms={quoteattr(number)} id_sms="{sms_id}" parts="1">send</information>'


def _state(platform: Platform, sms_id: str) -> str:
    sms = platform.find(sms_id)
    if sms is None:
        return f"<state id_sms={quoteattr(sms_id)}>Error_Invalid_SMS_ID</state>"
    changed = "" if sms.changed_at is None else moscow(sms.changed_at)
    return f'<state id_sms="{sms.id}" time="{changed}" num_parts="{sms.segments}" price="1.15">{sms.state}</state>'
