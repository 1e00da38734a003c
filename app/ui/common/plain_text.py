"""Users' own text as plain characters: in full, on one line, or as a label that markdown reads nothing in."""

from __future__ import annotations

import re

# Characters that reorder or hide the text around them; shown by name, so that what is read is what is sent.
INVISIBLE = {
    "\u200b": "ZWSP", "\u200e": "LRM", "\u200f": "RLM", "\u2028": "LS", "\u2029": "PS",
    "\u202a": "LRE", "\u202b": "RLE", "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO",
    "\u2066": "LRI", "\u2067": "RLI", "\u2068": "FSI", "\u2069": "PDI", "\ufeff": "BOM",
}  # fmt: skip
_INVISIBLE = re.compile("[" + "".join(INVISIBLE) + "]")
# Everything of ASCII that markdown, directives (`:material/x:`), LaTeX or HTML could begin with.
_SPECIAL = re.compile(r"([!-/:-@\[-`{-~])")
# Where addresses become links: that is done to the text after its escapes were read, so only what stands between
# keeps it from happening. An empty directive leaves no character behind when the label is copied.
_LINKS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)
_NO_LINK = ":small[]"


def plain(text: str) -> str:
    """`text` with invisible and reordering characters named, everything else as it is."""
    return _INVISIBLE.sub(lambda found: f"⟨{INVISIBLE[found[0]]}⟩", text)


def one_line(text: str, longest: int = 80) -> str:
    """`plain(text)` on one line, cut with an ellipsis when over `longest` characters."""
    flat = " ".join(plain(text).split())
    return flat if len(flat) <= longest else flat[: longest - 1].rstrip() + "…"


def as_label(text: str, longest: int = 80) -> str:
    """One line for where only a label is possible: every character that markdown could read is escaped."""
    return _NO_LINK.join(_SPECIAL.sub(r"\\\1", part) for part in _LINKS.split(one_line(text, longest)))
