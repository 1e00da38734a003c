"""Tests of which things are kept, and of their names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inference.pocket.names import Concept, clean, read_concepts


def folders_with(root: Path, emoji: dict[str, tuple[str, str]]) -> dict[str, Path]:
    """Write the three packages of names for `emoji`: character -> (name, group)."""
    facts: dict[str, Any] = {
        character: {"name": name, "slug": name.replace(" ", "_"), "group": group}
        for character, (name, group) in emoji.items()
    }
    entries = [
        {"emoji": character, "label": name, "tags": ["Some-Tag"]} for character, (name, _) in emoji.items()
    ]
    files = {
        "unicode-emoji-json": ("data-by-emoji.json", facts),
        "emojilib": ("dist/emoji-en-US.json", {character: ["some_tag", "other tag"] for character in emoji}),
        "emojibase-data": ("en/data.json", entries),
    }
    for package, (file, content) in files.items():
        path = root / package / file
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    return {package: root / package for package in files}


def read(root: Path, emoji: dict[str, tuple[str, str]]) -> list[Concept]:
    return read_concepts(folders_with(root, emoji))


def test_names_are_written_as_prompts_write_them() -> None:
    assert clean("Smiling Face_with-Sun’s “Rays”!") == "smiling face with sun's rays"


def test_accents_are_dropped_and_their_letters_kept() -> None:
    assert clean("Piñata") == "pinata"


def test_tags_of_all_packages_are_joined_without_repeats(tmp_path: Path) -> None:
    (rocket,) = read(tmp_path, {"🚀": ("rocket", "Travel & Places")})
    assert rocket.name == "rocket"
    assert rocket.tags == ("some tag", "other tag")


@pytest.mark.parametrize(
    ("character", "name", "group"),
    [
        ("🇫🇷", "flag France", "Flags"),
        ("#️⃣", "keycap #", "Symbols"),
        ("👍🏽", "thumbs up medium skin tone", "People & Body"),
        ("👩‍🚒", "woman firefighter", "People & Body"),
        ("🆗", "OK button", "Symbols"),
        ("🕝", "two thirty", "Travel & Places"),
    ],
)
def test_emoji_that_look_alike_at_64_pixels_are_left_out(
    tmp_path: Path, character: str, name: str, group: str
) -> None:
    assert read(tmp_path, {character: (name, group)}) == []


def test_drawings_that_show_a_direction_are_never_mirrored(tmp_path: Path) -> None:
    cat, arrow = read(tmp_path, {"😺": ("grinning cat", "Smileys"), "➡️": ("right arrow", "Symbols")})
    assert cat.may_flip
    assert not arrow.may_flip


def test_code_points_are_listed_with_and_without_the_variation_selector(tmp_path: Path) -> None:
    (heart,) = read(tmp_path, {"❤️": ("red heart", "Smileys")})
    assert heart.code_points() == ("2764-fe0f", "2764")
