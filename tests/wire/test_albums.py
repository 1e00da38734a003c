"""Tests of albums: creating, naming, filling and deleting them, and that other users' albums look missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.build import Studio
from services.errors import Conflict, InvalidRequest, LimitReached, NotFound
from services.images.albums import LONGEST_NAME, MOST_ALBUMS_OF_A_PICTURE
from services.records import Job, User
from services.search.query import PictureQuery
from services.store import keys
from tests.faults.lost import LostAnswers
from tests.wire.conftest import real_clients


def inside(studio: Studio, user: User, album_id: str) -> set[str]:
    """Returns the pictures in an album, as found by a search."""
    return {image.id for image in studio.search.find(user, PictureQuery(album=album_id)).items}


def test_pictures_can_be_put_into_several_albums_and_taken_out(
    studio: Studio, draw: Callable[..., Job], maker: User
) -> None:
    first, second, third = draw(count=3).image_ids
    sea, draft = studio.albums.create(maker, "  By the  sea "), studio.albums.create(maker, "drafts")
    assert [album.name for album in studio.albums.list(maker)] == ["By the sea", "drafts"]
    assert studio.albums.put_in(maker, sea.id, [first, second, first]).done == (first, second)
    studio.albums.put_in(maker, draft.id, [second, third])
    assert inside(studio, maker, sea.id) == {first, second}
    assert inside(studio, maker, draft.id) == {second, third}
    shelves = dict(studio.search.facets(maker).albums)
    assert (shelves[sea.id].count, shelves[draft.id].newest) == (2, third)
    assert studio.albums.take_out(maker, sea.id, [first]).done == (first,)
    assert inside(studio, maker, sea.id) == {second}
    assert studio.images.get(maker, second).albums == tuple(sorted((sea.id, draft.id)))


def test_deleting_an_album_keeps_its_pictures_and_frees_their_album_slots(
    studio: Studio, draw: Callable[..., Job], maker: User
) -> None:
    [picture] = draw().image_ids
    albums = [studio.albums.create(maker, f"album {n}") for n in range(MOST_ALBUMS_OF_A_PICTURE + 1)]
    for album in albums[:-1]:
        studio.albums.put_in(maker, album.id, [picture])
    assert studio.albums.put_in(maker, albums[-1].id, [picture]).full == (picture,)
    studio.albums.delete(maker, albums[0].id)
    studio.albums.delete(maker, albums[0].id)
    assert studio.images.get(maker, picture).id == picture
    assert albums[0].id not in {album.id for album in studio.albums.list(maker)}
    assert studio.albums.put_in(maker, albums[-1].id, [picture]).done == (picture,)
    with pytest.raises(NotFound):
        studio.albums.put_in(maker, albums[0].id, [picture])


def test_an_albums_cover_must_be_one_of_its_pictures(
    studio: Studio, draw: Callable[..., Job], maker: User
) -> None:
    inner, outer = draw(count=2).image_ids
    album = studio.albums.create(maker, "sea")
    studio.albums.put_in(maker, album.id, [inner])
    assert studio.albums.set_cover(maker, album.id, inner).cover == inner
    for wrong in (outer, "x", f"{keys.new_id()}-0"):
        with pytest.raises(NotFound):
            studio.albums.set_cover(maker, album.id, wrong)


def test_album_names_are_unique_clean_and_limited_in_number(
    studio: Studio, maker: User, other: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    sea = studio.albums.create(maker, "Sea")
    with pytest.raises(Conflict):
        studio.albums.create(maker, "sEA")
    assert studio.albums.create(other, "Sea").id != sea.id
    assert studio.albums.rename(maker, sea.id, "SEA").name == "SEA"
    land = studio.albums.create(maker, "Land")
    with pytest.raises(Conflict):
        studio.albums.rename(maker, land.id, "sea")
    for wrong in ("", "  ", "x" * (LONGEST_NAME + 1), "a\u202eb", "a\x00b"):
        with pytest.raises(InvalidRequest):
            studio.albums.create(maker, wrong)
    monkeypatch.setattr("services.images.albums.MOST_ALBUMS", 2)
    with pytest.raises(LimitReached):
        studio.albums.create(maker, "One more")


def test_other_users_albums_and_pictures_look_missing(
    studio: Studio, draw: Callable[..., Job], maker: User, other: User
) -> None:
    [mine] = draw().image_ids
    [theirs] = draw(user=other).image_ids
    album, foreign = studio.albums.create(maker, "mine"), studio.albums.create(other, "theirs")
    for change in (
        lambda: studio.albums.rename(maker, foreign.id, "taken"),
        lambda: studio.albums.put_in(maker, foreign.id, [mine]),
        lambda: studio.albums.set_cover(maker, foreign.id, mine),
        lambda: studio.albums.rename(maker, "../x", "taken"),
    ):
        with pytest.raises(NotFound):
            change()
    studio.albums.delete(maker, foreign.id)
    assert [each.name for each in studio.albums.list(other)] == ["theirs"]
    assert studio.albums.put_in(maker, album.id, [theirs, "x"]).missing == (theirs, "x")
    assert studio.images.get(other, theirs).albums == ()


def test_a_lost_answer_creates_one_album(studio: Studio, maker: User) -> None:
    with LostAnswers(real_clients(studio.settings).dynamodb, "TransactWriteItems", 1) as lost:
        made = studio.albums.create(maker, "sea")
    assert lost.fired == 1 and studio.albums.list(maker) == (made,)


def test_deleting_everything_deletes_the_albums(
    studio: Studio, draw: Callable[..., Job], maker: User
) -> None:
    album = studio.albums.create(maker, "sea")
    studio.albums.put_in(maker, album.id, draw().image_ids)
    assert studio.jobs.delete_all(maker).texts == 1
    assert studio.albums.list(maker) == ()
