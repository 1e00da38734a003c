"""What the studio keeps of a person's pictures: the pictures, what hangs on them, and the albums that they are in."""

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
    """Pictures, those in the trash too. What a person takes away of them is the ZIP itself."""

    kinds = frozenset({keys.IMAGE, keys.TRASH})
    not_taken_away = ("pictures in the trash (restore them first)",)

    def __init__(self, images: Images, records: PersonRecords) -> None:
        self._images = images
        self._records = records

    def begin_erasing(self, user_id: str) -> ErasureSteps:
        """Everything below the user's prefix, then every record. The words leave with the whole search index."""

        def records() -> Erased:
            gone = Erased(images=self._records.remove_all(user_id, keys.IMAGE))
            self._records.remove_all(user_id, keys.TRASH)
            return gone

        return ErasureSteps(lambda: self._images.discard_all(user_id), records)

    def begin_erasing_job(self, job: Job) -> ErasureSteps:
        """Everything below the job's prefix, then its pictures' records, whose words leave the search index."""
        return ErasureSteps(
            lambda: self._images.discard(job.user_id, job.id),
            lambda: Erased(images=self._images.erase_records(job.user_id, job.id)),
        )


class KeptAttachments(KeptData):
    """Shares and re-runs. Register it after the pictures: whoever is just sharing one of them then sees that it is
    gone, or is seen here."""

    kinds = frozenset({keys.ATTACHED})

    def __init__(self, attachments: Attachments, shares: Shares) -> None:
        self._attachments = attachments
        self._shares = shares

    def begin_erasing(self, user_id: str) -> ErasureSteps:
        """Links, their copies, and all records; the copies lie outside the user's prefix and go with their records."""
        return ErasureSteps(records=lambda: self._attachments.erase_all(user_id))

    def begin_erasing_job(self, job: Job) -> ErasureSteps:
        """The same, of one job's pictures."""
        return ErasureSteps(records=lambda: self._attachments.erase_of_job(job.user_id, job.id))

    def take_away(self, user: User) -> tuple[TakenAway, ...]:
        """The links that are open, never their tokens. Two AWS calls."""
        links = [share.model_dump(mode="json") for share in self._shares.list(user)]
        return (TakenAway(ACCOUNT_FILE, ("shared links",), {"shared_links": links}),)


class KeptAlbums(KeptData):
    """Albums. `pictures_of` finds the ids of the pictures in one, which the search knows."""

    kinds = frozenset({keys.ALBUM})

    def __init__(
        self, albums: Albums, records: PersonRecords, pictures_of: Callable[[User, str], tuple[str, ...]]
    ) -> None:
        self._albums = albums
        self._records = records
        self._pictures_of = pictures_of

    def begin_erasing(self, user_id: str) -> ErasureSteps:
        """Every album. On the receipt they are among the texts."""
        return ErasureSteps(records=lambda: Erased(texts=self._records.remove_all(user_id, keys.ALBUM)))

    def take_away(self, user: User) -> tuple[TakenAway, ...]:
        """Names and contents. One AWS call, and two for each album."""
        albums = [
            album.model_dump(mode="json") | {"pictures": self._pictures_of(user, album.id)}
            for album in self._albums.list(user)
        ]
        return (TakenAway("records/albums.json", ("your albums and the ids of their pictures",), albums),)
