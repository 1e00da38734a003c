"""Tests of `/v1/images`: listing, reading, downloading and deleting."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from services.build import Studio
from services.images import images
from services.settings import Settings
from tests.api.conftest import Finish, Person
from tests.api.test_jobs import make


@pytest.fixture
def job_id(client: TestClient, finish: Finish, alice: Person) -> str:
    """A finished job of Alice with three pictures."""
    made: str = make(client, alice, count=3, seed=1)["id"]
    finish(made)
    return made


def stored_at(settings: Settings, alice: Person, job_id: str, n: int) -> str:
    """Returns the URL of a picture up to its signature."""
    place = f"images/{alice.user.id}/{job_id}/{n}.png"
    return f"{settings.aws_endpoint_url}/{settings.images_bucket}/{place}?"


def test_images_are_listed_newest_first_in_pages(client: TestClient, alice: Person, job_id: str) -> None:
    first = client.get("/v1/images?limit=2", headers=alice.auth).json()
    rest = client.get("/v1/images", params={"after": first["next"]}, headers=alice.auth).json()
    assert first["object"] == "list"
    assert first["has_more"]
    assert not rest["has_more"]
    listed = [image["id"] for image in first["data"] + rest["data"]]
    assert listed == [f"{job_id}-2", f"{job_id}-1", f"{job_id}-0"]


def test_images_can_be_filtered_by_job_and_by_favorites(
    client: TestClient, studio: Studio, alice: Person, job_id: str
) -> None:
    starred = f"{job_id}-1"
    studio.marks.star_many(alice.user, [starred], True)
    by_job = client.get(f"/v1/images?job={job_id}", headers=alice.auth).json()["data"]
    by_star = client.get("/v1/images?favorites=true", headers=alice.auth).json()["data"]
    before_0_2 = client.get("/v1/images?favourites=true", headers=alice.auth).json()["data"]
    assert by_star == before_0_2 and by_star[0]["favorite"] and by_star[0]["favourite"]
    assert len(by_job) == 3
    assert [image["id"] for image in by_star] == [starred]


def test_an_image_lists_its_parameters(
    client: TestClient, settings: Settings, alice: Person, job_id: str
) -> None:
    image = client.get(f"/v1/images/{job_id}-2", headers=alice.auth).json()
    assert image["object"] == "image"
    assert (image["job"], image["seed"], image["model"]) == (job_id, 3, "pocket")
    assert image["prompt"] == "a red apple"
    assert image["url"].startswith(stored_at(settings, alice, job_id, 2))


def test_an_image_whose_thumbnail_failed_has_no_thumbnail_url(
    client: TestClient, finish: Finish, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_png: bytes) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(images, "thumbnail", full)
    bare = make(client, alice)["id"]
    finish(bare)
    assert client.get(f"/v1/images/{bare}-0", headers=alice.auth).json()["thumbnail_url"] is None


def test_a_download_redirects_to_a_presigned_link(
    client: TestClient, settings: Settings, alice: Person, job_id: str
) -> None:
    answer = client.get(f"/v1/images/{job_id}-0/download", headers=alice.auth)
    assert answer.status_code == 302
    link = answer.headers["location"]
    assert link.startswith(stored_at(settings, alice, job_id, 0))
    assert "response-content-disposition=attachment" in link and "X-Amz-Signature=" in link
    assert answer.headers["cache-control"] == "no-store"


def test_a_deleted_image_is_gone_and_its_job_stays(client: TestClient, alice: Person, job_id: str) -> None:
    address = f"/v1/images/{job_id}-1"
    answer = client.delete(address, headers=alice.auth)
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(address, headers=alice.auth).status_code == 404
    assert client.delete(address, headers=alice.auth).status_code == 404
    job = client.get(f"/v1/jobs/{job_id}", headers=alice.auth).json()
    assert [image["id"] for image in job["output"]] == [f"{job_id}-0", f"{job_id}-2"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "favorites=perhaps", "color=red"])
def test_an_invalid_image_query_is_refused_by_its_name(client: TestClient, alice: Person, query: str) -> None:
    answer = client.get(f"/v1/images?{query}", headers=alice.auth)
    assert (answer.status_code, answer.json()["param"]) == (422, query.split("=")[0])
