"""What belongs to accounts: whose eyes it is for, who may change it, and how the services' refusals are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from gateway.policy.permissions import Scope, Visitor
from gateway.service.accounts import AccountFaults, Provisioned, Taken, Unknown
from gateway.service.lists import EVERYBODY, BadName
from gateway.settings.document import dotted
from gateway.sms.numbers import mask
from gateway.web.problems import Problem


def check_sees(visitor: Visitor, account: str) -> None:
    """Others' accounts are not there. Raises ``Problem``."""
    if not visitor.sees(account):
        raise Problem(404, f"There is no account {account}.")


def check_house(visitor: Visitor, account: str = EVERYBODY) -> None:
    """What holds for all, and what an account is allowed, is not for people of single accounts. Raises ``Problem``."""
    if visitor.accounts is not None and (account == EVERYBODY or not visitor.sees(account)):
        mine = ", ".join(sorted(visitor.accounts))
        raise Problem(403, f"{visitor.login} sees and changes only what is of {mine}.", words="base.not_yours")


def check_stops(visitor: Visitor, account: str) -> None:
    """The stop-list for all holds others' numbers: who sees single accounts only learns of it number by number, as
    BANNED. Raises ``Problem``."""
    if account == EVERYBODY:
        check_house(visitor)
    else:
        check_sees(visitor, account)


def check_settings(visitor: Visitor) -> None:
    """Caps, senders and originators are given by the gateway's own people. Raises ``Problem``."""
    if visitor.accounts is not None:
        detail = f"{visitor.login} may change keys, lists and the password, not what the account is allowed."
        raise Problem(403, detail, words="base.not_yours")


@contextmanager
def told(*, but_faults: bool = False) -> Iterator[None]:
    """Refusals of the services as problems. ``but_faults``: what is wrong with an account goes on as it is."""
    try:
        yield
    except Unknown as error:
        raise Problem(404, f"There is no {error.args[0]}.") from None
    except Provisioned as error:
        raise Problem(409, f"{error} is in the accounts file: change it there, then reload.") from None
    except Taken as error:
        raise Problem(409, f"{error}: there is one already; logins and API keys are unique.") from None
    except BadName as error:
        detail = f'"{error}": no name for a list; at most 64 characters, without ; / ? # and \\.'
        raise Problem(422, detail) from None
    except AccountFaults as error:
        if but_faults:
            raise
        faults = [{"key": dotted(key), "what": what} for key, what in error.faults]
        raise Problem(422, str(error), faults=faults) from None


def seen(visitor: Visitor, settings: Mapping[str, Any]) -> dict[str, Any]:
    """An account's settings as this visitor may see them: its number masked, of a webhook's address only whose it is,
    for the rest may be a secret."""
    shown = dict(settings)
    if "phone" in shown and not visitor.may(Scope.NUMBERS):
        shown["phone"] = mask(str(shown["phone"]))
    webhook = shown.get("webhook")
    if isinstance(webhook, Mapping) and "url" in webhook and not visitor.may(Scope.ACCOUNTS):
        where = urlsplit(str(webhook["url"]))
        shown["webhook"] = {**webhook, "url": f"{where.scheme}://{where.hostname or ''}/…"}
    return shown
