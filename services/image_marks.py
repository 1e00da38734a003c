"""What people say about their pictures: stars, ratings and tags, on many pictures at once."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from services import bulk
from services.aws.table import Table, Update
from services.errors import InvalidRequest, Unavailable
from services.image_records import VISIBLE, Place, is_visible
from services.records import BulkResult, User

MOST_TAGS = 20
LONGEST_TAG = 40
HIGHEST_RATING = 5
TAG_ROUNDS = 5


class ImageMarks:
    """Marks on the pictures of all users; a foreign or malformed id counts as missing.

    At most `bulk.MOST_PICTURES` a call, else InvalidRequest. The same call again changes nothing. What is in the trash
    is missing too.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def star_many(self, user: User, ids: Sequence[str], favourite: bool) -> BulkResult:
        """Marks or unmarks favourites. One AWS call, and one more each time that some are missing."""
        return self._assign(user, ids, {"favourite": favourite})

    def rate_many(self, user: User, ids: Sequence[str], rating: int) -> BulkResult:
        """Sets the rating, 0 (none) to 5. Raises InvalidRequest. Calls as `star_many`."""
        if not 0 <= rating <= HIGHEST_RATING:
            raise InvalidRequest(
                f"The rating is {rating}; it is a whole number from 0 to {HIGHEST_RATING}.", param="rating"
            )
        return self._assign(user, ids, {"rating": rating})

    def tag_many(
        self, user: User, ids: Sequence[str], *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> BulkResult:
        """Adds and removes tags; `full` holds the pictures that would get more than `MOST_TAGS`.

        Raises InvalidRequest for what is no tag, and Unavailable when others keep changing the same tags. Two AWS
        calls, and two more for each time that a tag was changed in between.
        """
        plus, minus = {clean_tag(tag) for tag in add}, {clean_tag(tag) for tag in remove}
        todo, malformed = bulk.places(user.id, ids)
        missing, full = list(malformed), []
        for _ in range(TAG_ROUNDS):
            items = self._table.get_many(place.key for place in todo)
            changes = {}
            for place in todo:
                item = items.get(place.key)
                if item is None or not is_visible(item):
                    missing.append(place.id)
                    continue
                had = list(item.get("tags", ()))
                tags = sorted((set(had) - minus) | plus)
                if len(tags) > MOST_TAGS:
                    full.append(place.id)
                elif tags != had:
                    changes[place.id] = (_retag(place, had, tags),)
            refused = bulk.apply(self._table, changes)
            todo = tuple(place for place in todo if place.id in refused)
            if not todo:
                left = bulk.result(ids, [*missing, *full])
                return left.model_copy(
                    update={
                        "missing": tuple(image_id for image_id in left.missing if image_id not in full),
                        "full": tuple(full),
                    }
                )
        raise Unavailable("The tags are being changed elsewhere. Try again.")

    def _assign(self, user: User, ids: Sequence[str], values: dict[str, Any]) -> BulkResult:
        found, malformed = bulk.places(user.id, ids)
        refused = bulk.apply(
            self._table,
            {
                place.id: (Update(key=place.key, label=place.id, assign=values, condition=VISIBLE),)
                for place in found
            },
        )
        return bulk.result(ids, [*malformed, *refused])


def _retag(place: Place, had: list[str], tags: list[str]) -> Update:
    """The change of a picture's tags, refused when they are no longer what was read."""
    unchanged = "#tags = :had" if had else "(attribute_not_exists(#tags) OR #tags = :had)"
    return Update(
        key=place.key,
        label=place.id,
        assign={"tags": tags},
        condition=f"{VISIBLE} AND {unchanged}",
        values={":had": had},
    )


def clean_tag(text: str) -> str:
    """A tag as it is kept: lower case, single spaces. Raises InvalidRequest for what is no tag."""
    tag = " ".join(unicodedata.normalize("NFC", text).split()).lower()
    if not 1 <= len(tag) <= LONGEST_TAG:
        raise InvalidRequest(
            f"A tag has 1 to {LONGEST_TAG} characters; this one has {len(tag)}.", param="tags"
        )
    # Controls, direction marks and unassigned characters would hide or reorder what is beside them.
    if any(unicodedata.category(character).startswith("C") for character in tag):
        raise InvalidRequest("A tag holds letters, digits, signs and spaces only.", param="tags")
    return tag
