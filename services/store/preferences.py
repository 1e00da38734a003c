"""Preferences that apply to all sessions, one record per person."""

from __future__ import annotations

from enum import StrEnum

from services.aws.table import Table
from services.records import Record
from services.store import keys


class Theme(StrEnum):
    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


class Language(StrEnum):
    ENGLISH = "en"
    GERMAN = "de"
    FRENCH = "fr"


class Preferences(Record):
    """None means the default: the browser's language, the first model, and the model's own quality."""

    language: Language | None = None
    theme: Theme = Theme.SYSTEM
    model: str | None = None
    quality: str | None = None
    count: int = 1


class PreferenceStore:
    """The preferences of all users. Each method is one AWS call."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, user_id: str) -> Preferences:
        """Returns the user's preferences, or the defaults."""
        item = self._table.get(keys.user_pk(user_id), keys.PREFERENCES) or {}
        return Preferences.model_validate(
            {name: item[name] for name in Preferences.model_fields if name in item}
        )

    def save(self, user_id: str, preferences: Preferences) -> None:
        """Replaces the user's preferences."""
        item = preferences.model_dump(mode="json", exclude_none=True)
        self._table.put({"PK": keys.user_pk(user_id), "SK": keys.PREFERENCES, **item})
