"""Albums as items: the name and the cover. Each picture's record lists its albums."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from services.aws.table import ConditionFailed, Item, Put, Table, Update
from services.records import Album
from services.store import keys
from services.store.writes import TransactionRefused


class AlbumStore:
    """The albums of all users. Each method is one AWS call."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def list(self, user_id: str) -> tuple[Album, ...]:
        """The user's albums, strongly consistent."""
        return tuple(_album(item) for item in self._table.each(keys.user_pk(user_id), keys.ALBUM))

    def add(self, user_id: str, album: Album) -> None:
        """Keeps a new album."""
        pk, sk = _key(user_id, album.id)
        item: Item = {"PK": pk, "SK": sk, "name": album.name, "created_at": album.created_at.isoformat()}
        # The id is new, so a refusal means that our own write was repeated after a lost answer.
        with suppress(TransactionRefused):
            self._table.transact([Put(item, label="album", condition="attribute_not_exists(PK)")])

    def rename(self, user_id: str, album_id: str, name: str) -> Album | None:
        """Renames the album; returns None if it does not exist."""
        return self._change(user_id, album_id, {"name": name})

    def set_cover(self, user_id: str, album_id: str, image_id: str) -> Album | None:
        """Makes a picture the album's cover; returns None if the album does not exist."""
        return self._change(user_id, album_id, {"cover": image_id})

    def remove(self, user_id: str, album_id: str) -> None:
        """Removes the album; no error if it is gone."""
        self._table.delete(*_key(user_id, album_id))

    def _change(self, user_id: str, album_id: str, assign: dict[str, str]) -> Album | None:
        change = Update(_key(user_id, album_id), assign=assign, condition="attribute_exists(PK)")
        try:
            return _album(self._table.update(change))
        except ConditionFailed:
            return None


def _key(user_id: str, album_id: str) -> tuple[str, str]:
    return keys.user_pk(user_id), f"{keys.ALBUM}{album_id}"


def _album(item: Item) -> Album:
    return Album(
        id=item["SK"].removeprefix(keys.ALBUM),
        name=item["name"],
        cover=item.get("cover"),
        created_at=datetime.fromisoformat(item["created_at"]),
    )
