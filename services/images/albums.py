"""Albums: names that pictures are gathered under. A picture may be in several; which ones its own record says.

How many pictures an album holds, and which, the search index knows. Deleting an album removes its name only: what
pictures still say of it means nothing then, and goes when their albums change next.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from services.aws.table import ConditionFailed, Item, Put, Table, TransactionRefused, Update
from services.clock import now
from services.errors import Conflict, InvalidRequest, LimitReached, NotFound
from services.images.bulk_changes import BulkResult
from services.images.labels import relabel
from services.logs import event
from services.records import Album, User
from services.sentences import sentence
from services.store import keys
from services.store.images import Place, is_visible

MOST_ALBUMS = 200
MOST_ALBUMS_OF_A_PICTURE = 20
LONGEST_NAME = 60
_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


class Albums:
    """The albums of all users; a foreign or malformed id counts as missing."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def list(self, user: User) -> tuple[Album, ...]:
        """The user's albums by name. One AWS call."""
        items = self._table.each(keys.user_pk(user.id), keys.ALBUM)
        return tuple(
            sorted((_album(item) for item in items), key=lambda album: (album.name.casefold(), album.id))
        )

    def create(self, user: User, name: str) -> Album:
        """A new, empty album. Two AWS calls. Raises InvalidRequest, Conflict (the name), LimitReached."""
        name = clean_name(name)
        known = self.list(user)
        _check_free(known, name)
        if len(known) >= MOST_ALBUMS:
            raise LimitReached(
                sentence("You have {count} albums, the most. Delete one first.", count=MOST_ALBUMS),
                code="too_many_albums",
            )
        album = Album(id=keys.new_id(), name=name, created_at=now())
        item: Item = {"name": name, "created_at": album.created_at.isoformat()}
        key = dict(zip(("PK", "SK"), _key(user, album.id), strict=True))
        # The id is new: what refuses it is our own write, sent again after a lost answer.
        with suppress(TransactionRefused):
            self._table.transact([Put(key | item, label="album", condition="attribute_not_exists(PK)")])
        event("album_created", user=user.id, album=album.id)
        return album

    def rename(self, user: User, album_id: str, name: str) -> Album:
        """Gives the album another name. Two AWS calls. Raises NotFound, InvalidRequest, Conflict."""
        name = clean_name(name)
        _check_free([album for album in self.list(user) if album.id != album_id], name)
        return self._change(user, album_id, Update(_key(user, album_id), assign={"name": name}))

    def set_cover(self, user: User, album_id: str, image_id: str) -> Album:
        """Shows one of the album's pictures for it. Two AWS calls. Raises NotFound, also for a picture outside."""
        place = Place.find(user.id, image_id)
        item = self._table.get(*place.key) if place else None
        if item is None or not is_visible(item) or album_id not in item.get("albums", ()):
            raise NotFound("There is no such picture in the album.")
        return self._change(user, album_id, Update(_key(user, album_id), assign={"cover": image_id}))

    def delete(self, user: User, album_id: str) -> None:
        """Removes the album; its pictures stay. No error when it is gone already. One AWS call."""
        if is_album_id(album_id):
            self._table.delete(*_key(user, album_id))
            event("album_deleted", user=user.id, album=album_id)

    def put_in(self, user: User, album_id: str, ids: Sequence[str]) -> BulkResult:
        """Adds up to 100 pictures; `full` are those that are in as many albums as can be.

        Three AWS calls. Raises NotFound for the album, InvalidRequest for more pictures.
        """
        known = {album.id for album in self.list(user)}
        if album_id not in known:
            raise NotFound("There is no such album.")
        return relabel(
            self._table,
            user,
            ids,
            "albums",
            lambda had: (set(had) & known) | {album_id},
            most=MOST_ALBUMS_OF_A_PICTURE,
        )

    def take_out(self, user: User, album_id: str, ids: Sequence[str]) -> BulkResult:
        """Removes up to 100 pictures from the album; they stay in the gallery. Two AWS calls. Raises InvalidRequest."""
        return relabel(
            self._table,
            user,
            ids,
            "albums",
            lambda had: set(had) - {album_id},
            most=MOST_ALBUMS_OF_A_PICTURE,
        )

    def _change(self, user: User, album_id: str, change: Update) -> Album:
        if not is_album_id(album_id):
            raise NotFound("There is no such album.")
        try:
            changed = Update(change.key, assign=change.assign, condition="attribute_exists(PK)")
            return _album(self._table.update(changed))
        except ConditionFailed as exc:
            raise NotFound("There is no such album.") from exc


def is_album_id(text: str) -> bool:
    """True for a well-formed album id; nothing else may become part of a key."""
    return bool(_ID.fullmatch(text))


def clean_name(text: str) -> str:
    """An album's name as it is kept: single spaces. Raises InvalidRequest for what is none."""
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
    # Controls, direction marks and unassigned characters would hide or reorder what is beside them.
    if any(unicodedata.category(character).startswith("C") for character in name):
        raise InvalidRequest("An album's name holds letters, digits, signs and spaces only.", param="name")
    return name


def _check_free(known: Sequence[Album], name: str) -> None:
    if any(album.name.casefold() == name.casefold() for album in known):
        raise Conflict("There is an album of that name. Choose another name.")


def _key(user: User, album_id: str) -> tuple[str, str]:
    return keys.user_pk(user.id), f"{keys.ALBUM}{album_id}"


def _album(item: Item) -> Album:
    return Album(
        id=item["SK"].removeprefix(keys.ALBUM),
        name=item["name"],
        cover=item.get("cover"),
        created_at=datetime.fromisoformat(item["created_at"]),
    )
