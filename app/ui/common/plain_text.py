"""Users' text as plain text: in full, on one line, or escaped for a Markdown label."""

from __future__ import annotations

import re

# Characters that reorder or hide the text around them are shown by name, so that the reader sees what is sent.
INVISIBLE = {
    "\u200b": "ZWSP", "\u200e": "LRM", "\u200f": "RLM", "\u2028": "LS", "\u2029": "PS",
    "\u202a": "LRE", "\u202b": "RLE", "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO",
    "\u2066": "LRI", "\u2067": "RLI", "\u2068": "FSI", "\u2069": "PDI", "\ufeff": "BOM",
}  # fmt: skip
_INVISIBLE = re.compile("[" + "".join(INVISIBLE) + "]")
# ASCII characters that can start Markdown, directives (`:material/x:`), LaTeX, or HTML.
_SPECIAL = re.compile(r"([!-/:-@\[-`{-~])")
# Where addresses become links: that is done to the text after its escapes were read, so only what stands between
# keeps it from happening. An empty directive leaves no character behind when the label is copied.
_LINKS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)
_NO_LINK = ":small[]"


def plain(text: str) -> str:
    """Returns `text` with invisible and reordering characters replaced by their names."""
    return _INVISIBLE.sub(lambda found: f"⟨{INVISIBLE[found[0]]}⟩", text)


def one_line(text: str, longest: int = 80) -> str:
    """Returns `plain(text)` on one line, truncated with an ellipsis beyond `longest` characters."""
    flat = " ".join(plain(text).split())
    return flat if len(flat) <= longest else flat[: longest - 1].rstrip() + "…"


def as_label(text: str, longest: int = 80) -> str:
    """Returns one line for a label, with every Markdown character escaped."""
    return _NO_LINK.join(_SPECIAL.sub(r"\\\1", part) for part in _LINKS.split(one_line(text, longest)))
