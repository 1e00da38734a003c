"""What a person has chosen once for all sessions: language, colors, and what the first page's form begins with."""

from __future__ import annotations

from enum import StrEnum

from services.aws.table import Table
from services.catalogue.cards import Catalogue
from services.errors import InvalidRequest
from services.records import Record, User
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
    """None leaves it to the studio: the browser's language, its first model, and the model's own quality."""

    language: Language | None = None
    theme: Theme = Theme.SYSTEM
    model: str | None = None
    quality: str | None = None
    count: int = 1


class PreferenceBook:
    """The preferences of all users, one record each: `PREFERENCES` in their own partition."""

    def __init__(self, table: Table, catalogue: Catalogue) -> None:
        self._table = table
        self._catalogue = catalogue

    def get(self, user: User) -> Preferences:
        """The user's preferences; what they name and is no longer offered is left out. One AWS call."""
        item = self._table.get(keys.user_pk(user.id), keys.PREFERENCES) or {}
        said = {name: item[name] for name in Preferences.model_fields if name in item}
        return self._offered(Preferences.model_validate(said))

    def save(self, user: User, preferences: Preferences) -> None:
        """Keeps them in place of those before. One AWS call.

        Raises InvalidRequest (param "model", "quality" or "count") for what is not offered.
        """
        cards = {card.id: card for card in self._catalogue.models()}
        if preferences.model is not None and preferences.model not in cards:
            raise InvalidRequest("There is no such model here: choose one of the list.", param="model")
        offered = self._offered(preferences)
        if offered.quality != preferences.quality:
            raise InvalidRequest("The model has no such quality: choose one of the list.", param="quality")
        if offered.count != preferences.count:
            raise InvalidRequest("The model does not draw so many at once: choose fewer.", param="count")
        item = preferences.model_dump(mode="json", exclude_none=True)
        self._table.put({"PK": keys.user_pk(user.id), "SK": keys.PREFERENCES, **item})

    def _offered(self, wanted: Preferences) -> Preferences:
        cards = {card.id: card for card in self._catalogue.models()}
        card = cards.get(wanted.model or "") or next(iter(cards.values()))
        return wanted.model_copy(
            update={
                "model": wanted.model if wanted.model in cards else None,
                "quality": wanted.quality if wanted.quality in card.qualities else None,
                "count": min(max(1, wanted.count), card.max_count),
            }
        )
