"""Albums group pictures under a name. A picture's record lists its albums; it may be in several.

The search index knows an album's pictures and their number. Deleting an album removes only its name: ids of it left
in pictures have no meaning and disappear when those pictures' albums next change.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from services.clock import now
from services.errors import Conflict, InvalidRequest, LimitReached, NotFound
from services.images.bulk_changes import BulkResult
from services.images.labels import Label, relabel
from services.logs import event
from services.records import Album, User
from services.sentences import sentence
from services.store import keys
from services.store.albums import AlbumStore
from services.store.image_changes import sort_image
from services.store.images import ImageStore, Place
from services.store.transactions import Transactions

MOST_ALBUMS = 200
MOST_ALBUMS_OF_A_PICTURE = 20
LONGEST_NAME = 60
_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


class Albums:
    """The albums of all users; another user's id or a malformed one counts as missing."""

    def __init__(self, albums: AlbumStore, images: ImageStore, transactions: Transactions) -> None:
        self._albums = albums
        self._images = images
        self._transactions = transactions

    def list(self, user: User) -> tuple[Album, ...]:
        """Return the user's albums by name. One AWS call."""
        return tuple(sorted(self._albums.list(user.id), key=lambda album: (album.name.casefold(), album.id)))

    def create(self, user: User, name: str) -> Album:
        """Creates an empty album. Two AWS calls. Raises InvalidRequest, Conflict (the name), LimitReached."""
        name = clean_name(name)
        known = self.list(user)
        _check_free(known, name)
        if len(known) >= MOST_ALBUMS:
            raise LimitReached(
                sentence("You have {count} albums, the most. Delete one first.", count=MOST_ALBUMS),
                code="too_many_albums",
            )
        album = Album(id=keys.new_id(), name=name, created_at=now())
        self._albums.add(user.id, album)
        event("album_created", user=user.id, album=album.id)
        return album

    def rename(self, user: User, album_id: str, name: str) -> Album:
        """Renames the album. Two AWS calls. Raises NotFound, InvalidRequest, Conflict."""
        name = clean_name(name)
        _check_free([album for album in self.list(user) if album.id != album_id], name)
        renamed = self._albums.rename(user.id, album_id, name) if is_album_id(album_id) else None
        return _existing(renamed)

    def set_cover(self, user: User, album_id: str, image_id: str) -> Album:
        """Makes a picture the album's cover. Two AWS calls. Raises NotFound, also for a picture not in the album."""
        place = Place.find(user.id, image_id)
        image = self._images.find(place) if place else None
        if image is None or album_id not in image.albums:
            raise NotFound("There is no such picture in the album.")
        covered = self._albums.set_cover(user.id, album_id, image_id) if is_album_id(album_id) else None
        return _existing(covered)

    def delete(self, user: User, album_id: str) -> None:
        """Deletes the album but not its pictures. Ignores one that does not exist. One AWS call."""
        if is_album_id(album_id):
            self._albums.remove(user.id, album_id)
            event("album_deleted", user=user.id, album=album_id)

    def put_in(self, user: User, album_id: str, ids: Sequence[str]) -> BulkResult:
        """Adds up to 100 pictures; `full` lists those that are already in the maximum number of albums.

        Three AWS calls. Raises NotFound for the album, InvalidRequest for more pictures.
        """
        known = {album.id for album in self.list(user)}
        if album_id not in known:
            raise NotFound("There is no such album.")
        return self._sort(user, ids, lambda had: (set(had) & known) | {album_id})

    def take_out(self, user: User, album_id: str, ids: Sequence[str]) -> BulkResult:
        """Removes up to 100 pictures from the album; they stay in the gallery. Two AWS calls. Raises InvalidRequest."""
        return self._sort(user, ids, lambda had: set(had) - {album_id})

    def _sort(
        self, user: User, ids: Sequence[str], change: Callable[[Iterable[str]], set[str]]
    ) -> BulkResult:
        return relabel(
            self._images,
            self._transactions,
            user,
            ids,
            Label(lambda image: image.albums, sort_image, change, most=MOST_ALBUMS_OF_A_PICTURE),
        )


def _existing(album: Album | None) -> Album:
    if album is None:
        raise NotFound("There is no such album.")
    return album


def is_album_id(text: str) -> bool:
    """Whether the text is a well-formed album id; nothing else may become part of a key."""
    return bool(_ID.fullmatch(text))


def clean_name(text: str) -> str:
    """Return the normalized album name (single spaces). Raises InvalidRequest for an invalid name."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidRequest(
            sentence(
                "An album's name has 1 to {most} characters; this one has {count}.",
                most=LONGEST_NAME,
                count=len(name),
            ),
            param="name",
        )
    # Controls, direction marks and unassigned characters could hide or reorder neighboring text.
    if any(unicodedata.category(character).startswith("C") for character in name):
        raise InvalidRequest("An album's name holds letters, digits, signs and spaces only.", param="name")
    return name


def _check_free(known: Sequence[Album], name: str) -> None:
    if any(album.name.casefold() == name.casefold() for album in known):
        raise Conflict("There is an album of that name. Choose another name.")
