"""What a border MTA says of a mail: its ``Authentication-Results`` fields (RFC 8601).

Anybody can write such a field. The border's own are those that stand above its ``Received`` field, bear its
name (authserv-id) and came from its address; it must delete those of others that bear its name (§5).
"""

from __future__ import annotations

from email.message import Message

import authres.core
import authres.dmarc

from gateway.mail.author import domain_of
from gateway.model import Check

_FEATURES = authres.FeatureContext(authres.dmarc)
_PROPERTIES = {
    "dmarc": (("header", "from"),),
    "dkim": (("header", "d"),),
    "spf": (("smtp", "mailfrom"), ("smtp", "mail")),
}
MAX_FIELDS = 20


class _Strict(authres.core.AuthenticationResultsHeader):  # type: ignore[misc]
    """A result that is half understood is none."""

    def __init__(self, features: object) -> None:
        super().__init__(features, strict=True)


def stated(message: Message, authserv_id: str, own_received: int) -> tuple[Check, ...]:
    """The results for DMARC, DKIM and SPF in the fields of ``authserv_id``, in their order.

    ``own_received`` is how many Received fields the border puts above. A field that cannot be read, and bears
    no other name, becomes a ``permerror`` of the method "Authentication-Results".
    """
    found: list[Check] = []
    for value in _on_top(message, own_received)[:MAX_FIELDS]:
        try:
            header = _Strict.parse_value(_FEATURES, value)
        except (authres.core.AuthResError, ValueError, IndexError, RecursionError) as error:
            found += _unreadable(value, authserv_id, error)
            continue
        if header.authserv_id == authserv_id.lower():
            found += [_check(result) for result in header.results if result.method.lower() in _PROPERTIES]
    return tuple(found)


def _on_top(message: Message, own_received: int) -> list[str]:
    fields, received = [], 0
    for name, value in message.raw_items():
        key = name.lower()
        received += key == "received"
        if received > own_received:
            break
        if key == "authentication-results":
            fields.append(value)
    return fields


def _check(result: authres.core.AuthenticationResult) -> Check:
    method = result.method.lower()
    wanted = _PROPERTIES[method]
    values = [prop.value for prop in result.properties if (prop.type.lower(), prop.name.lower()) in wanted]
    domains = {domain_of(value.strip("<>\"' ")) for value in values}
    if len(values) != 1:
        why = "names no domain" if not values else "names several domains"
        return Check(method, "permerror", why=why)
    return Check(method, result.result.lower(), domains.pop())


def _unreadable(value: str, authserv_id: str, error: Exception) -> list[Check]:
    first = value.partition(";")[0].strip().lower()
    name = first.partition(" ")[0].partition("(")[0]
    if "=" in first:  # Microsoft's: it begins with a result, and so says nothing about who wrote it
        why = "has no authserv-id (Exchange Online writes it so): let the connector's network verify instead"
    elif name == authserv_id.lower():
        why = f"cannot be read ({type(error).__name__})"
    else:
        return []
    return [Check("Authentication-Results", "permerror", why=why)]
