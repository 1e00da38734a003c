"""Registers a person's stored picture data (pictures, attachments, albums) for export and erasure."""

from __future__ import annotations

from collections.abc import Callable

from services.images.albums import Albums
from services.images.attachments import Attachments
from services.images.images import Images
from services.images.shares import Shares
from services.records import Job, User
from services.store import keys
from services.store.kept_data import ACCOUNT_FILE, Erased, ErasureSteps, KeptData, TakenAway
from services.store.person_records import PersonRecords


class KeptImages(KeptData):
    """Pictures, including those in the trash. Their export is the ZIP itself."""

    kinds = frozenset({keys.IMAGE, keys.TRASH})
    not_taken_away = ("pictures in the trash (restore them first)",)

    def __init__(self, images: Images, records: PersonRecords) -> None:
        self._images = images
        self._records = records

    def begin_erasing(self, user_id: str) -> ErasureSteps:
        """Erases everything under the user's prefix, then every record. Their words go with the whole search index."""

        def records() -> Erased:
            gone = Erased(images=self._records.remove_all(user_id, keys.IMAGE))
            self._records.remove_all(user_id, keys.TRASH)
            return gone

        return ErasureSteps(lambda: self._images.discard_all(user_id), records)

    def begin_erasing_job(self, job: Job) -> ErasureSteps:
        """Erases everything under the job's prefix, then its pictures' records and their words in the search index."""
        return ErasureSteps(
            lambda: self._images.discard(job.user_id, job.id),
            lambda: Erased(images=self._images.erase_records(job.user_id, job.id)),
        )


class KeptAttachments(KeptData):
    """Shares and re-runs. Register it after the pictures: a share created concurrently then either finds the picture
    gone or is erased here."""

    kinds = frozenset({keys.ATTACHED})

    def __init__(self, attachments: Attachments, shares: Shares) -> None:
        self._attachments = attachments
        self._shares = shares

    def begin_erasing(self, user_id: str) -> ErasureSteps:
        """Erases links, their copies and all records; copies lie outside the user prefix and go with their records."""
        return ErasureSteps(records=lambda: self._attachments.erase_all(user_id))

    def begin_erasing_job(self, job: Job) -> ErasureSteps:
        """Erases the same for one job's pictures."""
        return ErasureSteps(records=lambda: self._attachments.erase_of_job(job.user_id, job.id))

    def take_away(self, user: User) -> tuple[TakenAway, ...]:
        """Return the open links, never their tokens. Two AWS calls."""
        links = [share.model_dump(mode="json") for share in self._shares.list(user)]
        return (TakenAway(ACCOUNT_FILE, ("shared links",), {"shared_links": links}),)


class KeptAlbums(KeptData):
    """Albums. `pictures_of` searches for the ids of the pictures in one."""

    kinds = frozenset({keys.ALBUM})

    def __init__(
        self, albums: Albums, records: PersonRecords, pictures_of: Callable[[User, str], tuple[str, ...]]
    ) -> None:
        self._albums = albums
        self._records = records
        self._pictures_of = pictures_of

    def begin_erasing(self, user_id: str) -> ErasureSteps:
        """Erases every album. The receipt counts them as texts."""
        return ErasureSteps(records=lambda: Erased(texts=self._records.remove_all(user_id, keys.ALBUM)))

    def take_away(self, user: User) -> tuple[TakenAway, ...]:
        """Return names and contents. One AWS call, and two per album."""
        albums = [
            album.model_dump(mode="json") | {"pictures": self._pictures_of(user, album.id)}
            for album in self._albums.list(user)
        ]
        return (TakenAway("records/albums.json", ("your albums and the ids of their pictures",), albums),)
