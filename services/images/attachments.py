"""Records attached to a picture (shares, re-runs), and their erasure along with it."""

from __future__ import annotations

from collections.abc import Iterable

from services.aws.objects import Objects
from services.store.attachments import Attachment, AttachmentStore
from services.store.images import Place
from services.store.kept_data import Erased
from services.store.shares import ShareRecord, ShareStore


class Attachments:
    """Erases what is attached to pictures, but not the pictures. Every method is safe to repeat."""

    def __init__(self, attachments: AttachmentStore, shares: ShareStore, objects: Objects) -> None:
        self._attachments = attachments
        self._shares = shares
        self._objects = objects

    def erase_all(self, user_id: str) -> Erased:
        """Erases all attachments of the user's pictures. One AWS call when there are none."""
        return self._erase(self._attachments.of_user(user_id))

    def erase_of_job(self, user_id: str, job_id: str) -> Erased:
        """Erases the attachments of a job's pictures. One AWS call when there are none."""
        return self._erase(self._attachments.of_job(user_id, job_id))

    def erase_of_image(self, place: Place) -> Erased:
        """Erases the attachments of a picture. One AWS call when there are none."""
        return self._erase(self._attachments.of_image(place))

    def erase_share(self, share: ShareRecord) -> int:
        """Erases a share: first its link, so that it cannot lead to a missing picture, then its copy and record.

        Returns the number of erased objects. Four AWS calls.
        """
        objects = self._hide(share)
        self._shares.remove(share)
        return objects

    def _hide(self, share: ShareRecord) -> int:
        self._shares.remove_link(share)
        return self._objects.erase(share.copy_key)

    def _erase(self, attachments: Iterable[Attachment]) -> Erased:
        gone = Erased()
        for attachment in attachments:
            if attachment.share is not None:
                gone += Erased(shares=1, objects=self._hide(attachment.share))
            self._attachments.remove(attachment)
        return gone
