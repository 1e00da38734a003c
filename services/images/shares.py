"""Links that show one picture to anybody who has them, for a time: made, looked at, listed, revoked, expired.

A link's token is random and only its hash is kept. It leads to a copy of the picture without anything but pixels, under
a name that says nothing; picture, account and prompt stay where they are. The owner's record is written first and
erased last, so that a crash anywhere leaves something the sweeper finds by the index.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from services.aws.objects import LINK_S, Objects
from services.aws.table import ConditionFailed, Item, Put, Table, TransactionRefused, Update
from services.clock import now
from services.errors import InvalidRequest, LimitReached, NotFound, StudioError, Unavailable
from services.formats.png_metadata import PngError, strip
from services.images.attachment_records import NewShare, Share, SharedPicture
from services.images.attachments import Attachments, copy_key, is_share, link_key
from services.images.images import MAX_PICTURE_BYTES, Images
from services.logs import event
from services.records import Image, User
from services.sentences import sentence
from services.store import keys
from services.store.images import Place, is_visible

LIVES = (timedelta(hours=1), timedelta(days=1), timedelta(days=7), timedelta(days=30))
MOST_SHARES = 100
MOST_VIEWS = 1000
EXPIRE_BATCH = 20
# Making one takes a second; what is not ready by then was cut off by a crash.
MAKING = timedelta(minutes=10)
# DynamoDB's own expiry comes after the sweeper's, which erases the copy as well.
BACKUP = timedelta(days=7)
# 24 random bytes: 192 bits, so a plain hash is a safe way to keep it, and guessing is hopeless at any rate.
TOKEN_BYTES = 24
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
_ID = re.compile(r"(.{28,29})-([0-7][0-9A-HJKMNP-TV-Z]{25})")
GONE = sentence("This picture is not shared, or no longer.")


class Shares:
    """The shares of all users; each method checks whose they are."""

    def __init__(self, table: Table, images: Images, objects: Objects, attachments: Attachments) -> None:
        self._table = table
        self._images = images
        self._objects = objects
        self._attachments = attachments

    def create(self, user: User, image_id: str, *, lives: timedelta, with_prompt: bool = False) -> NewShare:
        """Makes a link to the picture, one of `LIVES` long; its token is in the answer and nowhere else.

        Seven AWS calls. Raises NotFound, InvalidRequest for another time, LimitReached at a hundred links.
        """
        if lives not in LIVES:
            raise InvalidRequest("A link lives for 1 hour, or for 1, 7 or 30 days.", param="lives")
        image = self._images.get(user, image_id)
        if len(self._items(user.id, keys.ATTACHED, limit=MOST_SHARES)) >= MOST_SHARES:
            raise LimitReached(
                sentence("You have {count} links, the most. Revoke one first.", count=MOST_SHARES),
                code="too_many_shares",
            )
        token = secrets.token_urlsafe(TOKEN_BYTES)
        item = _item(image, token, now() + lives, with_prompt)
        self._table.put(item)
        try:
            self._make_copy(image, item)
            self._open(item)
            # What hides a picture comes before what erases its shares: seen now, nothing of it slipped through.
            self._images.get(user, image_id)
        except NotFound:
            self._attachments.erase_item(item)
            raise
        event("share_created", user=user.id, image=image_id)
        return NewShare(share=_share(item, 0), token=token)

    def _make_copy(self, image: Image, item: Item) -> None:
        png = self._objects.get(image.key, max_bytes=MAX_PICTURE_BYTES)
        try:
            bare = strip(png)
        except PngError as exc:
            event("share_unreadable", level=logging.ERROR, exc=exc, user=image.user_id, image=image.id)
            raise NotFound("The picture's file is damaged: it cannot be shared.") from exc
        self._objects.put(copy_key(item), bare, content_type="image/png")

    def _open(self, item: Item) -> None:
        """Makes the token lead to the share, if that is still there. Raises NotFound when it was erased meanwhile."""
        pk, _ = link_key(item)
        writes: list[Put | Update] = [
            Put(
                item={
                    "PK": pk,
                    "SK": "SHARE",
                    "of": [item["PK"], item["SK"]],
                    "expires_at": item["expires_at"],
                },
                label="link",
            ),
            Update(
                key=(item["PK"], item["SK"]),
                label="share",
                assign={"GSI1SK": _due(item["until"], item["SK"])},
                condition="attribute_exists(PK)",
            ),
        ]
        try:
            self._table.transact(writes)
        except TransactionRefused as exc:
            raise NotFound("There is no such picture.") from exc

    def look(self, token: str) -> SharedPicture:
        """What the token shows, counted as a look. Raises NotFound, in the same words for a token that never was, that
        has expired or was revoked, and for a picture that was deleted.

        Two AWS calls and the counting; none for what is not even a token.
        """
        link = self._table.get(*keys.share_link(token)) if _TOKEN.fullmatch(token) else None
        if link is None:
            raise NotFound(GONE)
        pk, sk = link["of"]
        place = _place(pk, sk)
        found = self._table.get_many([(pk, sk), place.key])
        item, picture = found.get((pk, sk)), found.get(place.key)
        left = (datetime.fromisoformat(item["until"]) - now()).total_seconds() if item else 0.0
        if item is None or picture is None or not is_visible(picture) or left < 1:
            raise NotFound(GONE)
        self._count(link)
        seconds = min(LINK_S, int(left))
        return SharedPicture(
            url=self._objects.link(copy_key(item), valid_s=seconds),
            download_url=self._objects.link(copy_key(item), download_as="picture.png", valid_s=seconds),
            width=picture["width"],
            height=picture["height"],
            prompt=picture["prompt"] if item["with_prompt"] else None,
            expires_at=datetime.fromisoformat(item["until"]),
        )

    def _count(self, link: Item) -> None:
        """One look more, up to a bound: after it looking costs no writes. A lost count is no reason to show nothing."""
        if link.get("views", 0) >= MOST_VIEWS:
            return
        try:
            self._table.update(
                Update(key=(link["PK"], link["SK"]), add={"views": 1}, condition="attribute_exists(PK)")
            )
        except (ConditionFailed, Unavailable):
            return

    def list(self, user: User, image_id: str | None = None) -> tuple[Share, ...]:
        """The user's links that are good, of one picture or of all, newest first; a hundred at most. Two AWS calls."""
        prefix = keys.ATTACHED
        if image_id is not None:
            place = Place.find(user.id, image_id)
            if place is None:
                return ()
            prefix = keys.attached_prefix(place.job_id, place.n)
        items = [item for item in self._items(user.id, prefix, limit=MOST_SHARES) if _is_open(item)]
        links = self._table.get_many(link_key(item) for item in items)
        shares = [_share(item, links.get(link_key(item), {}).get("views", 0)) for item in items]
        return tuple(sorted(shares, key=lambda share: share.created_at, reverse=True))

    def revoke(self, user: User, share_id: str) -> None:
        """Ends a link now and erases its copy. Raises NotFound, also for a foreign one. Four AWS calls."""
        match = _ID.fullmatch(share_id)
        place = Place.find(user.id, match[1]) if match else None
        if match is None or place is None:
            raise NotFound("There is no such link.")
        sk = keys.share_sk(place.job_id, place.n, match[2])
        item = self._table.get(keys.user_pk(user.id), sk)
        if item is None:
            raise NotFound("There is no such link.")
        self._attachments.erase_item(item)
        event("share_revoked", user=user.id, image=place.id)

    def expire(self) -> int:
        """Erases links and copies whose time is over, and what a crash left half made; a batch a call.

        One AWS call for none. One that makes trouble is logged and left for the next time.
        """
        done = 0
        for item in self._table.index(keys.SHARED, up_to=now().isoformat(), limit=EXPIRE_BATCH):
            try:
                self._attachments.erase_item(item)
                done += 1
                event("share_expired", user=_place(item["PK"], item["SK"]).user_id)
            except StudioError as exc:
                event("expiry_failed", level=logging.ERROR, exc=exc, share=item["SK"])
        return done

    def _items(self, user_id: str, prefix: str, *, limit: int) -> Sequence[Item]:
        items, _ = self._table.query(
            keys.user_pk(user_id),
            prefix,
            limit=limit,
            where="attribute_exists(#copy)",
            look_through=500,
            consistent=True,
        )
        return items


