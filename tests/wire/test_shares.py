"""Tests of share links: what they show, how they end, and what a crash leaves behind."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image as Pillow

from services.aws.objects import Objects
from services.build import Studio
from services.clock import now
from services.errors import InvalidRequest, LimitReached, NotFound, Unavailable
from services.formats.png_metadata import texts
from services.images import shares
from services.images.attachment_records import NewShare
from services.records import Image, JobRequest, User
from services.store import keys
from tests.endpoint import ScriptedEndpoint

HOUR, MONTH = shares.LIVES[0], shares.LIVES[-1]


@pytest.fixture
def picture(studio: Studio, endpoint: ScriptedEndpoint, maker: User) -> Image:
    job = studio.jobs.submit(maker, JobRequest(prompt="a secret apple", seed=7))
    endpoint.complete(endpoint.accepted[-1])
    studio.completion.finish(maker.id, job.id, job.attempt)
    return studio.images.get(maker, f"{job.id}-0")


@pytest.fixture
def copies(studio: Studio, cloud: Any) -> Callable[[], list[str]]:
    """Lists the keys of all shared copies in the bucket, in every version."""
    s3 = cloud.client("s3")

    def listed() -> list[str]:
        page = s3.list_object_versions(Bucket=studio.settings.images_bucket, Prefix="shares/")
        return [entry["Key"] for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]]

    return listed


def rows(studio: Studio, cloud: Any) -> list[str]:
    """Returns the sort keys of all share records in the table."""
    items = cloud.client("dynamodb").scan(TableName=studio.settings.table)["Items"]
    found = [(item["PK"]["S"], item["SK"]["S"]) for item in items]
    return [sk for pk, sk in found if pk.startswith("SHARE#") or sk.startswith(keys.ATTACHED)]


def later(monkeypatch: pytest.MonkeyPatch, span: timedelta) -> None:
    at = now() + span
    monkeypatch.setattr("services.images.shares.now", lambda: at)


def shared(studio: Studio, user: User, picture: Image, **asked: Any) -> NewShare:
    return studio.shares.create(user, picture.id, **({"lives": HOUR} | asked))


def test_a_link_shows_the_pixels_without_settings_or_owner(
    studio: Studio, maker: User, picture: Image, copies: Callable[[], list[str]], cloud: Any
) -> None:
    new = shared(studio, maker, picture)
    shown = studio.shares.look(new.token)
    [key] = copies()
    bucket = Objects(cloud.client("s3"), studio.settings.images_bucket)
    bare, full = (bucket.get(each, max_bytes=10**7) for each in (key, picture.key))
    assert "secret" in str(texts(full)) and texts(bare) == {}
    assert b"secret" not in bare and b"pocket" not in bare
    with Pillow.open(io.BytesIO(bare)) as one, Pillow.open(io.BytesIO(full)) as other:
        assert one.tobytes() == other.tobytes()
    assert shown.prompt is None
    for private in (maker.id, picture.job_id, picture.id, "secret", new.token):
        assert private not in shown.model_dump_json()
    assert "X-Amz-Expires=36" in shown.url or "X-Amz-Expires=35" in shown.url


def test_the_prompt_is_shown_only_when_it_was_added(studio: Studio, maker: User, picture: Image) -> None:
    assert (
        studio.shares.look(shared(studio, maker, picture, with_prompt=True).token).prompt == "a secret apple"
    )


def test_only_a_hash_of_the_token_is_stored(studio: Studio, maker: User, picture: Image, cloud: Any) -> None:
    new = shared(studio, maker, picture)
    assert len(new.token) == 32
    assert new.token not in repr(new)
    assert new.token not in str(cloud.client("dynamodb").scan(TableName=studio.settings.table)["Items"])


def test_a_presigned_link_never_outlives_the_share(
    studio: Studio, maker: User, picture: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = shared(studio, maker, picture, lives=MONTH)
    assert "X-Amz-Expires=3600&" in studio.shares.look(new.token).url + "&"
    later(monkeypatch, MONTH - timedelta(seconds=90))
    seconds = int(studio.shares.look(new.token).url.split("X-Amz-Expires=")[1].split("&")[0])
    assert 0 < seconds <= 90


def test_unknown_expired_revoked_and_deleted_links_get_the_same_message(
    studio: Studio, maker: User, picture: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoked, trashed = (shared(studio, maker, picture, lives=MONTH) for _ in range(2))
    studio.shares.revoke(maker, revoked.share.id)
    said = []
    for token in ("", "x", "A" * 32, "../../" + "a" * 26, revoked.token):
        with pytest.raises(NotFound) as refused:
            studio.shares.look(token)
        said.append(refused.value.message)
    studio.shares.look(trashed.token)
    studio.trash.put_many(maker, [picture.id])
    with pytest.raises(NotFound) as refused:
        studio.shares.look(trashed.token)
    said.append(refused.value.message)
    studio.trash.restore_many(maker, [picture.id])
    studio.shares.look(trashed.token)
    later(monkeypatch, MONTH)
    with pytest.raises(NotFound) as refused:
        studio.shares.look(trashed.token)
    assert {*said, refused.value.message} == {shares.GONE}


def test_other_users_and_malformed_ids_cannot_be_shared_revoked_or_listed(
    studio: Studio, maker: User, other: User, picture: Image
) -> None:
    new = shared(studio, maker, picture)
    for bad in (picture.id, "x", "../..", f"{keys.new_id()}-0"):
        with pytest.raises(NotFound):
            studio.shares.create(other, bad, lives=HOUR)
        assert studio.shares.list(other, bad) == ()
    for bad in (new.share.id, "x", "", f"{picture.id}-{keys.new_id()}", f"{new.share.id}#"):
        with pytest.raises(NotFound):
            studio.shares.revoke(other, bad)
    assert studio.shares.list(other) == ()
    studio.shares.look(new.token)
    with pytest.raises(InvalidRequest):
        studio.shares.create(maker, picture.id, lives=timedelta(days=400))


def test_views_are_counted_up_to_a_limit_and_never_restore_a_revoked_link(
    studio: Studio, maker: User, picture: Image, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_VIEWS", 2)
    new = shared(studio, maker, picture)
    for _ in range(4):
        studio.shares.look(new.token)
    [listed] = studio.shares.list(maker)
    assert listed.views == 2 and listed.id == new.share.id
    link = studio.shares._store.link(new.token)
    assert link is not None
    studio.shares.revoke(maker, new.share.id)
    studio.shares._count(link)
    assert rows(studio, cloud) == []


@pytest.mark.parametrize("way", ["revoke", "picture", "trash", "job", "everything", "time"])
def test_ending_a_share_in_any_way_leaves_no_copy_and_no_record(
    studio: Studio,
    maker: User,
    picture: Image,
    copies: Callable[[], list[str]],
    cloud: Any,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = shared(studio, maker, picture)
    assert copies() and len(rows(studio, cloud)) == 2
    if way == "revoke":
        studio.shares.revoke(maker, new.share.id)
    elif way == "picture":
        studio.images.delete(maker, picture.id)
    elif way == "trash":
        studio.trash.put_many(maker, [picture.id])
        studio.trash.empty(maker)
    elif way == "job":
        assert studio.jobs.delete(maker, picture.job_id).shares == 1
    elif way == "everything":
        assert studio.jobs.delete_all(maker).shares == 1
    else:
        later(monkeypatch, HOUR - timedelta(minutes=1))
        assert studio.shares.expire() == 0
        later(monkeypatch, HOUR + timedelta(minutes=1))
        assert studio.shares.expire() == 1
    assert copies() == [] and rows(studio, cloud) == []
    with pytest.raises(NotFound):
        studio.shares.look(new.token)


@pytest.mark.parametrize("step", ["_make_copy", "_open"])
def test_a_crash_while_sharing_leaves_no_open_link_and_the_sweeper_erases_the_rest(
    studio: Studio,
    maker: User,
    picture: Image,
    copies: Callable[[], list[str]],
    cloud: Any,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fired = []

    def dies(*_: Any) -> None:
        fired.append(step)
        raise Unavailable("the process dies here")

    with monkeypatch.context() as patch:
        patch.setattr(studio.shares, step, dies)
        with pytest.raises(Unavailable):
            shared(studio, maker, picture, lives=MONTH)
    assert fired and len(rows(studio, cloud)) == 1
    assert studio.shares.expire() == 0, "it may still be in progress"
    later(monkeypatch, shares.MAKING + timedelta(minutes=1))
    assert studio.shares.expire() == 1
    assert copies() == [] and rows(studio, cloud) == []


@pytest.mark.parametrize("step", ["_make_copy", "_open"])
def test_a_picture_deleted_while_it_is_being_shared_is_not_shared(
    studio: Studio,
    maker: User,
    picture: Image,
    copies: Callable[[], list[str]],
    cloud: Any,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = getattr(studio.shares, step)
    fired = []

    def deleted_first(*arguments: Any) -> None:
        fired.append(step)
        studio.images.delete(maker, picture.id)
        before(*arguments)

    monkeypatch.setattr(studio.shares, step, deleted_first)
    with pytest.raises(NotFound):
        shared(studio, maker, picture)
    assert fired and copies() == [] and rows(studio, cloud) == []


def test_the_number_of_links_is_limited(
    studio: Studio, maker: User, picture: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_SHARES", 2)
    first = shared(studio, maker, picture)
    shared(studio, maker, picture)
    with pytest.raises(LimitReached):
        shared(studio, maker, picture)
    studio.shares.revoke(maker, first.share.id)
    shared(studio, maker, picture)
