"""Reads ComfyUI's node graph backward from the sampling node.

The form is what its server executes ("API format", `execution.py` and `nodes.py` there): an object of nodes by id,
each with a `class_type` and `inputs`; an input is a value or a link `[node id, output]`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from services.recipes.recipe import Recipe, as_object, recipe

# Inputs that lead to things used with a text, never to the text itself.
_NOT_TEXT = frozenset(
    {
        "clip",
        "vae",
        "model",
        "image",
        "control_net",
        "clip_vision_output",
        "style_model",
        "latent",
        "pixels",
        "mask",
    }
)
_NOT_LATENT = frozenset({"model", "vae", "clip", "positive", "negative", "image", "pixels", "mask"})
_TEXTS = ("text", "prompt", "text_g", "t5xxl", "clip_l", "text_l", "string", "value")
_SEEDS = ("seed", "noise_seed", "value", "int")
_MODELS = ("ckpt_name", "unet_name", "model_name")
# Nodes whose output is empty, whatever text goes in.
_SILENT = frozenset({"ConditioningZeroOut"})
# If a graph has more samplers than this, only the first ones are examined.
_MAX_SAMPLERS = 50


class _Node(NamedTuple):
    id: str
    kind: str
    inputs: dict[str, Any]


def of_comfy(graph: dict[str, Any]) -> Recipe | None:
    """Return the recipe of a graph's first sampling, or None without a sampling node.

    Of several samplers, this is the one that does not start from another's result; the later ones refine.
    """
    nodes = _nodes(graph)
    samplers = [node for node in nodes.values() if _samples(node)][:_MAX_SAMPLERS]
    if not samplers:
        return None
    first = next((node for node in samplers if not _goes_on(nodes, node)), samplers[0])
    flux = _find(nodes, first, ("positive", "guider", "conditioning"), ("guidance",), _any)
    size = _size(nodes, first)
    texts = {side: _texts(nodes, first, side) for side in ("positive", "negative")}
    model = _find(nodes, first, ("model", "guider"), _MODELS, lambda name: name in ("model", "guider"))
    return recipe(
        "ComfyUI",
        {
            "prompt": texts["positive"],
            "negative_prompt": texts["negative"],
            "seed": _find(nodes, first, ("seed", "noise_seed", "noise"), _SEEDS, _any),
            "steps": _find(nodes, first, ("steps", "sigmas"), ("steps", "value", "int"), _not_model),
            # FLUX stores its guidance in the prompt's conditioning, and a CFG of 1 that means no guidance.
            "guidance": flux
            if flux is not None
            else _find(nodes, first, ("cfg", "guider"), ("cfg", "value", "float"), _not_model),
            "sampler": _find(nodes, first, ("sampler_name", "sampler"), ("sampler_name",), _any),
            "width": size and size[0],
            "height": size and size[1],
            "model": _file_stem(model),
        },
        schedule=_find(nodes, first, ("scheduler", "sigmas"), ("scheduler",), _not_model),
    )


def _nodes(graph: dict[str, Any]) -> dict[str, _Node]:
    nodes = {}
    for key, value in graph.items():
        node = as_object(value)
        kind, inputs = node.get("class_type"), node.get("inputs")
        if isinstance(kind, str) and isinstance(inputs, dict):
            nodes[key] = _Node(key, kind, inputs)
    return nodes


def _samples(node: _Node) -> bool:
    names = node.inputs.keys()
    return "latent_image" in names and ("positive" in names or "guider" in names)


def _linked(nodes: dict[str, _Node], value: object) -> _Node | None:
    """Return the node that an input is linked to, or None for a value."""
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str | int):
        return None
    return nodes.get(str(value[0]))


def _any(name: str) -> bool:
    return True


def _not_model(name: str) -> bool:
    return name not in ("model", "clip", "vae", "positive", "negative", "conditioning", "latent_image")


def _behind(
    nodes: dict[str, _Node], start: _Node, entries: tuple[str, ...], follow: Callable[[str], bool]
) -> Iterator[_Node]:
    """Yield the nodes behind some inputs of a node, nearest first, each once, even with circular links."""
    waiting = deque(node for name in entries if (node := _linked(nodes, start.inputs.get(name))))
    seen = {start.id}
    while waiting:
        node = waiting.popleft()
        if node.id in seen:
            continue
        seen.add(node.id)
        yield node
        linked = (_linked(nodes, value) for name, value in node.inputs.items() if follow(name))
        waiting.extend(next_node for next_node in linked if next_node)


def _find(
    nodes: dict[str, _Node],
    start: _Node,
    entries: tuple[str, ...],
    names: tuple[str, ...],
    follow: Callable[[str], bool],
) -> object:
    """Return an input value of the sampler, else the nearest with one of these names behind it, else None."""
    for name in entries:
        value = start.inputs.get(name)
        if value is not None and not isinstance(value, list | dict):
            return value
    for node in _behind(nodes, start, entries, follow):
        for name in names:
            value = node.inputs.get(name)
            if value is not None and not isinstance(value, list | dict):
                return value
    return None


def _goes_on(nodes: dict[str, _Node], sampler: _Node) -> bool:
    """Whether the sampler starts from another sampler's result."""
    behind = _behind(
        nodes, sampler, ("latent_image",), lambda name: name not in ("model", "positive", "negative")
    )
    return any(_samples(node) for node in behind)


def _size(nodes: dict[str, _Node], sampler: _Node) -> tuple[object, object] | None:
    for node in _behind(nodes, sampler, ("latent_image",), lambda name: name not in _NOT_LATENT):
        if {"width", "height"} <= node.inputs.keys():
            return _value(nodes, node, "width"), _value(nodes, node, "height")
    return None


def _value(nodes: dict[str, _Node], node: _Node, name: str) -> object:
    return _find(nodes, node, (name,), (name, "value", "int"), _any)


def _texts(nodes: dict[str, _Node], sampler: _Node, side: str) -> str | None:
    """Return the texts behind one side of a sampler, combined ones line by line, or None.

    Through a node with both sides (a ControlNet), follows the same side; stops at a node with a text.
    """
    found: dict[str, None] = {}
    other = "negative" if side == "positive" else "positive"
    guider = _linked(nodes, sampler.inputs.get("guider"))
    if guider is not None and side == "negative" and side not in guider.inputs:
        return None
    waiting = deque(node for node in (_linked(nodes, sampler.inputs.get(side)), guider) if node)
    seen = {sampler.id}
    while waiting:
        node = waiting.popleft()
        if node.id in seen or node.kind in _SILENT:
            continue
        seen.add(node.id)
        both = {"positive", "negative"} <= node.inputs.keys()
        texts = (node.inputs.get(name) for name in ((side,) if both else _TEXTS))
        text = next((text for text in texts if isinstance(text, str) and text.strip()), None)
        if text is not None:
            found[text] = None
            continue
        names = (side,) if both else tuple(name for name in node.inputs if name not in _NOT_TEXT | {other})
        waiting.extend(n for name in names if (n := _linked(nodes, node.inputs[name])))
    return "\n".join(found) or None


def _file_stem(value: object) -> str | None:
    """Return `sub/folder/model.safetensors` without folders and extension."""
    if not isinstance(value, str):
        return None
    return value.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0] or None
