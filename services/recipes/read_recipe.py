"""Reads the recipe from a picture file of any common program."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from services.errors import InvalidRequest
from services.formats.embedded_text import read_texts
from services.formats.exif import ExifTexts
from services.formats.png_metadata import A1111_KEY, OWN_KEY, PictureParameters, parameters_from_json
from services.recipes.comfyui import of_comfy
from services.recipes.foreign_formats import (
    of_a1111,
    of_dream,
    of_fooocus,
    of_invoke,
    of_invoke_2,
    of_novelai,
    of_swarm,
    parse,
)
from services.recipes.recipe import Recipe, as_object, recipe
from services.sentences import sentence

_IN_PARAMETERS: tuple[Callable[[str], Recipe | None], ...] = (of_swarm, of_fooocus, of_a1111)
_KEYWORDS = frozenset(
    {OWN_KEY, A1111_KEY, "invokeai_metadata", "sd-metadata", "Dream", "dream", "Comment", "prompt"}
)
_GRAPH_FIRST = re.compile(r'\s*\{\s*"prompt"\s*:\s*')
_TAGGED_JSON = re.compile(r"\w+:\s*\{")
_DECODER = json.JSONDecoder()

NOTHING_SAID = sentence("This picture does not say how it was made.")


def read_recipe(file: bytes) -> Recipe:
    """Return what a PNG, JPEG or WebP says about how it was made; see `foreign_formats` for the forms.

    Where a file has several forms, the studio's comes first and ComfyUI's graph last: the others are closer to the
    request. Never decodes pixels or reads the location (GPS). Raises InvalidRequest, with a sentence to show, for a
    file of another kind, broken or too large, or without any such data.
    """
    found = read_texts(file, _KEYWORDS)
    by_tag = found.exif.by_tag.values()
    comments = (*found.exif.comments, *(text for text in by_tag if not _TAGGED_JSON.match(text)))
    attempts: list[tuple[Callable[[str], Recipe | None], str | None]] = [
        (_own, found.chunks.get(OWN_KEY)),
        *((read, found.chunks.get(A1111_KEY)) for read in _IN_PARAMETERS),
        (of_invoke, found.chunks.get("invokeai_metadata")),
        (of_invoke_2, found.chunks.get("sd-metadata")),
        (of_dream, found.chunks.get("Dream", found.chunks.get("dream"))),
        (of_novelai, found.chunks.get("Comment")),
        *((read, text) for text in comments for read in (*_IN_PARAMETERS, of_novelai)),
        (_comfy, found.chunks.get("prompt")),
        (_comfy, _in_exif(found.exif)),
        *((_comfy_in_comment, text) for text in (*comments, *found.exif.cut)),
    ]
    for read, text in attempts:
        made = read(text) if text else None
        if made is not None and not made.empty:
            return made
    if found.left_out is not None:
        raise InvalidRequest(found.left_out, param="file")
    raise InvalidRequest(NOTHING_SAID, param="file", code="no_recipe")


def _own(text: str) -> Recipe | None:
    parameters: PictureParameters | None = parameters_from_json(text)
    if parameters is None:
        return None
    values = parameters.model_dump()
    drawn_over = parameters.image_sha256 is not None
    return recipe("Atelier", values | {"sampler": parameters.scheduler, "drawn_over": drawn_over})


def _comfy(text: str) -> Recipe | None:
    return of_comfy(parse(text))


def _comfy_in_comment(text: str) -> Recipe | None:
    """Parse the JPEG and WebP form of ComfyUI's users, with graph and workflow in one object.

    The workflow is not parsed where the graph comes first, and may be cut off.
    """
    if head := _GRAPH_FIRST.match(text):
        try:
            return of_comfy(as_object(_DECODER.raw_decode(text, head.end())[0]))
        except (ValueError, RecursionError):
            return None
    return of_comfy(as_object(parse(text).get("prompt")))


def _in_exif(exif: ExifTexts) -> str | None:
    """Return the graph that ComfyUI writes after `prompt:` into a text tag: Model, or another with custom nodes."""
    for text in exif.by_tag.values():
        mark, colon, graph = text.partition(":")
        if colon and mark.lower() == "prompt":
            return graph
    return None
