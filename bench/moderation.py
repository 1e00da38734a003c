"""Measures the rules of moderation: what they catch by category and disguise, and which innocent prompts they refuse.

The labelled prompts and the disguises are those of `tests/moderation`: rules are written against one set of prompts,
and the held-out set shows what they do with others. PARTI_PROMPTS names the file of 1,632 ordinary
prompts (github.com/google-research/parti, `PartiPrompts.tsv`), which is not part of the repository.
"""

from __future__ import annotations

import csv
import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bench.table import print_table
from local.processes import ROOT
from services.errors import Moderated
from services.moderation.rules import Moderation
from tests.moderation.disguises import DISGUISES
from tests.moderation.labelled import can_disguise, harmful, innocent

PARTI_PROMPTS = Path(os.environ.get("PARTI_PROMPTS", ROOT.parent / "shared/data/PartiPrompts.tsv"))


def measure() -> None:
    """Prints the tables."""
    moderation = Moderation.load()
    for held_out in (False, True):
        _print_caught(moderation, held_out=held_out)
        _print_disguises(moderation, held_out=held_out)
    _print_refused(moderation)


def _name(held_out: bool) -> str:
    return "held out" if held_out else "rules written against these"


def _rule(moderation: Moderation, text: str) -> str | None:
    try:
        moderation.check(text, param="prompt")
    except Moderated as refused:
        return refused.rule
    return None


def _print_caught(moderation: Moderation, *, held_out: bool) -> None:
    plain, disguised = Counter[str](), Counter[str]()
    of_plain, of_disguised = Counter[str](), Counter[str]()
    for category, prompt in harmful(held_out=held_out):
        of_plain[category] += 1
        if _rule(moderation, prompt) is None:
            continue
        plain[category] += 1
        for name, disguise in DISGUISES.items():
            if can_disguise(name, prompt):
                of_disguised[category] += 1
                disguised[category] += _rule(moderation, disguise(prompt)) is not None
    rows = [
        [
            category,
            f"{plain[category]} of {of_plain[category]}",
            f"{disguised[category] / of_disguised[category]:.1%} of {of_disguised[category]}",
        ]
        for category in of_plain
    ]
    rows.append(
        [
            "all",
            f"{plain.total()} of {of_plain.total()}",
            f"{disguised.total() / of_disguised.total():.1%} of {of_disguised.total()}",
        ]
    )
    print_table(
        f"Refused by category, {_name(held_out)}",
        ["category", "as they are", "of these, disguised"],
        rows,
    )


def _print_disguises(moderation: Moderation, *, held_out: bool) -> None:
    rows = []
    for name, disguise in DISGUISES.items():
        prompts = [prompt for _, prompt in harmful(held_out=held_out) if can_disguise(name, prompt)]
        prompts = [prompt for prompt in prompts if _rule(moderation, prompt) is not None]
        missed = [prompt for prompt in prompts if _rule(moderation, disguise(prompt)) is None]
        if missed:
            rows.append([name, f"{len(missed)} of {len(prompts)}"])
    rows.append(["the other disguises", "0"])
    print_table(f"Not refused, by disguise, {_name(held_out)}", ["disguise", "missed"], rows)


def _print_refused(moderation: Moderation) -> None:
    sets: list[tuple[str, Iterable[str]]] = [
        ("hard innocent prompts", innocent()),
        ("hard innocent prompts, held out", innocent(held_out=True)),
    ]
    if PARTI_PROMPTS.exists():
        with PARTI_PROMPTS.open(encoding="utf-8", newline="") as file:
            sets.append(("PartiPrompts", [row["Prompt"] for row in csv.DictReader(file, delimiter="\t")]))
    else:
        print(f"\n{PARTI_PROMPTS} is not there: set PARTI_PROMPTS to measure ordinary prompts.")
    rows = []
    for name, prompts in sets:
        texts = list(prompts)
        began = time.process_time()
        refused = sum(_rule(moderation, text) is not None for text in texts)
        each_ms = (time.process_time() - began) / len(texts) * 1000
        rows.append([name, f"{refused} of {len(texts)}", f"{refused / len(texts):.1%}", f"{each_ms:.1f} ms"])
    print_table("Innocent prompts refused", ["prompts", "refused", "share", "processor time each"], rows)
