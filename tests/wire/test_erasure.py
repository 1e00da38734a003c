"""Tests what remains of a user: writes a record of each kind, erases everything, and reads the partition."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.accounts.preferences import Preferences
from services.aws.table import Item, Table
from services.backends import endpoint_status
from services.build import Studio
from services.errors import Unavailable
from services.images.kept_data import KeptAlbums
from services.jobs.drafts import in_group, plan
from services.privacy.erasure import Erasure
from services.records import Job, JobRequest, User, When
from services.store import keys
from services.store.kept_data import ErasureSteps, KeptData
from services.store.kinds import ERASED, KINDS, Kind
from services.store.person_records import PersonRecords
from tests.endpoint import ScriptedEndpoint
from tests.wire.conftest import real_clients

SECRET = "unicorn"


@pytest.fixture
def owner(studio: Studio, maker: User) -> User:
    """The maker, who has signed in and out."""
    signed_in = studio.accounts.sign_in(sub=maker.id, email=maker.email, groups=(), began_at=1)
    studio.accounts.end_session(signed_in, 2)
    return signed_in


@pytest.fixture
def jobs(
    studio: Studio, endpoint: ScriptedEndpoint, owner: User, monkeypatch: pytest.MonkeyPatch
) -> tuple[Job, ...]:
    """Creates a finished job, a draft job and a waiting job, and with them a record of every kind."""
    request = JobRequest(prompt=f"a red {SECRET}", model="pocket", quality="fine", steps=20, seed=7, count=4)
    [draft] = in_group(plan(studio.catalogue.card("pocket"), [request], 4), "press")
    made = []
    for wanted in (request, draft):
        job = studio.jobs.submit(owner, wanted, idempotency_key=f"key of {wanted.steps}")
        endpoint.complete(endpoint.accepted[-1])
        studio.completion.finish(owner.id, job.id, job.attempt)
        made.append(studio.jobs.get(owner, job.id))
    shown, trashed, gone, _ = made[0].image_ids
    studio.shares.create(owner, shown, lives=timedelta(hours=1))
    studio.trash.put_many(owner, [trashed])
    studio.images.delete(owner, gone)
    album = studio.albums.create(owner, SECRET)
    studio.albums.put_in(owner, album.id, [shown])
    studio.prompts.save_list(owner, "animals", SECRET, new=True)
    studio.prompts.save_template(owner, "oil", f"{{prompt}}, {SECRET}", new=True)
    studio.prompts.star(owner, SECRET)
    studio.preferences.save(owner, Preferences(count=2))
    studio.accounts.create_key(owner, "ci")
    studio.exports.order(owner, [shown], size_bytes=1, settings=True)
    studio.search_index.fold(owner.id)
    studio.marks.star_many(owner, [shown], True)
    endpoint.instances = 0
    monkeypatch.setattr(endpoint_status, "FRESH_S", 0.0)
    made.append(studio.jobs.submit(owner, request.model_copy(update={"when": When.WARM})))
    return tuple(made)


def partition(table: Table, user: User) -> list[Item]:
    """Returns all of the user's records."""
    return list(table.each(keys.user_pk(user.id), ""))


def kinds_of(items: list[Item]) -> set[str]:
    """Returns the kinds of these records; one not declared in `services/store/kinds.py` appears by its sort key."""
    return {
        next((kind.prefix for kind in KINDS if holds(kind, item["SK"])), f"undeclared: {item['SK']}")
        for item in items
    }


def holds(kind: Kind, sk: str) -> bool:
    return sk.startswith(kind.prefix) if kind.prefix.endswith("#") else sk == kind.prefix


def objects_of(studio: Studio, user: User) -> list[str]:
    """Returns the object keys with the user's id in all buckets, including old versions."""
    s3, settings = real_clients(studio.settings).s3, studio.settings
    buckets = (
        settings.inputs_bucket,
        settings.outputs_bucket,
        settings.images_bucket,
        settings.library_bucket,
    )
    return [
        version["Key"]
        for bucket in buckets
        for version in s3.list_object_versions(Bucket=bucket).get("Versions", [])
        if user.id in version["Key"] or version["Key"].startswith("shares/")
    ]


