"""The languages of the pages: what is written in English in the code, said in the one the reader chose.

The catalogue is `app/i18n/locale/`, one file a language; `python -m tools.texts` brings it up to date with the
code. The API and the log speak English.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from string import Formatter
from typing import Any

import streamlit as st
from babel import Locale, UnknownLocaleError, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, get_decimal_symbol, get_group_symbol
from streamlit.runtime.scriptrunner import get_script_run_ctx

from services.accounts.preferences import Language
from services.sentences import Sentence

FOLDER = Path(__file__).parent / "locale"
ENGLISH = Language.ENGLISH
# Each in its own words: who reads none of the others finds theirs.
LANGUAGES = {Language.ENGLISH: "English", Language.GERMAN: "Deutsch", Language.FRENCH: "Français"}
CHOSEN = "language"

_outside_pages: ContextVar[str] = ContextVar("language", default=ENGLISH)
# Of the thread that runs a session's script: a page says a hundred texts, and each look into the session costs.
_of_script: ContextVar[str | None] = ContextVar("language of the script", default=None)


def tr(text: str, /, **values: Any) -> str:
    """`text`, a literal of the code, in the reader's language, with its `{names}` filled in by `values`."""
    said = _texts().gettext(text) if text else text
    return said.format(**values) if values else said


def tr_n(one: str, many: str, count: int, /, **values: Any) -> str:
    """The form of a text that goes with `count`, which is also its `{count}`."""
    shown = {"count": number(count), **values}
    return _texts().ngettext(one, many, count).format(**shown)


def tr_later(text: str, /) -> str:
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


def current() -> str:
    """The code of the language of this run; outside of pages that of `speaking`, else English."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return _outside_pages.get()
    known = _of_script.get()
    if known is None:
        known = st.session_state.get(CHOSEN, ENGLISH)
        _of_script.set(known)
    return known


def choose(wanted: str | None) -> None:
    """Has this session speak `wanted`; None: what the browser asks for, and English when we do not speak it."""
    language = wanted if wanted in LANGUAGES else fitting([st.context.locale or ENGLISH])
    if st.session_state.get(CHOSEN) != language:
        st.session_state[CHOSEN] = language
    _of_script.set(language)


def fitting(wanted: list[str]) -> str:
    """The first of `wanted` (such as `de-AT`) that we speak, else English."""
    return negotiate_locale(wanted, list(LANGUAGES), sep="-") or ENGLISH


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """The language of what is said outside of Streamlit's pages, in this context."""
    token = _outside_pages.set(language)
    try:
        yield
    finally:
        _outside_pages.reset(token)


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
