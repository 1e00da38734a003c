"""Immutable types for links that show a picture to anyone."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from services.records import Record


class Share(Record):
    """A link that shows one picture to anyone until `expires_at`, without its secret. `views` stops at 1,000."""

    id: str
    image_id: str
    created_at: datetime
    expires_at: datetime
    with_prompt: bool = False
    views: int = 0


class NewShare(Record):
    """A new share; `token` is shown once and never stored."""

    share: Share
    token: str = Field(repr=False)


class SharedPicture(Record):
    """What a share's link shows: nothing of the account but the picture, and its words if they were added.
    `url` lives no longer than the share."""

    url: str
    download_url: str
    width: int
    height: int
    prompt: str | None
    expires_at: datetime