def test_erasing_everything_leaves_only_the_kinds_with_a_reason_to_be_kept(
    studio: Studio, jobs: tuple[Job, ...], owner: User, table: Table
) -> None:
    assert kinds_of(partition(table, owner)) == {kind.prefix for kind in KINDS}, "one record of each kind"
    assert len(objects_of(studio, owner)) > 10

    receipt = studio.jobs.delete_all(owner)

    left = partition(table, owner)
    # The waiting job was canceled first.
    assert kinds_of(left) == {kind.prefix for kind in KINDS if kind.kept_because} - {keys.ENTRY}
    assert SECRET not in str(left)
    # Not even the cancel marker is left, because no container has the job.
    assert objects_of(studio, owner) == []
    assert (receipt.jobs, receipt.images, receipt.texts, receipt.shares) == (len(jobs), 7, 4, 1)


def test_erasing_a_job_erases_everything_attached_to_it(
    studio: Studio, jobs: tuple[Job, ...], owner: User, table: Table
) -> None:
    studio.jobs.cancel(owner, jobs[-1].id)
    for job in jobs:
        studio.jobs.delete(owner, job.id)
    left = kinds_of(partition(table, owner))
    assert left == {kind.prefix for kind in KINDS if not kind.with_job} - {keys.ENTRY}


def test_a_record_of_an_undeclared_kind_is_detected(
    studio: Studio, jobs: tuple[Job, ...], owner: User, table: Table
) -> None:
    table.put({"PK": keys.user_pk(owner.id), "SK": "NOVEL#1"})
    studio.jobs.delete_all(owner)
    assert "undeclared: NOVEL#1" in kinds_of(partition(table, owner))


@pytest.mark.parametrize("kind", sorted(ERASED))
def test_a_studio_with_a_kind_without_erasure_does_not_start(table: Table, kind: str) -> None:
    kept = KeptData()
    kept.kinds = ERASED - {kind}
    with pytest.raises(ValueError, match=f": {kind}$"):
        Erasure([kept], PersonRecords(table))


@pytest.mark.parametrize("kinds", [ERASED | {"NOVEL#"}, ERASED | {keys.PROFILE}])
def test_a_studio_that_erases_an_undeclared_kind_does_not_start(table: Table, kinds: frozenset[str]) -> None:
    kept = KeptData()
    kept.kinds = kinds
    with pytest.raises(ValueError, match=r"NOVEL#|PROFILE"):
        Erasure([kept], PersonRecords(table))


def test_a_kind_is_erased_by_one_capability_only(table: Table) -> None:
    kept, twice = KeptData(), KeptData()
    kept.kinds, twice.kinds = ERASED, frozenset({keys.ALBUM})
    with pytest.raises(ValueError, match=keys.ALBUM):
        Erasure([kept, twice], PersonRecords(table))


def test_an_erasure_that_leaves_a_registered_kind_fails_and_can_be_repeated(
    studio: Studio, jobs: tuple[Job, ...], owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeptAlbums, "begin_erasing", lambda *_: ErasureSteps())
    with pytest.raises(Unavailable):
        studio.jobs.delete_all(owner)
    monkeypatch.undo()
    assert studio.jobs.delete_all(owner).texts == 1, "a repeated erasure continues"


def test_tombstones_are_written_first_and_objects_are_deleted_before_records(
    studio: Studio, draw: Callable[..., Job], maker: User, cloud: Any
) -> None:
    job = draw()
    studio.albums.create(maker, "Best")
    seen: list[str] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        named = f"{model.name} {params.get('body') or params.get('url_path')}"
        if model.name == "PutItem" and keys.TOMBSTONE in str(named):
            seen.append("tombstone")
        elif model.name == "DeleteItem":
            seen.append("record")
        elif model.name == "DeleteObjects":
            seen.append("object")

    clients = real_clients(studio.settings)
    for client in (clients.dynamodb, clients.s3):
        client.meta.events.register("before-call", note, unique_id="order")
    try:
        studio.jobs.delete_all(maker)
    finally:
        for client in (clients.dynamodb, clients.s3):
            client.meta.events.unregister("before-call", unique_id="order")
    first = seen.index("record")
    assert seen[0] == "tombstone" and "tombstone" not in seen[1:]
    assert "object" in seen[:first]
    assert studio.images.list(maker, job_id=job.id).items == ()
