"""Generates picture files as other programs write them, and hostile ones as an attacker would send them.

None of the files is stored in the repository. Each function's docstring says what is wrong with its file.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable

from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

SIGNATURE = b"\x89PNG\r\n\x1a\n"
A1111 = (
    "a red apple\nNegative prompt: blurry\n"
    "Steps: 25, Sampler: Euler, CFG scale: 6.5, Seed: 4242, Size: 512x768, Model: dreamshaper_8"
)
MODEL, GPS_TABLE, EXIF_TABLE, USER_COMMENT = 0x0110, 0x8825, 0x8769, 0x9286
PLACE = 47.3769


def chunk(kind: bytes, data: bytes) -> bytes:
    """Returns a well-formed PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(texts: dict[str, str] | None = None, *chunks: bytes, size: tuple[int, int] = (12, 9)) -> bytes:
    """Returns a small PNG with text chunks (as Pillow writes them) and further chunks after its header."""
    info = PngInfo()
    for keyword, text in (texts or {}).items():
        info.add_text(keyword, text)
    target = io.BytesIO()
    Pillow.new("RGB", size, "teal").save(target, "PNG", pnginfo=info)
    end = len(SIGNATURE) + 25
    return target.getvalue()[:end] + b"".join(chunks) + target.getvalue()[end:]


def tiff(
    comment: bytes | None = None,
    texts: dict[int, bytes] | None = None,
    *,
    order: str = ">",
    place: bool = False,
    kind: int = 7,
    in_first: bool = False,
) -> bytes:
    """Returns an EXIF block: texts by tag, a UserComment with its 8-byte prefix, and a GPS table with PLACE.

    `kind` is the comment's type; `in_first` puts the comment into the first table instead of the Exif table.
    """
    entries: list[tuple[int, int, int, bytes]] = [
        (tag, 2, len(text) + 1, text + b"\0") for tag, text in sorted((texts or {}).items())
    ]
    if in_first and comment is not None:
        entries.append((USER_COMMENT, kind, len(comment), comment))
        comment = None
    tables: list[tuple[int, bytes]] = []
    if comment is not None:
        tables.append((EXIF_TABLE, struct.pack(f"{order}HHHI", 1, USER_COMMENT, kind, len(comment))))
    if place:
        degrees = struct.pack(f"{order}6I", 47, 1, 22, 1, 3684, 100)
        tables.append((GPS_TABLE, struct.pack(f"{order}HHHI", 1, 2, 5, 3) + degrees))
    at = 8 + 2 + 12 * (len(entries) + len(tables)) + 4
    table, rest = struct.pack(f"{order}H", len(entries) + len(tables)), b""
    for tag, kind, count, value in entries:
        table += struct.pack(f"{order}HHI", tag, kind, count)
        table += value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(f"{order}I", at + len(rest))
        rest += b"" if len(value) <= 4 else value
    for tag, head in tables:
        here = at + len(rest)
        value = (comment or b"") if tag == EXIF_TABLE else head[10:]
        table += struct.pack(f"{order}HHII", tag, 4, 1, here)
        rest += head[:10] + struct.pack(f"{order}II", here + 18, 0) + value
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8) + table + b"\0" * 4 + rest


