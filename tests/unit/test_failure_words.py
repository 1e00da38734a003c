"""Tests that failure messages are stored in English and translated by their code when shown."""

from __future__ import annotations

from collections.abc import Iterator
from gettext import NullTranslations

import pytest

from app.i18n import texts
from app.i18n.failure_words import failure_words
from app.i18n.texts import speaking, tr_sentence
from services.backends.container_contract import read_failure
from services.backends.failures import FAILURES
from services.moderation.rules import TEXTS
from services.records import JobFailure, JobStatus, Withheld
from services.sentences import sentence
from tests.unit.made import made_job

KEPT = "Kept by an older version."


class Bracketed(NullTranslations):
    """A test language: English in brackets. Stored messages are left as they are, as if missing from its catalog."""

    def gettext(self, message: str) -> str:
        return message if message.startswith(KEPT) or "no {such}" in message else f"[{message}]"


@pytest.fixture
def brackets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(texts, "_texts", Bracketed)
    with speaking("de"):
        yield


def said(code: str, message: str, **more: object) -> str:
    failure = JobFailure(code=code, message=message)
    return failure_words(made_job(status=JobStatus.FAILED, failure=failure, **more))


def test_in_english_the_stored_message_is_shown() -> None:
    assert said("out_of_memory", KEPT) == KEPT
    assert failure_words(made_job()) == ""


@pytest.mark.parametrize("code", [code for code in FAILURES if code != "invalid_request"])
@pytest.mark.usefixtures("brackets")
def test_every_code_is_shown_in_the_readers_language(code: str) -> None:
    assert said(code, KEPT) == said(code, FAILURES[code]) == f"[{FAILURES[code]}]"


@pytest.mark.usefixtures("brackets")
def test_a_message_of_the_model_is_not_translated() -> None:
    kept = read_failure(b'{"error": {"code": "invalid_request", "message": "no {such} scheduler"}}', "")
    assert kept.message == "The model refused the request: no {such} scheduler"
    job = made_job(status=JobStatus.FAILED, failure=kept)
    assert failure_words(job) == "[The model refused the request: no {such} scheduler]"
    assert said("bad_output", KEPT) == f"[The model returned an invalid response: {KEPT}]"
    assert said("of another version", KEPT) == KEPT


@pytest.mark.usefixtures("brackets")
def test_withheld_pictures_are_described_with_count_and_reasons() -> None:
    withheld = (Withheld(n=0, seed=1, reason="nsfw"), Withheld(n=1, seed=2, reason="other"))
    kept = JobFailure(code="withheld", message=KEPT)
    job = made_job(status=JobStatus.FAILED, failure=kept, withheld=withheld)
    words = failure_words(job)
    assert words.startswith("[All 2 pictures were withheld: [")
    assert "[the output check took it for sexual content]; [the output check refused it]" in words


def test_parts_of_a_sentence_are_translated_and_numbers_are_localized() -> None:
    made = sentence(
        "{what} has {count:,} of {share:.1f}; {code:04X}",
        what=TEXTS["prompt"],
        count=12000,
        share=0.5,
        code=7,
    )
    assert made == "the prompt has 12,000 of 0.5; 0007"
    with speaking("de"):
        assert tr_sentence(made).endswith("has 12.000 of 0,5; 0007")
    assert tr_sentence(made) == made
