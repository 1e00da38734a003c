"""Links that show one picture to anyone for a limited time: create, open, list, revoke, expire.

A link's token is random, and only its hash is stored. It leads to a copy of the picture that contains only pixels,
under an opaque name; picture, account and prompt stay private. The owner's record is written first and erased last,
so that after any crash the sweeper can find the rest through the index.
"""

from __future__ import annotations

import logging
import re
import secrets
from contextlib import suppress
from datetime import timedelta

from services.aws.objects import LINK_S, Objects
from services.clock import now
from services.errors import InvalidRequest, LimitReached, NotFound, StudioError, Unavailable
from services.formats.png_metadata import PngError, strip
from services.images.attachment_records import NewShare, Share, SharedPicture
from services.images.attachments import Attachments
from services.images.images import MAX_PICTURE_BYTES, Images
from services.logs import event
from services.records import Image, User
from services.sentences import sentence
from services.store.images import Place
from services.store.shares import ShareLink, ShareRecord, ShareStore

LIVES = (timedelta(hours=1), timedelta(days=1), timedelta(days=7), timedelta(days=30))
MOST_SHARES = 100
MOST_VIEWS = 1000
EXPIRE_BATCH = 20
# Creating one takes a second; one unfinished after this time was interrupted by a crash.
MAKING = timedelta(minutes=10)
# 24 random bytes: with 192 bits a plain hash is safe to store, and guessing is hopeless.
TOKEN_BYTES = 24
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
_ID = re.compile(r"(.{28,29})-([0-7][0-9A-HJKMNP-TV-Z]{25})")
GONE = sentence("This picture is not shared, or the link has expired.")


class Shares:
    """The shares of all users; each method checks ownership."""

    def __init__(self, store: ShareStore, images: Images, objects: Objects, attachments: Attachments) -> None:
        self._store = store
        self._images = images
        self._objects = objects
        self._attachments = attachments

    def create(self, user: User, image_id: str, *, lives: timedelta, with_prompt: bool = False) -> NewShare:
        """Creates a link to the picture, valid for one of `LIVES`; only this result contains its token.

        Seven AWS calls. Raises NotFound, InvalidRequest for another lifetime, LimitReached at a hundred links.
        """
        if lives not in LIVES:
            raise InvalidRequest("A link lives for 1 hour, or for 1, 7 or 30 days.", param="lives")
        image = self._images.get(user, image_id)
        if len(self._store.list(user.id, limit=MOST_SHARES)) >= MOST_SHARES:
            raise LimitReached(
                sentence("You have {count} links, the most. Revoke one first.", count=MOST_SHARES),
                code="too_many_shares",
            )
        token = secrets.token_urlsafe(TOKEN_BYTES)
        at = now()
        share = self._store.add(
            Place.of_image(image),
            token,
            at=at,
            until=at + lives,
            with_prompt=with_prompt,
            ready_by=at + MAKING,
        )
        try:
            self._make_copy(image, share)
            self._open(share)
            # Erasure hides a picture before it erases its shares: if still visible now, this share cannot be missed.
            self._images.get(user, image_id)
        except NotFound:
            self._attachments.erase_share(share)
            raise
        event("share_created", user=user.id, image=image_id)
        return NewShare(share=_share(share, 0), token=token)

    def _make_copy(self, image: Image, share: ShareRecord) -> None:
        png = self._objects.get(image.key, max_bytes=MAX_PICTURE_BYTES)
        try:
            bare = strip(png)
        except PngError as exc:
            event("share_unreadable", level=logging.ERROR, exc=exc, user=image.user_id, image=image.id)
            raise NotFound("The picture's file is damaged: it cannot be shared.") from exc
        self._objects.put(share.copy_key, bare, content_type="image/png")

    def _open(self, share: ShareRecord) -> None:
        """Makes the token lead to the share. Raises NotFound if the share was erased meanwhile."""
        if not self._store.open(share):
            raise NotFound("There is no such picture.")

    def look(self, token: str, *, counts: bool = True) -> SharedPicture:
        """Return what the token shows and count a view if it `counts`. Raises NotFound with the same message for a
        token that never existed, expired or was revoked, and for a deleted picture.

        Two AWS calls plus the count; none for text that is not a token.
        """
        link = self._store.link(token) if _TOKEN.fullmatch(token) else None
        found = self._store.shown(link) if link else None
        if link is None or found is None:
            raise NotFound(GONE)
        share, picture = found
        left_s = (share.until - now()).total_seconds()
        if left_s < 1:
            raise NotFound(GONE)
        if counts:
            self._count(link)
        valid_s = min(LINK_S, int(left_s))
        return SharedPicture(
            url=self._objects.link(share.copy_key, valid_s=valid_s),
            download_url=self._objects.link(share.copy_key, download_as="picture.png", valid_s=valid_s),
            width=picture.width,
            height=picture.height,
            prompt=picture.prompt if share.with_prompt else None,
            expires_at=share.until,
        )

    def _count(self, link: ShareLink) -> None:
        """Counts a view up to a limit, after which views cause no writes. A failure must not block the picture."""
        if link.views < MOST_VIEWS:
            with suppress(Unavailable):
                self._store.count_view(link)

    def list(self, user: User, image_id: str | None = None) -> tuple[Share, ...]:
        """Return the user's valid links, of one picture or all, newest first; at most a hundred. Two AWS calls."""
        place = Place.find(user.id, image_id) if image_id is not None else None
        if image_id is not None and place is None:
            return ()
        shares = [each for each in self._store.list(user.id, place, limit=MOST_SHARES) if each.until > now()]
        views = self._store.views(shares)
        listed = [_share(share, views.get(share.link, 0)) for share in shares]
        return tuple(sorted(listed, key=lambda share: share.created_at, reverse=True))

    def revoke(self, user: User, share_id: str) -> None:
        """Ends a link now and erases its copy. Raises NotFound, also for another user's link. Four AWS calls."""
        match = _ID.fullmatch(share_id)
        place = Place.find(user.id, match[1]) if match else None
        if match is None or place is None:
            raise NotFound("There is no such link.")
        share = self._store.find(place, match[2])
        if share is None:
            raise NotFound("There is no such link.")
        self._attachments.erase_share(share)
        event("share_revoked", user=user.id, image=place.id)

    def expire(self) -> int:
        """Erases expired links with their copies and those left incomplete by a crash; one batch per call.

        One AWS call if there are none. A failing one is logged and retried next time.
        """
        done = 0
        for share in self._store.due(now(), limit=EXPIRE_BATCH):
            try:
                self._attachments.erase_share(share)
                done += 1
                event("share_expired", user=share.place.user_id)
            except StudioError as exc:
                event("expiry_failed", level=logging.ERROR, exc=exc, user=share.place.user_id, share=share.id)
        return done


def _share(share: ShareRecord, views: int) -> Share:
    return Share(
        id=f"{share.place.id}-{share.id}",
        image_id=share.place.id,
        created_at=share.created_at,
        expires_at=share.until,
        with_prompt=share.with_prompt,
        views=views,
    )
