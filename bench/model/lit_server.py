"""LitServe around the stock pipeline: `python -m bench.model.lit_server FOLDER PORT`. Runs in `.venvs/bench`."""

# No `from __future__ import annotations`: LitServe needs the evaluated annotations.
import base64
import sys
from typing import Any

import litserve

from bench.drawing import Request
from bench.model import plain

# The engine's own limit.
BATCH = 8
# How long a batch's first request waits for others; without a wait (the default) it draws 1 and 7 in turn.
BATCH_TIMEOUT_S = 0.05


class Drawing(litserve.LitAPI):  # type: ignore[misc]  # has no types
    """One model process that draws up to eight requests per pass."""

    def __init__(self, folder: str) -> None:
        super().__init__(max_batch_size=BATCH, batch_timeout=BATCH_TIMEOUT_S)
        self._folder = folder

    def setup(self, device: str) -> None:
        """Load the model in the process that draws."""
        self._pipe = plain.load(self._folder)

    def decode_request(self, request: Request) -> Request:
        """Return the request unchanged: the body was already validated."""
        return request

    def batch(self, inputs: list[Request]) -> list[Request]:
        """Return the requests unchanged."""
        return inputs

    def predict(self, x: list[Request]) -> list[Any]:
        """Return one picture per request."""
        return plain.draw(self._pipe, x)

    def unbatch(self, output: list[Any]) -> list[Any]:
        """Return the pictures unchanged."""
        return output

    def encode_response(self, output: Any) -> dict[str, str]:
        """Return the PNG in our server's response form."""
        return {"data": base64.b64encode(plain.encode(output)).decode("ascii")}


if __name__ == "__main__":
    server = litserve.LitServer(Drawing(sys.argv[1]), accelerator="cpu", workers_per_device=1, timeout=300)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
