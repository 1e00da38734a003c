"""Tests of other words for things, found with pocket-clip's table of words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.pocket.dataset import DataSet, Row
from inference.pocket.errors import PocketError
from inference.pocket.wording import Wording, find_wording


@pytest.fixture(scope="module")
def rabbit_and_telescope() -> list[tuple[str, tuple[str, ...]]]:
    return [
        ("rabbit", ("bunny", "animal", "pet")),
        ("telescope", ("stars", "tool")),
        ("cat", ("animal", "pet")),
    ]


@pytest.fixture
def rows(shapes: DataSet, rabbit_and_telescope: list[tuple[str, tuple[str, ...]]]) -> list[Row]:
    return [replace(shapes.rows[0], name=name, tags=tags) for name, tags in rabbit_and_telescope]


@pytest.fixture
def wording(rows: list[Row]) -> Wording:
    return find_wording(rows)


def chances(wording: Wording, name: str) -> dict[str, float]:
    words, shares = wording.others[name]
    return dict(zip(words, shares.tolist(), strict=True))


def test_unlisted_words_belong_to_the_most_similar_thing(wording: Wording) -> None:
    assert "kitten" in chances(wording, "cat")
    assert {"astronomy", "telescopes"} <= chances(wording, "telescope").keys()
    assert "kitten" not in chances(wording, "rabbit")


def test_a_tag_shared_by_several_things_is_drawn_less_often(wording: Wording) -> None:
    found = chances(wording, "rabbit")
    assert found["bunny"] == pytest.approx(2 * found["animal"])
    assert sum(found.values()) == pytest.approx(1)


def test_a_thing_is_not_among_its_own_other_words(wording: Wording) -> None:
    for name, (words, _) in wording.others.items():
        assert name not in words


def test_color_words_are_not_used_for_things(rows: list[Row]) -> None:
    found = find_wording([*rows, replace(rows[0], name="shirt", tags=("blue", "clothes"))])
    assert "clothes" in chances(found, "shirt")
    assert "blue" not in chances(found, "shirt")
    assert not {"red", "teal", "blue"} & set(found.fillers)


def test_fillers_are_common_words_similar_to_no_thing(wording: Wording) -> None:
    assert {"however", "declined"} <= set(wording.fillers)
    assert not {"rabbit", "kitten", "stars", "pets"} & set(wording.fillers)


def test_alternative_words_are_distinct_and_limited_to_the_known_ones(wording: Wording) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        three = wording.other("cat", rng, 3)
        assert len(set(three)) == 3
    assert wording.other("an unknown thing", rng, 2) == []


def test_a_missing_table_of_words_is_named(rows: list[Row], tmp_path: Path) -> None:
    with pytest.raises(PocketError, match=str(tmp_path)):
        find_wording(rows, tmp_path)
