"""Tests of the repair of S3 objects whose write was interrupted by a kill."""

from __future__ import annotations

import json
import os
from pathlib import Path

from local.cloud.bodies import mend_bodies
from local.resources import IMAGES_BUCKET, OUTPUTS_BUCKET
from tests.cloud import EmbeddedCloud

ACCOUNT = "000000000000"


def test_a_body_without_its_metadata_file_is_readable_and_has_a_content_type(tmp_path: Path) -> None:
    cloud = EmbeddedCloud(tmp_path / "cloud")
    try:
        cloud.make_resources()
        s3 = cloud.client("s3")
        for key in ("u/j/1.json", "u/j/2.json"):
            s3.put_object(Bucket=OUTPUTS_BUCKET, Key=key, Body=b"{}", ContentType="application/json")
        cloud.kill()
        bucket = cloud.folder / "s3" / ACCOUNT / OUTPUTS_BUCKET
        (bucket / "u/j/1.json.meta.json").unlink()
        (bucket / "u/j/2.json.tmp").write_bytes(b"half")
        cloud.restart()
        cloud.make_resources()
        found = s3.get_object(Bucket=OUTPUTS_BUCKET, Key="u/j/1.json")
        assert (found["Body"].read(), found["ContentType"]) == (b"{}", "application/json")
        listed = s3.list_objects_v2(Bucket=OUTPUTS_BUCKET)["Contents"]
        assert [item["Key"] for item in listed] == ["u/j/1.json", "u/j/2.json"]
        assert "described" in cloud.child.log.read_text()
    finally:
        cloud.kill()


def test_an_unfinished_overwrite_in_a_versioned_bucket_is_rolled_back(tmp_path: Path) -> None:
    bucket = tmp_path / ACCOUNT / IMAGES_BUCKET
    body, before = bucket / "a.png", tmp_path / ".versions" / ACCOUNT / IMAGES_BUCKET / "v1" / "a.png"
    for path, data in ((body, b"new bytes"), (before, b"old")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    sidecar = bucket / "a.png.meta.json"
    sidecar.write_text(json.dumps({"etag": '"of old"', "size": 3, "version_id": "v1", "key": "a.png"}))
    os.utime(sidecar, ns=(1, 1))

    assert len(mend_bodies(tmp_path)) == 1
    assert body.read_bytes() == b"old"
    assert json.loads(sidecar.read_text())["etag"] == '"of old"'
    assert mend_bodies(tmp_path) == []


def test_the_metadata_of_an_interrupted_overwrite_is_updated_to_the_new_bytes(tmp_path: Path) -> None:
    body = tmp_path / ACCOUNT / OUTPUTS_BUCKET / "a.json"
    body.parent.mkdir(parents=True)
    body.write_bytes(b"new bytes")
    sidecar = body.with_name("a.json.meta.json")
    sidecar.write_text(json.dumps({"etag": '"stale"', "size": 3, "content_type": "application/json"}))
    os.utime(sidecar, ns=(1, 1))

    mend_bodies(tmp_path)
    described = json.loads(sidecar.read_text())
    assert (described["size"], described["content_type"]) == (9, "application/json")
    assert described["etag"] != '"stale"'


def test_a_cut_description_is_moved_aside_and_rebuilt_from_the_body(tmp_path: Path) -> None:
    folder = tmp_path / "s3"
    body = folder / ACCOUNT / OUTPUTS_BUCKET / "a.json"
    body.parent.mkdir(parents=True)
    body.write_bytes(b"{}")
    sidecar, marker = body.with_name("a.json.meta.json"), body.with_name("gone.png.meta.json")
    for path in (sidecar, marker):
        path.write_text('{"etag": "cu')

    lines = mend_bodies(folder)
    assert len(lines) == 3 and sum("is damaged: moved to" in line for line in lines) == 2
    assert json.loads(sidecar.read_text())["content_type"] == "application/json"
    assert not marker.exists()
    aside = tmp_path / "damaged" / ACCOUNT / OUTPUTS_BUCKET
    assert sorted(path.name for path in aside.iterdir()) == [sidecar.name, marker.name]
    assert mend_bodies(folder) == []
