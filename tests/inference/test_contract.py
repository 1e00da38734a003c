"""Tests of what /invocations accepts, and of its errors for everything else."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inference.contract import RULES, JobReference, LoraReference, Payload, parse_payload
from inference.errors import InvalidRequest
from tests.inference.client import PAYLOAD, ask, invoke
from tests.inference.processes import ServerProcess

JOB = {"bucket": "outputs", "prefix": "u/j", "attempt": 1}
NUMBERS_ARE_NOT: list[Any] = [None, "64", "", "abc", True, [64], {}, 64.5]
LEFT_OUT = object()

MALFORMED: list[tuple[str, Any]] = [
    *(("width", v) for v in [*NUMBERS_ARE_NOT, 0, -8, 7, 63, 65, 2056, 10**6, 10**400, LEFT_OUT]),
    *(("height", v) for v in [*NUMBERS_ARE_NOT, 0, -8, 63, 65, 2056, LEFT_OUT]),
    *(("num_inference_steps", v) for v in [*NUMBERS_ARE_NOT, 0, -1, 151, 10**9, LEFT_OUT]),
    *(("guidance_scale", v) for v in [None, "4", "", True, [4], {}, -0.1, 30.5, 1e308, LEFT_OUT]),
    *(("seed", v) for v in [*NUMBERS_ARE_NOT, -1, 2**32, 2**64, LEFT_OUT]),
    *(("num_images_per_prompt", v) for v in [*NUMBERS_ARE_NOT, 0, -1, 9, 99, LEFT_OUT]),
    *(("scheduler", v) for v in [None, "", "DDIM", "euler_a", 3, ["ddim"], {}, LEFT_OUT]),
    *(("prompt", v) for v in [None, "", "   ", "\n\t", 7, True, ["a"], {}, "a" * 2001, LEFT_OUT]),
    *(("prompt", v) for v in ["a\x00b", "a\x1bb", "a\x7fb", "a\x85b"]),
    *(("negative_prompt", v) for v in [None, 7, ["a"], "a" * 2001, "a\x00b"]),
    *(("deadline_s", v) for v in ["60", "", True, [60], {}, 0, -1, 0.05, 3600.5, 1e308]),
    *(("job", v) for v in ["x", 1, [], True]),
    *(
        ("job.bucket", v)
        for v in [None, 1, "", "ab", "Outputs", "a/b", "-ab", "a" * 64, "s3://outputs", LEFT_OUT]
    ),
    *(
        ("job.prefix", v)
        for v in [
            None,
            1,
            "",
            "u",
            "u/",
            "/j",
            "u/j/",
            "u/j/k",
            "../j",
            "u/..",
            "u//j",
            "u/j\n",
            "a" * 65 + "/j",
        ]
    ),
    *(("job.prefix", v) for v in ["u/j?x", "u\\j", "u/%2e%2e", "ü/j", LEFT_OUT]),
    *(("job.attempt", v) for v in [None, "1", 0, -1, 1.5, True, 10**7, LEFT_OUT]),
    *(
        (name, 1)
        for name in ["steps", "Prompt", "width ", "image", "model", "__class__", "job.key", "job.url"]
    ),
]


def malformed(field: str, value: Any) -> dict[str, Any]:
    payload: dict[str, Any] = {**PAYLOAD, "job": dict(JOB)}
    holder, name = (payload["job"], field[4:]) if field.startswith("job.") else (payload, field)
    holder.pop(name, None)
    if value is not LEFT_OUT:
        holder[name] = value
    return payload


def label(value: Any) -> str:
    return "left out" if value is LEFT_OUT else repr(value)[:24]


@pytest.mark.parametrize(
    ("field", "value"), MALFORMED, ids=[f"{field} = {label(value)}" for field, value in MALFORMED]
)
def test_a_malformed_field_is_refused_with_its_name_and_rule(
    field: str, value: Any, shared_process: ServerProcess
) -> None:
    answer = ask(shared_process.port, "POST", "/invocations", json.dumps(malformed(field, value)).encode())

    assert answer.status == 400
    assert answer.error["code"] == "invalid_request"
    assert answer.error["param"] == field
    assert field in answer.error["message"]
    if field in RULES:
        assert RULES[field] in answer.error["message"]


def file(kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, kind, **options)
    return stream.getvalue()


def bomb() -> bytes:
    """Return a complete PNG of 30,000 x 30,000 pixels: about 3 kB that would decode to 2.7 GB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 3_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def animated() -> bytes:
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    stream = io.BytesIO()
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def flipped(whole: bytes) -> bytes:
    """Return the file with one changed byte in the middle of its pixels."""
    at = len(whole) // 2
    return whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]


