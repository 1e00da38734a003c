"""The texts of the pages: written in English in the code, shown in the reader's language.

The catalogs are in `app/i18n/locale/`, one file per language; `python -m tools.texts` updates them from the
code. The log and the API are in English.

Nothing here depends on Streamlit: `/v1` and the share page show texts too. The caller sets the reader's language:
`speaking` for the duration of a request, or a resolver (`resolve_language_by`) for sessions.
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
# Each language in its own name, so that its readers recognize it.
LANGUAGES = {Language.ENGLISH: "English", Language.GERMAN: "Deutsch", Language.FRENCH: "Français"}

# Returns the reader's language, or None outside a page's run.
Resolver = Callable[[], str | None]

_spoken: ContextVar[str] = ContextVar("language", default=ENGLISH)
_resolver: Resolver | None = None


def tr(text: str, /, **values: Any) -> str:
    """Returns `text`, a literal in the code, in the reader's language, with its `{names}` replaced by `values`."""
    said = _texts().gettext(text) if text else text
    return said.format(**values) if values else said


def tr_n(one: str, many: str, count: int, /, **values: Any) -> str:
    """Returns the plural form of a text for `count`, which also replaces `{count}`."""
    shown = {"count": number(count), **values}
    return _texts().ngettext(one, many, count).format(**shown)


def mark(text: str, /) -> str:
    """Marks a literal for translation; `tr` translates it later, such as a table value or an option."""
    return text


def tr_sentence(message: str) -> str:
    """Returns a service's message in the reader's language, or unchanged if the catalog lacks it.

    Sentences among its values are translated too, and formatted numbers use the separators of the language.
    """
    if not isinstance(message, Sentence):
        return _texts().gettext(message) if message else message
    said = _texts().gettext(message.template)
    return _Values().vformat(said, (), message.values) if message.values else said


class _Values(Formatter):
    """Formats the values of a sentence."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """Formats one value in the reader's language."""
        shown: str = super().format_field(
            tr_sentence(value) if isinstance(value, Sentence) else value, format_spec
        )
        if format_spec and isinstance(value, int | float):
            signs = {",": get_group_symbol(current()), ".": get_decimal_symbol(current())}
            return shown.translate({ord(sign): said for sign, said in signs.items()})
        return shown


def decimal_comma() -> bool:
    """Whether numbers in the reader's language have a comma for a decimal sign: 0,5."""
    return bool(get_decimal_symbol(current()) == ",")


def number(value: float) -> str:
    """Formats a number in the reader's language, with at most three decimals."""
    return format_decimal(value, locale=current())


def resolve_language_by(resolver: Resolver) -> None:
    """Makes `current` ask `resolver` first; one per process, the last one set."""
    global _resolver
    _resolver = resolver


def current() -> str:
    """Returns the code of the reader's language: from the resolver, else from `speaking`, else English."""
    resolved = None if _resolver is None else _resolver()
    return _spoken.get() if resolved is None else resolved


def fitting(wanted: list[str]) -> str:
    """Returns the first supported language of `wanted` (such as `de-AT`), else English."""
    return negotiate_locale(wanted, list(LANGUAGES), sep="-") or ENGLISH


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Sets the language of this context, used if no resolver knows the reader."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def locale() -> Locale:
    """Returns Babel's locale of this run, for dates, times, and numbers."""
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
    """Returns the translations of a component's texts by their English; empty in English."""
    return {} if current() == ENGLISH else {text: _texts().gettext(text) for text in texts}
