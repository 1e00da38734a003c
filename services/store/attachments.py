"""Records attached to pictures: everything with a picture's `WITH#` prefix, of any kind."""

from __future__ import annotations

from dataclasses import dataclass

from services.aws.table import Table
from services.store import keys
from services.store.images import Place
from services.store.shares import ShareRecord, share_from_item


@dataclass(frozen=True)
class Attachment:
    """One record attached to a picture; `share` is None for a re-run."""

    key: tuple[str, str]
    share: ShareRecord | None


class AttachmentStore:
    """The attachments of all users."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def of_user(self, user_id: str) -> tuple[Attachment, ...]:
        """Returns the attachments of all the user's pictures. One AWS call for each 1,000."""
        return self._under(user_id, keys.ATTACHED)

    def of_job(self, user_id: str, job_id: str) -> tuple[Attachment, ...]:
        """Returns the attachments of a job's pictures. One AWS call."""
        return self._under(user_id, keys.attached_prefix(job_id))

    def of_image(self, place: Place) -> tuple[Attachment, ...]:
        """Returns the attachments of a picture. One AWS call."""
        return self._under(place.user_id, keys.attached_prefix(place.job_id, place.n))

    def remove(self, attachment: Attachment) -> None:
        """Removes the record; no error if it is gone. One AWS call."""
        self._table.delete(*attachment.key)

    def _under(self, user_id: str, prefix: str) -> tuple[Attachment, ...]:
        return tuple(
            Attachment((item["PK"], item["SK"]), share_from_item(item) if "copy" in item else None)
            for item in self._table.each(keys.user_pk(user_id), prefix)
        )
