"""Writes, reads and strips the parameters in a stored PNG, and verifies its structure.

Works on the file's chunks (PNG 1.2, sections 3 and 4), so pixels are never decoded and re-encoded.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, NamedTuple

from PIL import Image as Pillow
from pydantic import Field, ValidationError, field_validator

from services.errors import BadOutput
from services.formats.a1111 import NEGATIVE, A1111Parameters, from_a1111, quoted
from services.records import Record
from services.sentences import sentence

STUDIO_VERSION = "0.2.0"
OWN_KEY = "atelier"
A1111_KEY = "parameters"
# No picture program writes a file with more text than this.
MAX_TEXT_BYTES = 1_000_000
# 32 MiB of pixels make 4,096 chunks at the usual 8 KiB each.
MAX_CHUNKS = 20_000

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
# The chunks that affect how the pixels look; removing any other chunk does not change the picture.
PICTURE_CHUNKS = frozenset(
    {
        b"IHDR",
        b"PLTE",
        b"IDAT",
        b"IEND",
        b"tRNS",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"iCCP",
        b"sBIT",
        b"bKGD",
        b"pHYs",
    }
)
# Fills a file up to a block; anything else after the end can be another file (a polyglot).
PADDING = b"\0 \t\r\n\v\f"
CRITICAL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})

SAMPLERS = {"ddim": "DDIM", "euler": "Euler", "unipc": "UniPC", "dpmpp_2m": "DPM++ 2M"}


class PngError(ValueError):
    """The bytes are not a complete PNG; the message says what is wrong and, if known, at which byte."""


class PictureParameters(Record):
    """How a picture was made. `width`/`height` in pixels, `seed` uint32 of this picture, `job`/`image` their ids.

    `strength` and the hashes of the source pictures are None for text-to-image. Texts contain no NUL, which PNG text
    does not allow.
    """

    prompt: str
    negative_prompt: str = ""
    steps: int
    scheduler: str
    guidance: float
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    width: int
    height: int
    model: str
    model_revision: str
    job: str
    image: str
    created_at: datetime
    strength: float | None = None
    image_sha256: str | None = None
    mask_sha256: str | None = None
    studio_version: str = STUDIO_VERSION

    @field_validator("prompt", "negative_prompt", "scheduler", "model", "model_revision", "studio_version")
    @classmethod
    def _no_nul(cls, value: str) -> str:
        if "\0" in value:
            raise ValueError("holds a NUL character")
        return value


class EmbeddedText(NamedTuple):
    """The texts found in a PNG: the studio's record and the A1111 text, each None if missing or unreadable."""

    parameters: PictureParameters | None
    a1111: A1111Parameters | None


class Chunk(NamedTuple):
    """One chunk of a PNG: its type, its data, and its complete bytes with length and CRC."""

    kind: bytes
    data: bytes
    raw: bytes


def embed(png: bytes, parameters: PictureParameters) -> bytes:
    """Return the picture with `parameters` embedded in A1111's form and as the studio's JSON, replacing earlier ones.

    Deterministic; all other chunks stay unchanged. Raises BadOutput for a broken PNG.
    """
    texts = {A1111_KEY: to_a1111(parameters), OWN_KEY: to_json(parameters)}
    try:
        kept = [c for c in chunks(png) if c.kind not in TEXT_CHUNKS or text_of(c).keyword not in texts]
    except PngError as exc:
        raise BadOutput(
            sentence("The model returned a picture that is not a whole PNG: {why}.", why=exc)
        ) from exc
    first = next(index for index, chunk in enumerate(kept) if chunk.kind == b"IDAT")
    written = [_text_chunk(keyword, text) for keyword, text in texts.items()]
    return SIGNATURE + b"".join(
        [*(c.raw for c in kept[:first]), *written, *(c.raw for c in kept[first:])],
    )


def read(png: bytes) -> EmbeddedText:
    """Return what any PNG says about how it was made. Raises PngError when it is not a complete PNG.

    Ignores other texts and text in any other form; text that is too long raises PngError.
    """
    found = texts(png, wanted=frozenset({OWN_KEY, A1111_KEY}))
    return EmbeddedText(parameters_from_json(found.get(OWN_KEY)), from_a1111(found.get(A1111_KEY, "")))


