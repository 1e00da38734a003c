"""Searches a user's pictures, with the index from S3 cached in memory and updated before each answer."""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from services.errors import InvalidRequest, Unavailable
from services.records import Image, User
from services.search.index import SearchIndex
from services.search.memory import SearchMemory
from services.search.query import Facets, Found, PictureQuery
from services.search.rows import SegmentBroken
from services.search.sqlite_table import Hit, SearchTable
from services.store import keys
from services.store.images import ImageStore, Place
from services.store.search_heads import Head

# Rows cached per process for all users together: about 400 bytes each.
MOST_ROWS_KEPT = 500_000
CATCH_UP_ROUNDS = 4
MOST_OF_ALBUM = 10_000
LONGEST_CURSOR = 200

T = TypeVar("T")


class Search:
    """Finds a user's pictures; every answer includes all changes completed before the call."""

    def __init__(self, images: ImageStore, index: SearchIndex) -> None:
        self._images = images
        self._index = index
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, SearchMemory] = OrderedDict()

    def find(self, user: User, query: PictureQuery, *, limit: int = 60, after: str | None = None) -> Found:
        """Return a page of matching pictures and the total number.

        Three AWS calls, two when the same pictures were shown recently, more when the index or pictures changed.
        Raises InvalidRequest for an invalid query or cursor.
        """
        query.check()
        place = _read_cursor(after) if after else None
        kept = self._of(user.id)
        with kept.lock:
            self._catch_up(user.id, kept)
            moment = kept.moment
            total, before, hits = kept.page(query, limit=limit + 1, after=place)
            shown = [hit.sk for hit in hits[:limit]]
            images = kept.images(shown)
        self._make_room()
        lost = self._read(user.id, kept, [sk for sk in shown if sk not in images], images, moment)
        return Found(
            items=tuple(images[sk] for sk in shown if sk in images),
            total=total - lost,
            before=before,
            next=_cursor(hits[limit - 1]) if len(hits) > limit else None,
        )

    def _read(
        self, user_id: str, kept: SearchMemory, missing: list[str], images: dict[str, Image], moment: int
    ) -> int:
        """Adds pictures to `images` from their records; returns how many no longer exist. At most one AWS call."""
        if not missing:
            return 0
        read_at = time.monotonic()
        places = {sk: _place(user_id, sk) for sk in missing}
        found = self._images.visible(places.values())
        read = {sk: found[place] for sk, place in places.items() if place in found}
        with kept.lock:
            kept.keep(read, read_at=read_at, moment=moment)
        images |= read
        if lost := [place.id for sk, place in places.items() if sk not in read]:
            # Deleted just now, or by hand in the table: the index must check them again.
            self._index.look_again(user_id, lost)
        return len(lost)

    def ids(self, user: User, query: PictureQuery, *, most: int) -> tuple[tuple[str, ...], int, int]:
        """Return the ids of the query's first `most` pictures, their total number, and the total bytes of all files.

        Two AWS calls, more when the index or pictures changed. Raises InvalidRequest.
        """
        query.check()

        def look(table: SearchTable) -> tuple[tuple[Hit, ...], int, int]:
            return table.find(query, limit=most), *table.count(query)

        hits, total, size_bytes = self._up_to_date(user.id, look)
        return tuple(_place(user.id, hit.sk).id for hit in hits), total, size_bytes

    def ids_of_album(self, user: User, album_id: str) -> tuple[str, ...]:
        """Return the ids of the newest ten thousand pictures in an album. AWS calls as `ids`."""
        return self.ids(user, PictureQuery(album=album_id), most=MOST_OF_ALBUM)[0]

    def facets(self, user: User, *, max_age_s: float = 0.0) -> Facets:
        """Return the user's filter values with counts, at most `max_age_s` old.

        No AWS call when the cached ones are recent enough, else two or more.
        """
        kept = self._of(user.id)
        with kept.lock:
            if time.monotonic() - kept.fresh_at > max_age_s:
                self._catch_up(user.id, kept)
            kept.facets = kept.facets or kept.table.facets()
            facets = kept.facets
        self._make_room()
        return facets

    def _up_to_date(self, user_id: str, look: Callable[[SearchTable], T]) -> T:
        kept = self._of(user_id)
        with kept.lock:
            self._catch_up(user_id, kept)
            answer = look(kept.table)
        self._make_room()
        return answer

    def _of(self, user_id: str) -> SearchMemory:
        with self._lock:
            if (kept := self._kept.get(user_id)) is None:
                kept = self._kept[user_id] = SearchMemory()
            self._kept.move_to_end(user_id)
            return kept

    def _make_room(self) -> None:
        """Drops users who have not searched for longest; a cache in use lives until its thread is done."""
        with self._lock:
            for each in self._kept.values():
                each.forget_images()
            while len(self._kept) > 1 and sum(each.rows for each in self._kept.values()) > MOST_ROWS_KEPT:
                self._kept.popitem(last=False)

    def _catch_up(self, user_id: str, kept: SearchMemory) -> None:
        """Brings the cache up to date: first the notes, then the head (see `search_notes`)."""
        for _ in range(CATCH_UP_ROUNDS):
            at = time.monotonic()
            notes = self._index.notes(user_id)
            head = self._index.head(user_id)
            if not head.whole:
                self._index.fold(user_id, rebuild=True)
                continue
            moved = head.version != kept.version
            if moved and not self._follow(user_id, kept, head):
                continue
            # A segment can be older than a note already applied: then apply the notes again.
            unseen = notes if moved else [note for note in notes if note.id not in kept.seen]
            kept.apply(self._index.changed(user_id, unseen))
            kept.seen = frozenset(note.id for note in notes)
            kept.fresh_at = at
            return
        raise Unavailable("The search index is being changed. Try again in a few seconds.")

    def _follow(self, user_id: str, kept: SearchMemory, head: Head) -> bool:
        """Applies segments new in the head; False when one of them no longer exists."""
        same = 0
        for mine, theirs in zip(kept.applied, head.segments, strict=False):
            if mine != theirs:
                break
            same += 1
        try:
            changes = self._index.load(head.segments[same:])
        except SegmentBroken:
            # Either merged away meanwhile, and the head has changed, or broken, and it is rebuilt.
            if self._index.head(user_id).version == head.version:
                self._index.fold(user_id, rebuild=True)
            return False
        if same == 0:
            # Segments without predecessors do not list removed pictures.
            kept.start_over()
        kept.apply(changes)
        kept.applied, kept.version = head.segments, head.version
        return True


def _place(user_id: str, sk: str) -> Place:
    job_id, _, n = sk.partition("#")
    return Place(user_id, job_id, int(n))


def _cursor(hit: Hit) -> str:
    return base64.urlsafe_b64encode(json.dumps([hit.rating, hit.sk]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        rating, sk = json.loads(base64.urlsafe_b64decode(cursor[:LONGEST_CURSOR] + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        rating, sk = None, None
    if (
        type(rating) is not int
        or not isinstance(sk, str)
        or keys.split_image_id(sk.replace("#", "-")) is None
    ):
        raise InvalidRequest(
            "The cursor in 'after' is not one that a search returned. Start again without it.", param="after"
        )
    return rating, sk
