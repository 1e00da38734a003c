"""Marks that people set on their pictures: stars, ratings and tags, on many pictures at once."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence

from services.errors import InvalidRequest
from services.images import bulk_changes
from services.images.bulk_changes import BulkResult
from services.images.labels import Label, relabel
from services.records import User
from services.sentences import sentence
from services.store.change_notes import change_note
from services.store.image_changes import rate_image, star_image, tag_image
from services.store.images import ImageStore, Place
from services.store.transactions import Transactions
from services.store.writes import Write

MOST_TAGS = 20
LONGEST_TAG = 40
HIGHEST_RATING = 5


class ImageMarks:
    """Marks on the pictures of all users; another user's id or a malformed one counts as missing.

    At most `bulk_changes.MOST_PICTURES` per call, else InvalidRequest. Repeating a call changes nothing. Pictures in
    the trash count as missing.
    """

    def __init__(self, images: ImageStore, transactions: Transactions) -> None:
        self._images = images
        self._transactions = transactions

    def star_many(self, user: User, ids: Sequence[str], favorite: bool) -> BulkResult:
        """Marks or unmarks favorites. One AWS call per 99, and one more each time that some are missing."""
        return self._mark(user, ids, lambda place: star_image(place, favorite))

    def rate_many(self, user: User, ids: Sequence[str], rating: int) -> BulkResult:
        """Sets the rating, 0 (none) to 5. Raises InvalidRequest. AWS calls as `star_many`."""
        if not 0 <= rating <= HIGHEST_RATING:
            raise InvalidRequest(
                sentence(
                    "The rating is {rating}; it is a whole number from 0 to {most}.",
                    rating=rating,
                    most=HIGHEST_RATING,
                ),
                param="rating",
            )
        return self._mark(user, ids, lambda place: rate_image(place, rating))

    def tag_many(
        self, user: User, ids: Sequence[str], *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> BulkResult:
        """Adds and removes tags; `full` lists the pictures that would get more than `MOST_TAGS`.

        Raises InvalidRequest for an invalid tag, and Unavailable after too many concurrent changes. Two AWS calls, and
        two more for each retry.
        """
        plus, minus = {clean_tag(tag) for tag in add}, {clean_tag(tag) for tag in remove}
        label = Label(
            lambda image: image.tags, tag_image, lambda had: (set(had) - minus) | plus, most=MOST_TAGS
        )
        return relabel(self._images, self._transactions, user, ids, label)

    def _mark(self, user: User, ids: Sequence[str], write: Callable[[Place], Write]) -> BulkResult:
        found, malformed = bulk_changes.places(user.id, ids)
        refused = self._transactions.run_each(
            {place.id: (write(place),) for place in found}, note=lambda group: change_note(user.id, group)
        )
        return bulk_changes.result(ids, [*malformed, *refused])


def clean_tag(text: str) -> str:
    """Return the normalized tag: lower case, single spaces. Raises InvalidRequest for an invalid tag."""
    tag = " ".join(unicodedata.normalize("NFC", text).split()).lower()
    if not 1 <= len(tag) <= LONGEST_TAG:
        raise InvalidRequest(
            sentence(
                "A tag has 1 to {most} characters; this one has {count}.", most=LONGEST_TAG, count=len(tag)
            ),
            param="tags",
        )
    # Controls, direction marks and unassigned characters could hide or reorder neighboring text.
    if any(unicodedata.category(character).startswith("C") for character in tag):
        raise InvalidRequest("A tag holds letters, digits, signs and spaces only.", param="tags")
    return tag
