"""Registers a person's stored prompt texts for export and erasure."""

from __future__ import annotations

from services.prompts.book import PromptBook
from services.records import User
from services.store import keys
from services.store.kept_data import Erased, ErasureSteps, KeptData, TakenAway
from services.store.person_records import PersonRecords


class KeptPrompts(KeptData):
    """Lists, templates and stars."""

    kinds = frozenset({keys.LIST, keys.TEMPLATE, keys.PROMPT})

    def __init__(self, book: PromptBook, records: PersonRecords) -> None:
        self._book = book
        self._records = records

    def begin_erasing(self, user_id: str) -> ErasureSteps:
        """Erases every text."""
        return ErasureSteps(
            records=lambda: Erased(
                texts=sum(self._records.remove_all(user_id, kind) for kind in sorted(self.kinds))
            )
        )

    def take_away(self, user: User) -> tuple[TakenAway, ...]:
        """Return all texts. Three AWS calls."""
        content = {
            "lists": [each.model_dump(mode="json") for each in self._book.lists(user)],
            "templates": [each.model_dump(mode="json") for each in self._book.templates(user)],
            "starred": list(self._book.stars(user)),
        }
        about = ("your lists, templates and starred prompts",)
        return (TakenAway("records/prompts.json", about, content),)
