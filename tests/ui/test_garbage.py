"""Python's garbage collector, tuned for a server: it runs less often and still finds cycles."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from app.streamlit_internals.garbage import YOUNG, collect_seldom


class Node:
    """Something that only the collector finds once it refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _collector_as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_was_imported_is_not_looked_through_again() -> None:
    collect_seldom()
    assert gc.get_freeze_count() > len(gc.get_objects())


def test_garbage_made_later_is_still_found() -> None:
    collect_seldom()
    node = Node()
    gone = weakref.ref(node)
    del node
    kept = [[] for _ in range(2 * YOUNG)]
    assert gone() is None, len(kept)
