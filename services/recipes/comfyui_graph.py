"""Follows the links of ComfyUI's node graph: from an input back to the value that it got, by output index.

The form is what its server executes ("API format", `execution.py` and `nodes.py` there): an object of nodes by id,
each with a `class_type` and `inputs`; an input is a value or a link `[node id, output]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from services.recipes.recipe import MAX_TEXT_CHARACTERS, as_object

# The two prompts. What a sampler is asked for are these and the other fields in `comfyui`.
SIDES = ("positive", "negative")
# A real graph is about 30 links deep. Python's own limit is 1000 calls, of which a link takes up to nine.
_MAX_DEPTH = 60
# No real graph combines more texts than this.
_MAX_VALUES = 100

# The values that arrived: none for an input that is empty, several for combined conditionings.
Values = tuple[Any, ...]


class Node(NamedTuple):
    """A node: its id, its class, and its inputs by name."""

    id: str
    kind: str
    inputs: dict[str, Any]


# Returns the values of one output for a field, or None if the node says nothing about that field.
Rule = Callable[["Graph", Node, str], Values | None]


class Kind(NamedTuple):
    """What is known about a class of nodes: a rule for each output, and what its pipe output carries.

    `pipe` has the channels that this node puts into its pipe, `base` the inputs with the pipe that it passes on.
    `samples`: whether it is a sampler although it has no latent image and conditionings as inputs.
    """

    outputs: tuple[Rule | None, ...]
    pipe: Mapping[str, Rule]
    base: tuple[str, ...]
    samples: bool = False


class UnresolvedError(Exception):
    """A value comes from a node whose result the graph does not hold; `part` names the node."""

    def __init__(self, part: str) -> None:
        super().__init__(part)
        self.part = part


class Graph:
    """The nodes of a graph, read with a registry of kinds.

    `partly` names, by field, a node that changed a text in a way that the graph does not hold. `drawn_over` is set when
    the size was asked for and the sampler starts from a picture.
    """

    def __init__(self, graph: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
        self.nodes = dict(_nodes(graph))
        self.partly: dict[str, str] = {}
        self.drawn_over = False
        self._kinds = kinds
        self._known: dict[tuple[str, object, str], Values | None] = {}
        self._under_way: list[tuple[str, object, str]] = []

    def kind(self, node: Node) -> Kind | None:
        """Return what is known about the node's class."""
        return self._kinds.get(node.kind)

    def linked(self, value: object) -> tuple[Node, int] | None:
        """Return the node and the output that an input is linked to, or None for a value.

        Raises UnresolvedError for a link to a node that the graph does not hold.
        """
        if not isinstance(value, list) or len(value) != 2:
            return None
        node_id, output = value
        if isinstance(node_id, bool) or not isinstance(node_id, str | int) or not isinstance(output, int):
            return None
        node = self.nodes.get(str(node_id))
        if node is None:
            raise UnresolvedError(f"#{node_id}")
        return node, output

    def follow(self, value: object, field: str) -> Values | None:
        """Return the values that an input has for a field; None if nothing behind it says so.

        Raises UnresolvedError.
        """
        link = self.linked(value)
        if link is None:
            return _literal(value)
        node, output = link
        return self._once(node, output, field, lambda: self._output(node, output, field))

    def carried(self, value: object, channel: str, field: str) -> Values | None:
        """Return the values that a pipe carries in a channel for a field. Raises UnresolvedError."""
        link = self.linked(value)
        if link is None:
            return None
        node, output = link
        kind = self.kind(node)
        if kind is not None and not kind.pipe and not kind.base and 0 <= output < len(kind.outputs):
            # A node that passes anything on, such as a reroute or a switch.
            return self.follow(value, f"{channel}/{field}")
        return self.in_pipe(node, channel, field)

    def in_pipe(self, node: Node, channel: str, field: str) -> Values | None:
        """Return what the pipe of this node carries in a channel. Raises UnresolvedError."""
        return self._once(node, channel, field, lambda: self._channel(node, channel, field))

    def _output(self, node: Node, output: int, field: str) -> Values | None:
        kind = self.kind(node)
        if kind is None:
            return _of_unknown(self, node, output, field)
        rule = kind.outputs[output] if 0 <= output < len(kind.outputs) else None
        if rule is None:
            raise UnresolvedError(node.kind)
        return rule(self, node, field)

    def _channel(self, node: Node, channel: str, field: str) -> Values | None:
        kind = self.kind(node)
        if kind is None:
            raise UnresolvedError(node.kind)
        rule = kind.pipe.get(channel)
        found = rule(self, node, field) if rule else None
        for name in kind.base:
            if found is None and name in node.inputs:
                found = self.carried(node.inputs[name], channel, field)
        return found

    def _once(
        self, node: Node, output: object, field: str, read: Callable[[], Values | None]
    ) -> Values | None:
        """Read each output of a node once for each field; a circle or an endless chain is unresolved."""
        key = (node.id, output, field)
        if key in self._known:
            return self._known[key]
        if key in self._under_way or len(self._under_way) >= _MAX_DEPTH:
            raise UnresolvedError(node.kind)
        self._under_way.append(key)
        try:
            found = read()
        finally:
            self._under_way.pop()
        if found is not None:
            found = tuple(map(_bounded, found[:_MAX_VALUES]))
        self._known[key] = found
        return found


def _nodes(graph: Mapping[str, Any]) -> Iterator[tuple[str, Node]]:
    for key, value in graph.items():
        node = as_object(value)
        kind, inputs = node.get("class_type"), node.get("inputs")
        if isinstance(kind, str) and isinstance(inputs, dict):
            yield key, Node(key, kind, inputs)


def _bounded(value: object) -> object:
    # One character more than a prompt can have, so that the recipe refuses it.
    return value[: MAX_TEXT_CHARACTERS + 1] if isinstance(value, str) else value


def _literal(value: object) -> Values | None:
    # Some packs keep a file's name beside its preview.
    value = as_object(value).get("content", value)
    if isinstance(value, str):
        return (value,) if value.strip() else ()
    return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _of_unknown(graph: Graph, node: Node, output: int, field: str) -> Values | None:
    """Read a node of an unknown class by the conventions that every pack keeps, else raise UnresolvedError.

    A node that takes one conditioning gives the same one, changed; one that takes both sides gives them first, in
    order. A node that takes a model gives that model. A node named `Empty...Latent...` has the size that it makes.
    """
    inputs = node.inputs
    links = {name for name, value in inputs.items() if isinstance(value, list)}
    if field in (*SIDES, "guidance"):
        if links.issuperset(SIDES) and 0 <= output < len(SIDES):
            return graph.follow(inputs[SIDES[output]], field)
        conditionings = [name for name in links if name.startswith("conditioning")]
        if len(conditionings) == 1 and not links.intersection(SIDES):
            return graph.follow(inputs[conditionings[0]], field)
    if field == "model":
        for name in ("model", "ckpt_name", "unet_name"):
            if name in inputs:
                return graph.follow(inputs[name], field)
    if field in ("width", "height") and node.kind.startswith("Empty") and "Latent" in node.kind:
        return graph.follow(inputs.get(field), field)
    raise UnresolvedError(node.kind)
