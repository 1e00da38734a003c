"""Shares as items: the owner's record of one, and what its token leads to; of a token only its hash is kept.

The owner's record is written first and removed last; it is in the index by the time at which the sweeper looks at it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.aws.table import ConditionFailed, Item, Put, Table, Update
from services.records import Image
from services.store import keys
from services.store.images import Place, image_from_item, is_visible
from services.store.writes import TransactionRefused, Write

# DynamoDB's expiry comes after the sweeper's, which also erases the copy.
BACKUP = timedelta(days=7)


@dataclass(frozen=True)
class ShareRecord:
    """A share of the picture at `place`; `link` is its token's partition, `copy` the name of its copy."""

    place: Place
    id: str
    link: str
    copy: str
    created_at: datetime
    until: datetime
    with_prompt: bool

    @property
    def key(self) -> tuple[str, str]:
        """The key of the owner's record."""
        sk = keys.share_sk(self.place.job_id, self.place.n, self.id)
        return keys.user_pk(self.place.user_id), sk

    @property
    def copy_key(self) -> str:
        """The S3 key of the shared copy."""
        return keys.shared_copy_key(self.copy)


@dataclass(frozen=True)
class ShareLink:
    """The record that a token maps to: the owner's record, and the number of views."""

    pk: str
    share: tuple[str, str]
    views: int

    @property
    def place(self) -> Place:
        """The location of the shared picture's record."""
        return place_of(*self.share)


class ShareStore:
    """The shares of all users."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(
        self,
        place: Place,
        token: str,
        *,
        at: datetime,
        until: datetime,
        with_prompt: bool,
        ready_by: datetime,
    ) -> ShareRecord:
        """Keeps a share, made `at`, whose token leads nowhere yet. One AWS call.

        From `ready_by` on it counts as left by a crash unless it was opened.
        """
        share = ShareRecord(
            place=place,
            id=keys.new_id(),
            link=keys.share_link(token)[0],
            copy=secrets.token_hex(16),
            created_at=at,
            until=until,
            with_prompt=with_prompt,
        )
        pk, sk = share.key
        self._table.put(
            {
                "PK": pk,
                "SK": sk,
                "link": share.link,
                "copy": share.copy,
                "created_at": share.created_at.isoformat(),
                "until": until.isoformat(),
                "with_prompt": with_prompt,
                "expires_at": _expires_at(share),
                "GSI1PK": keys.SHARED,
                "GSI1SK": _due(ready_by, sk),
            }
        )
        return share

    def open(self, share: ShareRecord) -> bool:
        """Makes the token valid; returns False if the share was erased. One AWS call."""
        pk, sk = share.key
        writes: list[Write] = [
            Put(
                item={"PK": share.link, "SK": "SHARE", "of": [pk, sk], "expires_at": _expires_at(share)},
                label="link",
            ),
            Update(
                key=(pk, sk),
                label="share",
                assign={"GSI1SK": _due(share.until, sk)},
                condition="attribute_exists(PK)",
            ),
        ]
        try:
            self._table.transact(writes)
        except TransactionRefused:
            return False
        return True

    def link(self, token: str) -> ShareLink | None:
        """Returns the record of a token, or None. One AWS call."""
        item = self._table.get(*keys.share_link(token))
        if item is None:
            return None
        pk, sk = item["of"]
        return ShareLink(item["PK"], (pk, sk), item.get("views", 0))

    def shown(self, link: ShareLink) -> tuple[ShareRecord, Image] | None:
        """Returns the share and its picture; None if either is gone or the picture is not visible. One AWS call."""
        place = link.place
        found = self._table.get_many([link.share, place.key])
        share, picture = found.get(link.share), found.get(place.key)
        if share is None or picture is None or not is_visible(picture):
            return None
        return share_from_item(share), image_from_item(picture)

    def count_view(self, link: ShareLink) -> None:
        """Counts a view unless the link was removed. One AWS call."""
        change = Update(key=(link.pk, "SHARE"), add={"views": 1}, condition="attribute_exists(PK)")
        try:
            self._table.update(change)
        except ConditionFailed:
            return

    def find(self, place: Place, share_id: str) -> ShareRecord | None:
        """Returns the owner's record, or None. One AWS call."""
        pk, sk = keys.user_pk(place.user_id), keys.share_sk(place.job_id, place.n, share_id)
        item = self._table.get(pk, sk)
        return share_from_item(item) if item else None

    def list(self, user_id: str, place: Place | None = None, *, limit: int) -> tuple[ShareRecord, ...]:
        """Returns the user's shares of one picture or of all, including expired ones; strongly consistent. One AWS
        call.
        """
        items, _ = self._table.query(
            keys.user_pk(user_id),
            keys.ATTACHED if place is None else keys.attached_prefix(place.job_id, place.n),
            limit=limit,
            where="attribute_exists(#copy)",
            look_through=500,
            consistent=True,
        )
        return tuple(share_from_item(item) for item in items)

    def views(self, shares: Iterable[ShareRecord]) -> dict[str, int]:
        """Returns the number of views by link; one AWS call for each hundred."""
        links = self._table.get_many((share.link, "SHARE") for share in shares)
        return {pk: item.get("views", 0) for (pk, _), item in links.items()}

    def due(self, at: datetime, *, limit: int) -> tuple[ShareRecord, ...]:
        """Returns expired shares and those left incomplete by a crash; eventually consistent. One AWS call."""
        items = self._table.index(keys.SHARED, up_to=at.isoformat(), limit=limit)
        return tuple(share_from_item(item) for item in items)

    def remove_link(self, share: ShareRecord) -> None:
        """Invalidates the token. One AWS call."""
        self._table.delete(share.link, "SHARE")

    def remove(self, share: ShareRecord) -> None:
        """Removes the owner's record. One AWS call."""
        self._table.delete(*share.key)


def share_from_item(item: Item) -> ShareRecord:
    """Returns the share in an owner's record."""
    return ShareRecord(
        place=place_of(item["PK"], item["SK"]),
        id=item["SK"].rpartition("#")[2],
        link=item["link"],
        copy=item["copy"],
        created_at=datetime.fromisoformat(item["created_at"]),
        until=datetime.fromisoformat(item["until"]),
        with_prompt=item["with_prompt"],
    )


def place_of(pk: str, sk: str) -> Place:
    """Returns the picture to which a record under `WITH#` is attached."""
    job_id, n, _, _ = sk.removeprefix(keys.ATTACHED).split("#")
    return Place(keys.user_of(pk), job_id, int(n))


def _expires_at(share: ShareRecord) -> int:
    return int((share.until + BACKUP).timestamp())


def _due(at: datetime, sk: str) -> str:
    return f"{at.isoformat()}#{sk}"
