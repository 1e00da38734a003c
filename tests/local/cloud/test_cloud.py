"""Tests of the embedded cloud's process: durability after a kill, listening addresses, refused requests."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud.journal import RESERVE_BYTES
from local.processes import LOOPBACK, ROOT, ChildFailed
from local.resources import IMAGES_BUCKET, TABLE
from tests.cloud import EmbeddedCloud

KEY = "images/u/j/0.png"


@pytest.fixture
def own_cloud(tmp_path: Path) -> Iterator[EmbeddedCloud]:
    """An embedded cloud that a test may kill."""
    cloud = EmbeddedCloud(tmp_path / "cloud")
    yield cloud
    cloud.kill()


def test_all_state_is_restored_after_a_clean_stop(own_cloud: EmbeddedCloud) -> None:
    made = own_cloud.make_resources()
    person = own_cloud.make_person(made, "ada")
    item = {"PK": {"S": "USER#1"}, "SK": {"S": "PROFILE"}, "GSI1PK": {"S": "OPEN#0"}, "GSI1SK": {"S": "1"}}
    own_cloud.client("dynamodb").put_item(TableName=TABLE, Item=item)
    own_cloud.client("sns").publish(TopicArn=made.success_topic_arn, Message="done")
    own_cloud.stop()
    own_cloud.restart()

    again = own_cloud.make_resources()
    assert again == made
    query = {"TableName": TABLE, "IndexName": "GSI1", "KeyConditionExpression": "GSI1PK = :pk"}
    found = own_cloud.client("dynamodb").query(**query, ExpressionAttributeValues={":pk": {"S": "OPEN#0"}})
    assert found["Items"] == [item]
    received = own_cloud.client("sqs").receive_message(QueueUrl=again.results_queue_url)
    assert received["Messages"][0]["Body"] == "done"
    own_cloud.client("sns").publish(TopicArn=made.errors_topic_arn, Message="still subscribed")
    received = own_cloud.client("sqs").receive_message(QueueUrl=again.results_queue_url)
    assert received["Messages"][0]["Body"] == "still subscribed"
    signed_in = own_cloud.client("cognito-idp").admin_get_user(
        UserPoolId=again.sign_in.pool_id, Username=person.email
    )
    assert {"Name": "sub", "Value": person.sub} in signed_in["UserAttributes"]


def test_kill_9_loses_nothing_that_was_acknowledged(own_cloud: EmbeddedCloud) -> None:
    made = own_cloud.make_resources()
    person = own_cloud.make_person(made, "ada")
    table, cognito = own_cloud.client("dynamodb"), own_cloud.client("cognito-idp")
    for sk in ("kept", "erased", "changed"):
        table.put_item(TableName=TABLE, Item={"PK": {"S": "USER#1"}, "SK": {"S": sk}, "v": {"N": "1"}})
    table.transact_write_items(
        TransactItems=[
            {"Delete": {"TableName": TABLE, "Key": {"PK": {"S": "USER#1"}, "SK": {"S": "erased"}}}},
            {
                "Update": {
                    "TableName": TABLE,
                    "Key": {"PK": {"S": "USER#1"}, "SK": {"S": "changed"}},
                    "UpdateExpression": "SET v = :v",
                    "ExpressionAttributeValues": {":v": {"N": "2"}},
                }
            },
        ]
    )
    own_cloud.make_person(made, "eve")
    cognito.admin_delete_user(UserPoolId=made.sign_in.pool_id, Username="eve@example.com")
    own_cloud.kill()
    own_cloud.restart()

    items = own_cloud.client("dynamodb").scan(TableName=TABLE)["Items"]
    assert {item["SK"]["S"]: item["v"]["N"] for item in items} == {"kept": "1", "changed": "2"}
    assert own_cloud.make_resources() == made
    users = cognito.list_users(UserPoolId=made.sign_in.pool_id)["Users"]
    emails = [a["Value"] for user in users for a in user["Attributes"] if a["Name"] == "email"]
    assert emails == [person.email]


def test_a_table_that_was_deleted_and_made_again_is_empty_after_kill_9(own_cloud: EmbeddedCloud) -> None:
    own_cloud.make_resources()
    table = own_cloud.client("dynamodb")
    table.put_item(TableName=TABLE, Item={"PK": {"S": "a"}, "SK": {"S": "b"}})
    table.delete_table(TableName=TABLE)
    own_cloud.make_resources()
    own_cloud.kill()
    own_cloud.restart()
    assert own_cloud.client("dynamodb").scan(TableName=TABLE)["Items"] == []


def test_a_disk_that_cannot_take_more_refuses_changes_and_keeps_what_it_acknowledged(
    own_cloud: EmbeddedCloud,
) -> None:
    own_cloud.make_resources()
    table = own_cloud.client("dynamodb")
    _limit_files(own_cloud, RESERVE_BYTES)
    acknowledged = []
    with pytest.raises(ClientError) as refused:
        for number in range(100):
            item = {"PK": {"S": "USER#1"}, "SK": {"S": f"{number:03}"}, "x": {"S": "x" * 300_000}}
            table.put_item(TableName=TABLE, Item=item)
            acknowledged.append(item["SK"]["S"])
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert acknowledged, "the reserved space should have been good for some"
    # Reading goes on, and so does writing as soon as there is room.
    assert _sort_keys(table) == acknowledged
    _limit_files(own_cloud, resource.RLIM_INFINITY)
    table.put_item(TableName=TABLE, Item={"PK": {"S": "USER#1"}, "SK": {"S": "room"}})
    own_cloud.kill()
    own_cloud.restart()
    assert _sort_keys(own_cloud.client("dynamodb")) == [*acknowledged, "room"]


def _sort_keys(table: Any) -> list[str]:
    query = {"TableName": TABLE, "KeyConditionExpression": "PK = :pk", "ProjectionExpression": "SK"}
    found = table.get_paginator("query").paginate(**query, ExpressionAttributeValues={":pk": {"S": "USER#1"}})
    return [item["SK"]["S"] for page in found for item in page["Items"]]


def _limit_files(cloud: EmbeddedCloud, most_bytes: int) -> None:
    """Has the cloud's files grow no more, as on a full disk."""
    resource.prlimit(cloud.child.pid, resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))


