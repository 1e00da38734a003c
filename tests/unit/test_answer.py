"""Tests of failure messages built from the endpoint's failure output."""

from __future__ import annotations

import json

import pytest

from services.backends.container_contract import read_failure


def error(code: str, message: str = "the width is odd") -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "param": None}}).encode()


@pytest.mark.parametrize(
    ("raw", "reason", "code", "words"),
    [
        (error("invalid_request"), "", "invalid_request", "the width is odd"),
        (error("out_of_memory"), "", "out_of_memory", "smaller"),
        (error("model_error"), "", "model_error", "another seed"),
        (error("no_such_code"), "", "model_crashed", "stopped without an answer"),
        (b"ModelError: worker died", "", "model_crashed", "stopped without an answer"),
        (b"[]", "", "model_crashed", "stopped without an answer"),
        (b'{"error": "text"}', "", "model_crashed", "stopped without an answer"),
        pytest.param(b"[" * 100_000, "", "model_crashed", "stopped without an answer", id="nested"),
        (b"\xff\xfe", "", "model_crashed", "stopped without an answer"),
        (None, "Model timed out", "timeout", "took too long"),
        (None, "the invocation's time-out of 900 s passed", "timeout", "took too long"),
        (None, "", "model_crashed", "stopped without an answer"),
    ],
)
def test_a_failure_gets_a_code_and_a_message(raw: bytes | None, reason: str, code: str, words: str) -> None:
    failure = read_failure(raw, reason)
    assert failure.code == code
    assert words in failure.message


def test_braces_in_a_containers_message_are_not_format_fields() -> None:
    assert "{x}" in read_failure(error("invalid_request", "{x} {0}"), "").message
