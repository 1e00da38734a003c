"""Tests of favorites, ratings and tags: bulk changes, filters, and refused values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.aws.table import Table
from services.build import Studio
from services.errors import InvalidRequest
from services.images.bulk_changes import MOST_PICTURES, BulkResult
from services.images.marks import LONGEST_TAG, MOST_TAGS, ImageMarks, clean_tag
from services.records import Job, User
from services.search.query import PictureQuery
from services.store import keys
from services.store.images import ImageStore
from services.store.transactions import Transactions
from tests.faults.lost import LostAnswers
from tests.wire.conftest import real_clients


def test_marks_are_stored_and_can_be_searched_by(
    studio: Studio, draw: Callable[..., Job], maker: User
) -> None:
    first, second, third = draw(count=3).image_ids
    assert studio.marks.rate_many(maker, [first, second], 4).done == (first, second)
    assert studio.marks.rate_many(maker, [second], 0).done == (second,)
    studio.marks.tag_many(maker, [first, third], add=["Sea  Side", "draft"])
    studio.marks.tag_many(maker, [third], add=["final"], remove=["draft", "never there"])
    shown = {image.id: image for image in studio.images.list(maker).items}
    assert (shown[first].rating, shown[second].rating) == (4, 0)
    assert shown[first].tags == ("draft", "sea side") and shown[third].tags == ("final", "sea side")

    def found(**filters: Any) -> list[str]:
        return [image.id for image in studio.search.find(maker, PictureQuery(**filters)).items]

    assert found(tag="sea side") == [third, first]
    assert found(tag="sea side", rating=3) == [first]
    assert found(tag="sea") == [] and found(rating=5) == []


def test_other_users_unknown_trashed_and_too_many_pictures_are_not_marked(
    studio: Studio, draw: Callable[..., Job], maker: User, other: User
) -> None:
    kept, gone = draw(count=2).image_ids
    studio.trash.put_many(maker, [gone])
    made_up = f"{keys.new_id()}-0"
    changes: tuple[Callable[[User, list[str]], BulkResult], ...] = (
        lambda user, ids: studio.marks.star_many(user, ids, True),
        lambda user, ids: studio.marks.rate_many(user, ids, 5),
        lambda user, ids: studio.marks.tag_many(user, ids, add=["mine"]),
    )
    for change in changes:
        assert change(other, [kept, made_up, "x"]).missing == (kept, made_up, "x")
        result = change(maker, [gone, kept, kept, made_up])
        assert result.done == (kept,) and result.missing == (gone, made_up)
        with pytest.raises(InvalidRequest):
            change(maker, [f"{keys.new_id()}-0" for _ in range(MOST_PICTURES + 1)])
    back = studio.trash.get(maker, gone)
    assert not back.favorite and back.rating == 0 and back.tags == ()


def test_a_picture_has_at_most_20_tags_and_the_result_names_the_full_one(
    studio: Studio, draw: Callable[..., Job], maker: User
) -> None:
    full, free = draw(count=2).image_ids
    many = [f"tag {n}" for n in range(MOST_TAGS)]
    assert studio.marks.tag_many(maker, [full], add=many).done == (full,)
    result = studio.marks.tag_many(maker, [full, free], add=["one more"])
    assert (result.done, result.missing, result.full) == ((free,), (), (full,))
    assert studio.marks.tag_many(maker, [full], add=["one more"], remove=["tag 0"]).done == (full,)
    assert len(studio.images.get(maker, full).tags) == MOST_TAGS


@pytest.mark.parametrize("text", ["", "   ", "x" * (LONGEST_TAG + 1), "a\u202eb", "a\u200bb", "a\x00b"])
def test_an_empty_long_or_invisible_tag_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        clean_tag(text)


@pytest.mark.parametrize("rating", [-1, 6])
def test_a_rating_outside_0_to_5_is_refused(studio: Studio, maker: User, rating: int) -> None:
    with pytest.raises(InvalidRequest):
        studio.marks.rate_many(maker, [], rating)


def test_concurrent_tag_changes_from_two_windows_are_both_kept(
    studio: Studio, draw: Callable[..., Job], maker: User, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    [image_id] = draw().image_ids
    read = table.get_many
    meddled: list[int] = []

    def read_then_meddle(wanted: object) -> object:
        items = read(list(wanted))  # type: ignore[call-overload]
        if not meddled:
            meddled.append(1)
            studio.marks.tag_many(maker, [image_id], add=["theirs"])
        return items

    with monkeypatch.context() as patch:
        mine = ImageMarks(ImageStore(table), Transactions(table))
        patch.setattr(table, "get_many", read_then_meddle)
        assert mine.tag_many(maker, [image_id], add=["mine"]).done == (image_id,)
    assert meddled == [1]
    assert studio.images.get(maker, image_id).tags == ("mine", "theirs")


def test_tags_are_stored_despite_a_lost_answer(studio: Studio, draw: Callable[..., Job], maker: User) -> None:
    [image_id] = draw().image_ids
    with LostAnswers(real_clients(studio.settings).dynamodb, "TransactWriteItems", 1) as lost:
        assert studio.marks.tag_many(maker, [image_id], add=["kept"]).done == (image_id,)
    assert lost.fired == 1
    assert studio.images.get(maker, image_id).tags == ("kept",)
