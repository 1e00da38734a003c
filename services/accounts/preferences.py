"""Preferences that apply to all sessions: language, colors, and the form's initial values."""

from __future__ import annotations

from services.catalogue.cards import Catalogue
from services.errors import InvalidRequest
from services.records import User
from services.store.preferences import Language, Preferences, PreferenceStore, Theme

__all__ = ["Language", "PreferenceBook", "Preferences", "Theme"]


class PreferenceBook:
    """The preferences of all users."""

    def __init__(self, store: PreferenceStore, catalogue: Catalogue) -> None:
        self._store = store
        self._catalogue = catalogue

    def get(self, user: User) -> Preferences:
        """Returns the user's preferences without values that are no longer offered. One AWS call."""
        return self._offered(self._store.get(user.id))

    def save(self, user: User, preferences: Preferences) -> None:
        """Replaces the user's preferences. One AWS call.

        Raises InvalidRequest (param "model", "quality", or "count") for values that are not offered.
        """
        cards = {card.id: card for card in self._catalogue.models()}
        if preferences.model is not None and preferences.model not in cards:
            raise InvalidRequest("There is no such model here: choose one of the list.", param="model")
        offered = self._offered(preferences)
        if offered.quality != preferences.quality:
            raise InvalidRequest("The model has no such quality: choose one of the list.", param="quality")
        if offered.count != preferences.count:
            raise InvalidRequest("The model does not draw so many at once: choose fewer.", param="count")
        self._store.save(user.id, preferences)

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