def test_erased_text_leaves_the_disk_within_the_compaction_interval(tmp_path: Path) -> None:
    cloud = EmbeddedCloud(tmp_path / "cloud", snapshot_s=0.5)
    try:
        cloud.make_resources()
        table, secret = cloud.client("dynamodb"), "a very private prompt"
        item = {"PK": {"S": "USER#1"}, "SK": {"S": "JOB#1"}, "prompt": {"S": secret}}
        table.put_item(TableName=TABLE, Item=item)
        assert _files_with(cloud.folder, secret)
        table.delete_item(TableName=TABLE, Key={"PK": {"S": "USER#1"}, "SK": {"S": "JOB#1"}})
        deadline = time.monotonic() + 20
        while (found := _files_with(cloud.folder, secret)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert found == []
    finally:
        cloud.kill()


def _files_with(folder: Path, text: str) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            if text.encode() in path.read_bytes():
                found.append(path)
    return found


def test_a_cloud_whose_records_are_damaged_refuses_to_start_in_one_line(own_cloud: EmbeddedCloud) -> None:
    own_cloud.make_resources()
    own_cloud.stop()
    journal = own_cloud.folder / "records/journal-1.jsonl"
    data = bytearray(journal.read_bytes())
    data[200] ^= 1
    journal.write_bytes(data)
    with pytest.raises(ChildFailed, match="exit code 3") as failed:
        own_cloud.restart()
    [line] = [line for line in str(failed.value).splitlines() if "journal-1.jsonl is damaged" in line]
    assert "make repair" in line
    assert journal.read_bytes() == data


def test_a_picture_stored_just_before_kill_9_is_readable_with_its_type_and_versions(
    own_cloud: EmbeddedCloud,
) -> None:
    own_cloud.make_resources()
    own_cloud.save()
    s3 = own_cloud.client("s3")
    for body in (b"first", b"second"):
        s3.put_object(
            Bucket=IMAGES_BUCKET, Key=KEY, Body=body, ContentType="image/png", Metadata={"seed": "7"}
        )
    s3.put_object(Bucket=IMAGES_BUCKET, Key="images/u/j/1.png", Body=b"gone")
    s3.delete_object(Bucket=IMAGES_BUCKET, Key="images/u/j/1.png")
    own_cloud.kill()
    own_cloud.restart()

    found = s3.get_object(Bucket=IMAGES_BUCKET, Key=KEY)
    assert found["Body"].read() == b"second"
    assert (found["ContentType"], found["Metadata"]) == ("image/png", {"seed": "7"})
    versions = s3.list_object_versions(Bucket=IMAGES_BUCKET)
    bodies = {
        s3.get_object(Bucket=IMAGES_BUCKET, Key=v["Key"], VersionId=v["VersionId"])["Body"].read()
        for v in versions["Versions"]
    }
    assert bodies == {b"first", b"second", b"gone"}
    assert [marker["Key"] for marker in versions["DeleteMarkers"]] == ["images/u/j/1.png"]
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=IMAGES_BUCKET)["Contents"]] == [KEY]


