"""Tests of search queries: words without case and accents, prefixes, phrases, and exclusions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InvalidRequest
from services.search.query import PictureQuery, Term, words_of
from services.search.rows import Row
from services.search.sqlite_table import SearchTable

QUOTES = '"“”„‟«»「」＂'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A red APPLE, 3x!", ["a", "red", "apple", "3x"]),
        ("Crème-brûlée", ["creme", "brulee"]),
        ("Straße ŁÓDŹ", ["strasse", "lodz"]),
        ("đường Ørsted Iğdır", ["duong", "orsted", "igdir"]),
        ("Æther œuvre Þór ƶ", ["aether", "oeuvre", "thor", "z"]),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}pple", ["apple"]),
        ("猫と dog", ["猫", "と", "dog"]),
        ("가나 다", ["가", "나", "다"]),
        ("ガラス", ["ガ", "ラ", "ス"]),
        ("❤️ fox🦊", ["❤", "fox", "🦊"]),
        ("", []),
        ("—…!\x00\ue000", []),
    ],
)
def test_a_text_is_split_into_normalized_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_a_query_is_parsed_into_terms() -> None:
    assert PictureQuery(text='red "a fox" -sci-fi -"two words" - "" "unclosed one').terms() == (
        Term(("red",)),
        Term(("a", "fox"), exact=True),
        Term(("sci", "fi"), wanted=False),
        Term(("two", "words"), exact=True, wanted=False),
        Term(("unclosed", "one"), exact=True),
    )


@pytest.mark.parametrize(
    "text",
    [
        "apple -“blue boat”",
        "apple -„blue boat“",
        "apple –«blue boat»",
        "apple -”blue boat”",
        "apple −「blue boat」",
    ],
)
def test_quotation_marks_and_dashes_of_any_language_are_read(text: str) -> None:
    assert PictureQuery(text=text).terms() == (
        Term(("apple",)),
        Term(("blue", "boat"), exact=True, wanted=False),
    )


@given(st.text(max_size=200))
def test_no_query_text_breaks_a_search(text: str) -> None:
    table = SearchTable()
    prompt = f"before {text} after"
    table.apply({"A#0": Row("A#0", 0, prompt, "pocket", (text,), (), 0, False, 1)})
    try:
        terms = PictureQuery(text=text).terms()
    except InvalidRequest:
        return
    hits = table.find(PictureQuery(text=text), limit=5)
    # A query without exclusions and quotes finds the picture whose prompt contains it.
    if all(term.wanted for term in terms) and not set(text) & set(QUOTES):
        assert len(hits) == 1
    table.close()
