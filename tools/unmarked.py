"""Finds texts in `app/` that bypass the catalog, so that a page would show them in English in every language."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tools.tree import tracked

# Arguments of these are marked, or are meant for the log and for programmers.
MARKS = ("tr", "mark", "tr_n", "sentence", "event", "RuntimeError", "ValueError", "TypeError")
# Functions that display their text argument.
DRAWS = re.compile(
    "badge|button|caption|checkbox|date_input|dialog|download_button|error|expander|feedback|file_uploader|header|"
    "info|link_button|markdown|metric|multiselect|number_input|page_link|pills|popover|progress|radio|"
    "segmented_control|selectbox|slider|spinner|status|subheader|success|tabs|text|text_area|text_input|title|"
    "toast|toggle|warning|write"
)
DRAWN = ("label", "help", "placeholder", "text", "body")
# English for other programs: the API and the pages' wrappers.
ENGLISH = ("app/api/", "app/middleware/", "app/asgi.py", "app/hosting.py", "app/i18n/texts.py")
NOT_WORDS = re.compile(
    r":material/\w+:|:\w+\[|https?://\S+|[\w./-]+\.(css|js|svg|png|py)|%[A-Za-z-]|&\w+;|<[^>]*>"
)
WORD = re.compile(r"[^\W\d_]{2,}")
SENTENCE = re.compile(r"[A-Z][a-z’']+(,? [a-z’'“]+)+|[a-z]+ [a-z]+.*[.…!?]$")


def unmarked(root: Path, errors: tuple[str, ...] = ()) -> list[str]:
    """Return texts that are displayed without a mark, as `file:line: text`."""
    found = []
    for file in tracked(root):
        name = file.relative_to(root).as_posix()
        ours = name == "streamlit_app.py" or (name.startswith("app/") and not name.startswith(ENGLISH))
        if file.suffix != ".py" or not (ours or name.startswith("services/")):
            continue
        source = file.read_text(encoding="utf-8")
        missed = texts(source, errors) if ours else glued(source, errors)
        found += [f"{name}:{line}: not marked: {text!r}" for line, text in missed]
    return found


def glued(source: str, errors: tuple[str, ...]) -> list[tuple[int, str]]:
    """Return line and text of errors whose sentence is concatenated, so that no catalog can match it."""
    return [
        (node.lineno, ast.unparse(node.args[0]))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and _name(node) in errors
        and node.args
        and isinstance(node.args[0], ast.JoinedStr | ast.BinOp)
    ]


def texts(source: str, errors: tuple[str, ...] = ()) -> list[tuple[int, str]]:
    """Return line and text of unmarked texts in `source`."""
    tree = ast.parse(source)
    excused = _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            excused |= {id(key) for key in node.keys}
        if isinstance(node, ast.Call) and _name(node) in (*MARKS, *errors):
            excused |= {id(inner) for inner in ast.walk(node)}
    drawn = {id(node) for node in _drawn(tree)}
    found = []
    inside: set[int] = set()
    for node in ast.walk(tree):
        if id(node) in excused or id(node) in inside:
            continue
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values if isinstance(part, ast.Constant)}
            said = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            said = node.value
        else:
            continue
        plain = NOT_WORDS.sub(" ", said)
        if SENTENCE.search(plain) or (id(node) in drawn and WORD.search(plain)):
            found.append((node.lineno, said))
    return sorted(found)


def _drawn(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and DRAWS.fullmatch(node.func.attr)
        ):
            yield from node.args[:1]
            yield from (word.value for word in node.keywords if word.arg in DRAWN)


def _name(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def _docstrings(tree: ast.AST) -> set[int]:
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
