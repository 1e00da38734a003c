"""Tests of gallery filters by rating and tag, the trash, the view in the URL, and marks on pictures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from streamlit.testing.v1 import AppTest

from app.i18n.wording import at_least_stars, days_left
from app.ui.gallery import picture_marks, trash_view
from app.ui.viewer import viewer
from services.build import Studio
from services.errors import NotFound
from services.records import Image, Job, User
from tests.ui.conftest import words
from tests.ui.test_gallery import GALLERY
from tests.ui.test_gallery import picture as picture  # the fixture

HOSTILE = "![x](http://evil.example) <b>"


def shown(at: AppTest) -> set[str]:
    """Return the ids of the pictures for which the page signed a thumbnail link."""
    return {image_id for kind, image_id in at.session_state["links"] if kind == "thumbnail"}


@pytest.fixture
def three(draw: Callable[..., Job], studio: Studio, maker: User) -> tuple[str, ...]:
    """Three pictures: one rated 4 and tagged, one rated 2, one without marks."""
    ids = draw("a red apple", count=3).image_ids
    studio.marks.rate_many(maker, ids[:1], 4)
    studio.marks.rate_many(maker, ids[1:2], 2)
    studio.marks.tag_many(maker, ids[:1], add=["sea side"])
    return ids


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"rating": "2"}, {0, 1}),
        ({"rating": "4", "tag": "Sea Side"}, {0}),
        ({"tag": "sea side"}, {0}),
        ({"rating": "9", "show": "everything", "tag": "x" * 41}, {0, 1, 2}),
    ],
)
def test_the_url_sets_the_filters_and_invalid_values_are_removed(
    open_page: Callable[..., AppTest], three: tuple[str, ...], query: dict[str, str], expected: set[int]
) -> None:
    at = open_page(GALLERY, query=query)
    assert not at.exception and not at.error
    assert shown(at) == {three[n] for n in expected}
    if len(expected) == 3:
        assert not {"show", "tag", "rating"} & set(at.query_params)


def test_a_filter_is_kept_in_the_url_and_starts_at_the_first_page(
    open_page: Callable[..., AppTest], three: tuple[str, ...], studio: Studio, maker: User
) -> None:
    after = studio.images.list(maker, limit=1).next
    assert after
    at = open_page(GALLERY, query={"after": after})
    at.selectbox(key="gallery_rating").select(3).run()
    assert at.query_params["rating"] == "3" and "after" not in at.query_params
    assert shown(at) >= {three[0]}
    at.selectbox(key="gallery_tag").select("sea side").run()
    assert at.query_params["tag"] == "sea side"
    at.selectbox(key="gallery_rating").select(5).run()
    assert "No matching pictures." in words(at)


def test_trashed_pictures_are_shown_only_in_the_trash(
    open_page: Callable[..., AppTest], three: tuple[str, ...], studio: Studio, maker: User
) -> None:
    studio.trash.put_many(maker, three[:1])
    at = open_page(GALLERY, query={"show": "trash"})
    assert shown(at) == {three[0]}
    assert trash_view.kept_words() in words(at)
    assert shown(open_page(GALLERY)) == set(three[1:])
    assert "There is no such picture." in words(open_page(GALLERY, query={"image": three[0]}))


@pytest.mark.parametrize(("show", "calls"), [("all", ["Query"]), ("trash", ["Query", "BatchGetItem"])])
def test_a_rerun_reads_only_the_current_page(
    open_page: Callable[..., AppTest],
    draw: Callable[..., Job],
    studio: Studio,
    maker: User,
    show: str,
    calls: list[str],
) -> None:
    ids = draw(count=4).image_ids
    studio.trash.put_many(maker, ids[:2])
    at = open_page(GALLERY, query={"show": show})
    seen: list[str] = []
    events = studio.trash._notes._table._client.meta.events
    events.register("before-call.dynamodb", lambda model, **_: seen.append(model.name), unique_id="w")
    try:
        at.run()
    finally:
        events.unregister("before-call.dynamodb", unique_id="w")
    assert seen == calls


def test_the_empty_trash_explains_its_purpose(open_page: Callable[..., AppTest], maker: User) -> None:
    assert trash_view.kept_words() in words(open_page(GALLERY, query={"show": "trash"}))


def test_a_trashed_picture_is_restored_from_its_dialog(
    in_dialog: Callable[..., AppTest], picture: Image, studio: Studio, maker: User
) -> None:
    studio.trash.put_many(maker, [picture.id])
    at = in_dialog(trash_view.show_trashed, picture.id).run()
    assert "30 days left" in words(at) and "a red apple" in words(at)
    at.button(key="trash_restore").click().run()
    assert studio.images.get(maker, picture.id).id == picture.id


def test_pictures_are_erased_only_after_confirmation(
    in_dialog: Callable[..., AppTest], three: tuple[str, ...], studio: Studio, maker: User
) -> None:
    studio.trash.put_many(maker, three)
    at = in_dialog(trash_view.ask_and_erase, three[:1]).run()
    assert len(studio.trash.list(maker).items) == 3
    at.button(key="erase_sure").click().run()
    assert {image.id for image in studio.trash.list(maker).items} == set(three[1:])
    at = in_dialog(trash_view.ask_and_empty).run()
    assert len(studio.trash.list(maker).items) == 2
    at.button(key="empty_sure").click().run()
    assert studio.trash.list(maker).items == ()
    with pytest.raises(NotFound):
        studio.images.get(maker, three[0])


def test_rating_and_tags_set_in_the_viewer_are_stored(
    in_dialog: Callable[..., AppTest], picture: Image, studio: Studio, maker: User
) -> None:
    at = in_dialog(viewer.show_picture, (picture.id,)).run()
    at.button(key="viewer_rate_4").click().run()
    assert studio.images.get(maker, picture.id).rating == 4
    at.feedback[0].set_value(1).run()
    assert studio.images.get(maker, picture.id).rating == 2
    at.button(key="viewer_rate_0").click().run()
    assert studio.images.get(maker, picture.id).rating == 0
    tags = f"viewer_tags_{picture.id}"
    studio.marks.tag_many(maker, [picture.id], add=["two", HOSTILE])
    at.run()
    assert at.multiselect(key=tags).value == sorted([HOSTILE, "two"])
    at.multiselect(key=tags).unselect("two").run()
    assert studio.images.get(maker, picture.id).tags == (HOSTILE,)
    assert "evil" not in "".join(str(element.value) for element in at.markdown)


def test_several_pictures_are_rated_and_tagged_at_once(
    in_dialog: Callable[..., AppTest], three: tuple[str, ...], studio: Studio, maker: User
) -> None:
    images = studio.images.list(maker).items
    at = in_dialog(picture_marks.ask_for_marks, images).run()
    at.feedback[0].set_value(4).run()
    at.multiselect(key="label_remove").select("sea side").run()
    assert {image.rating for image in studio.images.list(maker).items} == {4, 2, 0}, "not before it is saved"
    at.button(key="label_save").click().run()
    assert {(image.rating, image.tags) for image in studio.images.list(maker).items} == {(5, ())}


def test_ratings_and_remaining_days_have_texts() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    spans = (timedelta(days=30), timedelta(days=1), timedelta(hours=13), timedelta(hours=1))
    assert [days_left(now + span, now) for span in spans] == [
        "30 days left",
        "1 day left",
        "1 day left",
        "last hours",
    ]
    assert [at_least_stars(n) for n in (0, 2, 5)] == ["Any rating", "★★ and up", "★★★★★"]


def test_a_rating_by_key_is_not_reverted_by_an_outdated_widget_value(
    in_dialog: Callable[..., AppTest], picture: Image, studio: Studio, maker: User
) -> None:
    at = in_dialog(viewer.show_picture, (picture.id,)).run()
    stale = at.feedback[0]
    at.button(key="viewer_rate_4").click().run()
    # The browser sends the next click before it received the stars of the previous run.
    at.button(key="viewer_star").click().run()
    assert studio.images.get(maker, picture.id).rating == 4
    assert at.feedback[0].value == 3 and at.feedback[0].key != stale.key
