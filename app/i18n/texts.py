"""The texts of the pages: written in English in the code, said in the reader's language.

The catalogue is `app/i18n/locale/`, one file a language; `python -m tools.texts` brings it up to date with the
code. The log speaks English, and so does the API.

Nothing here knows Streamlit: `/v1` and the share page say texts too. Who serves a reader says which language they read:
`speaking` for the time of a request, or a resolver (`resolve_language_by`) for whatever has sessions.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from string import Formatter
from typing import Any

from babel import Locale, UnknownLocaleError, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, get_decimal_symbol, get_group_symbol

from services.accounts.preferences import Language
from services.sentences import Sentence

FOLDER = Path(__file__).parent / "locale"
ENGLISH = Language.ENGLISH
# Each in its own words: who reads none of the others finds theirs.
LANGUAGES = {Language.ENGLISH: "English", Language.GERMAN: "Deutsch", Language.FRENCH: "Français"}

# Answers with the reader's language, or None where it serves nobody: outside of a page's run.
Resolver = Callable[[], str | None]

_spoken: ContextVar[str] = ContextVar("language", default=ENGLISH)
_resolver: Resolver | None = None


def tr(text: str, /, **values: Any) -> str:
    """`text`, a literal of the code, in the reader's language, with its `{names}` filled in by `values`."""
    said = _texts().gettext(text) if text else text
    return said.format(**values) if values else said


def tr_n(one: str, many: str, count: int, /, **values: Any) -> str:
    """The form of a text that goes with `count`, which is also its `{count}`."""
    shown = {"count": number(count), **values}
    return _texts().ngettext(one, many, count).format(**shown)


def mark(text: str, /) -> str:
    """Marks a literal that is said later by `tr`: a value of a table, an option of a choice."""
    return text


def tr_sentence(message: str) -> str:
    """What a service says, in the reader's language; as it is when the catalogue does not know it.

    Sentences among its values are said so too, and figures with a format get the signs of the language.
    """
    if not isinstance(message, Sentence):
        return _texts().gettext(message) if message else message
    said = _texts().gettext(message.template)
    return _Values().vformat(said, (), message.values) if message.values else said


class _Values(Formatter):
    """Fills in the values of a sentence."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """`value` as the sentence says it."""
        shown: str = super().format_field(
            tr_sentence(value) if isinstance(value, Sentence) else value, format_spec
        )
        if format_spec and isinstance(value, int | float):
            signs = {",": get_group_symbol(current()), ".": get_decimal_symbol(current())}
            return shown.translate({ord(sign): said for sign, said in signs.items()})
        return shown


def number(value: float) -> str:
    """A number with the thousands and decimals of the reader's language, three decimals at most."""
    return format_decimal(value, locale=current())


def resolve_language_by(resolver: Resolver) -> None:
    """Has `current` ask `resolver` first; one a process, the last one that was given."""
    global _resolver
    _resolver = resolver


def current() -> str:
    """The code of the reader's language: what the resolver says, else that of `speaking`, else English."""
    resolved = None if _resolver is None else _resolver()
    return _spoken.get() if resolved is None else resolved


def fitting(wanted: list[str]) -> str:
    """The first of `wanted` (such as `de-AT`) that we speak, else English."""
    return negotiate_locale(wanted, list(LANGUAGES), sep="-") or ENGLISH


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """The language of what is said in this context, where no resolver knows the reader."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def locale() -> Locale:
    """Babel's locale of this run: dates, times and numbers."""
    try:
        return Locale.parse(current())
    except UnknownLocaleError:
        return Locale.parse(ENGLISH)


def _texts() -> NullTranslations:
    return _catalogue(current())


@cache
def _catalogue(language: str) -> NullTranslations:
    if language == ENGLISH or language not in LANGUAGES:
        return NullTranslations()
    with (FOLDER / f"{language}.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return GNUTranslations(compiled)


def words(texts: tuple[str, ...]) -> dict[str, str]:
    """What a component's script says, by its English; empty in English."""
    return {} if current() == ENGLISH else {text: _texts().gettext(text) for text in texts}