NOT_PICTURES: dict[str, tuple[bytes, str]] = {
    "cut off in its pixels": (file()[:2000], "cut off"),
    "cut off in its header": (file()[:20], "PNG, JPEG or WebP"),
    "a JPEG cut off": (file("JPEG")[:1500], "cut off"),
    "a WebP cut off": (file("WEBP")[:500], "PNG, JPEG or WebP"),
    "a byte turned over": (flipped(file()), "broken"),
    "a pixel bomb": (bomb(), "4096"),
    "too wide": (file()[:16] + struct.pack(">I", 5000) + file()[20:], "PNG, JPEG or WebP|4096"),
    "animated": (animated(), "animated"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>', "PNG, JPEG or WebP"),
    "SVG behind a PNG's first bytes": (b"\x89PNG\r\n\x1a\n<svg/>", "PNG, JPEG or WebP"),
    "a GIF": (file("GIF"), "PNG, JPEG or WebP"),
    "a BMP": (file("BMP"), "PNG, JPEG or WebP"),
    "a TIFF": (file("TIFF"), "PNG, JPEG or WebP"),
    "a zip": (b"PK\x03\x04" + b"\0" * 100, "PNG, JPEG or WebP"),
    "a program": (b"\x7fELF" + b"\0" * 100, "PNG, JPEG or WebP"),
    "HTML": (b"<!doctype html><script>1</script>", "PNG, JPEG or WebP"),
    "over 8 MiB": (file() + b"\0" * (8 * 1024 * 1024), "8 MiB"),
}


@pytest.mark.parametrize("field", ["image", "mask"])
@pytest.mark.parametrize("name", NOT_PICTURES)
def test_an_invalid_picture_is_refused_with_its_field_and_the_reason(
    name: str, field: str, shared_process: ServerProcess
) -> None:
    content, words = NOT_PICTURES[name]
    pictures = {"image": file("PNG"), field: content}

    answer = invoke(
        shared_process.port,
        strength=0.5,
        **{key: base64.b64encode(data).decode() for key, data in pictures.items()},
    )

    assert (answer.status, answer.error["code"]) == (400, "invalid_request")
    assert answer.error["param"] == field
    assert any(word in answer.error["message"] for word in words.split("|")), answer.error["message"]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"image": "data:image/png;base64,AAAA", "strength": 0.5}, "image"),
        ({"image": "", "strength": 0.5}, "image"),
        ({"image": "https://example.com/a.png", "strength": 0.5}, "image"),
        ({"image": "/etc/passwd", "strength": 0.5}, "image"),
        ({"image": base64.b64encode(file()).decode()}, "strength"),
        ({"image": base64.b64encode(file()).decode(), "strength": 0}, "strength"),
        ({"image": base64.b64encode(file()).decode(), "strength": 1.01}, "strength"),
        ({"strength": 0.5}, "strength"),
        ({"mask": base64.b64encode(file()).decode()}, "mask"),
        ({"loras": "ink"}, "loras"),
        ({"loras": [{"name": "ink", "scale": 1.0}]}, "loras"),
        ({"loras": [{"name": "../ink", "scale": 1.0}]}, "loras.name"),
        ({"loras": [{"name": "ink", "scale": 2.5}]}, "loras.scale"),
        ({"loras": [{"name": "ink"}]}, "loras.scale"),
        ({"loras": [{"name": "ink", "scale": 1.0, "path": "/"}]}, "loras.path"),
        ({"loras": [{"name": f"l{n}", "scale": 1.0} for n in range(5)]}, "loras"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_pictures_and_loras_that_do_not_fit_together_are_refused_by_name(
    changes: dict[str, Any], param: str, shared_process: ServerProcess
) -> None:
    answer = invoke(shared_process.port, **changes)

    assert (answer.status, answer.error["code"]) == (400, "invalid_request")
    assert answer.error["param"] == param
    assert param.partition(".")[0] in answer.error["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"nope",
        b"prompt=a",
        b'{"prompt": "a",}',
        b"{'prompt': 'a'}",
        b"\xff\xfe",
        b'{"prompt": "\xff"}',
        b'{"prompt": "\\ud800"}',
        b"[" * 100_000,
        b"<xml/>",
        b"{}{}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_not_json_is_refused(body: bytes, shared_process: ServerProcess) -> None:
    answer = ask(shared_process.port, "POST", "/invocations", body)

    assert answer.status == 400
    assert answer.error["code"] == "invalid_request"
    assert "not JSON" in answer.error["message"]
    assert answer.error["param"] is None


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("field", ["guidance_scale", "seed"])
def test_non_finite_numbers_are_refused(field: str, value: str, shared_process: ServerProcess) -> None:
    body = json.dumps({**PAYLOAD, field: 0}).replace(f'"{field}": 0', f'"{field}": {value}')

    answer = ask(shared_process.port, "POST", "/invocations", body.encode())

    assert (answer.status, answer.error["param"]) == (400, field)


@pytest.mark.parametrize("body", [b"[]", b'"a"', b"7", b"null", b"true"])
def test_json_that_is_not_an_object_is_refused(body: bytes, shared_process: ServerProcess) -> None:
    answer = ask(shared_process.port, "POST", "/invocations", body)

    assert answer.status == 400
    assert answer.error["param"] is None
    assert "object" in answer.error["message"]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"width": 520}, "width"),
        ({"height": 2048}, "height"),
    ],
)
def test_a_field_beyond_the_models_limits_is_refused_by_name(
    changes: dict[str, Any], param: str, shared_process: ServerProcess
) -> None:
    answer = invoke(shared_process.port, **changes)

    assert answer.status == 400
    assert answer.error["param"] == param
    assert "512" in answer.error["message"]


