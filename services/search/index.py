"""The search index of each user: segments in S3, and a head in the table that lists the current ones.

A fold moves the notes of changes into a new segment. It also merges younger segments that are not much larger, so that
there are few, and each row is rewritten only a few times. The head changes by a conditional write, so of two concurrent
folds only one takes effect. A crash leaves objects that no head lists; the next fold that cleans up erases them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Sequence

from services.aws.objects import Objects
from services.errors import BadOutput, NotFound, StudioError, Unavailable
from services.logs import event
from services.search.rows import Changes, SegmentBroken, pack, place_of, row_of, unpack
from services.store import keys
from services.store.change_notes import ChangeNote, ChangeNoteStore
from services.store.images import ImageStore, find_places
from services.store.search_heads import Head, SearchHeadStore, Segment

MOST_SEGMENT_BYTES = 512 * 1024 * 1024
HEAD_ROUNDS = 5


class SearchIndex:
    """The indexes of all users. `on_erased` receives erased pictures by user, possibly more than once."""

    def __init__(
        self,
        heads: SearchHeadStore,
        notes: ChangeNoteStore,
        images: ImageStore,
        objects: Objects,
        on_erased: Callable[[str, Collection[str]], object],
    ) -> None:
        self._heads = heads
        self._notes = notes
        self._images = images
        self._objects = objects
        self._on_erased = on_erased

    def notes(self, user_id: str) -> tuple[ChangeNote, ...]:
        """Return the changes not yet in the index; read them before the head. One AWS call."""
        return self._notes.of(user_id)

    def look_again(self, user_id: str, image_ids: Iterable[str]) -> None:
        """Makes the next fold read these pictures' records again. One AWS call."""
        self._notes.add(user_id, image_ids)

    def head(self, user_id: str) -> Head:
        """Return the current head, strongly consistent. One AWS call."""
        return self._heads.get(user_id)

    def load(self, segments: Iterable[Segment]) -> Changes:
        """Return the segments' content, later ones taking precedence. One AWS call each. Raises SegmentBroken."""
        found: Changes = {}
        for segment in segments:
            try:
                data = self._objects.get(segment.key, max_bytes=MOST_SEGMENT_BYTES)
            except (NotFound, BadOutput) as exc:
                raise SegmentBroken("A segment of the index is missing.") from exc
            if hashlib.sha256(data).hexdigest() != segment.sha256:
                raise SegmentBroken("A segment of the index is not what was written.")
            found |= unpack(data)
        return found

    def changed(self, user_id: str, notes: Iterable[ChangeNote]) -> Changes:
        """Return the current state of the pictures named in the notes. One AWS call per hundred."""
        ids = dict.fromkeys(image_id for note in notes for image_id in note.image_ids)
        places = find_places(user_id, list(ids))
        found = self._images.visible(places)
        rows: Changes = {}
        for place in places:
            if sk := place_of(place.id):
                rows[sk] = row_of(found[place]) if place in found else None
        return rows

    def fold_due(self) -> int:
        """Folds the notes of all users with due ones; returns the number of users. One AWS call if there are none.

        A failure for one user is logged and does not stop the others.
        """
        folded = 0
        for user_id in self._notes.due_users():
            try:
                folded += self.fold(user_id)
            except StudioError as exc:
                event("search_fold_failed", level=logging.ERROR, exc=exc, user=user_id)
        return folded

    def fold(self, user_id: str, *, rebuild: bool = False) -> bool:
        """Folds the user's notes into the index; False when a concurrent fold came first, which is harmless.

        Rebuilds the index from the records on request (`rebuild`), when there is no index, and when a segment is
        missing or broken. About seven AWS calls; a rebuild takes one more per 1,000 pictures.
        """
        notes = self.notes(user_id)
        head = self.head(user_id)
        rebuild = rebuild or not head.whole
        if not notes and not rebuild:
            return True
        if not rebuild:
            changes = self.changed(user_id, notes)
            # Erased pictures must not stay in any segment.
            keep = 0 if any(note.erased for note in notes) else _kept(head.segments, len(changes))
            try:
                changes = self.load(head.segments[keep:]) | changes
            except SegmentBroken as exc:
                event("search_index_broken", level=logging.ERROR, exc=exc, user=user_id)
                rebuild = True
        if rebuild:
            keep = 0
            changes = self._from_records(user_id)
        if keep == 0:
            changes = {sk: row for sk, row in changes.items() if row is not None}
        if not self._write(user_id, head, keep, changes):
            return False
        if erased := {image_id for note in notes if note.erased for image_id in note.image_ids}:
            self._on_erased(user_id, erased)
        self._notes.drop(user_id, notes)
        return True

    def _from_records(self, user_id: str) -> Changes:
        rows = (row_of(image) for image in self._images.every(user_id))
        changes: Changes = {row.sk: row for row in rows}
        event("search_index_made_anew", user=user_id, pictures=len(changes))
        return changes

    def _write(self, user_id: str, head: Head, keep: int, changes: Changes) -> bool:
        """Stores the new segment, points the head to it and erases the replaced segments."""
        version, token = head.version + 1, keys.new_id()
        segments = head.segments[:keep]
        mine: tuple[Segment, ...] = ()
        if changes:
            data = pack(changes)
            key = keys.search_key(user_id, version, token)
            self._objects.put(key, data, content_type="application/gzip")
            mine = (Segment(key, len(changes), hashlib.sha256(data).hexdigest()),)
        if not self._heads.move(user_id, head, Head(version, segments + mine, whole=True), token=token):
            self._erase(one.key for one in mine)
            return False
        self._erase(one.key for one in head.segments[keep:])
        if keep == 0:
            self._clean(user_id, version, {one.key for one in mine})
        return True

    def _clean(self, user_id: str, version: int, named: set[str]) -> None:
        """Erases objects left by crashed folds. A fold still running after this one writes under a later version."""
        left = [
            key
            for key in self._objects.keys(keys.search_prefix(user_id))
            if key not in named and (keys.search_version(key) or 0) <= version
        ]
        self._erase(left)

    def _erase(self, names: Iterable[str]) -> None:
        for key in names:
            self._objects.erase(key)

    def forget(self, user_id: str) -> int:
        """Erases the user's whole index; the next search rebuilds it from the records.

        Returns the number of erased objects. Invalidates a fold in progress, and a note makes the worker check
        again for what a crashed one left. Raises Unavailable when others keep moving the head.
        """
        for _ in range(HEAD_ROUNDS):
            head = self.head(user_id)
            if self._heads.move(user_id, head, Head(head.version + 1), token=keys.new_id()):
                erased = self._objects.erase(keys.search_prefix(user_id))
                self._notes.add(user_id, (), erased=True)
                return erased
        raise Unavailable("The search index is being changed elsewhere. Try again.")


def _kept(segments: Sequence[Segment], rows: int) -> int:
    """Return how many of the older segments to keep when adding rows: each is twice the size of what follows."""
    keep = len(segments)
    while keep and segments[keep - 1].rows <= 2 * rows:
        keep -= 1
        rows += segments[keep].rows
    return keep
