"""How other programs write down how they made a picture; one function a program, None where it is not its form.

| program | where | documented in |
|---|---|---|
| A1111 and its relatives | `parameters`; EXIF UserComment | its `modules/infotext_utils.py`, `modules/images.py` |
| SwarmUI | JSON in the same places | its `docs/Image Metadata Format.md` |
| InvokeAI 3 and later | `invokeai_metadata` | its `invokeai/app/invocations/metadata.py` |
| InvokeAI 2, and its first versions | `sd-metadata`; `Dream` | its `ldm/invoke/args.py`, `ldm/invoke/pngwriter.py` |
| ComfyUI | `prompt`; EXIF Model in WebP | its `comfy_api/latest/_ui.py`; read in `comfy_graph.py` |
"""

from __future__ import annotations

import json
import re
from typing import Any

from services.metadata import from_a1111
from services.recipe import Recipe, as_object, recipe

_SIZE = re.compile(r"(\d{1,5})\s*x\s*(\d{1,5})")
_NEGATIVE = re.compile(r"\[([^\[\]]*)\]")
_SWITCH = re.compile(r"-([sSWHCA])\s*([\w.+]{1,40})")


def of_a1111(text: str) -> Recipe | None:
    """`parameters` as A1111 writes them: prompts above, `name: value` pairs in the last line."""
    found = from_a1111(text)
    if found is None:
        return None
    fields = found.fields
    size = _SIZE.fullmatch(fields.get("Size", ""))
    version = fields.get("Version", "")
    return recipe(
        "Atelier" if version.startswith("Atelier") else "A1111",
        {
            "prompt": found.prompt,
            "negative_prompt": found.negative_prompt,
            "steps": fields.get("Steps"),
            "sampler": fields.get("Sampler"),
            "guidance": fields.get("CFG scale"),
            "seed": fields.get("Seed"),
            "width": size and size[1],
            "height": size and size[2],
            "model": fields.get("Model"),
        },
        schedule=fields.get("Schedule type"),
    )


def of_swarm(text: str) -> Recipe | None:
    """SwarmUI's JSON; numbers may be written as text."""
    values = as_object(parse(text).get("sui_image_params"))
    if not values:
        return None
    return recipe(
        "SwarmUI",
        {
            "prompt": values.get("prompt"),
            "negative_prompt": values.get("negativeprompt"),
            "steps": values.get("steps"),
            "sampler": values.get("sampler"),
            "guidance": values.get("cfgscale"),
            "seed": values.get("seed"),
            "width": values.get("width"),
            "height": values.get("height"),
            "model": values.get("model"),
        },
        schedule=values.get("scheduler"),
    )


def of_invoke(text: str) -> Recipe | None:
    """InvokeAI 3 and later. The model's name is `model_name` in 3, `name` from 4 on; FLUX has `guidance` alone."""
    values = parse(text)
    if not values:
        return None
    model = as_object(values.get("model"))
    return recipe(
        "InvokeAI",
        {
            "prompt": values.get("positive_prompt"),
            "negative_prompt": values.get("negative_prompt"),
            "steps": values.get("steps"),
            "sampler": values.get("scheduler"),
            "guidance": values.get("cfg_scale", values.get("guidance")),
            "seed": values.get("seed"),
            "width": values.get("width"),
            "height": values.get("height"),
            "model": model.get("name", model.get("model_name")),
        },
    )


def of_invoke_2(text: str) -> Recipe | None:
    """InvokeAI 2: everything under `image`; the prompt is a text, or a list of weighted ones."""
    values = parse(text)
    image = as_object(values.get("image"))
    if not image:
        return None
    prompt = image.get("prompt")
    if isinstance(prompt, list):
        parts = [as_object(part).get("prompt") for part in prompt]
        prompt = " ".join(part for part in parts if isinstance(part, str))
    return recipe(
        "InvokeAI",
        {
            **_without_brackets(prompt),
            "steps": image.get("steps"),
            "sampler": image.get("sampler"),
            "guidance": image.get("cfg_scale"),
            "seed": image.get("seed"),
            "width": image.get("width"),
            "height": image.get("height"),
            "model": values.get("model_weights"),
        },
    )


def of_dream(text: str) -> Recipe | None:
    """The command line of InvokeAI's first versions: `"a cat [blurry]" -s 50 -S 7 -W 512 -H 512 -C 7.5 -A k_lms`."""
    quoted, mark, switches = text.strip().rpartition('" ')
    if not mark or not quoted.startswith('"'):
        return None
    values = {match[1]: match[2] for match in _SWITCH.finditer(switches)}
    return recipe(
        "InvokeAI",
        {
            **_without_brackets(quoted[1:]),
            "steps": values.get("s"),
            "sampler": values.get("A"),
            "guidance": values.get("C"),
            "seed": values.get("S"),
            "width": values.get("W"),
            "height": values.get("H"),
        },
    )


def parse(text: str) -> dict[str, Any]:
    """The JSON object that `text` is; an empty one for anything else, however deep or large it pretends to be."""
    if not text.lstrip().startswith("{"):
        return {}
    try:
        return as_object(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _without_brackets(prompt: object) -> dict[str, object]:
    """InvokeAI 2 wrote what should not be in the picture into the prompt, in square brackets."""
    if not isinstance(prompt, str):
        return {}
    negative = ", ".join(part.strip() for part in _NEGATIVE.findall(prompt))
    return {"prompt": _NEGATIVE.sub("", prompt).strip(), "negative_prompt": negative}