def test_a_body_over_the_limit_gets_413_and_is_read_to_its_end(shared_process: ServerProcess) -> None:
    answer = ask(shared_process.port, "POST", "/invocations", b"x" * (17 * 1024 * 1024))

    assert answer.status == 413
    assert answer.error["code"] == "invalid_request"
    assert "16 MiB" in answer.error["message"]


def test_a_body_within_the_limit_is_judged_by_its_content(shared_process: ServerProcess) -> None:
    answer = ask(shared_process.port, "POST", "/invocations", b"x" * (10 * 1024 * 1024))

    assert answer.status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/invocations", 405),
        ("PUT", "/invocations", 405),
        ("POST", "/ping", 405),
        ("GET", "/", 404),
        ("GET", "/invocations/", 404),
        ("GET", "/../etc/passwd", 404),
    ],
)
def test_other_paths_and_methods_get_a_json_error(
    method: str, path: str, status: int, shared_process: ServerProcess
) -> None:
    answer = ask(shared_process.port, method, path)

    assert answer.status == status
    assert answer.error["code"] == "invalid_request"
    assert int(answer.headers["content-length"]) == len(answer.body)


def test_a_refusal_never_repeats_the_prompt(shared_process: ServerProcess) -> None:
    answer = invoke(shared_process.port, prompt="a secret \x00 prompt")

    assert "secret" not in answer.body.decode()


def test_an_unknown_field_of_any_length_gets_a_short_answer(shared_process: ServerProcess) -> None:
    answer = invoke(shared_process.port, **{"x" * 100_000: 1})

    assert answer.status == 400
    assert len(answer.body) < 1000


def test_seeds_count_up_and_wrap_around() -> None:
    payload = Payload(**{**PAYLOAD, "seed": 2**32 - 2, "num_images_per_prompt": 4})

    assert payload.seeds() == [2**32 - 2, 2**32 - 1, 0, 1]


def test_guidance_can_be_an_integer() -> None:
    assert parse_payload(json.dumps({**PAYLOAD, "guidance_scale": 4}).encode()).guidance_scale == 4.0


def test_every_field_has_a_rule() -> None:
    assert set(RULES) == {
        *Payload.model_fields,
        *(f"job.{name}" for name in JobReference.model_fields),
        *(f"loras.{name}" for name in LoraReference.model_fields),
    }


def test_the_s3_keys_of_a_job_match_the_contract() -> None:
    job = JobReference(bucket="outputs", prefix="user/job", attempt=2)

    assert job.progress_key == "user/job/2.progress.json"
    assert job.preview_key == "user/job/2.preview.webp"
    assert job.cancel_key == "user/job/cancel"


def test_the_contracts_example_is_accepted() -> None:
    example = (
        b'{"prompt": "a red apple", "negative_prompt": "", "width": 64, "height": 64, '
        b'"num_inference_steps": 20, "guidance_scale": 4.0, "scheduler": "ddim", "seed": 7, '
        b'"num_images_per_prompt": 2, "job": {"bucket": "atelier-outputs", '
        b'"prefix": "0123456789abcdef0123456789abcdef/01JZ0000000000000000000000", "attempt": 1}}'
    )

    assert parse_payload(example).num_images_per_prompt == 2


def test_an_invalid_request_is_refused_without_a_model() -> None:
    with pytest.raises(InvalidRequest, match="width"):
        parse_payload(json.dumps({**PAYLOAD, "width": 7}).encode())
