"""Tests of the colors, captions, and pictures of training."""

from __future__ import annotations

import numpy as np
import pytest

from inference.pocket.captions import with_article, write_caption
from inference.pocket.colours import PALETTE, drawing_tint, hsv, recolour
from inference.pocket.dataset import DataSet
from inference.pocket.judge import background_name, thing_tint
from inference.pocket.variants import Variant, compose, compose_pool, held_out_colour
from inference.pocket.wording import Wording
from tests.inference.pocket.conftest import SHAPES, shape

WORDING = Wording({"red disc": (("round", "shape"), np.array([0.5, 0.5]))}, ("however", "perhaps"))


@pytest.mark.parametrize(("name", "colour"), SHAPES)
def test_the_color_of_a_drawing_is_named(name: str, colour: str) -> None:
    tint = drawing_tint(shape(name, colour, 20))
    assert tint.colour == colour
    assert tint.is_plain


@pytest.mark.parametrize("colour", ["green", "blue", "purple", "yellow"])
def test_a_recolored_drawing_has_the_new_color_and_keeps_its_outline(colour: str) -> None:
    drawing = shape("red disc", "red", 20)
    turned = recolour(drawing, drawing_tint(drawing), colour)
    assert drawing_tint(turned).colour == colour
    assert np.array_equal(turned[..., 3], drawing[..., 3])


def test_recoloring_is_softer_than_rotating_the_hue_alone() -> None:
    drawing = shape("red disc", "red", 20)
    turned = recolour(drawing, drawing_tint(drawing), "green")
    opaque = drawing[..., 3] > 128
    _, before, _ = hsv(drawing[opaque][:, :3].astype(np.float32) / np.float32(255))
    _, after, _ = hsv(turned[opaque][:, :3].astype(np.float32) / np.float32(255))
    assert after.mean() < before.mean()


@pytest.mark.parametrize("background", PALETTE)
def test_a_composed_picture_has_its_background(background: str) -> None:
    rng = np.random.default_rng(0)
    picture = compose(shape("red disc", "red", 20), 64, background, rng, moved=False, flip=False)
    assert picture.shape == (64, 64, 3)
    assert background_name(picture) == background


def test_the_same_seed_composes_the_same_pool(shapes: DataSet) -> None:
    first, second = (compose_pool(shapes, shapes.rows, 64, seed=3) for _ in range(2))
    assert np.array_equal(first.pictures, second.pictures)
    assert first.variants == second.variants


def test_a_pool_labels_its_pictures(shapes: DataSet) -> None:
    pool = compose_pool(shapes, shapes.rows, 64, seed=3)
    assert len(pool.pictures) == len(pool.variants) == 6 * len(shapes.rows)
    for picture, variant in zip(pool.pictures, pool.variants, strict=True):
        assert background_name(picture) == variant.background
        if variant.background == "white":
            assert thing_tint(picture).colour == (variant.colour or variant.row.tint.colour)


def test_a_pool_never_contains_held_out_data(shapes: DataSet) -> None:
    from dataclasses import replace

    fox = replace(shapes.rows[0], name="fox")
    colours: set[str | None] = set()
    for seed in range(20):
        colours |= {v.colour for v in compose_pool(shapes, [fox], 64, seed).variants}
    assert held_out_colour("fox") not in colours
    assert len(colours - {None}) >= 3


def test_evaluation_pictures_are_the_centered_unmodified_drawing(shapes: DataSet) -> None:
    pool = compose_pool(shapes, shapes.rows, 64, seed=3, steady=True)
    assert len(pool.pictures) == 5 * len(shapes.rows)
    for picture, variant in zip(pool.pictures, pool.variants, strict=True):
        if variant.background != "white":
            continue
        ground = (np.abs(picture.astype(int) - picture[0, 0]).sum(-1) > 60).nonzero()
        middle = [(side.min() + side.max()) / 2 for side in ground]
        assert middle == pytest.approx([31.5, 31.5], abs=1.5), variant


def caption(shapes: DataSet, background: str, colour: str | None, seed: int) -> str:
    return write_caption(shapes.rows[0], background, colour, WORDING, np.random.default_rng(seed))


def test_captions_name_the_thing_or_use_other_words_for_it(shapes: DataSet) -> None:
    for seed in range(200):
        said = set(caption(shapes, "white", None, seed).replace(",", "").split())
        assert said & {"disc", "round", "shape"}, said


def test_captions_mostly_name_the_thing_and_sometimes_describe_it_by_two_other_words(shapes: DataSet) -> None:
    texts = [caption(shapes, "white", None, seed) for seed in range(400)]
    assert 0.65 < np.mean(["disc" in text for text in texts]) < 0.9
    assert any({"round", "shape"} <= set(text.split()) and "disc" not in text for text in texts)


def test_filler_words_sometimes_precede_or_follow_the_thing(shapes: DataSet) -> None:
    texts = [caption(shapes, "white", None, seed) for seed in range(400)]
    filled = [text for text in texts if "however" in text or "perhaps" in text]
    assert 0.2 < len(filled) / len(texts) < 0.4
    assert any(
        text.index("however") < text.index("disc")
        for text in filled
        if {*text.split()} >= {"however", "disc"}
    )
    assert any(" of " in text or " with " in text for text in filled)


def test_captions_name_the_new_color_and_not_the_old(shapes: DataSet) -> None:
    for seed in range(100):
        said = caption(shapes, "white", "blue", seed).replace(",", "").split()
        assert "blue" in said
        assert "red" not in said


def test_captions_mostly_name_a_colored_background_and_the_style(shapes: DataSet) -> None:
    texts = [caption(shapes, "pink", None, seed) for seed in range(200)]
    assert np.mean(["pink background" in text for text in texts]) > 0.85
    assert 0.25 < np.mean(["3d" in text for text in texts]) < 0.55


def test_every_style_but_the_default_is_always_named(shapes: DataSet) -> None:
    flat = next(row for row in shapes.rows if row.style == "flat")
    for seed in range(200):
        assert "flat" in write_caption(flat, "white", None, WORDING, np.random.default_rng(seed))


def test_the_article_depends_on_the_first_letter() -> None:
    assert with_article("octopus") == "an octopus"
    assert with_article("rocket") == "a rocket"


def test_variants_with_equal_fields_are_equal(shapes: DataSet) -> None:
    row = shapes.rows[0]
    assert Variant(row, "white", None, 1.0) == Variant(row, "white", None, 1.0)
