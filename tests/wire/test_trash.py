"""Tests of the trash: hidden at once, restorable, erased after 30 days, and consistent after faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.aws.table import Table
from services.build import Studio
from services.clock import now
from services.errors import InvalidRequest, NotFound, Unavailable
from services.images.bulk_changes import MOST_PICTURES
from services.images.trash import KEPT, until
from services.records import Job, JobRequest, User
from services.store import keys
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.faults.lost import LostAnswers
from tests.wire.conftest import real_clients
from tests.wire.test_jobs import APPLE, _keys, _versions

# boto3's attempts before it gives up (services/aws/session.py).
GIVES_UP = 4


def later(monkeypatch: pytest.MonkeyPatch, span: timedelta) -> None:
    """Moves the trash's clock ahead by `span`."""
    at = now() + span
    monkeypatch.setattr("services.images.trash.now", lambda: at)


def notes(studio: Studio, user: User, cloud: Any) -> list[str]:
    """Returns the sort keys of the user's trash records in the table."""
    answer = cloud.client("dynamodb").query(
        TableName=studio.settings.table,
        KeyConditionExpression="PK = :pk AND begins_with(SK, :trash)",
        ExpressionAttributeValues={":pk": {"S": f"USER#{user.id}"}, ":trash": {"S": "TRASH#"}},
    )
    return [item["SK"]["S"] for item in answer["Items"]]


def test_a_trashed_picture_is_hidden_from_all_lists_and_restored_unchanged(
    studio: Studio, draw: Callable[..., Job], maker: User, cloud: Any
) -> None:
    job = draw(count=2)
    studio.marks.star_many(maker, job.image_ids, True)
    before = studio.images.list(maker).items
    gone, kept = job.image_ids
    assert studio.trash.put_many(maker, [gone]).done == (gone,)
    assert [image.id for image in studio.images.list(maker).items] == [kept]
    assert [image.id for image in studio.images.list(maker, favorites=True).items] == [kept]
    assert [image.id for image in studio.images.list(maker, job_id=job.id).items] == [kept]
    assert [image.id for image in studio.images.of_jobs(maker, [job])[job.id]] == [kept]
    assert studio.jobs.find_same(maker, JobRequest(prompt="a red apple", seed=7, count=2)) is None
    with pytest.raises(NotFound):
        studio.images.get(maker, gone)
    [trashed] = studio.trash.list(maker).items
    assert trashed == studio.trash.get(maker, gone)
    assert timedelta(days=29) < until(trashed) - now() <= KEPT
    assert studio.trash.restore_many(maker, [gone]).done == (gone,)
    assert studio.images.list(maker).items == before
    assert studio.trash.list(maker).items == () and notes(studio, maker, cloud) == []