def with_exif(kind: str, block: bytes, *, frames: int = 1) -> bytes:
    """Returns a small JPEG, WEBP or PNG with an EXIF block."""
    target = io.BytesIO()
    pictures = [Pillow.new("RGB", (12, 9), (40 * number, 90, 90)) for number in range(frames)]
    more = {"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}
    pictures[0].save(target, kind, exif=b"Exif\0\0" + block, **more)
    return target.getvalue()


def comment_of(text: str, encoding: str) -> bytes:
    """Returns a UserComment: `ascii`, `none` (unspecified), `bare` (no prefix), `utf-16-le`, `utf-16-be`, `bom`."""
    prefixes = {"ascii": b"ASCII\0\0\0", "none": b"\0" * 8, "bare": b""}
    if encoding in prefixes:
        return prefixes[encoding] + text.encode()
    codec = "utf-16" if encoding == "bom" else encoding
    return b"UNICODE\0" + text.encode(codec)


def bomb_of_pixels(side: int = 30_000) -> bytes:
    """Returns a PNG of `side` x `side` white 1-bit pixels in about 110 kB that decodes to 900 MB."""
    packer = zlib.compressobj(9)
    row = b"\0" + b"\xff" * (-(-side // 8))
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    text = chunk(b"tEXt", b"parameters\0" + A1111.encode())
    return SIGNATURE + chunk(b"IHDR", header) + text + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def jpeg_that_says(width: int, height: int) -> bytes:
    """Returns a small JPEG whose frame header claims another size."""
    file = bytearray(with_exif("JPEG", tiff()))
    at = file.index(b"\xff\xc0")
    struct.pack_into(">HH", file, at + 5, height, width)
    return bytes(file)


def webp_that_says(width: int, height: int) -> bytes:
    """Returns a small WebP whose canvas claims another size."""
    file = bytearray(with_exif("WEBP", tiff()))
    at = file.index(b"VP8X") + 12
    file[at : at + 6] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(file)


def many_scans(count: int = 200, side: int = 4000) -> bytes:
    """Returns a progressive 16-megapixel JPEG that repeats its last scan `count` times."""
    target = io.BytesIO()
    Pillow.new("L", (side, side), 90).save(target, "JPEG", progressive=True)
    file = target.getvalue()
    last = file.rindex(b"\xff\xda")
    return file[:-2] + file[last:-2] * count + file[-2:]


def colored(color: tuple[int, int, int], *, profile: bytes | None = None) -> bytes:
    """Returns a small PNG of one color with a color profile."""
    target = io.BytesIO()
    Pillow.new("RGB", (8, 8), color).save(target, "PNG", icc_profile=profile)
    return target.getvalue()


def with_broken_profile() -> bytes:
    """Returns a PNG with an invalid color profile."""
    return colored((1, 2, 3), profile=b"acsp" * 100)


def wide_profile() -> bytes:
    """Returns a matrix profile (ICC.1:2001) with the primaries of Adobe RGB and a gamma of 2.2."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(fixed(value) for value in values)

    tags = {
        b"rXYZ": xyz(0.60974, 0.31111, 0.01947),
        b"gXYZ": xyz(0.20528, 0.62567, 0.06087),
        b"bXYZ": xyz(0.14919, 0.06322, 0.74457),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"wide\0" + bytes(79),
    }
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data.ljust(-(-len(data) // 4) * 4, b"\0")
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head = head.ljust(36, b"\0") + b"acsp"
    head = head.ljust(68, b"\0") + fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def truncated(file: bytes) -> bytes:
    """Returns the first two thirds of a file."""
    return file[: len(file) * 2 // 3]


def polyglot() -> bytes:
    """Returns a PNG that is also a ZIP with an HTML page in it."""
    tail = io.BytesIO()
    with zipfile.ZipFile(tail, "w") as archive:
        archive.writestr("index.html", "<script>alert(1)</script>")
    return png({"parameters": A1111}) + tail.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"


def text_bomb(kind: bytes, size: int = 200_000_000) -> bytes:
    """Returns a PNG whose `parameters` are `size` bytes of spaces, compressed about 1000:1."""
    packer = zlib.compressobj(9)
    block = b" " * 1_000_000
    packed = b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()
    heads = {b"zTXt": b"parameters\0\0", b"iTXt": b"parameters\0\1\0\0\0"}
    return png({}, chunk(kind, heads[kind] + packed))


def much_metadata(size: int = 5_000_000) -> bytes:
    """Returns a PNG with `size` bytes of text."""
    return png({"parameters": A1111, "workflow": "x" * size})


def deep_json(depth: int = 200_000) -> str:
    """Returns JSON of `depth` nested objects."""
    return '{"prompt":' * depth + "1" + "}" * depth


def overlapping_exif(size: int = 900_000, entries: int = 400) -> bytes:
    """Returns an EXIF block whose texts all point to the same `size` bytes: 360 MB if each is copied."""
    at = 8 + 2 + 12 * entries + 4
    table = struct.pack(">H", entries)
    table += b"".join(struct.pack(">HHII", number + 1, 2, size, at) for number in range(entries))
    return b"MM\0*" + struct.pack(">I", 8) + table + b"\0" * 4 + b"p" * size


def webp_with(block: bytes) -> bytes:
    """Returns a WebP container that holds only an EXIF chunk, which Pillow would not write."""
    parts = b"WEBP" + b"EXIF" + struct.pack("<I", len(block)) + block + b"\0" * (len(block) % 2)
    return b"RIFF" + struct.pack("<I", len(parts)) + parts


def many_parts(size: int = 30_000_000) -> dict[str, bytes]:
    """Returns files of about `size` bytes made of their format's smallest segments."""
    empty = chunk(b"teXt", b"")
    whole = png()
    end = len(SIGNATURE) + 25
    return {
        "png": whole[:end] + empty * (size // len(empty)) + whole[end:],
        "jpeg": b"\xff\xd8" + b"\xff\xe2\x00\x02" * (size // 4),
        "jpeg_fill": b"\xff\xd8" + b"\xff" * size,
        "webp": b"RIFF" + struct.pack("<I", size + 4) + b"WEBP" + (b"ABCD" + b"\0" * 4) * (size // 8),
    }


def comfy_graph(**changed: object) -> dict[str, object]:
    """Returns ComfyUI's default workflow in API format; `changed` replaces inputs of its sampler."""
    sampler: dict[str, object] = {
        "seed": 156680208700286,
        "steps": 20,
        "cfg": 8,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1,
        "model": ["4", 0],
        "positive": ["6", 0],
        "negative": ["7", 0],
        "latent_image": ["5", 0],
    }
    return {
        "3": {"class_type": "KSampler", "inputs": sampler | changed},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sub\\dream_8.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 640, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a glass bottle", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "watermark", "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
    }


def flux_graph() -> dict[str, object]:
    """Returns ComfyUI's FLUX example, which has separate nodes for noise, guider, sampler and steps."""
    return {
        "13": {
            "class_type": "SamplerCustomAdvanced",
            "inputs": {
                "noise": ["25", 0],
                "guider": ["22", 0],
                "sampler": ["16", 0],
                "sigmas": ["17", 0],
                "latent_image": ["27", 0],
            },
        },
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["11", 0]}},
        "11": {"class_type": "DualCLIPLoader", "inputs": {"clip_name1": "t5.sft", "clip_name2": "l.sft"}},
        "12": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors"}},
        "16": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "17": {
            "class_type": "BasicScheduler",
            "inputs": {"scheduler": "simple", "steps": 28, "denoise": 1, "model": ["30", 0]},
        },
        "22": {"class_type": "BasicGuider", "inputs": {"model": ["30", 0], "conditioning": ["26", 0]}},
        "25": {"class_type": "RandomNoise", "inputs": {"noise_seed": 219670278747233}},
        "26": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["6", 0]}},
        "27": {"class_type": "EmptySD3LatentImage", "inputs": {"width": ["34", 0], "height": 768}},
        "30": {"class_type": "ModelSamplingFlux", "inputs": {"model": ["12", 0], "width": 9, "height": 9}},
        "34": {"class_type": "PrimitiveNode", "inputs": {"value": 1024}},
    }


def refused() -> dict[str, Callable[[], bytes]]:
    """Returns functions that make the files that every upload must refuse, by name."""
    return {
        "empty": lambda: b"",
        "svg_named_png": lambda: SVG,
        "html_named_png": lambda: HTML,
        "truncated_png": lambda: truncated(png({"parameters": A1111})),
        "truncated_jpeg": lambda: with_exif("JPEG", tiff(comment_of(A1111, "ascii")))[:100],
        "truncated_webp": lambda: truncated(with_exif("WEBP", tiff(comment_of(A1111, "ascii")))),
        "polyglot": polyglot,
        "parameters_of_5_mb": lambda: png({"parameters": "x" * 5_000_000}),
        "ztxt_bomb": lambda: text_bomb(b"zTXt"),
        "itxt_bomb": lambda: text_bomb(b"iTXt"),
        "too_long_prompt": lambda: png({"parameters": "x" * 20_001 + "\nSteps: 1, Seed: 1"}),
        "of_100_mb": lambda: png() + b"\0" * 100_000_000,
    }


def beside_pixels() -> dict[str, Callable[[], bytes]]:
    """Returns functions that make intact pictures with extra data; as inputs they are accepted without that data."""
    return {
        "polyglot": polyglot,
        "metadata_of_5_mb": much_metadata,
        "parameters_of_5_mb": refused()["parameters_of_5_mb"],
        "too_long_prompt": refused()["too_long_prompt"],
        "place_in_jpeg": lambda: with_exif("JPEG", tiff(place=True)),
        "place_in_png": lambda: with_exif("PNG", tiff(place=True)),
        "place_in_webp": lambda: with_exif("WEBP", tiff(place=True)),
        "broken_exif": lambda: with_exif("JPEG", b"II*\0\xff\xff\xff\xff"),
        "broken_profile": with_broken_profile,
    }


def refused_as_pictures() -> dict[str, Callable[[], bytes]]:
    """Returns functions that make the files that are refused as input pictures, by name."""
    return {
        **{name: make for name, make in refused().items() if name not in beside_pixels()},
        "bomb_of_pixels": bomb_of_pixels,
        "bomb_of_pixels_in_jpeg": lambda: jpeg_that_says(60_000, 60_000),
        "bomb_of_pixels_in_webp": lambda: webp_that_says(16_000, 16_000),
        "many_scans": many_scans,
        "animated": lambda: with_exif("WEBP", tiff(), frames=3),
        "no_pixels": lambda: webp_with(overlapping_exif()),
        "header_only": lambda: png()[:33],
    }


def dumps(value: object) -> str:
    """Returns JSON as Python writes it, with NaN, which occurs in ComfyUI's graphs."""
    return json.dumps(value)
