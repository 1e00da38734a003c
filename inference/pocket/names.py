"""The things that pocket knows: the selected emoji, each with a name, tags, and whether it may be mirrored."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SKIN_TONES = range(0x1F3FB, 0x1F3FF + 1)
NEUTRAL_PERSON = 0x1F9D1
JOINER, KEYCAP, VARIATION = 0x200D, 0x20E3, 0xFE0F
LONGEST_TAG = 40
# Mirroring would change what these show, or show something that does not exist.
DIRECTIONAL = re.compile(
    r"arrow|left|right|clock|letter|button|number|symbol|mark|note|hand|sign|question|musical|abc|index|currency"
    r"|dollar|euro|yen|pound",
    re.IGNORECASE,
)
CLOCK_FACE = re.compile(r"(o'clock|thirty)$")
KEPT_CLOCKS = frozenset({"three o'clock", "ten o'clock"})


@dataclass(frozen=True)
class Concept:
    """One thing: its name, its tags, and how to find it in the icon packages."""

    number: int
    emoji: str
    name: str
    group: str
    tags: tuple[str, ...]
    slug: str
    may_flip: bool

    def code_points(self) -> tuple[str, ...]:
        """The names that packages may use for it: hex code points, with and without the variation selector."""
        points = [ord(character) for character in self.emoji]
        return (
            "-".join(f"{p:x}" for p in points),
            "-".join(f"{p:x}" for p in points if p != VARIATION),
        )


def clean(text: str) -> str:
    """Return a name as prompts write it: lower case, letters, digits, and apostrophes, single spaces."""
    # Letters lose their accents but are kept: "piñata" becomes "pinata".
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    text = plain.lower().replace("_", " ").replace("-", " ").replace("’", "'")
    return re.sub(r"\s+", " ", re.sub(r"[^a-z0-9' ]", " ", text)).strip()


def read_concepts(folders: dict[str, Path]) -> list[Concept]:
    """Return the things to draw, in Unicode's order, from the unpacked packages of names."""
    facts: dict[str, dict[str, Any]] = _json(folders["unicode-emoji-json"] / "data-by-emoji.json")
    keywords: dict[str, list[str]] = _json(folders["emojilib"] / "dist" / "emoji-en-US.json")
    entries: list[dict[str, Any]] = _json(folders["emojibase-data"] / "en" / "data.json")
    labelled = {entry["emoji"].replace(chr(VARIATION), ""): entry for entry in entries}
    concepts: list[Concept] = []
    for emoji, fact in facts.items():
        if not _is_kept(emoji, fact["name"], fact["group"]):
            continue
        name = clean(fact["name"])
        entry = labelled.get(emoji.replace(chr(VARIATION), ""), {})
        words = [entry.get("label", ""), *entry.get("tags", []), *keywords.get(emoji, [])]
        tags = dict.fromkeys(clean(word) for word in words)
        concepts.append(
            Concept(
                number=len(concepts),
                emoji=emoji,
                name=name,
                group=fact["group"],
                tags=tuple(t for t in tags if t and t != name and len(t) < LONGEST_TAG),
                slug=fact["slug"].replace("_", "-"),
                may_flip=not DIRECTIONAL.search(fact["name"]),
            )
        )
    return concepts


def _is_kept(emoji: str, name: str, group: str) -> bool:
    points = [ord(character) for character in emoji]
    if group == "Flags" or KEYCAP in points or "keycap" in name:
        return False
    if any(point in SKIN_TONES for point in points):
        return False
    # One drawing of a person per thing: gendered and family sequences are left out.
    if group == "People & Body" and (
        (JOINER in points and points[0] != NEUTRAL_PERSON) or points.count(NEUTRAL_PERSON) > 1
    ):
        return False
    if group == "Symbols" and ("button" in name or "japanese" in name.lower()):
        return False
    return not CLOCK_FACE.search(name) or name in KEPT_CLOCKS


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
