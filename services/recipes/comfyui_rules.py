"""The rules by which ComfyUI's nodes make an output of their inputs, in the words of the registry."""

from __future__ import annotations

import re
from typing import Any

from services.recipes.comfyui_graph import SIDES, Graph, Kind, Node, Rule, UnresolvedError, Values
from services.recipes.recipe import MAX_TEXT_CHARACTERS

# Wildcards and choices, whose result is random.
_RANDOM = re.compile(r"__[^\s_][^\n]{0,200}?__|\{[^{}\n]{0,2000}\||\{\d+(?:-\d+)?\$\$")
_SIZE = re.compile(r"(\d{2,5})\s*[xX×]\s*(\d{2,5})")
_NUMBERED = re.compile(r"(.*?)_?(\d{1,3})")
_MOST_NUMBERED = 50

# A rule, or the name of the input to take; None for an output that is never read.
Spec = Rule | str | None


def kind(
    *outputs: Spec, pipe: dict[str, Spec] | None = None, base: tuple[str, ...] = (), samples: bool = False
) -> Kind:
    """Return a kind of nodes by its outputs in order; a name stands for `take`, None for what is never read."""
    channels = {channel: _rule(spec) for channel, spec in (pipe or {}).items()}
    return Kind(
        tuple(_rule(spec) for spec in outputs),
        {channel: rule for channel, rule in channels.items() if rule},
        base,
        samples,
    )


def take(*names: str) -> Rule:
    """The first of these inputs that is there."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        channel, slash, inner = field.partition("/")
        for name in names:
            value = node.inputs.get(name)
            if value is not None:
                found = graph.carried(value, channel, inner) if slash else graph.follow(value, field)
                if found is not None:
                    return found
        return None

    return rule


def encode(*names: str) -> Rule:
    """A conditioning made of these texts; it says nothing about anything else."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        return each(*names)(graph, node, field) if field in SIDES else None

    return rule


def each(*names: str) -> Rule:
    """All of these inputs, each value once: conditionings that are combined."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        found = [take(name)(graph, node, field) for name in names]
        if all(values is None for values in found):
            return None
        return tuple(dict.fromkeys(value for values in found for value in values or ()))

    return rule


def each_beginning(prefix: str) -> Rule:
    """As `each`, for all inputs whose names begin so."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        names = [name for name in node.inputs if name.startswith(prefix)]
        return each(*names[:_MOST_NUMBERED])(graph, node, field)

    return rule


def thing(rest: Spec = None, **fields: Spec) -> Rule:
    """An output that has several fields; `text` stands for both sides, `rest` for the fields that are not named."""
    rules = {name: _rule(spec) for name, spec in fields.items()}
    other = _rule(rest)

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        found = rules.get(field) or (rules.get("text") if field in SIDES else None) or other
        return found(graph, node, field) if found else None

    return rule


def channel(name: str) -> Rule:
    """What the node's own pipe carries in this channel."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        return graph.in_pipe(node, name, field)

    return rule


def unpack(name: str, *pipes: str) -> Rule:
    """What the first of these pipes that is there carries in a channel; `ctx` stands for `ctx_01` and so on."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        wanted = [found for pipe in pipes for found in (_numbered(node, pipe) or [pipe])]
        pipe = next((pipe for pipe in wanted if node.inputs.get(pipe) is not None), None)
        return graph.carried(node.inputs[pipe], name, field) if pipe else None

    return rule


def only_link(graph: Graph, node: Node, field: str) -> Values | None:
    """The one link of a node that changes nothing."""
    names = [name for name, value in node.inputs.items() if isinstance(value, list)]
    if len(names) != 1:
        raise UnresolvedError(node.kind)
    return take(names[0])(graph, node, field)


def const(value: str) -> Rule:
    """Always this value."""
    return lambda graph, node, field: (value,)


def nothing(graph: Graph, node: Node, field: str) -> Values | None:
    """An empty conditioning or text, whatever goes in."""
    return ()


def from_picture(graph: Graph, node: Node, field: str) -> Values | None:
    """A latent that is encoded from a picture, whose size the graph does not hold."""
    graph.drawn_over = True
    return None


def joined(*names: str, by: str, default: str = "", keep_empty: bool = False) -> Rule:
    """These texts in one, with the text of the input `by` between them."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        between = _string(graph, node, by, field, default).replace("\\n", "\n")
        texts = [_string(graph, node, name, field) for name in names if name in node.inputs]
        if node.inputs.get("clean_whitespace") in ("true", True):
            texts = [text.strip() for text in texts]
        return _as_values(between.join(text for text in texts if text or keep_empty))

    return rule


def joined_numbered(prefix: str, *, by: str) -> Rule:
    """All inputs `prefix1`, `prefix_2` ... in one, in order."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        return joined(*_numbered(node, prefix), by=by)(graph, node, field)

    return rule


