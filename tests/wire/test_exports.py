"""Tests of ZIP exports: complete, private, safe names, built once despite crashes, and deleted with their pictures."""

from __future__ import annotations

import csv
import io
import json
import secrets
import urllib.request
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.aws.table import Table, Update
from services.build import Studio
from services.clock import now
from services.errors import Conflict, InvalidRequest, LimitReached, NotFound
from services.exports import build_zip
from services.exports.build_zip import MAX_ATTEMPTS
from services.exports.orders import MOST_BYTES, MOST_OPEN, MOST_PICTURES, ExtraFile
from services.formats import png_metadata
from services.records import Job, JobRequest, User
from services.store import keys
from services.store.exports import Export, ExportStatus
from tests.endpoint import ScriptedEndpoint
from tests.faults.lost import LostAnswers
from tests.wire.conftest import real_clients


def order(studio: Studio, user: User, ids: Any, *, settings: bool = True, **more: Any) -> Export:
    return studio.exports.order(user, ids, size_bytes=1000, settings=settings, **more)


def fetch(studio: Studio, user: User, export: Export) -> zipfile.ZipFile:
    """Downloads the finished ZIP by its link, like a browser."""
    with urllib.request.urlopen(studio.exports.link(studio.exports.get(user, export.id))) as answer:
        assert 'filename="atelier-' in answer.headers["Content-Disposition"]
        archive = zipfile.ZipFile(io.BytesIO(answer.read()))
    assert archive.testzip() is None
    return archive


def left_in_library(studio: Studio, cloud: Any, prefix: str = "exports/") -> tuple[list[str], int]:
    """Returns the keys under the prefix and the number of unfinished uploads."""
    s3, bucket = cloud.client("s3"), studio.settings.library_bucket
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    uploads = s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", [])
    return [each["Key"] for each in found], len(uploads)


def lease_ends(table: Table, user: User, export: Export) -> None:
    """Lets the builder's lease expire."""
    table.update(
        Update(
            (keys.user_pk(user.id), f"EXPORT#{export.id}"),
            assign={"GSI1SK": (now() - timedelta(seconds=1)).isoformat()},
        )
    )


def stored(studio: Studio, user: User, image_id: str, cloud: Any) -> bytes:
    key = studio.images.get(user, image_id).key
    body = cloud.client("s3").get_object(Bucket=studio.settings.images_bucket, Key=key)["Body"].read()
    return bytes(body)


def test_with_settings_the_zip_has_the_stored_files_and_a_manifest(
    studio: Studio, draw: Callable[..., Job], maker: User, cloud: Any
) -> None:
    ids = draw(count=3).image_ids[::-1]
    studio.marks.tag_many(maker, ids[:1], add=["=sum(1)", "sea side"])
    export = order(studio, maker, ids, extras=[ExtraFile("account/profile.json", b"{}")])
    assert export.status is ExportStatus.WAITING
    with pytest.raises(Conflict):
        studio.exports.link(export)
    assert studio.export_builder.build_due() == 1 and studio.export_builder.build_due() == 0
    ready = studio.exports.get(maker, export.id)
    assert (ready.status, ready.done, ready.missing) == (ExportStatus.READY, 3, 0)
    archive = fetch(studio, maker, ready)
    names = archive.namelist()
    assert names[3:] == ["account/profile.json", "manifest.json", "manifest.csv"]
    assert names[0] == f"pictures/00001-a-red-apple-{studio.images.get(maker, ids[0]).seed}.png"
    assert [archive.read(name) for name in names[:3]] == [stored(studio, maker, one, cloud) for one in ids]
    manifest = json.loads(archive.read("manifest.json"))
    assert [(row["file"], row["id"], row["steps"]) for row in manifest] == [
        (name, image_id, 12) for name, image_id in zip(names, ids, strict=False)
    ]
    rows = list(csv.DictReader(io.StringIO(archive.read("manifest.csv").decode("utf-8-sig"))))
    assert rows[0]["tags"] == "'=sum(1), sea side" and rows[0]["prompt"] == "a red apple"
    assert rows[0]["guidance"] == "4.0"


