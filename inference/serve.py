"""The server's process: starts as `serve`, answers while the model loads, ends cleanly on SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from types import FrameType

import uvicorn

from inference.app import App
from inference.check import OutputGate
from inference.engine import Engine
from inference.errors import StartError
from inference.finishing import Finishing, FolderHints
from inference.logs import describe_failure, log, redirect_library_logs
from inference.pipelines.family import Model
from inference.pipelines.found_model import find_model
from inference.pipelines.load_model import load_model
from inference.progress import ProgressReporter
from inference.settings import Settings, read_settings


class ModelServer(uvicorn.Server):
    """A uvicorn server whose signals first drain the engine: new requests get 503, the running one time."""

    def __init__(self, config: uvicorn.Config, shutdown_s: float) -> None:
        super().__init__(config)
        self._shutdown_s = shutdown_s
        self._engine: Engine | None = None
        self._app: App | None = None
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failed = False

    def attach(self, engine: Engine, app: App) -> None:
        """Give the server the engine to drain and the application that uses it."""
        self._engine = engine
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections."""
        self._loop = asyncio.get_running_loop()
        if self.failed:
            # The model was refused before the event loop existed: there is nothing to serve.
            self._stop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first SIGTERM or SIGINT; hand back the running request on the second."""
        # The parent's handler would raise the signal again at the end, and the exit code would not be 0.
        if self._loop is None:
            _leave(sig, frame)
        else:
            self._loop.call_soon_threadsafe(self._drain)

    def fail_start(self, error: Exception) -> None:
        """Log why the model did not load and end the process with exit code 1. Called by the model thread."""
        if isinstance(error, StartError):
            log("error", "model_refused", message=str(error))
        else:
            log("error", "model_not_loaded", message=str(error), **describe_failure(error))
        self.failed = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self.should_exit = True

    def _drain(self) -> None:
        if self._engine is None:
            self._stop()
        elif self._draining is None:
            log("info", "shutting_down", running=not self._engine.is_idle())
            self._draining = asyncio.ensure_future(self._finish(self._engine))
        else:
            self._engine.hand_back_running()

    async def _finish(self, engine: Engine) -> None:
        engine.close()
        deadline = asyncio.get_running_loop().time() + self._shutdown_s
        while not (engine.is_idle() and self._is_answered()) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        engine.hand_back_running()
        # Uvicorn waits for the answers that are still being sent, at most `timeout_graceful_shutdown`.
        self._stop()

    def _is_answered(self) -> bool:
        """Return whether all finished pictures have been checked, encoded, and sent."""
        return self._app is None or self._app.is_idle()


def serve(settings: Settings) -> int:
    """Run until a signal; return the exit code. Raises `StartError` before it listens."""
    folder, limits = find_model(settings.model_dir, settings.lora_dir)
    listener = _listen(settings)
    config = uvicorn.Config(
        "",
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        # Time for answers that are being sent when the engine has drained.
        timeout_graceful_shutdown=3,
    )
    server = ModelServer(config, settings.shutdown_s)
    gate = OutputGate(settings.nsfw_threshold)
    gate.start()
    hints = FolderHints(settings.model_dir)

    def load() -> Model:
        model = load_model(folder, settings.threads, settings.speed, freeze_imports=True)
        # Without the check, the server cannot hand out pictures, so it is not ready.
        gate.wait()
        hints.open()
        return model

    engine = Engine(
        load=load,
        queue_size=settings.queue_size,
        reporter=ProgressReporter(),
        on_failed_start=server.fail_start,
    )
    app = App(engine, limits, Finishing(gate, settings.image_format, hints))
    config.app = app
    server.attach(engine, app)
    engine.start()
    server.run(sockets=[listener])
    log("info", "stopped", failed=server.failed)
    return 1 if server.failed else 0


def main(arguments: list[str]) -> int:
    """Parse the command line (`serve`) and run; return the exit code."""
    parser = argparse.ArgumentParser(prog="inference.serve", description="The model container's server.")
    parser.add_argument("command", choices=["serve"], help="what SageMaker starts the image with")
    parser.parse_args(arguments)
    # Until the server handles signals itself, there is nothing to finish.
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, _leave)
    set_library_environment()
    redirect_library_logs()
    try:
        return serve(read_settings(os.environ))
    except StartError as exc:
        for line in str(exc).splitlines():
            log("error", "not_started", message=line)
        return 2


def set_library_environment() -> None:
    """Set the environment variables that the libraries read when they are first imported."""
    os.environ.update(
        # Nothing is ever fetched: the folder must be complete.
        HF_HUB_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        # Their import-time warnings are not JSON, and later ones quote prompts.
        TRANSFORMERS_VERBOSITY="error",
        DIFFUSERS_VERBOSITY="error",
    )
    # OpenMP threads that wait for each other spin for long by default, and starve each other when another process
    # wants the same cores. This much costs nothing on an idle machine and halves the time on a busy one.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def _leave(_sig: int, _frame: FrameType | None) -> None:
    os._exit(0)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=256)
    except OSError as exc:
        raise StartError(
            f"Cannot listen on {settings.host}:{settings.port} ({exc.strerror}): "
            "set INFERENCE_HOST and INFERENCE_PORT to an address that is free."
        ) from exc
    # asyncio sets this only if the socket states its protocol. Without it, each answer on a kept connection waits 40 ms
    # for the client's delayed acknowledgment. Accepted connections inherit it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Port 0 lets the system choose.
    log("info", "listening", host=settings.host, port=listener.getsockname()[1])
    return listener


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    sys.stderr.flush()
    # Not sys.exit(): a model thread that still runs torch would crash the interpreter's end.
    os._exit(exit_code)