def first_numbered(prefix: str) -> Rule:
    """The first of the inputs `prefix_01`, `prefix_02` ... that is there."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        return take(*_numbered(node, prefix))(graph, node, field)

    return rule


def selected(selector: str, pattern: str) -> Rule:
    """The input whose number the selector holds."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        number = _value(graph, node, selector)
        name = pattern.format(number)
        if not isinstance(number, int | str) or name not in node.inputs:
            raise UnresolvedError(node.kind)
        return take(name)(graph, node, field)

    return rule


def chosen(switch: str, on_true: str, on_false: str) -> Rule:
    """One of two inputs, by a switch."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        value = node.inputs.get(switch)
        if link := graph.linked(value):
            value = link[0].inputs.get("value", link[0].inputs.get("boolean"))
        if not isinstance(value, bool):
            raise UnresolvedError(node.kind)
        return take(on_true if value else on_false)(graph, node, field)

    return rule


def template(name: str) -> Rule:
    """A text that the node fills in at random; it is known only if it has no wildcards or choices."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        text = _string(graph, node, name, field)
        if _RANDOM.search(text):
            raise UnresolvedError(node.kind)
        return _as_values(text)

    return rule


def populated(result: str, source: str) -> Rule:
    """A text that was filled in at random, where the node keeps the result beside the template."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        name = result if _string(graph, node, result, field).strip() else source
        return template(name)(graph, node, field)

    return rule


def styled(*names: str, style: str) -> Rule:
    """Texts into which the node puts a style, whose words are in a file of the pack, not in the graph."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        value = node.inputs.get(style)
        if not isinstance(value, str) or value.strip().lower() not in ("", "base", "none", "no style"):
            graph.partly.setdefault(field, node.kind)
        return each(*names)(graph, node, field)

    return rule


def replaced(text: str, *pairs: tuple[str, str]) -> Rule:
    """A text in which others are replaced, by pairs of inputs."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        whole = _string(graph, node, text, field)
        for find, replacement in pairs:
            old, new = _string(graph, node, find, field), _string(graph, node, replacement, field)
            if old and whole.count(old) * len(new) > 10 * MAX_TEXT_CHARACTERS:
                raise UnresolvedError(node.kind)
            whole = whole.replace(old, new) if old else whole
        return _as_values(whole)

    return rule


def trimmed(name: str, mode: str) -> Rule:
    """A text without the spaces at one end or both."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        text = _string(graph, node, name, field)
        ends = {"Left": text.lstrip(), "Right": text.rstrip()}
        return _as_values(ends.get(str(node.inputs.get(mode)), text.strip()))

    return rule


def sized(*presets: str, width: str = "width", height: str = "height", swap: str = "swap_dimensions") -> Rule:
    """A size: of a preset such as `896 x 1152 (portrait)` if one is chosen, else of the two inputs."""

    def rule(graph: Graph, node: Node, field: str) -> Values | None:
        if field not in ("width", "height"):
            return None
        texts = (node.inputs.get(name) for name in presets)
        match = next((m for text in texts if isinstance(text, str) and (m := _SIZE.search(text))), None)
        wide = (field == "width") is not (node.inputs.get(swap) in ("On", True))
        if match is not None:
            return (match[1 if wide else 2],)
        return take(width if wide else height)(graph, node, field)

    return rule


def side(field: str, size: Rule) -> Rule:
    """One side of a size, as a number."""
    return lambda graph, node, _: size(graph, node, field)


def _rule(spec: Spec) -> Rule | None:
    return take(spec) if isinstance(spec, str) else spec


def _numbered(node: Node, prefix: str) -> list[str]:
    numbers = {}
    for name in node.inputs:
        if (match := _NUMBERED.fullmatch(name)) and match[1] == prefix:
            numbers[int(match[2])] = name
    return [numbers[number] for number in sorted(numbers)][:_MOST_NUMBERED]


def _value(graph: Graph, node: Node, name: str) -> Any:
    values = graph.follow(node.inputs.get(name), "value")
    return values[0] if values else None


def _string(graph: Graph, node: Node, name: str, field: str, default: str = "") -> str:
    """Return the text of an input with all its spaces; `default` if the input is not there."""
    value = node.inputs.get(name)
    if value is None:
        return default
    if isinstance(value, str):
        return value[: MAX_TEXT_CHARACTERS + 1]
    return "\n".join(str(part) for part in graph.follow(value, field) or ())


def _as_values(text: str) -> Values:
    return (text,) if text.strip() else ()