def test_the_manifest_is_for_the_readers_spreadsheet(
    studio: Studio, draw: Callable[..., Job], maker: User
) -> None:
    export = order(studio, maker, draw().image_ids, decimal_comma=True)
    studio.export_builder.build_due()
    text = fetch(studio, maker, export).read("manifest.csv").decode("utf-8-sig")
    [row] = csv.DictReader(io.StringIO(text), delimiter=";")
    assert (row["guidance"], row["prompt"]) == ("4,0", "a red apple")


def test_without_settings_the_zip_does_not_reveal_the_prompt(
    studio: Studio, draw: Callable[..., Job], maker: User, cloud: Any
) -> None:
    [image_id] = draw().image_ids
    export = order(studio, maker, [image_id], settings=False)
    studio.export_builder.build_due()
    archive = fetch(studio, maker, export)
    assert archive.namelist() == ["pictures/00001.png"]
    [png] = [archive.read(name) for name in archive.namelist()]
    assert b"apple" not in png and png_metadata.texts(png) == {}
    assert png == png_metadata.strip(stored(studio, maker, image_id, cloud))


def test_hostile_prompts_become_safe_file_names(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    ids: list[str] = []
    for prompt in ("../../etc/passwd", "CON", "a\\b:c*?<>|\n", "猫と犬", "…", "x" * 300):
        job = studio.jobs.submit(maker, JobRequest(prompt=prompt, seed=7))
        endpoint.complete(endpoint.accepted[-1])
        studio.completion.finish(maker.id, job.id, job.attempt)
        ids += studio.jobs.get(maker, job.id).image_ids
    export = order(studio, maker, ids)
    studio.export_builder.build_due()
    names = [name for name in fetch(studio, maker, export).namelist() if name.startswith("pictures/")]
    assert names[:2] == ["pictures/00001-etc-passwd-7.png", "pictures/00002-con-7.png"]
    assert names[4] == "pictures/00005-7.png" and len(set(names)) == 6
    for name in names:
        assert name.count("/") == 1 and not set(name) & set('\\:*?"<>|\n') and len(name) < 80


def test_other_users_deleted_and_unknown_pictures_are_left_out(
    studio: Studio, draw: Callable[..., Job], maker: User, other: User
) -> None:
    kept, trashed = draw(count=2).image_ids
    [theirs] = draw(user=other).image_ids
    studio.trash.put_many(maker, [trashed])
    export = order(studio, maker, [theirs, trashed, kept, f"{keys.new_id()}-0", kept])
    assert export.pictures == 4
    studio.export_builder.build_due()
    assert studio.exports.get(maker, export.id).missing == 3
    assert len(fetch(studio, maker, export).namelist()) == 3
    for foreign in (export.id, "x", "../x"):
        with pytest.raises(NotFound):
            studio.exports.get(other, foreign)
        with pytest.raises(NotFound):
            studio.exports.delete(other, foreign)
    assert studio.exports.list(other) == ()


def test_too_large_and_too_many_exports_are_refused(
    studio: Studio, maker: User, draw: Callable[..., Job]
) -> None:
    ids = draw().image_ids
    made_up = [f"{keys.new_id()}-0" for _ in range(MOST_PICTURES + 1)]
    for wrong, size in ((made_up, 1), (ids, MOST_BYTES + 1), ([], 0), (["x"], 1)):
        with pytest.raises(InvalidRequest):
            studio.exports.order(maker, wrong, size_bytes=size, settings=True)
    for _ in range(MOST_OPEN):
        order(studio, maker, ids)
    with pytest.raises(LimitReached):
        order(studio, maker, ids)
    assert studio.export_builder.build_due() == MOST_OPEN
    order(studio, maker, ids)


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("s3", "CreateMultipartUpload"),
        ("s3", "UploadPart"),
        ("s3", "CompleteMultipartUpload"),
        ("dynamodb", "UpdateItem"),
    ],
)
@pytest.mark.parametrize("done", [True, False])
def test_a_zip_whose_builder_is_killed_is_rebuilt_without_leftovers(
    studio: Studio,
    draw: Callable[..., Job],
    maker: User,
    cloud: Any,
    table: Table,
    service: str,
    call: str,
    done: bool,
) -> None:
    ids = draw(count=4).image_ids
    export = order(studio, maker, ids)
    client = getattr(real_clients(studio.settings), service)
    event = f"{'after' if done else 'before'}-call.{client.meta.service_model.service_id.hyphenize()}.{call}"
    fired: list[int] = []

    def die(**_: Any) -> None:
        fired.append(1)
        raise KeyboardInterrupt

    client.meta.events.register_first(event, die)
    try:
        with pytest.raises(KeyboardInterrupt):
            studio.export_builder.build_due()
    finally:
        client.meta.events.unregister(event, die)
    assert fired
    if studio.exports.get(maker, export.id).status is ExportStatus.WORKING:
        assert studio.export_builder.build_due() == 0, "its builder may still be running"
        lease_ends(table, maker, export)
    assert studio.export_builder.build_due() == 1
    assert len(fetch(studio, maker, export).namelist()) == 6
    found, uploads = left_in_library(studio, cloud)
    assert uploads == 0 and len([key for key in found if key.endswith(".zip")]) == 1


