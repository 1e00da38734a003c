"""The session's cache of lists, templates, stars, and recent prompts, so that reruns make no AWS calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import streamlit as st

from services.build import Studio
from services.prompts.book import PromptList, PromptTemplate
from services.records import User

T = TypeVar("T")
KEPT = "prompt_book"
# Changes made in another window appear within this time; the session's own changes appear immediately.
FRESH_S = 300.0
# A list that was missing may be made in another window at any moment.
MISSING_FRESH_S = 10.0


def templates(studio: Studio, user: User) -> tuple[PromptTemplate, ...]:
    """The maker's templates. One AWS call unless cached."""
    return _kept("templates", lambda: studio.prompts.templates(user))


def lists(studio: Studio, user: User) -> tuple[PromptList, ...]:
    """The maker's lists with their entries. One AWS call unless cached."""
    return _kept("lists", lambda: studio.prompts.lists(user))


def stars(studio: Studio, user: User) -> tuple[str, ...]:
    """The starred prompts. One AWS call unless cached."""
    return _kept("stars", lambda: studio.prompts.stars(user))


def recent(studio: Studio, user: User) -> tuple[str, ...]:
    """The recent prompts. One AWS call unless cached."""
    return _kept("recent", lambda: studio.prompts.recent(user))


def entries(studio: Studio, user: User, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The entries of those of the named lists that there are. One AWS call for all that are not cached."""
    known: dict[str, tuple[float, tuple[str, ...] | None]] = _shelf().setdefault("entries", {})
    now = time.monotonic()
    wanted = sorted(set(names))
    unread = [
        name for name in wanted if name not in known or now - known[name][0] >= _fresh_s(known[name][1])
    ]
    if unread:
        found = studio.prompts.entries(user, unread)
        for name in unread:
            known[name] = (now, found.get(name))
    read = {name: known[name][1] for name in wanted}
    return {name: kept for name, kept in read.items() if kept is not None}


def forget(*kinds: str) -> None:
    """Drops these from the cache: "templates", "lists", "entries", "stars", "recent"; all without arguments."""
    for kind in kinds or tuple(_shelf()):
        _shelf().pop(kind, None)


def _kept(kind: str, read: Callable[[], T]) -> T:
    shelf = _shelf()
    at, kept = shelf.get(kind, (None, None))
    if at is None or time.monotonic() - at >= FRESH_S:
        kept = read()
        shelf[kind] = (time.monotonic(), kept)
    found: T = kept
    return found


def _fresh_s(kept: tuple[str, ...] | None) -> float:
    return MISSING_FRESH_S if kept is None else FRESH_S


def _shelf() -> dict[str, Any]:
    shelf: dict[str, Any] = st.session_state.setdefault(KEPT, {})
    return shelf
