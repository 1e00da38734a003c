"""A maker's lists, templates, and starred prompts as items, each kind under its own key prefix."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from services.aws.table import Item, Put, Table
from services.records import Record
from services.store import keys
from services.store.writes import TransactionRefused


class PromptList(Record):
    """A maker's own list, for `__name__` in a prompt: 1 to 200 entries of plain text."""

    name: str
    entries: tuple[str, ...]


class PromptTemplate(Record):
    """A text with one `{prompt}` placeholder."""

    name: str
    text: str


class Star(Record):
    """A starred prompt."""

    text: str
    starred_at: datetime


class PromptTextStore:
    """The prompt texts of all users. Each method is one AWS call unless it says otherwise."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def lists(self, user_id: str) -> tuple[PromptList, ...]:
        """The user's lists by name; more AWS calls when they are over a megabyte."""
        return tuple(_list(item) for item in self._all(user_id, keys.LIST))

    def some_lists(self, user_id: str, names: Iterable[str]) -> tuple[PromptList, ...]:
        """Returns the existing lists among these names. One AWS call for each hundred names."""
        pk = keys.user_pk(user_id)
        found = self._table.get_many((pk, f"{keys.LIST}{name}") for name in names)
        return tuple(_list(item) for item in found.values())

    def templates(self, user_id: str) -> tuple[PromptTemplate, ...]:
        """The user's templates by name."""
        return tuple(_template(item) for item in self._all(user_id, keys.TEMPLATE))

    def stars(self, user_id: str) -> tuple[Star, ...]:
        """The user's starred prompts."""
        return tuple(_star(item) for item in self._all(user_id, keys.PROMPT))

    def save(self, user_id: str, kept: PromptList | PromptTemplate | Star) -> None:
        """Stores a text, replacing one of the same name."""
        self._table.put(_item(user_id, kept))

    def add(self, user_id: str, kept: PromptList | PromptTemplate) -> bool:
        """Stores a text if its name is free; returns False if it is taken. One more read if the write was refused."""
        item = _item(user_id, kept)
        try:
            self._table.transact([Put(item=item, label="text", condition="attribute_not_exists(PK)")])
        except TransactionRefused:
            # The write was repeated after a lost answer: then the stored text is this one.
            return self._table.get(item["PK"], item["SK"]) == item
        return True

    def remove_list(self, user_id: str, name: str) -> None:
        """Removes a list; no error when there is none of that name."""
        self._table.delete(keys.user_pk(user_id), f"{keys.LIST}{name}")

    def remove_template(self, user_id: str, name: str) -> None:
        """Removes a template; no error when there is none of that name."""
        self._table.delete(keys.user_pk(user_id), f"{keys.TEMPLATE}{name}")

    def remove_star(self, user_id: str, text: str) -> None:
        """Removes a prompt's star; no error if it has none."""
        self._table.delete(keys.user_pk(user_id), _star_sk(text))

    def _all(self, user_id: str, kind: str) -> Iterable[Item]:
        return self._table.each(keys.user_pk(user_id), kind, newest_first=False)


def _item(user_id: str, kept: PromptList | PromptTemplate | Star) -> Item:
    pk = keys.user_pk(user_id)
    if isinstance(kept, PromptList):
        return {"PK": pk, "SK": f"{keys.LIST}{kept.name}", "entries": list(kept.entries)}
    if isinstance(kept, PromptTemplate):
        return {"PK": pk, "SK": f"{keys.TEMPLATE}{kept.name}", "text": kept.text}
    return {
        "PK": pk,
        "SK": _star_sk(kept.text),
        "text": kept.text,
        "starred_at": kept.starred_at.isoformat(),
    }


def _list(item: Item) -> PromptList:
    return PromptList(name=item["SK"].removeprefix(keys.LIST), entries=tuple(item["entries"]))


def _template(item: Item) -> PromptTemplate:
    return PromptTemplate(name=item["SK"].removeprefix(keys.TEMPLATE), text=item["text"])


def _star(item: Item) -> Star:
    return Star(text=item["text"], starred_at=datetime.fromisoformat(item["starred_at"]))


def _star_sk(text: str) -> str:
    # JSON writes any string in ASCII, including lone surrogates.
    return f"{keys.PROMPT}{keys.digest(json.dumps(text))}"
