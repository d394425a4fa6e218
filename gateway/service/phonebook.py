"""Lists and stop-lists that are in the store, asked for by the mails that need them; the others pay nothing."""

from __future__ import annotations

from dataclasses import replace

from gateway.model import Submission
from gateway.policy.accounts import Account
from gateway.sms import numbers
from gateway.spool.lists import Wanted
from gateway.spool.store import Store
from gateway.verdicts import Refused


class Phonebook:
    """They are not held in memory: a hundred lists of 100,000 numbers would be a gigabyte in each process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def consult(self, account: Account, submission: Submission) -> Account:
        """The account with what its lists say of this submission: the numbers of the list that it names, and which
        numbers are on a stop-list. Mails of one moment share one look."""
        list_id = account.stored_lists.get(submission.list_id or "")
        typed = self._typed(account, submission) if list_id is None and account.stop_lists else ()
        if list_id is None and not typed:
            return account
        found = await self._store.lookup(Wanted(list_id, account.stop_lists, typed))
        lists = account.lists
        if list_id is not None and submission.list_id is not None:
            lists = {**lists, submission.list_id: found.numbers}
        return replace(account, lists=lists, stop_list=account.stop_list | found.stopped)

    def _typed(self, account: Account, submission: Submission) -> tuple[str, ...]:
        """The numbers that it names, as far as they are some."""
        if submission.own_number:
            return (account.phone,) if account.phone else ()
        if submission.list_id is not None:
            return account.lists.get(submission.list_id, ())
        found = []
        for asked in submission.destinations:
            try:
                found.append(numbers.parse(asked.typed))
            except Refused:
                continue  # ``decide`` says so
        return tuple(found)
