"""Tests of the garbage collector settings for a server: it runs less often and still finds cycles."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from app.streamlit_internals.garbage import YOUNG, collect_seldom


class Node:
    """An object that refers to itself, so only the garbage collector can free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _collector_as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_imported_objects_are_excluded_from_collection() -> None:
    collect_seldom()
    assert gc.get_freeze_count() > len(gc.get_objects())


def test_later_garbage_is_still_collected() -> None:
    collect_seldom()
    node = Node()
    gone = weakref.ref(node)
    del node
    kept = [[] for _ in range(2 * YOUNG)]
    assert gone() is None, len(kept)
