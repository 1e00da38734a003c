"""Tests of the export of all of a user's data: complete, without others' data or secrets, in parts if it is large."""

from __future__ import annotations

import io
import json
import urllib.request
import zipfile
from collections.abc import Callable

import pytest

from services.accounts.preferences import Preferences, Theme
from services.build import Studio
from services.errors import LimitReached
from services.exports import orders
from services.images.shares import LIVES
from services.jobs import kept_data
from services.privacy import personal_data
from services.records import Job, User
from services.store.exports import Export


def fetch(studio: Studio, user: User, export: Export) -> zipfile.ZipFile:
    while studio.export_builder.build_due():
        pass
    with urllib.request.urlopen(
        studio.exports.link(studio.exports.get(user, export.id)), timeout=30
    ) as answer:
        return zipfile.ZipFile(io.BytesIO(answer.read()))


def test_the_export_has_all_of_the_users_data_without_secrets_or_others_data(
    studio: Studio, draw: Callable[..., Job], maker: User, other: User
) -> None:
    job = draw(count=2)
    studio.prompts.save_list(maker, "animal", "fox\nowl", new=True)
    studio.preferences.save(maker, Preferences(theme=Theme.DARK))
    album = studio.albums.create(maker, "Best")
    studio.albums.put_in(maker, album.id, job.image_ids[:1])
    secret = studio.accounts.create_key(maker, "farm").secret
    token = studio.shares.create(maker, job.image_ids[0], lives=LIVES[0]).token
    studio.prompts.save_list(other, "theirs", "nothing of mine", new=True)

    [export] = studio.personal_data.order(maker).exports
    archive = fetch(studio, maker, export)

    names = archive.namelist()
    assert len([name for name in names if name.startswith("pictures/")]) == 2
    account = json.loads(archive.read("records/account.json"))
    assert (account["email"], account["preferences"]["theme"]) == (maker.email, "dark")
    assert [key["name"] for key in account["api_keys"]] == ["farm"] and len(account["shared_links"]) == 1
    [line] = archive.read("records/jobs.jsonl").splitlines()
    assert json.loads(line)["id"] == job.id
    assert json.loads(archive.read("records/prompts.json"))["lists"] == [
        {"name": "animal", "entries": ["fox", "owl"]}
    ]
    [kept] = json.loads(archive.read("records/albums.json"))
    assert (kept["name"], kept["pictures"]) == ("Best", [job.image_ids[0]])
    whole = b"".join(archive.read(name) for name in names)
    assert secret.encode() not in whole and token.encode() not in whole and b"nothing of mine" not in whole


def test_a_person_without_pictures_gets_their_account_data(studio: Studio, maker: User) -> None:
    [export] = studio.personal_data.order(maker).exports

    archive = fetch(studio, maker, export)

    assert archive.read("records/jobs.jsonl") == b""
    assert maker.email in archive.read("README.txt").decode()


def test_many_pictures_are_split_into_parts_and_omissions_are_reported(
    studio: Studio, draw: Callable[..., Job], maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal_data, "MOST_PICTURES", 1)
    monkeypatch.setattr(personal_data, "MOST_OPEN", 2)
    job = draw(count=3)

    made = studio.personal_data.order(maker)
    first, second = (fetch(studio, maker, export) for export in made.exports)

    assert made.left_out == 1
    assert "Your 1 oldest pictures" in first.read("README.txt").decode()
    assert "README.txt" not in second.namelist()
    listed = [row["id"] for part in (first, second) for row in json.loads(part.read("manifest.json"))]
    assert listed == list(job.image_ids[:0:-1])


def test_nothing_is_ordered_if_the_parts_exceed_the_open_exports(
    studio: Studio, draw: Callable[..., Job], maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal_data, "MOST_PICTURES", 1)
    draw(count=3)
    for _ in range(orders.MOST_OPEN - 2):
        studio.exports.order(
            maker, studio.images.list(maker).items[0].id.split(), size_bytes=1, settings=True
        )
    before = studio.exports.list(maker)

    with pytest.raises(LimitReached):
        studio.personal_data.order(maker)

    assert studio.exports.list(maker) == before


def test_the_oldest_jobs_are_omitted_and_reported_if_they_do_not_fit(
    studio: Studio, draw: Callable[..., Job], maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw()
    newest = draw()
    monkeypatch.setattr(kept_data, "MOST_JOBS_BYTES", 2000)

    [export] = studio.personal_data.order(maker).exports
    archive = fetch(studio, maker, export)

    assert [json.loads(line)["id"] for line in archive.read("records/jobs.jsonl").splitlines()] == [newest.id]
    assert "the oldest did not fit" in archive.read("README.txt").decode()
