"""Parsers for other programs' metadata; one function per program, None where the form does not match.

| program | where | documented in |
|---|---|---|
| A1111 and its relatives | `parameters`; EXIF UserComment | its `modules/infotext_utils.py`, `modules/images.py` |
| SwarmUI | JSON in the same places | its `docs/Image Metadata Format.md` |
| InvokeAI 3 and later | `invokeai_metadata` | its `invokeai/app/invocations/metadata.py` |
| InvokeAI 2, and its first versions | `sd-metadata`; `Dream` | its `ldm/invoke/args.py`, `ldm/invoke/pngwriter.py` |
| ComfyUI | `prompt`; EXIF Model in WebP | its `comfy_api/latest/_ui.py`; read in `comfyui.py` |
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from services.formats.png_metadata import from_a1111
from services.recipes.recipe import Recipe, as_object, recipe

_FIELDS = (
    "prompt", "negative_prompt", "steps", "sampler", "guidance", "seed", "width", "height", "model",
)  # fmt: skip
_SIZE = re.compile(r"(\d{1,5})\s*x\s*(\d{1,5})")
_NEGATIVE = re.compile(r"\[([^\[\]]*)\]")
_SWITCH = re.compile(r"-([sSWHCA])\s*([\w.+]{1,40})")


def of_a1111(text: str) -> Recipe | None:
    """Parse A1111's `parameters`: prompts first, `name: value` pairs in the last line."""
    found = from_a1111(text)
    if found is None:
        return None
    fields = found.fields
    size = _SIZE.fullmatch(fields.get("Size", ""))
    version = fields.get("Version", "")
    return recipe(
        "Atelier" if version.startswith("Atelier") else "A1111",
        _named(fields, steps="Steps", sampler="Sampler", guidance="CFG scale", seed="Seed", model="Model")
        | {"prompt": found.prompt, "negative_prompt": found.negative_prompt}
        | {"width": size and size[1], "height": size and size[2]},
        schedule=fields.get("Schedule type"),
    )


def of_swarm(text: str) -> Recipe | None:
    """Parse SwarmUI's JSON; numbers may be written as text."""
    values = as_object(parse(text).get("sui_image_params"))
    if not values:
        return None
    return recipe(
        "SwarmUI",
        _named(values, negative_prompt="negativeprompt", guidance="cfgscale"),
        schedule=values.get("scheduler"),
    )


def of_invoke(text: str) -> Recipe | None:
    """Parse InvokeAI 3 and later. The model's name is `model_name` in 3, `name` from 4 on; FLUX has only `guidance`."""
    values = parse(text)
    if not values:
        return None
    model = as_object(values.get("model"))
    named = _named(values, prompt="positive_prompt", sampler="scheduler", guidance="cfg_scale")
    if named["guidance"] is None:
        named["guidance"] = values.get("guidance")
    return recipe("InvokeAI", named | {"model": model.get("name", model.get("model_name"))})


def of_invoke_2(text: str) -> Recipe | None:
    """Parse InvokeAI 2: everything is under `image`; the prompt is a text or a list of weighted texts."""
    values = parse(text)
    image = as_object(values.get("image"))
    if not image:
        return None
    prompt = image.get("prompt")
    if isinstance(prompt, list):
        parts = [as_object(part).get("prompt") for part in prompt]
        prompt = " ".join(part for part in parts if isinstance(part, str))
    named = _named(image, guidance="cfg_scale") | {"model": values.get("model_weights")}
    return recipe("InvokeAI", named | _without_brackets(prompt))


def of_dream(text: str) -> Recipe | None:
    """Parse the command line of early InvokeAI: `"a cat [blurry]" -s 50 -S 7 -W 512 -H 512 -C 7.5 -A k_lms`."""
    quoted, mark, switches = text.strip().rpartition('" ')
    if not mark or not quoted.startswith('"'):
        return None
    values = {match[1]: match[2] for match in _SWITCH.finditer(switches)}
    named = _named(values, steps="s", sampler="A", guidance="C", seed="S", width="W", height="H")
    return recipe("InvokeAI", named | _without_brackets(quoted[1:]))


def parse(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`, or an empty one for anything else, including excessive depth or size."""
    if not text.lstrip().startswith("{"):
        return {}
    try:
        return as_object(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _named(values: Mapping[str, object], **names: str) -> dict[str, object]:
    """Return the values of a recipe's fields, looked up by the program's own names where they differ."""
    return {field: values.get(names.get(field, field)) for field in _FIELDS}


def _without_brackets(prompt: object) -> dict[str, object]:
    """Split the prompt of InvokeAI 2, which put the negative prompt into it in square brackets."""
    if not isinstance(prompt, str):
        return {}
    negative = ", ".join(part.strip() for part in _NEGATIVE.findall(prompt))
    return {"prompt": _NEGATIVE.sub("", prompt).strip(), "negative_prompt": negative}
