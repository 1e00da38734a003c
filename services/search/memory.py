"""What a process keeps in memory of one user's pictures, so that the same question is not worked out twice."""

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

# Pages that were found last, by their questions.
MOST_PAGES = 32
# Pictures that were shown last: two pages of the gallery, about 2 kB each.
MOST_IMAGES = 120
# So long at most a record may be changed past the studio, by hand in the table, and be shown as it was.
IMAGE_MAX_AGE_S = 30.0

Place = tuple[int, str]
Page = tuple[int, int, tuple[Hit, ...]]


class SearchMemory:
    """One user's pictures as this process knows them. Whoever uses it holds `lock`.

    `moment` counts the changes that were taken over: what was read beside the table at another moment is not kept.
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
        """Forgets everything."""
        self.table.close()
        self.table = SearchTable()
        self.applied, self.version, self.seen, self.rows, self.facets = (), 0, frozenset(), 0, None
        self.moment += 1
        self._pages.clear()
        self._images.clear()

    def apply(self, changes: Changes) -> None:
        """Takes over what changed; what was worked out or shown of it before no longer counts."""
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
        """The number of all pictures of the query, of those before the page, and the first `limit` on it."""
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
        """Those of the pictures whose records were read a short while ago and have not changed since, by place."""
        since = time.monotonic() - IMAGE_MAX_AGE_S
        return {sk: known[0] for sk in places if (known := self._images.get(sk)) and known[1] > since}

    def keep(self, images: Mapping[str, Image], *, read_at: float, moment: int) -> None:
        """Keeps pictures, by place, whose records were read at `read_at` (monotonic) for the state of `moment`.

        Nothing when something has changed since: the records may have been read before it.
        """
        if moment != self.moment:
            return
        for sk, image in images.items():
            self._images[sk] = (image, read_at)
            self._images.move_to_end(sk)
        while len(self._images) > MOST_IMAGES:
            self._images.popitem(last=False)

    def forget_images(self) -> None:
        """Lets go of the pictures when all of them are too old to be shown; for who does not hold the lock."""
        if self._images and time.monotonic() - self.fresh_at > IMAGE_MAX_AGE_S:
            self._images = OrderedDict()