def test_an_export_that_fails_repeatedly_is_marked_as_failed(
    studio: Studio,
    draw: Callable[..., Job],
    maker: User,
    cloud: Any,
    table: Table,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    export = order(studio, maker, draw().image_ids)
    broken = lambda *_: (_ for _ in ()).throw(NotFound("gone"))  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(studio.export_builder._library, "upload_part", broken)
        for _ in range(MAX_ATTEMPTS):
            assert studio.export_builder.build_due() == 0
            lease_ends(table, maker, export)
    assert studio.export_builder.build_due() == 0
    assert studio.exports.get(maker, export.id).status is ExportStatus.FAILED
    assert left_in_library(studio, cloud)[1] == 0


def test_a_zip_interrupted_by_a_stopping_worker_is_built_by_the_next(
    studio: Studio, draw: Callable[..., Job], maker: User, cloud: Any
) -> None:
    export = order(studio, maker, draw(count=4).image_ids)
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 3

    assert studio.export_builder.build_due(stopped) == 0
    assert left_in_library(studio, cloud)[1] == 0
    assert studio.export_builder.build_due() == 1
    assert len(fetch(studio, maker, export).namelist()) == 6


def test_a_zip_canceled_during_its_build_leaves_nothing(
    studio: Studio, draw: Callable[..., Job], maker: User, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = order(studio, maker, draw(count=4).image_ids)
    monkeypatch.setattr(build_zip, "TELL_EVERY_S", 0)
    read = studio.export_builder._read

    def read_then_cancel(image: Any) -> Any:
        if studio.exports.list(maker):
            studio.exports.delete(maker, export.id)
        return read(image)

    monkeypatch.setattr(studio.export_builder, "_read", read_then_cancel)
    assert studio.export_builder.build_due() == 0
    assert left_in_library(studio, cloud) == ([], 0)
    with pytest.raises(NotFound):
        studio.exports.get(maker, export.id)


def test_a_zip_larger_than_a_part_is_uploaded_in_parts(
    studio: Studio, draw: Callable[..., Job], maker: User, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_zip, "PART_BYTES", 5 * 1024 * 1024)
    ids = draw(count=4).image_ids
    bodies = {}
    for image_id in ids:
        image = studio.images.get(maker, image_id)
        # A chunk that readers skip makes the picture large.
        chunks = list(png_metadata.chunks(stored(studio, maker, image_id, cloud)))
        heavy = png_metadata.SIGNATURE + b"".join(
            [
                *(c.raw for c in chunks[:-1]),
                png_metadata._text_chunk("heavy", secrets.token_hex(3_000_000)),
                chunks[-1].raw,
            ]
        )
        cloud.client("s3").put_object(Bucket=studio.settings.images_bucket, Key=image.key, Body=heavy)
        bodies[image_id] = heavy
    export = order(studio, maker, ids, settings=True)
    parts: list[int] = []
    client = real_clients(studio.settings).s3
    client.meta.events.register("before-call.s3.UploadPart", watch := lambda **_: parts.append(1))
    try:
        assert studio.export_builder.build_due() == 1
    finally:
        client.meta.events.unregister("before-call.s3.UploadPart", watch)
    archive = fetch(studio, maker, export)
    assert len(parts) >= 2
    assert [archive.read(n) for n in archive.namelist()[:4]] == list(bodies.values())


def test_lost_answers_create_one_order_and_one_zip(
    studio: Studio, draw: Callable[..., Job], maker: User
) -> None:
    clients = real_clients(studio.settings)
    with LostAnswers(clients.dynamodb, "TransactWriteItems", 1, skip=2) as lost:
        ids = draw(count=2).image_ids
        export = order(studio, maker, ids)
    assert lost.fired == 1
    with (
        LostAnswers(clients.dynamodb, "UpdateItem", 1) as claim,
        LostAnswers(clients.s3, "CompleteMultipartUpload", 1) as complete,
    ):
        assert studio.export_builder.build_due() == 1
    assert claim.fired == 1 and complete.fired == 1
    assert studio.exports.list(maker)[0].id == export.id
    assert len(fetch(studio, maker, export).namelist()) == 4


def test_erasing_a_picture_deletes_the_zips_that_contain_it(
    studio: Studio, draw: Callable[..., Job], maker: User, cloud: Any
) -> None:
    gone, kept = draw(count=2).image_ids
    holding = order(studio, maker, [gone, kept])
    free = order(studio, maker, [kept])
    studio.export_builder.build_due()
    waiting = order(studio, maker, [gone, kept])
    studio.images.delete(maker, gone)
    studio.search_index.fold_due()
    assert {export.id for export in studio.exports.list(maker)} == {free.id, waiting.id}
    assert not [key for key in left_in_library(studio, cloud)[0] if holding.id in key]
    studio.export_builder.build_due()
    assert studio.exports.get(maker, waiting.id).missing == 1


def test_deleting_everything_deletes_the_zips(
    studio: Studio, draw: Callable[..., Job], maker: User, cloud: Any
) -> None:
    ids = draw(count=2).image_ids
    order(studio, maker, ids)
    studio.export_builder.build_due()
    order(studio, maker, ids)
    studio.jobs.delete_all(maker)
    assert left_in_library(studio, cloud) == ([], 0) and studio.exports.list(maker) == ()
    assert studio.export_builder.build_due() == 0


def test_a_zip_and_its_links_expire_after_two_days(
    studio: Studio, draw: Callable[..., Job], maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = order(studio, maker, draw().image_ids)
    studio.export_builder.build_due()
    ready = studio.exports.get(maker, export.id)
    almost = now() + timedelta(hours=47, minutes=50)
    monkeypatch.setattr("services.exports.orders.now", lambda: almost)
    assert "X-Amz-Expires=6" in studio.exports.link(ready) or "X-Amz-Expires=5" in studio.exports.link(ready)
    later = almost + timedelta(minutes=11)
    monkeypatch.setattr("services.exports.orders.now", lambda: later)
    assert studio.exports.list(maker) == ()
    with pytest.raises(NotFound):
        studio.exports.get(maker, export.id)
