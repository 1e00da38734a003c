"""A process's in-memory cache of one user's pictures, so that repeated queries are cheap."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from services.records import Image
from services.search.query import Facets, PictureQuery
from services.search.rows import Changes
from services.search.sqlite_table import Hit, SearchTable
from services.store.search_heads import Segment

# The most recently found pages, by query.
MOST_PAGES = 32
# The most recently shown pictures: two pages of the gallery, about 2 kB each.
MOST_IMAGES = 120
# If a record is changed outside the studio, by hand in the table, the old one may be shown for this long at most.
IMAGE_MAX_AGE_S = 30.0

Place = tuple[int, str]
Page = tuple[int, int, tuple[Hit, ...]]


class SearchMemory:
    """One user's pictures as cached in this process. Callers must hold `lock`.

    `moment` counts the applied changes: records read at an earlier moment are not kept.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.table = SearchTable()
        self.applied: tuple[Segment, ...] = ()
        self.version = 0
        self.seen: frozenset[str] = frozenset()
        self.rows = 0
        self.fresh_at = -math.inf
        self.facets: Facets | None = None
        self.moment = 0
        self._pages: OrderedDict[tuple[PictureQuery, int, Place | None], Page] = OrderedDict()
        self._images: OrderedDict[str, tuple[Image, float]] = OrderedDict()

    def start_over(self) -> None:
        """Clears everything."""
        self.table.close()
        self.table = SearchTable()
        self.applied, self.version, self.seen, self.rows, self.facets = (), 0, frozenset(), 0, None
        self.moment += 1
        self._pages.clear()
        self._images.clear()

    def apply(self, changes: Changes) -> None:
        """Applies changes and drops cached results and pictures that they affect."""
        if not changes:
            return
        self.table.apply(changes)
        self.rows = len(self.table)
        self.facets = None
        self.moment += 1
        self._pages.clear()
        for sk in changes:
            self._images.pop(sk, None)

    def page(self, query: PictureQuery, *, limit: int, after: Place | None) -> Page:
        """Return the number of all matching pictures, the number before the page, and its first `limit` pictures."""
        key = (query, limit, after)
        if (known := self._pages.get(key)) is not None:
            self._pages.move_to_end(key)
            return known
        total, _ = self.table.count(query)
        rest = total if after is None else self.table.count(query, after=after)[0]
        page = total, total - rest, self.table.find(query, limit=limit, after=after)
        self._pages[key] = page
        while len(self._pages) > MOST_PAGES:
            self._pages.popitem(last=False)
        return page

    def images(self, places: Iterable[str]) -> dict[str, Image]:
        """Return the pictures whose records were read recently and have not changed since, by place."""
        since = time.monotonic() - IMAGE_MAX_AGE_S
        return {sk: known[0] for sk in places if (known := self._images.get(sk)) and known[1] > since}

    def keep(self, images: Mapping[str, Image], *, read_at: float, moment: int) -> None:
        """Caches pictures, by place, whose records were read at `read_at` (monotonic) for the state of `moment`.

        Does nothing if something has changed since, because the records may be older than the change.
        """
        if moment != self.moment:
            return
        for sk, image in images.items():
            self._images[sk] = (image, read_at)
            self._images.move_to_end(sk)
        while len(self._images) > MOST_IMAGES:
            self._images.popitem(last=False)

    def forget_images(self) -> None:
        """Drops the pictures when all of them are too old to be shown; safe without holding the lock."""
        if self._images and time.monotonic() - self.fresh_at > IMAGE_MAX_AGE_S:
            self._images = OrderedDict()