def texts(png: bytes, *, wanted: frozenset[str] | None = None) -> dict[str, str]:
    """Return the text chunks of a whole PNG by keyword, the first of each. Raises PngError, also for excessive text.

    With `wanted`, other keywords are neither unpacked nor counted.
    """
    found: dict[str, str] = {}
    size = 0
    for chunk in bounded_chunks(png):
        if chunk.kind in TEXT_CHUNKS and (wanted is None or keyword_of(chunk) in wanted):
            keyword, text = text_of(chunk)
            size += len(text)
            if size > MAX_TEXT_BYTES:
                raise PngError(f"it holds more than {MAX_TEXT_BYTES} bytes of text")
            found.setdefault(keyword, text)
    return found


def bounded_chunks(png: bytes, *, padded: bool = False) -> Iterator[Chunk]:
    """Yield the chunks as `chunks` does; raises PngError for more than MAX_CHUNKS."""
    for number, chunk in enumerate(chunks(png, padded=padded)):
        if number >= MAX_CHUNKS:
            raise PngError(f"it has more than {MAX_CHUNKS} parts")
        yield chunk


def strip(png: bytes) -> bytes:
    """Return the picture with only the chunks its pixels need: no text, EXIF, time or private chunks.

    Raises PngError when it is not a complete PNG.
    """
    return SIGNATURE + b"".join(chunk.raw for chunk in chunks(png) if chunk.kind in PICTURE_CHUNKS)


def verify_png(data: bytes, width: int, height: int) -> None:
    """Checks that `data` is a complete PNG of `width` x `height` pixels and can be decoded.

    Checks every chunk's length and CRC and the size before decoding, so that memory is bounded by the requested
    size. Raises BadOutput saying what is wrong.
    """
    try:
        _check_structure(data, width, height)
        with Pillow.open(io.BytesIO(data), formats=["PNG"]) as picture:
            picture.load()
            decoded = picture.size
    except PngError as exc:
        raise BadOutput(
            sentence("The model returned a picture that is not a whole PNG: {why}.", why=exc)
        ) from exc
    except (OSError, SyntaxError, ValueError, EOFError, zlib.error, struct.error) as exc:
        raise BadOutput(sentence("The model returned a PNG that cannot be decoded: {why}.", why=exc)) from exc
    if decoded != (width, height):
        raise BadOutput(
            sentence(
                "The model returned a picture that decodes to {width} x {height} pixels.",
                width=decoded[0],
                height=decoded[1],
            )
        )


def chunks(png: bytes, *, padded: bool = False) -> Iterator[Chunk]:
    """Yield the chunks of a PNG in order, from IHDR to IEND. Raises PngError at the first error.

    With `padded`, zeros and white space may follow the end, as some programs and disks write them.
    """
    if not png.startswith(SIGNATURE):
        raise PngError("it does not begin like a PNG" if png else "it is empty")
    at, kind, pixels = len(SIGNATURE), b"", False
    while kind != b"IEND":
        if at + 12 > len(png):
            raise PngError(f"it ends at byte {len(png)}, in the middle of a chunk or before its last one")
        length, kind = struct.unpack_from(">I4s", png, at)
        end = at + 12 + length
        if end > len(png):
            raise PngError(
                f"the chunk at byte {at} says {length} bytes, but the file ends at byte {len(png)}"
            )
        if not kind.isalpha():
            raise PngError(f"the chunk at byte {at} has no valid type")
        if (kind == b"IHDR") != (at == len(SIGNATURE)):
            raise PngError("its header is not its first chunk, or is there twice")
        if zlib.crc32(png[at + 4 : end - 4]) != int.from_bytes(png[end - 4 : end], "big"):
            raise PngError(f"the {kind.decode()} chunk at byte {at} is damaged: its checksum is wrong")
        pixels = pixels or kind == b"IDAT"
        yield Chunk(kind, png[at + 8 : end - 4], png[at:end])
        at = end
    if not pixels:
        raise PngError("it has no pixels")
    if at != len(png) and not (padded and not png[at:].strip(PADDING)):
        raise PngError(f"{len(png) - at} bytes follow its end")


