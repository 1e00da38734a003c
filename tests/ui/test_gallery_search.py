"""Tests of gallery search, filters, and albums: kept in the URL, shown as chips, private to their user."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app.ui.common.plain_text import as_label
from app.ui.gallery import album_shelf
from services.build import Studio
from services.records import Job, User
from tests.ui.conftest import words
from tests.ui.test_gallery import GALLERY
from tests.ui.test_gallery_view import HOSTILE, shown


@pytest.fixture
def drawn(draw: Callable[..., Job]) -> dict[str, str]:
    """One picture for each of three prompts."""
    return {prompt: draw(prompt).image_ids[0] for prompt in ("a red apple", "a green apple", "a fox")}


def chips(at: AppTest) -> list[str]:
    return [button.label for button in at.button if (button.key or "").startswith("chip_")]


def test_search_words_are_applied_and_kept_in_the_url(
    open_page: Callable[..., AppTest], drawn: dict[str, str]
) -> None:
    at = open_page(GALLERY)
    assert shown(at) == set(drawn.values()) and "3 pictures" in words(at)
    at.session_state["links"] = {}
    at.text_input(key="gallery_text").set_value("app -green").run()
    assert shown(at) == {drawn["a red apple"]}
    assert at.query_params["q"] == "app -green" and "1 picture" in words(at)
    again = open_page(GALLERY, query={"q": "app -green"})
    assert shown(again) == {drawn["a red apple"]}
    assert chips(again) == [f"“{as_label('app -green')}”"]
    again.button(key="chip_gallery_text").click().run()
    assert "q" not in again.query_params and shown(again) == set(drawn.values())


def test_filters_are_combined_shown_as_chips_and_cleared_together(
    open_page: Callable[..., AppTest], drawn: dict[str, str], studio: Studio, maker: User
) -> None:
    red = drawn["a red apple"]
    studio.marks.rate_many(maker, [red, drawn["a fox"]], 4)
    studio.marks.tag_many(maker, [red], add=[HOSTILE])
    query = {"rating": "3", "tag": HOSTILE, "model": "pocket", "from": "2020-01-01", "sort": "rating"}
    at = open_page(GALLERY, query=query)
    assert shown(at) == {red} and not at.exception
    assert len(chips(at)) == 5 and f"Tag: {as_label(HOSTILE)}" in chips(at)
    assert {name: at.query_params[name] for name in query} == query
    at.button(key="chip_all").click().run()
    assert set(at.query_params) == {"sort"} and shown(at) == set(drawn.values())
    at.date_input(key="gallery_until").set_value("2020-01-01").run()
    assert "No matching pictures." in words(at) and at.query_params["to"] == "2020-01-01"


def test_dates_in_the_wrong_order_are_reported_and_invalid_values_are_ignored(
    open_page: Callable[..., AppTest], drawn: dict[str, str]
) -> None:
    at = open_page(GALLERY, query={"from": "2026-02-01", "to": "2026-01-01"})
    assert "first day" in words(at) and not at.exception
    at = open_page(
        GALLERY,
        query={"from": "yesterday", "sort": "random", "album": "../x", "model": "\n", "q": "x" * 300},
    )
    assert not at.exception and set(at.query_params) == {"q"} and len(at.query_params["q"][0]) <= 200


def test_pages_of_a_search_show_their_range(
    open_page: Callable[..., AppTest], draw: Callable[..., Job]
) -> None:
    for _ in range(16):
        draw("a red apple", count=4)
    at = open_page(GALLERY, query={"q": "apple", "sort": "oldest"})
    assert "1 to 60 of 64" in words(at)
    at.button(key="older").click().run()
    assert "61 to 64 of 64" in words(at) and at.button(key="older").disabled
    at.text_input(key="gallery_text").set_value("red").run()
    assert "after" not in at.query_params and "1 to 60 of 64" in words(at)


def test_an_album_is_created_filled_opened_renamed_and_deleted(
    open_page: Callable[..., AppTest],
    in_dialog: Callable[..., AppTest],
    drawn: dict[str, str],
    studio: Studio,
    maker: User,
) -> None:
    images = [studio.images.get(maker, image_id) for image_id in drawn.values()]
    dialog = in_dialog(album_shelf.ask_for_album, tuple(images[:2]), None).run()
    assert dialog.button(key="album_save").disabled
    studio.albums.create(maker, HOSTILE)
    dialog.run().selectbox(key="album_choice").select(HOSTILE).run()
    dialog.button(key="album_save").click().run()
    [album] = studio.albums.list(maker)
    at = open_page(GALLERY, query={"show": "albums"})
    assert "1 album" in words(at) and "evil" not in words(at)
    at.session_state["album_to_open"] = album.id
    at.run()
    assert at.query_params["album"] == album.id and at.query_params["show"] == "albums"
    assert {kind_and_id[1] for kind_and_id in at.session_state["links"] if kind_and_id[0] == "download"} == {
        image.id for image in images[:2]
    }
    again = open_page(GALLERY, query={"show": "albums", "album": album.id})
    assert "2 pictures" in words(again) and chips(again) == []
    again.text_input(key=f"album_name_{album.id}").set_value("Renamed")
    next(button for button in again.button if button.label == "Rename").click().run()
    assert studio.albums.list(maker)[0].name == "Renamed"
    again.button(key="album_delete").click().run()
    assert studio.albums.list(maker) == () and "No albums yet." in words(again)
    assert shown(open_page(GALLERY)) == set(drawn.values())


def test_a_picture_becomes_the_album_cover_and_is_removed_from_the_album(
    in_dialog: Callable[..., AppTest], drawn: dict[str, str], studio: Studio, maker: User
) -> None:
    album = studio.albums.create(maker, "Fruit")
    studio.albums.put_in(maker, album.id, list(drawn.values()))
    image = studio.images.get(maker, drawn["a fox"])
    at = in_dialog(album_shelf.ask_for_album, (image,), album.id).run()
    at.button(key="album_cover").click().run()
    assert studio.albums.list(maker)[0].cover == image.id
    assert at.multiselect(key="album_leave").value == ["Fruit"]
    at.button(key="album_save").click().run()
    assert studio.images.get(maker, image.id).albums == ()


def test_another_users_album_in_the_url_is_reported_as_missing(
    open_page: Callable[..., AppTest], drawn: dict[str, str], studio: Studio, other: User
) -> None:
    theirs = studio.albums.create(other, "Secret name")
    at = open_page(GALLERY, query={"album": theirs.id})
    assert as_label("There is no such album.") in words(at)
    assert "Secret" not in words(at) and "links" not in at.session_state
