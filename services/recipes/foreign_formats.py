"""Parsers for other programs' metadata; one function per program, None where the form does not match.

| program | where | documented in |
|---|---|---|
| A1111 and its relatives | `parameters`; EXIF UserComment | its `modules/infotext_utils.py`, `modules/images.py` |
| Fooocus | JSON in the same places, if not A1111's form | its `modules/meta_parser.py` |
| NovelAI | JSON in `Comment` | its help page on image metadata |
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

from services.formats.a1111 import from_a1111
from services.recipes.recipe import Recipe, as_object, recipe

_FIELDS = (
    "prompt", "negative_prompt", "steps", "sampler", "guidance", "seed", "width", "height", "model",
)  # fmt: skip
_SIZE = re.compile(r"\(?\s*(\d{1,5})\s*[xX×,]\s*(\d{1,5})\s*\)?")
_NEGATIVE = re.compile(r"\[([^\[\]]*)\]")
_SWITCH = re.compile(r"-([sSWHCA])\s*([\w.+]{1,40})")


def of_a1111(text: str) -> Recipe | None:
    """Parse A1111's `parameters`: prompts first, `name: value` pairs in the last line."""
    found = from_a1111(text)
    if found is None:
        return None
    size = _SIZE.fullmatch(found.named("Size") or "")
    version = found.named("Version") or ""
    sampler = found.named("Sampler")
    schedule = found.named("Schedule type", "Scheduler", "Sampler sigma")
    return recipe(
        "Atelier" if version.startswith("Atelier") else "A1111",
        {
            "prompt": found.prompt,
            "negative_prompt": found.negative_prompt,
            "seed": found.named("Seed"),
            "steps": found.named("Steps"),
            # Forge writes FLUX's guidance here, beside a CFG of 1 that means no guidance.
            "guidance": found.named("Distilled CFG Scale", "CFG scale", "Guidance scale", "Guidance"),
            "sampler": schedule if sampler is None else sampler,
            "width": size[1] if size else found.named("Width"),
            "height": size[2] if size else found.named("Height"),
            "model": found.named("Model"),
        },
        schedule=schedule if sampler is not None else None,
    )


def of_fooocus(text: str) -> Recipe | None:
    """Parse Fooocus's own JSON; the size is a text such as `(1152, 896)`."""
    values = parse(text)
    if not values.keys() >= {"base_model", "guidance_scale"}:
        return None
    size = _SIZE.fullmatch(str(values.get("resolution")))
    return recipe(
        "Fooocus",
        _named(values, guidance="guidance_scale", model="base_model")
        | {"width": size and size[1], "height": size and size[2]},
        schedule=values.get("scheduler"),
    )


def of_novelai(text: str) -> Recipe | None:
    """Parse NovelAI's JSON; its native noise schedule is the sampler's default."""
    values = parse(text)
    if "uc" not in values or "sampler" not in values:
        return None
    schedule = values.get("noise_schedule")
    return recipe(
        "NovelAI",
        _named(values, negative_prompt="uc", guidance="scale"),
        schedule=None if schedule == "native" else schedule,
    )


def of_swarm(text: str) -> Recipe | None:
    """Parse SwarmUI's JSON; numbers may be written as text. FLUX has its guidance beside a CFG of 1."""
    values = as_object(parse(text).get("sui_image_params"))
    if not values:
        return None
    named = _named(values, negative_prompt="negativeprompt", guidance="cfgscale")
    if values.get("fluxguidancescale") is not None:
        named["guidance"] = values["fluxguidancescale"]
    return recipe("SwarmUI", named, schedule=values.get("scheduler"))


def of_invoke(text: str) -> Recipe | None:
    """Parse InvokeAI 3 and later. The model's name is `model_name` in 3, `name` from 4 on; FLUX has `guidance`."""
    values = parse(text)
    if not values:
        return None
    model = as_object(values.get("model"))
    named = _named(values, prompt="positive_prompt", sampler="scheduler", guidance="cfg_scale")
    if values.get("guidance") is not None:
        named["guidance"] = values["guidance"]
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
    parts = _NEGATIVE.split(prompt)
    positive = "".join(part.rstrip() for part in parts[:-1:2]) + parts[-1]
    return {
        "prompt": positive if parts[0].strip() else positive.lstrip(),
        "negative_prompt": ", ".join(part.strip() for part in parts[1::2]),
    }
