"""Tests of the gallery: paging, favorites, and the viewer dialog."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app.ui.common.plain_text import as_label
from app.ui.gallery import picture_grid
from app.ui.gallery.picture_grid import GridAction
from app.ui.viewer import viewer
from services.build import Studio
from services.errors import NotFound
from services.records import Image, Job, User
from tests.ui.conftest import claims, components, words

GALLERY = "app/pages/gallery.py"


@pytest.fixture
def picture(draw: Callable[..., Job], studio: Studio, maker: User) -> Image:
    return studio.images.get(maker, draw("a red apple", seed=7).image_ids[0])


def test_an_empty_gallery_shows_a_message(open_page: Callable[..., AppTest]) -> None:
    assert "Your gallery is empty." in words(open_page(GALLERY))


def test_empty_favorites_show_a_message(open_page: Callable[..., AppTest], picture: Image) -> None:
    at = open_page(GALLERY)
    at.session_state["gallery_show"] = "Favorites"
    assert "No favorites yet." in words(at.run())
    assert at.query_params["show"] == "favorites"


def test_a_link_to_a_picture_opens_it_with_its_settings(
    open_page: Callable[..., AppTest], picture: Image
) -> None:
    at = open_page(GALLERY, query={"image": picture.id})
    assert "a red apple" in words(at)
    assert f'"Seed", "value": "{picture.seed}"' in components(at)
    assert not at.button(key="viewer_star").disabled


def test_a_star_set_and_removed_in_the_dialog_is_stored(
    in_dialog: Callable[..., AppTest], picture: Image, studio: Studio, maker: User
) -> None:
    at = in_dialog(viewer.show_picture, (picture.id,)).run()
    at.button(key="viewer_star").click().run()
    assert studio.images.get(maker, picture.id).favorite
    at.button(key="viewer_star").click().run()
    assert not studio.images.get(maker, picture.id).favorite


def test_a_picture_deleted_in_the_dialog_moves_to_the_trash_with_an_undo_offer(
    in_dialog: Callable[..., AppTest], picture: Image, studio: Studio, maker: User
) -> None:
    at = in_dialog(viewer.show_picture, (picture.id,)).run()
    at.button(key="viewer_delete").click().run()
    with pytest.raises(NotFound):
        studio.images.get(maker, picture.id)
    assert studio.trash.get(maker, picture.id).id == picture.id
    assert at.session_state["deleted"] == (picture.id,)
    assert as_label("There is no such picture.") in words(at)


def test_undo_is_offered_on_every_page_until_it_is_used_or_dismissed(
    open_page: Callable[..., AppTest], picture: Image, studio: Studio, maker: User
) -> None:
    studio.trash.put_many(maker, [picture.id])
    at = open_page("app/pages/history.py")
    at.session_state["deleted"] = (picture.id,)
    assert "1 picture deleted" in words(at.run())
    at.button(key="undo").click().run()
    assert studio.images.get(maker, picture.id).id == picture.id
    assert "1 picture deleted" not in words(at)
    at.session_state["deleted"] = (picture.id,)
    at.run().button(key="undo_close").click().run()
    assert "1 picture deleted" not in words(at)


def test_an_undo_after_permanent_deletion_shows_a_message(
    open_page: Callable[..., AppTest], picture: Image, studio: Studio, maker: User
) -> None:
    studio.images.delete(maker, picture.id)
    at = open_page(GALLERY)
    at.session_state["deleted"] = (picture.id,)
    at.run().button(key="undo").click().run()
    assert [toast.value for toast in at.toast] == ["1 picture no longer exists and was not changed."]


def test_the_arrows_are_enabled_according_to_the_position(
    in_dialog: Callable[..., AppTest], draw: Callable[..., Job]
) -> None:
    first, second = draw("a red apple", count=2).image_ids
    at = in_dialog(viewer.show_picture, (first, second)).run()
    assert '"before": false, "after": true, "place": "1 of 2"' in components(at)
    at.session_state["viewed"] = second
    assert '"before": true, "after": false, "place": "2 of 2"' in components(at.run())


def test_a_picture_whose_job_was_deleted_elsewhere_is_reported_as_gone(
    in_dialog: Callable[..., AppTest], picture: Image, studio: Studio, maker: User
) -> None:
    at = in_dialog(viewer.show_picture, (picture.id,)).run()
    studio.jobs.delete(maker, picture.job_id)
    assert as_label("There is no such picture.") in words(at.run())


def test_another_users_picture_in_the_url_is_reported_as_missing(
    open_page: Callable[..., AppTest], picture: Image, studio: Studio, other: User
) -> None:
    at = open_page(GALLERY, user=claims(other), query={"image": picture.id})
    assert "There is no such picture." in words(at)
    assert "a red apple" not in words(at)


def test_an_invalid_cursor_in_the_url_shows_the_first_page(
    open_page: Callable[..., AppTest], picture: Image
) -> None:
    at = open_page(GALLERY, query={"after": "../../etc/passwd"})
    assert "after" not in at.query_params
    assert not at.exception and not at.error
    assert "Keys: arrows move" in words(at)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "open",
        {},
        {"kind": "open", "ids": []},
        {"kind": "open", "ids": "mine"},
        {"kind": "open", "ids": ["mine", "somebody-elses"]},
        {"kind": "erase_all", "ids": ["mine"]},
        {"kind": ["open"], "ids": ["mine"]},
        {"kind": "rate", "ids": ["mine"], "rating": 6},
        {"kind": "rate", "ids": ["mine"], "rating": True},
        {"kind": "trash", "ids": ["mine"] * 101},
    ],
)
def test_the_grid_ignores_invalid_messages(sent: object) -> None:
    assert picture_grid._action(sent, {"mine"}) is None


def test_the_grid_passes_on_actions_for_its_pictures() -> None:
    sent = {"kind": "star", "ids": ["mine", "too"], "favorite": True}
    assert picture_grid._action(sent, {"mine", "too"}) == GridAction("star", ("mine", "too"), favorite=True)
    assert picture_grid._action({"kind": "rate", "ids": ["mine"], "rating": 3}, {"mine"}) == GridAction(
        "rate", ("mine",), rating=3
    )


def test_60_pictures_are_shown_per_page_with_the_position_in_the_url(
    open_page: Callable[..., AppTest], draw: Callable[..., Job], studio: Studio, maker: User
) -> None:
    for _ in range(16):
        draw("a red apple", count=4)
    at = open_page(GALLERY)
    assert at.button(key="newest").disabled
    at.button(key="older").click().run()
    assert at.query_params["after"] == studio.images.list(maker, limit=60).next
    assert at.button(key="older").disabled
    at.button(key="newest").click().run()
    assert "after" not in at.query_params


def test_a_rerun_reuses_the_links_so_that_pictures_are_not_reloaded(
    open_page: Callable[..., AppTest], picture: Image
) -> None:
    at = open_page(GALLERY)
    first = dict(at.session_state["links"])
    assert {kind for kind, _ in first} == {"thumbnail", "download"}
    assert dict(at.run().session_state["links"]) == first
