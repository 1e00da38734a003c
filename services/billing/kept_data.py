"""A person's usage records. An erasure keeps them: they contain amounts, not content."""

from __future__ import annotations

from services.billing.ledger import Ledger
from services.records import User
from services.store.kept_data import ACCOUNT_FILE, KeptData, TakenAway


class KeptUsage(KeptData):
    """Usage counted toward the limits."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def take_away(self, user: User) -> tuple[TakenAway, ...]:
        """Returns the usage as the account page shows it."""
        usage = self._ledger.usage(user).model_dump(mode="json")
        return (TakenAway(ACCOUNT_FILE, ("limits",), {"usage": usage}),)