def _item(image: Image, token: str, until: datetime, with_prompt: bool) -> Item:
    share_id = keys.new_id()
    sk = keys.share_sk(image.job_id, image.n, share_id)
    return {
        "PK": keys.user_pk(image.user_id),
        "SK": sk,
        "link": keys.share_link(token)[0],
        "copy": secrets.token_hex(16),
        "created_at": now().isoformat(),
        "until": until.isoformat(),
        "with_prompt": with_prompt,
        "expires_at": int((until + BACKUP).timestamp()),
        "GSI1PK": keys.SHARED,
        # Until it is ready it is due as what a crash left.
        "GSI1SK": _due((now() + MAKING).isoformat(), sk),
    }


def _due(moment: str, sk: str) -> str:
    return f"{moment}#{sk}"


def _is_open(item: Item) -> bool:
    return is_share(item) and datetime.fromisoformat(item["until"]) > now()


def _place(pk: str, sk: str) -> Place:
    job_id, n, _, _ = sk.removeprefix(keys.ATTACHED).split("#")
    return Place(pk.removeprefix("USER#"), job_id, int(n))


def _share(item: Item, views: int) -> Share:
    place = _place(item["PK"], item["SK"])
    return Share(
        id=f"{place.id}-{item['SK'].rpartition('#')[2]}",
        image_id=place.id,
        created_at=datetime.fromisoformat(item["created_at"]),
        expires_at=datetime.fromisoformat(item["until"]),
        with_prompt=item["with_prompt"],
        views=views,
    )
