"""The search index of each user: segments in S3, and the head in the table that says which of them count.

A fold takes the notes of changes over into a new segment. It merges the younger segments that are not much larger, so
that there are few, and each row is rewritten only a few times in its life. The head moves by a conditional write:
of two folds at once one counts. A crash leaves objects that no head names; they go with the next fold that cleans up.
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
    """The indexes of all users. `on_erased` hears of pictures that were erased, by user; more than once, maybe."""

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
        """The changes that are not in the index yet; to be read before the head. One AWS call."""
        return self._notes.of(user_id)

    def look_again(self, user_id: str, image_ids: Iterable[str]) -> None:
        """Has the next fold look at these pictures' records. One AWS call."""
        self._notes.add(user_id, image_ids)

    def head(self, user_id: str) -> Head:
        """What the index is now, strongly consistent. One AWS call."""
        return self._heads.get(user_id)

    def load(self, segments: Iterable[Segment]) -> Changes:
        """What the segments say, the later ones over the earlier. One AWS call each. Raises SegmentBroken."""
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
        """The pictures that notes speak of, as their records are now. One AWS call for each hundred."""
        ids = dict.fromkeys(image_id for note in notes for image_id in note.image_ids)
        places = find_places(user_id, list(ids))
        found = self._images.visible(places)
        rows: Changes = {}
        for place in places:
            if sk := place_of(place.id):
                rows[sk] = row_of(found[place]) if place in found else None
        return rows

    def fold_due(self) -> int:
        """Folds the notes of the users who have some that are due; returns how many users. One AWS call for none.

        A user's trouble is logged, and the others' go on.
        """
        folded = 0
        for user_id in self._notes.due_users():
            try:
                folded += self.fold(user_id)
            except StudioError as exc:
                event("search_fold_failed", level=logging.ERROR, exc=exc, user=user_id)
        return folded

    def fold(self, user_id: str, *, anew: bool = False) -> bool:
        """Takes the user's notes over into the index; False when another fold was faster, which is no harm.

        Rebuilt from the records when it is asked for, when there is no index, and when a segment is missing or
        broken. About seven AWS calls; anew one for each 1,000 pictures more.
        """
        notes = self.notes(user_id)
        head = self.head(user_id)
        anew = anew or not head.whole
        if not notes and not anew:
            return True
        if not anew:
            changes = self.changed(user_id, notes)
            # What is erased must not stay in any segment.
            keep = 0 if any(note.erased for note in notes) else _kept(head.segments, len(changes))
            try:
                changes = self.load(head.segments[keep:]) | changes
            except SegmentBroken as exc:
                event("search_index_broken", level=logging.ERROR, exc=exc, user=user_id)
                anew = True
        if anew:
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
        """Puts the new segment and moves the head to it; what it replaces is erased."""
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
        """Erases what crashed folds left. A fold that goes on after this one writes under a later version."""
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
        """Erases the user's index with everything in it; the next search rebuilds it from the records.

        Returns how many objects went. A fold that is under way now no longer counts, and a note has the worker look
        once more for what a crashed one left. Raises Unavailable when others keep moving the head.
        """
        for _ in range(HEAD_ROUNDS):
            head = self.head(user_id)
            if self._heads.move(user_id, head, Head(head.version + 1), token=keys.new_id()):
                erased = self._objects.erase(keys.search_prefix(user_id))
                self._notes.add(user_id, (), erased=True)
                return erased
        raise Unavailable("The search index is being changed elsewhere. Try again.")


def _kept(segments: Sequence[Segment], rows: int) -> int:
    """How many of the older segments stay as they are when so many rows are added: each is twice what follows."""
    keep = len(segments)
    while keep and segments[keep - 1].rows <= 2 * rows:
        keep -= 1
        rows += segments[keep].rows
    return keep
