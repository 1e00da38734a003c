"""Tests of pocket-clip: trained on a small data set, saved, and reopened; and of the shipped folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.pocket import clip_folder, clip_training
from inference.pocket.clip import PocketClip
from inference.pocket.clip_fit import Fitted, fit_clip
from inference.pocket.clip_folder import write_clip
from inference.pocket.clip_report import report_clip, search_figures
from inference.pocket.clip_text import spoken_of, worded_like
from inference.pocket.clip_training import read_queries, train_clip
from inference.pocket.colours import Rgb
from inference.pocket.dataset import DataSet, load_dataset
from inference.pocket.errors import PocketError
from inference.pocket.folders import CLIP_WEIGHTS
from inference.pocket.parts import folder_bytes
from inference.pocket.prompts import PARAPHRASE, QUESTIONS
from inference.pocket.tower import TowerShape
from inference.pocket.tower_discriminant import discriminant
from inference.pocket.tower_training import TowerPlan
from inference.pocket.variants import compose
from inference.pocket.words import Words
from inference.pocket.words_distil import save_words

SPOKEN = ("the", "red", "disc", "blue", "square", "green", "triangle", "shape", "round", "three")


def small_words() -> Words:
    """Ten words with eight numbers each; "round" is near "disc", "three" is near "triangle"."""
    rng = np.random.default_rng(3)
    vectors = rng.integers(-120, 121, (len(SPOKEN), 8)).astype(np.int8)
    places = {word: place for place, word in enumerate(SPOKEN)}
    for word, like in (("round", "disc"), ("three", "triangle")):
        vectors[places[word]] = np.clip(vectors[places[like]].astype(int) + 5, -127, 127)
    return Words(vectors, np.full(len(SPOKEN), 0.01, np.float32), places)


@pytest.fixture(scope="module")
def plan(shapes_root: Path, tmp_path_factory: pytest.TempPathFactory) -> TowerPlan:
    """A run with three things whose words exist already, so that no teacher is fetched."""
    root = tmp_path_factory.mktemp("clip")
    (root / "dataset").symlink_to(shapes_root / "dataset")
    plan = TowerPlan(root, "clip", samples=1600, batch=16, rate=8e-3)
    save_words(small_words(), plan.folder / "words")
    return plan


@pytest.fixture(scope="module")
def clip(plan: TowerPlan) -> PocketClip:
    """A small pocket-clip that was trained, saved, and read back."""
    with pytest.MonkeyPatch.context() as patched:
        small = TowerShape((8, 12, 16, 24), 16)
        patched.setattr(clip_training, "SHAPE", small)
        patched.setattr(clip_folder, "SHAPE", small)
        learner, knowledge, ended = train_clip(plan)
        assert ended
        fitted = fit_clip(learner, knowledge, load_dataset(plan.root), seed=0)
        write_clip(learner, fitted, knowledge, plan.folder / "clip_weights")
    return PocketClip.open(plan.folder / "clip_weights")


def plain(shapes: DataSet, index: int, background: str = "white") -> Rgb:
    rng = np.random.default_rng(0)
    return compose(shapes.images[index], 64, background, rng, moved=False, flip=False)


def test_pictures_are_named_and_tagged(clip: PocketClip, shapes: DataSet) -> None:
    for row in shapes.rows:
        named = clip.names(plain(shapes, row.index, "pink"), k=2)
        assert named[0][0] == row.name
        assert named[0][1] > named[1][1]
        # All three things have it.
        tag, share = clip.tags(plain(shapes, row.index))[0]
        assert tag == "shape"
        assert share == pytest.approx(1, abs=1e-4)


def test_style_similarities_sum_to_one(clip: PocketClip, shapes: DataSet) -> None:
    for row in shapes.rows:
        styles = clip.style(plain(shapes, row.index))
        assert sum(styles.values()) == pytest.approx(1, abs=1e-4)
        # The other three styles are not in the data set.
        assert max(styles, key=lambda style: styles[style]) in ("3d", "flat")


def test_embeddings_have_unit_length_and_similar_pictures_are_near(clip: PocketClip, shapes: DataSet) -> None:
    disc, square, _, flat_disc, *_ = (plain(shapes, row.index) for row in shapes.rows)
    assert np.linalg.norm(clip.embed_images([disc, square]), axis=1) == pytest.approx([1, 1], abs=1e-4)
    assert clip.likeness(disc, flat_disc) > clip.likeness(disc, square)
    assert clip.embed_images([]).shape == (0, 16)


def test_pictures_are_found_by_names_and_other_words(clip: PocketClip, shapes: DataSet) -> None:
    gallery = clip.embed_images([plain(shapes, row.index) for row in shapes.rows[:3]])
    found = clip.search(["a red disc", "round", "three"], gallery).argmax(1)
    assert [shapes.rows[i].name for i in found] == ["red disc", "red disc", "green triangle"]
    assert not clip.embed_texts(["xyzzy"]).any()


def test_a_complete_run_is_not_trained_again(
    plan: TowerPlan, monkeypatch: pytest.MonkeyPatch, clip: PocketClip
) -> None:
    small = TowerShape((8, 12, 16, 24), 16)
    monkeypatch.setattr(clip_training, "SHAPE", small)
    # The run is complete: nothing is trained again, and the learner is the same.
    learner, _, ended = train_clip(plan)
    assert ended
    again = train_clip(plan)[0]
    assert learner.places().equal(again.places())
    with pytest.raises(PocketError, match="other settings"):
        train_clip(replace(plan, seed=1))


def test_a_folder_too_large_to_ship_is_not_put_in_place(
    plan: TowerPlan, monkeypatch: pytest.MonkeyPatch, clip: PocketClip, tmp_path: Path
) -> None:
    small = TowerShape((8, 12, 16, 24), 16)
    monkeypatch.setattr(clip_training, "SHAPE", small)
    monkeypatch.setattr(clip_folder, "SHAPE", small)
    monkeypatch.setattr(clip_folder, "LARGEST_BYTES", 1000)
    learner, knowledge, _ = train_clip(plan)
    places = clip.text.concepts.places
    with pytest.raises(PocketError, match="may be shipped"):
        fitted = Fitted(places, 10.0, np.zeros((5, small.signs + 1), np.float32))
        write_clip(learner, fitted, knowledge, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", ["words.json", "concepts.json", "tower.safetensors", "config.json"])
def test_a_folder_with_a_broken_file_is_refused(
    plan: TowerPlan, clip: PocketClip, tmp_path: Path, file: str
) -> None:
    for source in (plan.folder / "clip_weights").iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    PocketClip.open(tmp_path)
    (tmp_path / file).write_bytes(b"{}")
    with pytest.raises(PocketError, match=str(tmp_path)):
        PocketClip.open(tmp_path)


def test_the_discriminants_axes_separate_classes() -> None:
    rng = np.random.default_rng(0)
    of = np.arange(3000) % 3
    vectors = (rng.normal(size=(3000, 2)) * [10, 0.5] + np.eye(3)[of] @ [[0, 0], [0, 3], [0, 6]]).astype(
        np.float32
    )
    middle, axes = discriminant(vectors, of)
    turned = (vectors - middle) @ axes
    spread = np.cov(turned[of == 0].T)
    # Uncorrelated, apart from the regularization: the narrow axis, which separates the classes, is scaled up.
    assert abs(spread[0, 1]) < 0.1
    distance = np.linalg.norm(turned[of == 0].mean(0) - turned[of == 2].mean(0))
    before = np.linalg.norm(vectors[of == 0].mean(0) - vectors[of == 2].mean(0)) / vectors[of == 0].std()
    assert distance / turned[of == 0].std() > 1.5 * before


def test_hits_are_counted_at_first_place_and_among_the_first_five() -> None:
    scores = np.array([[0.9, 0.5, 0.1], [0.2, 0.1, 0.8]], np.float32)
    figures = search_figures(scores, [["cat"], ["fox"]], np.array(["cat", "dog", "fox"]))
    assert (figures.first, figures.five) == (1.0, 1.0)
    wrong_first = search_figures(scores, [["dog"], ["cow"]], np.array(["cat", "dog", "fox"]))
    assert (wrong_first.first, wrong_first.five) == (0.0, 0.5)


def test_style_words_are_not_part_of_a_prompts_subject() -> None:
    assert spoken_of("A red apple, 3d style, on a yellow background") == "red apple"
    assert spoken_of("flat icon of a rocket, blue background") == "rocket"
    assert spoken_of("3d glasses") == "3d glasses"


def test_a_tag_that_looks_like_a_query_is_reported() -> None:
    assert worded_like("kittens", {"kitten"})
    assert worded_like("bird of prey", {"birds of prey"})
    assert not worded_like("kitten heel", {"kitten"})


def test_the_shipped_folder_is_within_its_size_and_holds_only_safetensors_and_json() -> None:
    assert folder_bytes(CLIP_WEIGHTS) <= clip_folder.LARGEST_BYTES
    assert {file.suffix for file in CLIP_WEIGHTS.iterdir()} == {".json", ".safetensors"}


@pytest.fixture(scope="module")
def shipped() -> PocketClip:
    """The pocket-clip in the repository."""
    return PocketClip.open()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("kitten", {"cat", "cat face", "black cat", "grinning cat"}),
        (
            "fruit",
            {"banana", "mango", "peach", "pear", "melon", "grapes", "strawberry", "kiwi fruit", "watermelon"},
        ),
        ("something to write with", {"pen", "pencil", "fountain pen", "writing hand", "black nib", "memo"}),
    ],
)
def test_the_shipped_text_embeddings_match_the_concepts(
    shipped: PocketClip, text: str, wanted: set[str]
) -> None:
    near = np.argsort(-(shipped.embed_texts([text]) @ shipped.text.concepts.places.T)[0])[:5]
    assert {shipped.text.concepts.names[i] for i in near} & wanted


def test_the_queries_are_about_known_things(shipped: PocketClip) -> None:
    names = set(shipped.text.concepts.names)
    queries = read_queries()
    assert len(queries) == 100
    assert all(set(answers) <= names for answers in queries.values())


def test_no_paraphrase_uses_the_wording_of_a_caption(shipped: PocketClip) -> None:
    said = {*shipped.text.concepts.names, *(tag for tags in shipped.text.concepts.tags for tag in tags)}
    for question in QUESTIONS:
        if question.group == PARAPHRASE:
            assert spoken_of(question.prompt) not in said


def test_the_report_has_a_line_for_every_measurement(
    clip: PocketClip, shapes: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference.pocket import clip_report

    monkeypatch.setattr(clip_report, "CHECKED_STYLE", "flat")
    monkeypatch.setattr(clip_training, "CHECKED_STYLE", "flat")
    lines = report_clip(clip, shapes)
    assert len(lines) == 7
    assert "names of 3, fresh augmentations" in lines[0]
    assert "100 free-text queries" in lines[3]
