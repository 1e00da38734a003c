"""The frozen types of what hangs on a picture: links that show it to anybody, and its being drawn again."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from services.records import Record


class Share(Record):
    """A link by which anybody sees one picture until `expires_at`, without its secret. `views` stops at 1,000."""

    id: str
    image_id: str
    created_at: datetime
    expires_at: datetime
    with_prompt: bool = False
    views: int = 0


class NewShare(Record):
    """A share just made; `token` is shown once and never stored."""

    share: Share
    token: str = Field(repr=False)


class SharedPicture(Record):
    """What a stranger sees by a share's link: nothing of the account but the picture, and its words if they were
    added. `url` lives no longer than the share."""

    url: str
    download_url: str
    width: int
    height: int
    prompt: str | None
    expires_at: datetime


class Difference(Record):
    """How two pictures of one size differ: by how many of 255 levels at most, in how many of `pixels`.

    The map shows each difference `amplified` times; None for identical pictures.
    """

    largest: int
    differing: int
    pixels: int
    amplified: int = 1
    map_key: str | None = None

    @property
    def identical(self) -> bool:
        return self.differing == 0


class Rerun(Record):
    """A picture that was drawn again from its recipe, by a job of its own; `difference` None until it was compared."""

    image_id: str
    job_id: str
    created_at: datetime
    difference: Difference | None = None

    @property
    def again_id(self) -> str:
        """Id of the picture it brought, when it brought one."""
        return f"{self.job_id}-0"
