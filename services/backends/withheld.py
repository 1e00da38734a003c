"""The message about pictures that the output check withheld."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from services.records import Withheld
from services.sentences import Sentence, sentence

WITHHELD_REASONS = {"nsfw": sentence("the output check took it for sexual content")}
REFUSED = sentence("the output check refused it")


def withheld_words(withheld: Sequence[Withheld], count: int) -> Sentence:
    """Returns how many of a job's `count` pictures were withheld and why, in a sentence or two."""
    reasons = dict.fromkeys(WITHHELD_REASONS.get(one.reason, REFUSED) for one in withheld)
    why = reduce(lambda before, more: sentence("{before}; {more}", before=before, more=more), reasons)
    kept = len(withheld)
    if count == 1:
        return sentence("The picture was withheld: {why}. Nothing was charged.", why=why)
    if kept == count:
        return sentence(
            "All {count} pictures were withheld: {why}, each of them. Nothing was charged.",
            count=count,
            why=why,
        )
    if kept == 1:
        return sentence(
            "{kept} of {count} pictures was withheld: {why}. Only what is shown was charged.",
            kept=kept,
            count=count,
            why=why,
        )
    return sentence(
        "{kept} of {count} pictures were withheld: {why}. Only what is shown was charged.",
        kept=kept,
        count=count,
        why=why,
    )