def to_a1111(parameters: PictureParameters) -> str:
    """Return the text that A1111 and similar programs show and read, with a negative prompt only if there is one."""
    sampler = SAMPLERS.get(parameters.scheduler, parameters.scheduler)
    fields = {
        "Steps": str(parameters.steps),
        "Sampler": sampler,
        "CFG scale": f"{parameters.guidance:g}",
        "Seed": str(parameters.seed),
        "Size": f"{parameters.width}x{parameters.height}",
        "Model hash": parameters.model_revision,
        "Model": parameters.model,
        "Version": f"Atelier {parameters.studio_version}",
    }
    if parameters.strength is not None:
        fields["Denoising strength"] = f"{parameters.strength:g}"
    lines = [parameters.prompt]
    if parameters.negative_prompt:
        lines.append(f"{NEGATIVE} {parameters.negative_prompt}")
    lines.append(", ".join(f"{name}: {quoted(value)}" for name, value in fields.items()))
    return "\n".join(lines)


def to_json(parameters: PictureParameters) -> str:
    """Return the studio's record as ASCII JSON with all fields in order."""
    return json.dumps(parameters.model_dump(mode="json"))


def parameters_from_json(text: str | None) -> PictureParameters | None:
    """Return the studio's record parsed from its JSON, or None for anything else."""
    try:
        return PictureParameters.model_validate_json(text) if text is not None else None
    except ValidationError:
        return None


class Text(NamedTuple):
    """The keyword and the text of a text chunk."""

    keyword: str
    text: str


def keyword_of(chunk: Chunk) -> str:
    """Return the keyword of a text chunk without unpacking its text; empty if it has none."""
    keyword, zero, _ = chunk.data[:80].partition(b"\0")
    return keyword.decode("latin-1") if zero else ""


def text_of(chunk: Chunk) -> Text:
    """Return keyword and text of a text chunk; decompresses up to MAX_TEXT_BYTES. Raises PngError."""
    keyword, zero, rest = chunk.data.partition(b"\0")
    if not zero or not 1 <= len(keyword) <= 79:
        raise PngError(f"a {chunk.kind.decode()} chunk has no keyword")
    name = keyword.decode("latin-1")
    if chunk.kind == b"tEXt":
        return Text(name, decoded(rest))
    if chunk.kind == b"zTXt":
        return Text(name, decoded(_inflate(rest[1:])))
    parts = rest[2:].split(b"\0", 2)
    if len(rest) < 2 or len(parts) < 3:
        raise PngError("an iTXt chunk is cut short")
    try:
        return Text(name, (_inflate(parts[2]) if rest[0] else parts[2]).decode("utf-8"))
    except UnicodeDecodeError:
        raise PngError("an iTXt chunk is not UTF-8") from None


def decoded(data: bytes) -> str:
    """Return text that should be Latin-1 (tEXt, zTXt) or ASCII (EXIF): many programs write UTF-8 there.

    Latin-1 text with an accent is almost never valid UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _inflate(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, MAX_TEXT_BYTES + 1)
    except zlib.error:
        raise PngError("a compressed text chunk is damaged") from None
    if len(text) > MAX_TEXT_BYTES or not unpacker.eof:
        raise PngError(f"a compressed text chunk is cut short or unpacks to more than {MAX_TEXT_BYTES} bytes")
    return text


def _text_chunk(keyword: str, text: str) -> bytes:
    """Return a tEXt chunk, which every reader supports, if Latin-1 suffices; otherwise an uncompressed iTXt chunk.

    Latin-1 does not suffice where a reader could take it for UTF-8.
    """
    kind, plain = b"tEXt", text.encode("latin-1", "replace")
    data = keyword.encode("latin-1") + b"\0" + plain
    if decoded(plain) != text:
        kind, data = b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8")
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _check_structure(data: bytes, width: int, height: int) -> None:
    """Checks the chunks for `verify_png`. Raises PngError."""
    kinds = []
    for chunk in chunks(data):
        if chunk.kind == b"IHDR":
            if len(chunk.data) != 13:
                raise PngError("its header has the wrong length")
            size = struct.unpack(">II", chunk.data[:8])
            if size != (width, height):
                raise PngError(f"it is {size[0]} x {size[1]} pixels instead of {width} x {height}")
        elif chunk.kind[0:1].isupper() and chunk.kind not in CRITICAL_CHUNKS:
            raise PngError(f"it needs a part that nobody knows ({chunk.kind.decode()})")
        kinds.append(chunk.kind)
    pixels = [index for index, kind in enumerate(kinds) if kind == b"IDAT"]
    if pixels[-1] - pixels[0] != len(pixels) - 1:
        raise PngError("its pixels are not in one piece")
