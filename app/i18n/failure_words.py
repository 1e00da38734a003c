"""Why a job failed, in the reader's language."""

from __future__ import annotations

from app.i18n.texts import ENGLISH, current, tr, tr_sentence
from services.backends.failures import FAILURES
from services.backends.withheld import withheld_words
from services.records import Job


def failure_words(job: Job) -> str:
    """Returns a failed job's reason in plain text, or an empty text; messages of models and libraries stay in English.

    Records store the reason in English. Known codes are translated; a reason with an unknown code is shown as stored.
    """
    failure = job.failure
    if failure is None:
        return ""
    known = tr_sentence(failure.message)
    if current() == ENGLISH or known != failure.message:
        return known
    if failure.code == "withheld" and job.withheld:
        return tr_sentence(withheld_words(job.withheld, job.spec.count))
    if failure.code == "bad_output":
        return tr("The model returned an invalid response: {message}", message=failure.message)
    if failure.code in FAILURES:
        english = FAILURES[failure.code]
        models = failure.message.removeprefix(english.partition("{message}")[0])
        return tr_sentence(english).replace("{message}", models)
    return failure.message
