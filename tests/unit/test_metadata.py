"""Tests of parameters inside PNGs: writing, reading, stripping, and hostile files."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngImageFile, PngInfo
from pydantic import ValidationError

from services.errors import BadOutput
from services.formats.a1111 import from_a1111
from services.formats.png_metadata import (
    MAX_TEXT_BYTES,
    SIGNATURE,
    Chunk,
    PictureParameters,
    PngError,
    chunks,
    embed,
    read,
    strip,
    to_a1111,
    verify_png,
)
from services.formats.png_metadata import texts as all_texts

texts = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=200)
some_parameters = st.builds(
    PictureParameters,
    prompt=texts,
    negative_prompt=texts,
    steps=st.integers(1, 150),
    scheduler=st.sampled_from(["ddim", "euler", "unipc", "dpmpp_2m", "new, one: x"]),
    guidance=st.floats(0, 30),
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(8, 4096),
    height=st.integers(8, 4096),
    model=texts,
    model_revision=texts,
    job=st.just("01K9ZQ4T7M3N5P6R8S0V2W4X6Y"),
    image=st.just("01K9ZQ4T7M3N5P6R8S0V2W4X6Y-0"),
    created_at=st.datetimes(timezones=st.just(UTC)),
)


def parameters(**changes: object) -> PictureParameters:
    """Return the parameters of a plain picture, with changes."""
    values: dict[str, object] = {
        "prompt": "a red apple",
        "steps": 20,
        "scheduler": "ddim",
        "guidance": 4.0,
        "seed": 7,
        "width": 12,
        "height": 9,
        "model": "pocket",
        "model_revision": "0123456789ab",
        "job": "01K9ZQ4T7M3N5P6R8S0V2W4X6Y",
        "image": "01K9ZQ4T7M3N5P6R8S0V2W4X6Y-0",
        "created_at": datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
    }
    return PictureParameters.model_validate(values | changes)


def picture(width: int = 12, height: int = 9, mode: str = "RGB", info: PngInfo | None = None) -> bytes:
    """Return a PNG whose pixels have different values."""
    channels = len(Pillow.new(mode, (1, 1)).getbands())
    pixels = bytes(i * 37 % 256 for i in range(width * height * channels))
    target = io.BytesIO()
    Pillow.frombytes(mode, (width, height), pixels).save(target, "PNG", pnginfo=info)
    return target.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one well-formed chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(png: bytes, *extra: bytes) -> bytes:
    """Return the PNG with chunks inserted after its header."""
    end = len(SIGNATURE) + 25
    return png[:end] + b"".join(extra) + png[end:]


def rebuilt(parts: list[Chunk]) -> bytes:
    """Return a PNG with these chunks."""
    return SIGNATURE + b"".join(part.raw for part in parts)


PNG = picture()


@given(some_parameters)
@settings(max_examples=100)
def test_embedded_parameters_are_read_back(wanted: PictureParameters) -> None:
    assert read(embed(PNG, wanted)).parameters == wanted


@given(some_parameters)
@settings(max_examples=50)
def test_any_prompt_yields_a_complete_png_that_pillow_can_read(wanted: PictureParameters) -> None:
    png = embed(PNG, wanted)
    verify_png(png, 12, 9)
    with Pillow.open(io.BytesIO(png)) as opened:
        assert isinstance(opened, PngImageFile)
        assert opened.text["parameters"] == to_a1111(wanted)


def test_pixels_and_other_chunks_are_unchanged() -> None:
    before, after = list(chunks(PNG)), list(chunks(embed(PNG, parameters())))
    assert [part for part in after if part.kind != b"tEXt"] == before
    kinds = [part.kind for part in after]
    assert kinds.index(b"tEXt") < kinds.index(b"IDAT")


def test_the_same_parameters_give_the_same_bytes_and_replace_earlier_ones() -> None:
    once = embed(PNG, parameters())
    assert embed(once, parameters()) == once
    assert read(embed(embed(PNG, parameters(seed=1)), parameters(seed=2))).parameters == parameters(seed=2)


def test_latin_text_goes_into_text_chunks_and_other_text_into_international_ones() -> None:
    assert {p.kind for p in chunks(embed(PNG, parameters(prompt="une pomme à l'été")))} & {
        b"tEXt",
        b"iTXt",
    } == {b"tEXt"}
    assert b"iTXt" in {p.kind for p in chunks(embed(PNG, parameters(prompt="赤いりんご 🍎")))}


def test_the_a1111_text_has_the_form_its_readers_expect() -> None:
    assert to_a1111(parameters(negative_prompt="blurry, dark", guidance=7.5)) == (
        "a red apple\nNegative prompt: blurry, dark\n"
        "Steps: 20, Sampler: DDIM, CFG scale: 7.5, Seed: 7, Size: 12x9, Model hash: 0123456789ab, Model: pocket, "
        "Version: Atelier 0.2.0"
    )


def test_latin_text_that_could_be_taken_for_utf_8_is_written_so_that_it_cannot() -> None:
    found = read(embed(PNG, parameters(prompt="Ã©tude", negative_prompt="Ã¤"))).a1111
    assert found is not None
    assert (found.prompt, found.negative_prompt) == ("Ã©tude", "Ã¤")


def test_an_empty_negative_prompt_has_no_line() -> None:
    assert "Negative" not in to_a1111(parameters())


def test_values_with_commas_colons_or_newlines_are_quoted_and_read_back() -> None:
    awkward = 'a, "b": c\nd \\ é'
    text = to_a1111(parameters(model=awkward))
    assert r'Model: "a, \"b\": c\nd \\ é", Version' in text
    found = from_a1111(text)
    assert found is not None
    assert found.fields["Model"] == awkward
    assert found.fields["Version"] == "Atelier 0.2.0"


@given(some_parameters)
@settings(max_examples=100)
def test_the_a1111_text_is_read_back(wanted: PictureParameters) -> None:
    if "Negative prompt:" in wanted.prompt:
        return
    found = from_a1111(to_a1111(wanted))
    assert found is not None
    assert (found.prompt, found.negative_prompt) == (wanted.prompt, wanted.negative_prompt)
    assert found.fields["Seed"] == str(wanted.seed)
    assert found.fields["Model"] == wanted.model


def test_text_of_other_programs_in_the_a1111_form_is_read() -> None:
    info = PngInfo()
    info.add_text(
        "parameters", "cat\ndog\nNegative prompt: bird\nSteps: 4, Sampler: Euler a, Seed: 3", zip=True
    )
    found = read(picture(info=info))
    assert found.parameters is None
    assert found.a1111 is not None
    assert (found.a1111.prompt, found.a1111.negative_prompt) == ("cat\ndog", "bird")
    assert found.a1111.fields == {"Steps": "4", "Sampler": "Euler a", "Seed": "3"}


@pytest.mark.parametrize("text", ["", "a cat", '{"sui_image_params": {"prompt": "a cat"}}', "\n", "steps"])
def test_text_in_another_form_is_ignored(text: str) -> None:
    info = PngInfo()
    info.add_text("parameters", text)
    info.add_text("atelier", text)
    assert read(picture(info=info)) == (None, None)


def test_stripping_leaves_only_the_picture() -> None:
    info = PngInfo()
    info.add_text("parameters", "secret prompt")
    info.add_itxt("XML:com.adobe.xmp", "secret prompt", zip=True)
    info.add(b"eXIf", b"MM\x00*secret")
    info.add(b"prVt", b"secret", after_idat=True)
    stripped = strip(embed(picture(info=info), parameters(prompt="secret")))
    assert b"secret" not in stripped
    assert {part.kind for part in chunks(stripped)} == {b"IHDR", b"IDAT", b"IEND"}
    with Pillow.open(io.BytesIO(stripped)) as bare, Pillow.open(io.BytesIO(picture())) as before:
        assert bare.tobytes() == before.tobytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_complete_png_of_the_right_size_is_accepted(mode: str) -> None:
    verify_png(picture(mode=mode), 12, 9)


def test_every_truncation_is_refused() -> None:
    for length in range(len(PNG)):
        with pytest.raises(BadOutput):
            verify_png(PNG[:length], 12, 9)


def test_every_flipped_byte_is_refused() -> None:
    for place in range(len(PNG)):
        broken = bytearray(PNG)
        broken[place] ^= 0x55
        with pytest.raises(BadOutput):
            verify_png(bytes(broken), 12, 9)


def _pixels(data: bytes) -> bytes:
    return rebuilt(
        [p if p.kind != b"IDAT" else Chunk(b"IDAT", data, chunk(b"IDAT", data)) for p in chunks(PNG)]
    )


ROWS = zlib.decompress(b"".join(part.data for part in chunks(PNG) if part.kind == b"IDAT"))
HEADER = struct.pack(">IIBBBBB", 12, 9, 8, 2, 0, 0, 0)
FIRST, *REST = chunks(PNG)

BROKEN = {
    "nothing": (b"", "it is empty"),
    "a JPEG": (b"\xff\xd8\xff\xe0" + b"x" * 100, "does not begin like a PNG"),
    "bytes after the end": (PNG + b"<script>", "8 bytes follow its end"),
    "no pixels": (rebuilt([p for p in chunks(PNG) if p.kind != b"IDAT"]), "no pixels"),
    "no header": (rebuilt(REST), "header is not its first chunk"),
    "two headers": (with_chunk(PNG, chunk(b"IHDR", HEADER)), "is there twice"),
    "a short header": (SIGNATURE + chunk(b"IHDR", HEADER[:8]) + PNG[33:], "wrong length"),
    "a length of 4 GB": (with_chunk(PNG, b"\xff\xff\xff\xfftEXt"), "the file ends at byte"),
    "a type that is no word": (with_chunk(PNG, chunk(b"t\0Xt", b"")), "no valid type"),
    "an unknown critical chunk": (with_chunk(PNG, chunk(b"EVIL", b"")), "a part that nobody knows"),
    "pixels in two pieces": (
        rebuilt([FIRST, *REST[:-1]]) + chunk(b"tEXt", b"a\0b") + REST[0].raw + REST[-1].raw,
        "not in one piece",
    ),
    "too few rows": (_pixels(zlib.compress(ROWS[: len(ROWS) // 2])), "cannot be decoded"),
    "pixels that are no zlib stream": (_pixels(b"nonsense"), "cannot be decoded"),
    "a bit depth that does not exist": (
        SIGNATURE + chunk(b"IHDR", HEADER[:8] + b"\x03" + HEADER[9:]) + PNG[33:],
        "cannot be decoded",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_is_refused_with_the_reason(name: str) -> None:
    data, message = BROKEN[name]
    with pytest.raises(BadOutput, match=message):
        verify_png(data, 12, 9)


def test_a_picture_that_does_not_have_the_requested_size_is_refused() -> None:
    with pytest.raises(BadOutput, match="12 x 9 pixels instead of 64 x 64"):
        verify_png(PNG, 64, 64)


def test_a_header_that_claims_a_huge_picture_allocates_no_memory() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = SIGNATURE + chunk(b"IHDR", header) + PNG[33:]
    tracemalloc.start()
    try:
        with pytest.raises(BadOutput, match="60000 x 60000"):
            verify_png(bomb, 12, 9)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_pixel_stream_longer_than_the_picture_is_decompressed_only_to_the_pictures_end() -> None:
    packer = zlib.compressobj(9)
    packed = (
        packer.compress(ROWS) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    )
    tracemalloc.start()
    try:
        verify_png(_pixels(packed), 12, 9)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def _international(data: bytes) -> bytes:
    return with_chunk(PNG, chunk(b"iTXt", data))


HOSTILE_TEXT = {
    "no keyword": (with_chunk(PNG, chunk(b"tEXt", b"no zero byte")), "no keyword"),
    "a keyword of 80 characters": (with_chunk(PNG, chunk(b"tEXt", b"k" * 80 + b"\0x")), "no keyword"),
    "international text cut short": (_international(b"atelier\0\0"), "cut short"),
    "text that is not UTF-8": (_international(b"atelier\0\0\0\0\0\xff\xfe"), "not UTF-8"),
    "a bomb": (
        with_chunk(PNG, chunk(b"zTXt", b"atelier\0\0" + zlib.compress(bytes(50 * MAX_TEXT_BYTES)))),
        "unpacks to more",
    ),
    "a damaged stream": (with_chunk(PNG, chunk(b"zTXt", b"atelier\0\0nonsense")), "damaged"),
    "a stream cut short": (
        with_chunk(PNG, chunk(b"zTXt", b"atelier\0\0" + zlib.compress(b"abc" * 99)[:-9])),
        "cut short",
    ),
    "many texts": (
        with_chunk(PNG, *(chunk(b"tEXt", b"k%d\0" % i + b"x" * 100_000) for i in range(11))),
        "more than 1000000 bytes of text",
    ),
}


@pytest.mark.parametrize("name", HOSTILE_TEXT)
def test_hostile_text_is_refused(name: str) -> None:
    data, message = HOSTILE_TEXT[name]
    with pytest.raises(PngError, match=message):
        all_texts(data)


@pytest.mark.parametrize("name", ["no keyword", "a keyword of 80 characters", "many texts"])
def test_hostile_text_that_is_not_the_studios_is_not_read(name: str) -> None:
    assert read(HOSTILE_TEXT[name][0]) == (None, None)


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_arbitrary_bytes_raise_no_error_but_png_error(data: bytes) -> None:
    for attempt in (
        data,
        SIGNATURE + data,
        with_chunk(PNG, chunk(b"iTXt", data)),
        with_chunk(PNG, chunk(b"zTXt", data)),
    ):
        try:
            read(attempt)
        except PngError:
            continue


def test_embedding_into_a_broken_picture_is_refused() -> None:
    with pytest.raises(BadOutput, match="not a whole PNG"):
        embed(PNG[:-5], parameters())


@pytest.mark.parametrize("change", [{"prompt": "a\0b"}, {"seed": -1}, {"seed": 2**32}, {"unknown": 1}])
def test_parameters_that_cannot_be_written_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        parameters(**change)