def test_repeated_or_unordered_changes_have_no_effect_on_state_or_expiry(
    studio: Studio, draw: Callable[..., Job], maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    [image_id] = draw().image_ids
    assert studio.trash.restore_many(maker, [image_id]).done == (image_id,), "it is not in the trash"
    studio.trash.put_many(maker, [image_id, image_id])
    since = studio.trash.get(maker, image_id).trashed_at
    with monkeypatch.context() as patch:
        later(patch, timedelta(days=3))
        assert studio.trash.put_many(maker, [image_id]).done == (image_id,)
    assert studio.trash.get(maker, image_id).trashed_at == since
    assert studio.trash.erase_many(maker, [image_id]).done == (image_id,)
    assert studio.trash.erase_many(maker, [image_id]).missing == (image_id,)
    assert studio.trash.restore_many(maker, [image_id]).missing == (image_id,)
    assert studio.trash.put_many(maker, [image_id]).missing == (image_id,)


def test_other_users_malformed_and_too_many_ids_change_nothing(
    studio: Studio, draw: Callable[..., Job], maker: User, other: User
) -> None:
    [image_id] = draw().image_ids
    bad = [image_id, "x", "../../etc", f"{keys.new_id()}-0"]
    assert studio.trash.put_many(other, bad).missing == tuple(bad)
    assert studio.images.get(maker, image_id).trashed_at is None
    studio.trash.put_many(maker, [image_id])
    assert studio.trash.restore_many(other, bad).missing == tuple(bad)
    assert studio.trash.erase_many(other, bad).missing == tuple(bad)
    assert studio.trash.list(other).items == ()
    for foreign in bad:
        with pytest.raises(NotFound):
            studio.trash.get(other, foreign)
    assert studio.trash.get(maker, image_id).id == image_id
    with pytest.raises(InvalidRequest):
        studio.trash.put_many(maker, [f"{keys.new_id()}-0" for _ in range(MOST_PICTURES + 1)])


def test_missing_pictures_do_not_block_others_and_a_hundred_take_few_calls(
    studio: Studio, draw: Callable[..., Job], maker: User
) -> None:
    ids = [image_id for _ in range(3) for image_id in draw(count=4).image_ids]
    made_up = [f"{keys.new_id()}-0" for _ in range(MOST_PICTURES - len(ids))]
    calls = []
    dynamodb = real_clients(studio.settings).dynamodb
    dynamodb.meta.events.register("before-send.dynamodb", watch := lambda **_: calls.append(1))
    try:
        result = studio.trash.put_many(maker, [*made_up, *ids])
    finally:
        dynamodb.meta.events.unregister("before-send.dynamodb", watch)
    assert set(result.done) == set(ids) and result.missing == tuple(made_up)
    assert 0 < len(calls) <= 5
    assert studio.images.list(maker).items == ()


def test_trash_is_erased_with_every_version_after_30_days_and_not_before(
    studio: Studio, draw: Callable[..., Job], maker: User, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, kept = draw(), draw()
    studio.trash.put_many(maker, old.image_ids)
    later(monkeypatch, KEPT - timedelta(minutes=1))
    assert studio.trash.expire() == 0
    later(monkeypatch, KEPT + timedelta(minutes=1))
    assert studio.trash.expire() == 1
    assert _versions(studio, keys.images_prefix(maker.id, old.id)) == 0
    assert studio.trash.list(maker).items == () and notes(studio, maker, cloud) == []
    assert studio.trash.expire() == 0
    assert [image.job_id for image in studio.images.list(maker).items] == [kept.id]
    assert _keys(studio, keys.images_prefix(maker.id, kept.id))
    # The tombstone prevents a late copy from being restored.
    cloud.client("s3").put_object(
        Bucket=studio.settings.images_bucket, Key=keys.image_key(maker.id, old.id, 0), Body=b"late"
    )
    assert studio.reconciler.reconcile().erased == 1


def test_the_worker_erases_expired_trash(
    studio: Studio, draw: Callable[..., Job], maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.trash.put_many(maker, draw().image_ids)
    later(monkeypatch, KEPT + timedelta(minutes=1))
    worker = Worker(studio, studio.results_queue, studio.metrics)
    working = threading.Thread(target=worker.run)
    working.start()
    try:
        end = time.monotonic() + 30
        while _keys(studio, keys.images_prefix(maker.id)) and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        worker.stop()
        working.join()
    assert _versions(studio, keys.images_prefix(maker.id)) == 0


def test_a_stale_index_does_not_erase_restored_or_newly_deleted_pictures(
    studio: Studio, draw: Callable[..., Job], maker: User, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored, again = draw().image_ids[0], draw().image_ids[0]
    studio.trash.put_many(maker, [restored, again])
    behind = table.index(keys.TRASHED)
    assert len(behind) == 2
    studio.trash.restore_many(maker, [restored, again])
    studio.trash.put_many(maker, [again])
    monkeypatch.setattr(Table, "index", lambda *_, **__: behind)
    assert studio.trash.expire() == 0
    assert studio.images.get(maker, restored).trashed_at is None
    assert [image.id for image in studio.trash.list(maker).items] == [again]


@pytest.mark.parametrize("times", [1, GIVES_UP], ids=["once", "until boto3 gives up"])
def test_a_lost_answer_to_a_deletion_or_its_undo_leaves_a_consistent_state(
    studio: Studio, draw: Callable[..., Job], maker: User, times: int
) -> None:
    [image_id] = draw().image_ids
    dynamodb = real_clients(studio.settings).dynamodb
    for change, there in ((studio.trash.put_many, False), (studio.trash.restore_many, True)):
        with LostAnswers(dynamodb, "TransactWriteItems", times) as lost:
            if times == GIVES_UP:
                with pytest.raises(Unavailable):
                    change(maker, [image_id])
            else:
                assert change(maker, [image_id]).done == (image_id,)
        assert lost.fired == times
        assert bool(studio.images.list(maker).items) is there
        assert bool(studio.trash.list(maker).items) is not there
        assert change(maker, [image_id]).done == (image_id,)


def test_the_upkeep_completes_an_erasure_interrupted_at_its_objects(
    studio: Studio, draw: Callable[..., Job], maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = draw(count=2)
    studio.trash.put_many(maker, job.image_ids)
    with (
        LostAnswers(real_clients(studio.settings).s3, "DeleteObjects", GIVES_UP) as lost,
        pytest.raises(Unavailable),
    ):
        studio.trash.erase_many(maker, job.image_ids)
    assert lost.fired == GIVES_UP
    assert studio.trash.list(maker).items == () and studio.images.list(maker).items == ()
    assert studio.trash.restore_many(maker, job.image_ids).missing == job.image_ids, "an erasure is permanent"
    assert _versions(studio, keys.images_prefix(maker.id)) > 0
    monkeypatch.setattr("services.images.images.UPKEEP_AFTER", timedelta(seconds=-10))
    assert studio.images.upkeep() == 2
    assert _versions(studio, keys.images_prefix(maker.id)) == 0
    assert studio.images.upkeep() == 0


def test_emptying_erases_exactly_the_pictures_in_the_trash(
    studio: Studio,
    draw: Callable[..., Job],
    maker: User,
    cloud: Any,
    table: Table,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = [draw(count=4) for _ in range(2)]
    [kept, *gone] = [image_id for job in jobs for image_id in job.image_ids]
    studio.trash.put_many(maker, gone)
    # A trash record whose picture was restored from a backup must neither block the others nor erase the picture.
    table.put(
        {"PK": f"USER#{maker.id}", "SK": f"TRASH#{kept.replace('-', '#')}", "trashed_at": now().isoformat()}
    )
    monkeypatch.setattr("services.images.bulk_changes.MOST_PICTURES", 3)
    assert studio.trash.empty(maker) == len(gone)
    assert [image.id for image in studio.images.list(maker).items] == [kept]
    assert notes(studio, maker, cloud) == []
    assert len(_keys(studio, keys.images_prefix(maker.id))) == 2
    assert studio.trash.empty(maker) == 0


def test_erasing_a_picture_a_job_or_everything_includes_the_trash(
    studio: Studio, draw: Callable[..., Job], maker: User, cloud: Any
) -> None:
    one, two, three = draw(), draw(), draw()
    studio.trash.put_many(maker, [*one.image_ids, *two.image_ids, *three.image_ids])
    studio.images.delete(maker, one.image_ids[0])
    assert _versions(studio, keys.images_prefix(maker.id, one.id)) == 0
    assert studio.jobs.delete(maker, two.id).images == 1
    assert _versions(studio, keys.images_prefix(maker.id, two.id)) == 0
    assert notes(studio, maker, cloud) == [f"TRASH#{three.id}#0"]
    assert studio.jobs.delete_all(maker).images == 1
    assert _versions(studio, keys.images_prefix(maker.id)) == 0
    assert notes(studio, maker, cloud) == []


def test_a_trashed_picture_without_a_thumbnail_gets_one_and_still_expires(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    endpoint.complete(endpoint.accepted[-1])
    with monkeypatch.context() as patch:
        patch.setattr(
            "services.images.images.thumbnail", lambda _: (_ for _ in ()).throw(OSError("no space"))
        )
        studio.completion.finish(maker.id, job.id, job.attempt)
    [image] = studio.images.list(maker).items
    assert image.thumbnail_key is None
    studio.trash.put_many(maker, [image.id])
    assert studio.images.upkeep() == 1 and studio.images.upkeep() == 0
    assert studio.trash.get(maker, image.id).thumbnail_key is not None
    later(monkeypatch, KEPT + timedelta(minutes=1))
    assert studio.trash.expire() == 1
    assert _versions(studio, keys.images_prefix(maker.id)) == 0