def test_a_picture_stored_before_the_first_snapshot_survives_kill_9(own_cloud: EmbeddedCloud) -> None:
    own_cloud.make_resources()
    own_cloud.client("s3").put_object(Bucket=IMAGES_BUCKET, Key=KEY, Body=b"first", ContentType="image/png")
    own_cloud.kill()
    own_cloud.restart()
    own_cloud.make_resources()
    s3 = own_cloud.client("s3")
    assert s3.get_object(Bucket=IMAGES_BUCKET, Key=KEY)["Body"].read() == b"first"
    assert s3.get_bucket_versioning(Bucket=IMAGES_BUCKET)["Status"] == "Enabled"
    assert len(s3.list_object_versions(Bucket=IMAGES_BUCKET)["Versions"]) == 1


def test_the_cloud_listens_on_loopback_only(cloud: EmbeddedCloud) -> None:
    # A service that opens another listener would do so on first use.
    cloud.make_resources()
    addresses = _listening(cloud.child.pid)
    assert addresses == {(LOOPBACK, cloud.port)}


def _listening(pid: int) -> set[tuple[str, int]]:
    links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    inodes = {found[1] for link in links if (found := re.fullmatch(r"socket:\[(\d+)\]", link))}
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                host, port = fields[1].split(":")
                octets = [str(int(host[i : i + 2], 16)) for i in range(0, 8, 2)]
                addresses.add((".".join(reversed(octets)) if table == "tcp" else host, int(port, 16)))
    return addresses


@pytest.mark.parametrize(
    ("path", "headers", "reason"),
    [
        ("/", {"Origin": "http://evil.example"}, "may not use"),
        ("/", {"Origin": "null"}, "may not use"),
        ("/", {"Host": "evil.example"}, "answers as"),
        ("/_ministack/reset", {"Sec-Fetch-Site": "cross-site"}, "not for browsers"),
        ("/_ministack/config", {}, "not available"),
    ],
)
def test_a_request_from_a_page_of_another_site_is_refused(
    cloud: EmbeddedCloud, path: str, headers: dict[str, str], reason: str
) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, cloud.port, timeout=10)
    connection.request("POST", path, headers=headers)
    answer = connection.getresponse()
    assert answer.status == 403
    assert reason in answer.read().decode()
    connection.close()


def test_two_clouds_running_side_by_side_share_no_state(
    cloud: EmbeddedCloud, own_cloud: EmbeddedCloud
) -> None:
    here, there = cloud.make_resources(), own_cloud.make_resources("http://localhost:9999")
    assert here.sign_in.pool_id != there.sign_in.pool_id
    cloud.client("dynamodb").put_item(TableName=TABLE, Item={"PK": {"S": "a"}, "SK": {"S": "b"}})
    assert own_cloud.client("dynamodb").scan(TableName=TABLE)["Items"] == []


def test_a_ministack_other_than_the_pinned_version_is_refused_in_one_line(tmp_path: Path) -> None:
    # MiniStack is not installed in the environment of the tests.
    command = [sys.executable, "-m", "local.cloud", "--port", "1", "--folder", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert "MiniStack 1.5.33 is needed, this environment has none" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
