"""Re-runs as items: a picture that another job drew again, and how the two differ."""

from __future__ import annotations

from datetime import datetime

from services.aws.table import ConditionFailed, Item, Put, Table, Update
from services.records import Job, Record
from services.store import keys
from services.store.images import Place


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
    """A picture that another job drew again from its recipe; `difference` is None before the comparison."""

    image_id: str
    job_id: str
    created_at: datetime
    difference: Difference | None = None

    @property
    def again_id(self) -> str:
        """The id of the redrawn picture, if there is one."""
        return f"{self.job_id}-0"


class RerunStore:
    """The re-runs of all users. Each method is one AWS call."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def latest(self, place: Place) -> Rerun | None:
        """Returns the last re-run of a picture, strongly consistent; None if there is none."""
        prefix = f"{keys.attached_prefix(place.job_id, place.n)}RERUN#"
        items, _ = self._table.query(keys.user_pk(place.user_id), prefix, limit=1, consistent=True)
        return _rerun(items[0], place) if items else None

    def set_difference(self, place: Place, rerun: Rerun, difference: Difference) -> bool:
        """Stores the result of a comparison; returns False if the re-run was erased."""
        change = Update(
            key=(keys.user_pk(place.user_id), keys.rerun_sk(place.job_id, place.n, rerun.job_id)),
            assign={"difference": difference.model_dump_json()},
            condition="attribute_exists(PK)",
        )
        try:
            self._table.update(change)
        except ConditionFailed:
            return False
        return True


def add_rerun(place: Place, job: Job) -> Put:
    """Returns the write that records the re-run, for the transaction that creates `job`."""
    item: Item = {
        "PK": keys.user_pk(place.user_id),
        "SK": keys.rerun_sk(place.job_id, place.n, job.id),
        "created_at": job.created_at.isoformat(),
    }
    return Put(item=item, label="rerun")


def _rerun(item: Item, place: Place) -> Rerun:
    found = item.get("difference")
    return Rerun(
        image_id=place.id,
        job_id=item["SK"].rpartition("#")[2],
        created_at=datetime.fromisoformat(item["created_at"]),
        difference=Difference.model_validate_json(found) if found else None,
    )
