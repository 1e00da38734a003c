"""A recipe: a picture file's statements about how it was made, by any program, with every value checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from services.errors import InvalidRequest
from services.formats.png_metadata import SAMPLERS
from services.records import Record
from services.sentences import sentence, subject

# Ten times the form's limit. A longer text is no prompt and would slow down the page that shows it.
MAX_TEXT_CHARACTERS = 20_000
# Other programs' seeds have 64 bits; their sizes and steps stay far below this.
MAX_SEED = 2**64 - 1
MAX_SIDE_PX = 65_535
MAX_STEPS = 10_000
MAX_GUIDANCE = 1_000.0
MAX_NAME_CHARACTERS = 200

# What the file of a program can leave unsaid although the program used it.
FieldName = Literal["prompt", "negative_prompt", "seed", "steps", "guidance", "sampler", "size", "model"]

# Other programs' names for the studio's four schedulers, in lower case with only letters and digits.
_SCHEDULERS = {
    **{re.sub(r"[^a-z0-9]", "", name): name for name in SAMPLERS},
    # InvokeAI 2's name for it.
    "keuler": "euler",
}
# Noise schedules that are the scheduler's default; another one (Karras) makes it a different scheduler.
_PLAIN_SCHEDULES = frozenset({"", "automatic", "normal"})
_WHOLE = re.compile(r"[+-]?\d{1,20}(?:\.0{1,6})?")
_BROKEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Unread(Record):
    """A value that came from a part of the program whose result the file does not hold.

    `part` is its name in the file. `partly`: the recipe has what went into that part, without what it added.
    """

    field: FieldName
    part: str
    partly: bool = False


class Recipe(Record):
    """How a picture was made, as far as its file says; fields without a value are None.

    `seed` has up to 64 bits, `width`/`height` are pixels. `sampler` is the sampling method as named in the file,
    `scheduler` the studio's matching scheduler, `model` the name in the file, and `source` the program.
    `drawn_over`: the start was another picture, which the file does not contain. `unread` names what is missing because
    the file does not hold it. Spaces at the ends of a prompt belong to it.
    """

    source: str
    prompt: str | None = None
    negative_prompt: str | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    scheduler: str | None = None
    width: int | None = None
    height: int | None = None
    model: str | None = None
    drawn_over: bool = False
    unread: tuple[Unread, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it has nothing but its source."""
        return all(value in (None, "", ()) for field, value in self if field not in ("source", "drawn_over"))


def recipe(
    source: str, values: Mapping[str, object], *, schedule: object = None, unread: Sequence[Unread] = ()
) -> Recipe:
    """Return a recipe built from raw file values: of any type, any size, or missing.

    `values` uses the field names; `schedule` is the noise schedule if the program names it separately. A value of
    the wrong kind counts as missing. Raises InvalidRequest for a text that is too long to be a prompt.
    """
    sampler = _with_schedule(name(values.get("sampler")), name(schedule))
    return Recipe(
        source=source,
        prompt=_text(values.get("prompt"), "prompt"),
        negative_prompt=_text(values.get("negative_prompt"), "negative_prompt"),
        seed=whole(values.get("seed"), 0, MAX_SEED),
        steps=whole(values.get("steps"), 1, MAX_STEPS),
        guidance=_number(values.get("guidance"), 0.0, MAX_GUIDANCE),
        sampler=sampler,
        scheduler=_scheduler(sampler),
        width=whole(values.get("width"), 1, MAX_SIDE_PX),
        height=whole(values.get("height"), 1, MAX_SIDE_PX),
        model=name(values.get("model")),
        drawn_over=values.get("drawn_over") is True,
        unread=tuple(unread),
    )


def whole(value: object, lowest: int, highest: int) -> int | None:
    """Return a whole number within the bounds, also from text or 7.0, or None for anything else."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = int(value.strip().partition(".")[0])
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if lowest <= value <= highest else None


def name(value: object) -> str | None:
    """Return a short one-line text, cut at MAX_NAME_CHARACTERS, or None for anything else or an empty one."""
    if not isinstance(value, str):
        return None
    return (
        " ".join(_BROKEN.sub("\ufffd", value[: 2 * MAX_NAME_CHARACTERS]).split())[:MAX_NAME_CHARACTERS]
        or None
    )


def _number(value: object, lowest: float, highest: float) -> float | None:
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared before conversion: an integer can be too large for a float. NaN is outside all bounds.
    return float(value) if lowest <= value <= highest else None


def _text(value: object, param: str) -> str | None:
    """Normalize line ends; replace what no prompt can contain (controls, lone surrogates) with a visible U+FFFD.

    A text of white space only is empty.
    """
    if not isinstance(value, str):
        return None
    if len(value) > MAX_TEXT_CHARACTERS:
        raise InvalidRequest(
            sentence(
                "{what} in this file has {count} characters; more than {most} are not read.",
                what=subject(param),
                count=len(value),
                most=MAX_TEXT_CHARACTERS,
            ),
            param="file",
        )
    text = _BROKEN.sub("\ufffd", value.replace("\r\n", "\n").replace("\r", "\n"))
    return text if text.strip() else ""


def _with_schedule(sampler: str | None, schedule: str | None) -> str | None:
    if sampler is None or schedule is None or schedule.lower() in _PLAIN_SCHEDULES:
        return sampler
    return f"{sampler} {schedule}"


def _scheduler(sampler: str | None) -> str | None:
    if sampler is None:
        return None
    return _SCHEDULERS.get(re.sub(r"[^a-z0-9]", "", sampler.lower().replace("++", "pp")))


def as_object(value: Any) -> dict[str, Any]:
    """Return `value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}
