"""Finds all text and file fields of the pages in the code, so that the hostile-input tests cover each one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from local.processes import ROOT

TEXT_WIDGETS = {"text_input", "text_area", "chat_input", "data_editor"}
# An input of a form in one of our HTML files.
INPUT = re.compile(r'<input [^>]*name="(\w+)"[^>]*>')
FILE_WIDGETS = {"file_uploader", "camera_input", "audio_input"}


def text_fields() -> set[str]:
    """Returns file, function and label of each widget for free text: `account.keys: Name of the new key`.

    For an input in an HTML form, file and name: `local_sign_in.html: username`.
    """
    widgets = {field for kind, field, takes_new in _widgets() if kind in TEXT_WIDGETS or takes_new}
    return widgets | {
        f"{file.name}: {name}"
        for file in (ROOT / "app").rglob("*.html")
        for name in INPUT.findall(file.read_text(encoding="utf-8"))
    }


def file_fields() -> set[str]:
    """Returns the same for each widget that takes a file."""
    return {field for kind, field, _ in _widgets() if kind in FILE_WIDGETS}


def _widgets() -> Iterator[tuple[str, str, bool]]:
    """Yields each method call in the pages' code: name, location, and whether it has `accept_new_options`."""
    for file in (ROOT / "streamlit_app.py", *sorted((ROOT / "app").rglob("*.py"))):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.Module):
                continue
            for call in _calls(function):
                words = _words(call.args[0]) if call.args else ""
                where = f"{file.stem}.{getattr(function, 'name', '')}: {words}"
                new = any(keyword.arg == "accept_new_options" for keyword in call.keywords)
                assert isinstance(call.func, ast.Attribute)
                yield call.func.attr, where, new


def _words(label: ast.expr) -> str:
    """Returns a label's English text, also from `tr("...")`, or else the source of its expression."""
    if isinstance(label, ast.Call) and isinstance(label.func, ast.Name) and label.func.id == "tr":
        label = label.args[0]
    return str(label.value) if isinstance(label, ast.Constant) else ast.unparse(label)


def _calls(inside: ast.AST) -> Iterator[ast.Call]:
    """Yields the method calls of a function, without those of nested functions."""
    for node in ast.iter_child_nodes(inside):
        if isinstance(node, ast.FunctionDef):
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node
        yield from _calls(node)
