"""What the studio keeps of a person's spending. It stays: it says what was spent, and nothing about what was drawn."""

from __future__ import annotations

from services.billing.ledger import Ledger
from services.records import User
from services.store.kept_data import ACCOUNT_FILE, KeptData, TakenAway


class KeptUsage(KeptData):
    """Usage against the limits."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def take_away(self, user: User) -> tuple[TakenAway, ...]:
        """What they have used, as the account page says it."""
        usage = self._ledger.usage(user).model_dump(mode="json")
        return (TakenAway(ACCOUNT_FILE, ("limits",), {"usage": usage}),)
