"""Tests of plain text, error messages, formatted figures, and idempotency keys."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from streamlit.testing.v1 import AppTest

from app.i18n.texts import speaking
from app.i18n.wording import about, ago, dollars, duration, file_size, jobs
from app.ui.common.error_banner import in_words
from app.ui.common.idempotency import DOUBLE_CLICK_S, Attempt, key_for
from app.ui.common.plain_text import as_label, one_line, plain
from services.errors import LimitReached, Moderated, Unavailable
from services.records import JobRequest

HOSTILE = "![x](http://evil.example/x.png) <img src=x> $x^2$ :material/home: `a` [b](c) **d** ~e~ # f | g"


def test_every_markdown_character_is_escaped_in_a_label() -> None:
    label = as_label(HOSTILE, 500)
    bare = label.replace("\\\\", "").replace(":small[]", "")
    for character in "![]()<>$:`*_~#|/=^":
        assert all(bare[at - 1] == "\\" for at, found in enumerate(bare) if found == character)


def test_a_url_in_a_label_does_not_become_a_link() -> None:
    for address in ("http://evil.example/x", "HTTPS://evil.example", "www.evil.example", "a@evil.example"):
        label = as_label(address)
        # The characters that make a link are separated, and the visible text is unchanged.
        assert not re.search(r"https?:\\?//|www\\?\.|@[a-z]", label.replace("\\", ""), re.IGNORECASE)
        assert label.replace(":small[]", "").replace("\\", "") == address


def test_reordering_and_invisible_characters_are_replaced_by_their_names() -> None:
    assert plain("abc\u202edef\u200b\u2066") == "abc⟨RLO⟩def⟨ZWSP⟩⟨LRI⟩"
    assert plain("a\nb") == "a\nb"


def test_a_long_text_is_put_on_one_line_and_truncated() -> None:
    assert one_line("a\n b\tc") == "a b c"
    assert one_line("x" * 100, 10) == "x" * 9 + "…"


def test_text_is_shown_by_an_element_without_markdown() -> None:
    def page() -> None:
        from app.ui.common.prompt_text import show_text

        show_text("![x](http://evil.example/x.png)")

    at = AppTest.from_function(page).run()
    assert [text.value for text in at.text] == ["![x](http://evil.example/x.png)"]
    assert not at.markdown


def test_an_error_message_contains_the_retry_time() -> None:
    assert in_words(LimitReached("That is all for today.", retry_after_s=300)).endswith("Try again in 5 min.")
    assert "Try again in 5 s." in in_words(Unavailable("The table is busy."))


def test_a_moderation_message_names_its_rule_and_contains_no_markdown() -> None:
    error = Moderated("No ![x](y).", param="prompt", rule="W1", category="weapons", span=(0, 1))
    assert "W1" in in_words(error) and "weapons" in in_words(error)
    assert "![x]" not in in_words(error)


def test_an_unexpected_error_shows_a_reference_without_details() -> None:
    def page() -> None:
        from app.ui.common.error_boundary import error_boundary

        with error_boundary():
            raise ValueError("a secret detail")

    at = AppTest.from_function(page).run()
    assert "Reference" in at.error[0].value and "secret" not in at.error[0].value
    assert not at.exception


@pytest.mark.parametrize(
    ("usd", "words"),
    [
        (0, "$0"),
        (1234.5, "$1,234.50"),
        (0.04, "$0.04"),
        (0.0012, "$0.0012"),
        (0.00001, "$0.000010"),
        (1e-7, "under $0.000001"),
    ],
)
def test_prices_have_as_many_digits_as_needed(usd: float, words: str) -> None:
    assert dollars(usd) == words


@pytest.mark.parametrize(
    ("language", "usd", "words"),
    [
        ("de", 0, "0\xa0$"),
        ("de", 1234.5, "1.234,50\xa0$"),
        ("de", 0.0012, "0,0012\xa0$"),
        ("de", 1e-7, "unter 0,000001\xa0$"),
        ("fr", 0.0012, "0,0012\xa0$US"),
    ],
)
def test_prices_are_localized(language: str, usd: float, words: str) -> None:
    with speaking(language):
        assert dollars(usd) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "under 1 s"), (12.4, "12 s"), (89, "89 s"), (120, "2 min"), (3600, "1 h"), (3900, "1 h 5 min")],
)
def test_durations_are_rounded(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_about_is_not_added_to_an_upper_bound() -> None:
    assert (about("6 s"), about("under 1 s")) == ("about 6 s", "under 1 s")


def test_ages_sizes_and_counts_are_formatted() -> None:
    now = datetime(2026, 5, 4, 12, tzinfo=UTC)
    ages = [ago(now - timedelta(seconds=s), now) for s in (5, 300, 7200, 90000)]
    assert ages == ["just now", "5 min ago", "2 h ago", "03 May 2026"]
    assert [file_size(size) for size in (812, 34_000, 1_200_000)] == ["812 B", "34 kB", "1.2 MB"]
    assert (jobs(1), jobs(2)) == ("1 job", "2 jobs")


APPLE, ROCKET = (JobRequest(prompt="a red apple"),), (JobRequest(prompt="a rocket"),)


def test_a_retry_after_a_lost_response_reuses_its_key_at_any_time() -> None:
    assert key_for(Attempt(APPLE, "k"), APPLE, now=1e6) == "k"


def test_a_double_click_reuses_the_key_and_a_later_click_gets_a_new_one() -> None:
    last = Attempt(APPLE, "k", answered_at=100.0)
    assert key_for(last, APPLE, now=100.0 + DOUBLE_CLICK_S - 0.1) == "k"
    assert key_for(last, APPLE, now=100.0 + DOUBLE_CLICK_S + 0.1) != "k"


def test_a_different_request_gets_a_new_key() -> None:
    assert key_for(Attempt(APPLE, "k", answered_at=100.0), ROCKET, now=100.0) != "k"
    assert len({key_for(None, APPLE, now=0.0) for _ in range(3)}) == 3
