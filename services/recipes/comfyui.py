"""Reads how a picture was made from ComfyUI's node graph, backward from the sampling node.

`comfyui_graph` follows the links, `comfyui_kinds` knows the nodes. A value that the graph does not hold is left empty
and named, never guessed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from services.recipes.comfyui_graph import Graph, Node, UnresolvedError, Values
from services.recipes.comfyui_kinds import KINDS
from services.recipes.recipe import MAX_NAME_CHARACTERS, FieldName, Recipe, Unread, recipe

# If a graph has more samplers than this, only the first ones are examined.
_MAX_SAMPLERS = 50
# The inputs of a sampler that a value can come from, the nearest first.
_LATENTS = ("latent_image", "latent", "optional_latent")
_INPUTS = {
    "positive": ("positive", "optional_positive", "guider"),
    "negative": ("negative", "optional_negative", "guider"),
    "guidance": ("positive", "optional_positive", "guider"),
    "seed": ("seed", "noise_seed", "noise"),
    "steps": ("steps", "sigmas"),
    "cfg": ("cfg", "guider"),
    "sampler": ("sampler_name", "sampler"),
    "scheduler": ("scheduler", "sigmas"),
    "width": _LATENTS,
    "height": _LATENTS,
    "model": ("model", "optional_model", "guider"),
}
# The channels of a pipe that are not named as the field.
_CHANNELS = {"width": "latent", "height": "latent", "guidance": "positive"}
_FIELDS: dict[str, FieldName] = {
    **{name: name for name in get_args(FieldName)},
    "positive": "prompt",
    "negative": "negative_prompt",
    "cfg": "guidance",
    "scheduler": "sampler",
    "width": "size",
    "height": "size",
}


def of_comfy(graph: dict[str, Any]) -> Recipe | None:
    """Return the recipe of a graph's first sampling, or None without a sampling node.

    Of several samplers, this is the one that does not start from another's result; the later ones refine.
    """
    nodes = Graph(graph, KINDS)
    samplers = [node for node in nodes.nodes.values() if _samples(nodes, node)][:_MAX_SAMPLERS]
    if not samplers:
        return None
    first = next((node for node in samplers if not _goes_on(nodes, node)), samplers[0])
    found: dict[str, Values | None] = {}
    missing: dict[str, str] = {}
    for field in _INPUTS:
        try:
            found[field] = _values(nodes, first, field)
        except UnresolvedError as exc:
            missing[field] = exc.part
    # FLUX stores its guidance in the prompt's conditioning, and a CFG of 1 that means no guidance.
    flux = [value for value in found.get("guidance") or () if not isinstance(value, str)]
    return recipe(
        "ComfyUI",
        {
            "prompt": _text(found.get("positive")),
            "negative_prompt": _text(found.get("negative")),
            "seed": _first(found.get("seed")),
            "steps": _first(found.get("steps")),
            "guidance": _first(flux or found.get("cfg")),
            "sampler": _first(found.get("sampler")),
            "width": _first(found.get("width")),
            "height": _first(found.get("height")),
            "model": _file_stem(_first(found.get("model"))),
            "drawn_over": nodes.drawn_over,
        },
        schedule=_first(found.get("scheduler")),
        unread=_unread(missing, nodes.partly, has_guidance=bool(flux or found.get("cfg"))),
    )


def _unread(missing: dict[str, str], partly: dict[str, str], *, has_guidance: bool) -> list[Unread]:
    unread: dict[FieldName, Unread] = {}
    for parts, only_partly in ((missing, False), (partly, True)):
        for field, part in parts.items():
            name = _FIELDS[field]
            if name != "guidance" or not has_guidance:
                unread.setdefault(
                    name, Unread(field=name, part=part[:MAX_NAME_CHARACTERS], partly=only_partly)
                )
    return list(unread.values())


def _samples(graph: Graph, node: Node) -> bool:
    names = node.inputs.keys()
    kind = graph.kind(node)
    return ("latent_image" in names and ("positive" in names or "guider" in names)) or (
        kind is not None and kind.samples
    )


def _values(graph: Graph, sampler: Node, field: str) -> Values | None:
    """Return the values of a field of the sampler: of its own inputs, else of its pipe. Raises UnresolvedError."""
    for name in _INPUTS[field]:
        if sampler.inputs.get(name) is not None:
            found = graph.follow(sampler.inputs[name], field)
            if found is not None:
                return found
    kind = graph.kind(sampler)
    if kind is None or not kind.base:
        return None
    return graph.in_pipe(sampler, _CHANNELS.get(field, field), field)


def _goes_on(graph: Graph, sampler: Node) -> bool:
    """Whether the sampler starts from another sampler's result."""
    return any(_samples(graph, node) for node in _behind(graph, sampler))


def _behind(graph: Graph, sampler: Node) -> Iterator[Node]:
    """Yield the nodes behind the latent image and the pipe of a sampler, nearest first, each once."""
    kind = graph.kind(sampler)
    entries = (*_LATENTS, *(kind.base if kind else ()))
    waiting = deque(sampler.inputs[name] for name in entries if name in sampler.inputs)
    seen = {sampler.id}
    while waiting:
        try:
            link = graph.linked(waiting.popleft())
        except UnresolvedError:
            continue
        if link is None or link[0].id in seen:
            continue
        node = link[0]
        seen.add(node.id)
        yield node
        sides = ("model", "positive", "negative")
        waiting.extend(value for name, value in node.inputs.items() if name not in sides)


def _first(values: Sequence[object] | None) -> object:
    return values[0] if values else None


def _text(values: Values | None) -> str | None:
    """Return texts, combined ones line by line, or None without any."""
    texts = dict.fromkeys(value for value in values or () if isinstance(value, str))
    return "\n".join(texts) or None


def _file_stem(value: object) -> str | None:
    """Return `sub/folder/model.safetensors` without folders and extension."""
    if not isinstance(value, str):
        return None
    return value.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0] or None
