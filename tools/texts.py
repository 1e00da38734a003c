"""The catalog of the pages' texts, and the check that it is complete.

`python -m tools.texts` updates `app/i18n/locale/*.po` from the code: adds new texts without a translation and removes
unused ones. `python -m tools.check texts` fails if a text is untranslated, a placeholder is lost in translation, or
a page shows a text that bypasses the catalog (`tools/unmarked.py`).
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

from tools.outcome import Outcome, from_problems
from tools.tree import tracked
from tools.unmarked import unmarked

ROOT = Path(__file__).resolve().parents[1]
LOCALES = "app/i18n/locale"
NAME = re.compile(r"\{(\w*)[^{}]*\}")
# Header lines that change with the date and the author.
NOISE = re.compile('"(Project-Id|Report|POT-|PO-|Last|Language-Team|Generated)')
# Shown fields of a model card or a moderation rule.
SHOWN = ("description", "size_hint", "about", "category")
Text = str | tuple[str, ...]


def said(root: Path) -> dict[Text, str]:
    """Return every text marked in the code with the first file that contains it. Plurals are pairs."""
    marks = ("tr", "mark", "sentence", *errors(root))
    found: dict[Text, str] = {}
    for file in tracked(root):
        name = file.relative_to(root).as_posix()
        # The API uses English only.
        if not name.startswith(("app/", "services/", "streamlit_app.py")) or name.startswith("app/api/"):
            continue
        if file.suffix == ".py":
            texts = in_python(file.read_text(encoding="utf-8"), marks)
        elif file.suffix == ".js":
            texts = in_javascript(file.read_bytes())
        elif file.suffix == ".toml":
            texts = in_table(file.read_text(encoding="utf-8"))
        else:
            continue
        for text in texts:
            found.setdefault(text, name)
    return found


def in_python(source: str, marks: tuple[str, ...]) -> Iterator[Text]:
    """Yield the arguments of `marks` and `tr_n` in a module. Not Babel's extractor, which ignores f-strings."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name == "tr_n":
            yield tuple(_literals(node.args[:2]))
        elif name in marks:
            choice = node.args[0]
            either = [choice.body, choice.orelse] if isinstance(choice, ast.IfExp) else [choice]
            yield from _literals(either)


def _literals(nodes: list[ast.expr]) -> list[str]:
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value
    ]


def in_javascript(source: bytes) -> Iterator[Text]:
    """Yield the arguments of `say` in a script."""
    for _, message, _, _ in extract("javascript", io.BytesIO(source), {"say": None}):
        if isinstance(message, str):
            yield message


def in_table(source: str) -> Iterator[Text]:
    """Yield the texts that pages show about models or prompt rules."""
    tables = tomllib.loads(source)
    for entry in (*tables.get("rule", ()), *(table for table in tables.values() if isinstance(table, dict))):
        yield from (entry[name] for name in SHOWN if entry.get(name))
        yield from map(str.capitalize, entry.get("qualities", ()))


def errors(root: Path) -> list[str]:
    """Return the names of the services' error classes, whose first argument is a sentence for users."""
    tree = ast.parse((root / "services" / "errors.py").read_text(encoding="utf-8"))
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def catalogues(root: Path) -> dict[str, Catalog]:
    """Return the translations by language."""
    return {file.stem: _read(file) for file in sorted((root / LOCALES).glob("*.po"))}


def problems(root: Path) -> list[str]:
    """Return what is missing, obsolete or damaged in the catalogs, one line each."""
    found = []
    texts = said(root)
    for language, catalogue in catalogues(root).items():
        known = {_text(message.id): message for message in catalogue if message.id}
        place = f"{LOCALES}/{language}.po"
        found += [
            f"{place}: not there: {_quote(text)} ({name})"
            for text, name in texts.items()
            if text not in known
        ]
        found += [f"{place}: said no more: {_quote(text)}" for text in known if text not in texts]
        for text, message in known.items():
            forms = (
                _text(message.string) if isinstance(message.string, list | tuple) else (message.string or "",)
            )
            if message.fuzzy or not all(forms):
                found.append(f"{place}: not translated: {_quote(text)}")
                continue
            names = set(NAME.findall(text if isinstance(text, str) else " ".join(text)))
            # A singular form may omit the number.
            found += [
                f"{place}: {sorted(names ^ set(NAME.findall(form)))} differ in {_quote(text)}"
                for form in forms
                if (set(NAME.findall(form)) ^ names) - ({"count"} if isinstance(text, tuple) else set())
            ]
    return found


def check(root: Path) -> Outcome:
    """The check of `python -m tools.check texts`."""
    return from_problems(problems(root) + unmarked(root, tuple(errors(root))))


def update(root: Path) -> None:
    """Rewrites the catalogs: sorted, without line references, so that changes seldom conflict."""
    texts = sorted(said(root), key=_one)
    for language, before in catalogues(root).items():
        after = Catalog(locale=language, fuzzy=False, header_comment=f"# What the pages say, in {language}.")
        for text in texts:
            known = before.get(_one(text))
            after.add(text, known.string if known is not None and _text(known.id) == text else None)
        write(root / LOCALES / f"{language}.po", after)


def write(file: Path, catalogue: Catalog) -> None:
    """Writes a catalog file that changes only with its texts: no dates, no names."""
    written = io.BytesIO()
    write_po(written, catalogue, width=110, no_location=True)
    lines = written.getvalue().decode("utf-8").splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not NOISE.match(line)), encoding="utf-8")


def _read(file: Path) -> Catalog:
    with file.open("rb") as opened:
        return read_po(opened, locale=file.stem)


def _text(found: str | list[str] | tuple[str, ...]) -> Text:
    return found if isinstance(found, str) else tuple(found)


def _one(text: Text) -> str:
    return text if isinstance(text, str) else text[0]


def _quote(text: Text) -> str:
    return repr(_one(text))


if __name__ == "__main__":
    update(ROOT)
    left = problems(ROOT)
    print("\n".join(left) or "the catalogues are whole")
    sys.exit(bool(left))
