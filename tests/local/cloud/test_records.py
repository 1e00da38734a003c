"""Base and journals: what is read back, what is cut, what is refused, and what a repair keeps."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from local.cloud.compaction import compact
from local.cloud.records import line_of, record_of
from local.cloud.recovery import (
    Recovered,
    StateUnusable,
    copy_of,
    forget,
    from_snapshot,
    read_all,
    recover,
    repair,
)

TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/t"


def put(sk: str, value: object = 1, pk: str = "p") -> list[Any]:
    return ["items", [[TABLE, pk, sk, {"v": value}]]]


def gone(sk: str) -> list[Any]:
    return ["items", [[TABLE, "p", sk, None]]]


def journal(folder: Path, number: int, *records: list[Any], tail: bytes = b"") -> Path:
    path = folder / f"journal-{number}.jsonl"
    path.write_bytes(b"".join(map(line_of, records)) + tail)
    return path


def read(folder: Path, said: list[str] | None = None) -> Recovered:
    return recover(folder, (said if said is not None else []).append)


def items(found: Recovered) -> dict[str, Any]:
    buckets = found.contents.tables.get(TABLE, {}).values()
    return {sk: item["v"] for bucket in buckets for sk, item in bucket.items()}


def test_an_empty_folder_is_an_empty_state(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert items(found) == {} and (found.base, found.number, found.end) == (0, 1, 0)


def test_records_are_applied_in_order_and_reserved_space_is_no_damage(tmp_path: Path) -> None:
    records = [put("a"), put("b"), gone("a"), put("b", 2), put("c")]
    path = journal(tmp_path, 1, *records, tail=b"\0" * 4000)
    said: list[str] = []
    found = read(tmp_path, said)
    assert items(found) == {"b": 2, "c": 1}
    assert found.end == len(path.read_bytes().rstrip(b"\0"))
    assert said == []


@pytest.mark.parametrize("reserved", [b"", b"\0" * 100])
@pytest.mark.parametrize("kept", [1, 9, 20, -1])
def test_a_torn_last_line_is_cut_and_said(tmp_path: Path, kept: int, reserved: bytes) -> None:
    journal(tmp_path, 1, put("a"), tail=line_of(put("b"))[:kept] + reserved)
    said: list[str] = []
    assert items(read(tmp_path, said)) == {"a": 1}
    assert len(said) == 1 and "cut" in said[0]


def test_damage_before_readable_records_refuses_the_start_and_changes_nothing(tmp_path: Path) -> None:
    path = journal(tmp_path, 1, put("a"), put("b"), put("c"), put("d"))
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"b"', b'"x"'))
    with pytest.raises(StateUnusable) as refused:
        read(tmp_path)
    assert "journal-1.jsonl is damaged" in str(refused.value)
    assert "2 changes after it" in str(refused.value)
    assert "make repair" in str(refused.value)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]

    done = repair(tmp_path, None)
    assert items(read(tmp_path)) == {"a": 1, "c": 1, "d": 1}
    assert "kept 3 records" in done[0]
    assert [entry.name for entry in tmp_path.glob("damaged-*/*")] == [path.name]


def test_a_base_holds_what_the_journals_held(tmp_path: Path) -> None:
    journal(tmp_path, 1, put("a"), put("b"), ["parts", "cognito", [[["pool", "u"], 1], [["pool", "w"], 1]]])
    journal(tmp_path, 2)
    compact(tmp_path, 0, 1)
    forget(tmp_path, 2)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "base-2.copy.jsonl",
        "base-2.jsonl",
        "journal-2.jsonl",
    ]
    assert items(read(tmp_path)) == {"a": 1, "b": 1}

    journal(tmp_path, 2, gone("a"), put("c"), ["parts", "cognito", [[["pool", "u"]], [["pool", "v"], None]]])
    journal(tmp_path, 3, put("d"))
    compact(tmp_path, 2, 2)
    forget(tmp_path, 3)
    found = read(tmp_path)
    assert items(found) == {"b": 1, "c": 1, "d": 1}
    assert found.contents.services["cognito"] == {("pool", "w"): 1, ("pool", "v"): None}
    assert b'"a"' not in (tmp_path / "base-3.jsonl").read_bytes()


@pytest.mark.parametrize("last", [["clear", TABLE], ["wipe"]])
def test_a_cleared_table_stays_clear_through_a_compaction(tmp_path: Path, last: list[Any]) -> None:
    journal(tmp_path, 1, put("a"))
    journal(tmp_path, 2, put("b"), last, put("c"))
    compact(tmp_path, 0, 1)
    assert items(read(tmp_path)) == {"c": 1}
    journal(tmp_path, 3)
    compact(tmp_path, 2, 2)
    assert items(read(tmp_path)) == {"c": 1}


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_a_damaged_base_is_replaced_by_its_copy_without_loss(tmp_path: Path, damage: str) -> None:
    journal(tmp_path, 1, put("a"), put("b", pk="q"))
    journal(tmp_path, 2, put("c"))
    compact(tmp_path, 0, 1)
    forget(tmp_path, 2)
    base = tmp_path / "base-2.jsonl"
    data = base.read_bytes()
    if damage == "missing":
        base.unlink()
    else:
        base.write_bytes(data[: len(data) // 2] if damage == "cut" else data.replace(b'"a"', b'"A"'))
    said: list[str] = []
    assert items(read(tmp_path, said)) == {"a": 1, "b": 1, "c": 1}
    assert bool(said) == (damage != "missing")

    # And the next base is made from the copy.
    journal(tmp_path, 3)
    compact(tmp_path, 2, 2)
    forget(tmp_path, 3)
    assert items(read(tmp_path)) == {"a": 1, "b": 1, "c": 1}


def test_a_base_and_copy_that_are_both_damaged_refuse_the_start_and_a_repair_joins_them(
    tmp_path: Path,
) -> None:
    journal(tmp_path, 1, put("a", pk="p"), put("b", pk="q"), put("c", pk="r"))
    journal(tmp_path, 2, put("d"))
    compact(tmp_path, 0, 1)
    forget(tmp_path, 2)
    base = tmp_path / "base-2.jsonl"
    base.write_bytes(base.read_bytes().replace(b'"a"', b'"x"'))
    copy_of(base).write_bytes(copy_of(base).read_bytes().replace(b'"c"', b'"x"'))
    with pytest.raises(StateUnusable, match=r"base-2\.jsonl.*base-2\.copy\.jsonl"):
        read(tmp_path)
    repair(tmp_path, None)
    assert items(read(tmp_path)) == {"a": 1, "b": 1, "c": 1, "d": 1}


@pytest.mark.parametrize("missing", ["base-2", "journal-2", "journal-3"])
def test_a_missing_file_refuses_the_start(tmp_path: Path, missing: str) -> None:
    journal(tmp_path, 1, put("a"))
    journal(tmp_path, 2, put("b"))
    journal(tmp_path, 3, put("c"))
    journal(tmp_path, 4, put("d"))
    compact(tmp_path, 0, 1)
    forget(tmp_path, 2)
    for path in tmp_path.glob(f"{missing}.*"):
        path.unlink()
    with pytest.raises(StateUnusable, match=missing):
        read(tmp_path)


def test_tables_and_accounts_of_an_earlier_version_are_taken_over(tmp_path: Path) -> None:
    table = {"TableArn": TABLE, "pk_name": "PK", "sk_name": None, "items": {"p": {"a": {"v": 1}}}}
    state = {"tables": {"__account_region_scoped__": True, "data": {"0\0us-east-1\0't'": table}}}
    (tmp_path / "dynamodb.json").write_text(json.dumps({"__ministack_format__": 2, "payload": state}))
    contents = from_snapshot(tmp_path)
    assert contents.tables == {TABLE: {"p": {"a": {"v": 1}}}}
    assert contents.services["dynamodb"]["tables", "data", "0\0us-east-1\0't'", "sk_name"] is None

    found, is_legacy = read_all(tmp_path / "records", tmp_path, tmp_path / "s3", print)
    assert is_legacy and found.contents.tables == contents.tables

    text = (tmp_path / "dynamodb.json").read_text()
    (tmp_path / "dynamodb.json").write_text(text[:60])
    with pytest.raises(StateUnusable, match=r"dynamodb\.json"):
        from_snapshot(tmp_path)


def test_pictures_without_any_record_of_them_refuse_the_start_until_a_repair(tmp_path: Path) -> None:
    records, objects = tmp_path / "records", tmp_path / "s3"
    assert read_all(records, None, objects, print)[0].contents.count() == 0
    (objects / "bucket").mkdir(parents=True)
    (objects / "bucket/picture.png").touch()
    with pytest.raises(StateUnusable, match="missing although there are pictures"):
        read_all(records, None, objects, print)
    repair(records, None)
    assert read_all(records, None, objects, print)[0].contents.count() == 0


def test_a_line_that_is_nested_too_deeply_is_not_what_was_written() -> None:
    text = b"[" * 100_000 + b"]" * 100_000
    assert record_of(b"%08x %s" % (zlib.crc32(text), text)) is None
