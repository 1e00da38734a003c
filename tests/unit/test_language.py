"""Tests of translation and localization outside pages; tests/ui covers the language choice of pages."""

from __future__ import annotations

from datetime import date

import pytest

from app.i18n import wording
from app.i18n.texts import LANGUAGES, fitting, number, speaking, tr, tr_n, tr_sentence
from services.sentences import sentence


@pytest.mark.parametrize(
    ("wanted", "spoken"),
    [
        (["de"], "de"),
        (["de-AT"], "de"),
        (["fr-CA"], "fr"),
        (["es-ES"], "en"),
        (["es", "fr-FR", "de"], "fr"),
        (["../../etc"], "en"),
        ([""], "en"),
        ([], "en"),
    ],
)
def test_the_first_supported_language_is_chosen_with_english_as_fallback(
    wanted: list[str], spoken: str
) -> None:
    assert fitting(wanted) == spoken


def test_texts_outside_pages_are_english_unless_a_language_is_set() -> None:
    assert tr("Gallery") == "Gallery"
    with speaking("de"):
        assert tr("Gallery") == "Galerie"
        with speaking("fr"):
            assert tr("Gallery") == "Galerie" and tr("History") == "Historique"
        assert tr("History") == "Verlauf"
    assert tr("History") == "History"


def test_a_text_missing_from_the_catalog_is_shown_unchanged_with_its_braces() -> None:
    with speaking("de"):
        assert tr("a text of nobody's {prompt}") == "a text of nobody's {prompt}"
        assert tr_sentence("") == "" and tr("") == ""


def test_plural_forms_follow_the_number_in_each_language() -> None:
    assert [tr_n("{count} picture", "{count} pictures", n) for n in (0, 1, 2)] == [
        "0 pictures",
        "1 picture",
        "2 pictures",
    ]
    with speaking("de"):
        assert [wording.pictures(n) for n in (0, 1, 2)] == ["0 Bilder", "1 Bild", "2 Bilder"]
    with speaking("fr"):
        assert [wording.pictures(n) for n in (0, 1, 2)] == ["0 image", "1 image", "2 images"]


def test_numbers_dates_and_sizes_follow_the_language() -> None:
    assert number(1234567.5) == "1,234,567.5" and wording.day(date(2026, 3, 5)) == "05 Mar 2026"
    assert wording.file_size(1_250_000) == "1.2 MB"
    with speaking("de"):
        assert number(1234567.5) == "1.234.567,5" and wording.day(date(2026, 3, 5)) == "5. März 2026"
        assert wording.file_size(1_250_000) == "1,2 MB"
    with speaking("fr"):
        assert number(1234567.5).split() == ["1", "234", "567,5"]
        assert wording.day(date(2026, 3, 5)) == "5 mars 2026"


def test_a_sentence_is_an_english_string_that_can_be_translated() -> None:
    said = sentence("{count} of {limit} today", count=3, limit=50)
    assert said == "3 of 50 today" and isinstance(said, str)
    nested = sentence("about {what}", what=said)
    with speaking("de"):
        assert tr_sentence(said) == "3 von 50 heute"
        assert tr_sentence(nested) == "etwa 3 von 50 heute"
        # A plain value that equals a translatable text is user content and is not translated.
        assert tr_sentence(sentence("about {what}", what="Gallery")) == "etwa Gallery"


def test_every_language_has_a_catalog() -> None:
    for language in set(LANGUAGES) - {"en"}:
        with speaking(language):
            assert tr("Gallery") != "" and tr("History") != "History"
