"""A person's account data. It stays when they erase their pictures."""

from __future__ import annotations

from services.accounts.accounts import Accounts
from services.accounts.preferences import PreferenceBook
from services.records import User
from services.store.kept_data import ACCOUNT_FILE, KeptData, TakenAway


class KeptAccount(KeptData):
    """Profile, preferences, and the names of API keys."""

    def __init__(self, accounts: Accounts, preferences: PreferenceBook) -> None:
        self._accounts = accounts
        self._preferences = preferences

    def take_away(self, user: User) -> tuple[TakenAway, ...]:
        """Returns the account's data and preferences. Two AWS calls."""
        content = {
            "email": user.email,
            "name": user.name,
            "role": user.role,
            "preferences": self._preferences.get(user).model_dump(mode="json"),
            "api_keys": [key.model_dump(mode="json") for key in self._accounts.keys(user)],
        }
        about = ("who you are here", "your preferences", "API keys (never their secrets)")
        return (TakenAway(ACCOUNT_FILE, about, content),)
