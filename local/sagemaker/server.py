"""The HTTP server: SageMaker's operations for boto3, plus counters and a reset for tests."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.sagemaker import wire
from local.sagemaker.config import Config, EndpointConfig, in_repository
from local.sagemaker.delivery import Delivery
from local.sagemaker.endpoint import OK_STATUSES, Endpoint
from local.sagemaker.journal import open_journal
from local.sagemaker.log import write
from local.sagemaker.runner import BrokenAnswer, Program, StartFailed, Unreachable
from local.sagemaker.wire import WireError

JOURNAL = "journal.sqlite"
NAME = "local endpoint"
LOOPBACK_NAMES = {"127.0.0.1", "::1", "localhost"}
NO_ACCOUNT = "000000000000"
VARIANT = "AllTraffic"
MESSAGE_CHARS = 2048
# Above every limit here: a body over its limit is still read to the end, so that the caller gets the answer.
DRAIN_BYTES = 32 * 1024 * 1024
TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)

Handler = Callable[[Request], Awaitable[Response]]


class Service:
    """SageMaker's operations on the endpoints of one settings file."""

    def __init__(self, config: Config) -> None:
        self._journal = open_journal(config.state_dir / JOURNAL, time.time(), _say)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._delivery = Delivery(config.delivery_timeout_s)
        topics = [endpoint.success_topic or endpoint.error_topic or "" for endpoint in config.endpoints]
        self._account = next((arn.split(":")[4] for arn in topics if arn), NO_ACCOUNT)
        self._endpoints = {
            endpoint.name: Endpoint(
                endpoint, _program(config, endpoint, number), self._journal, self._writer, self._delivery
            )
            for number, endpoint in enumerate(config.endpoints)
        }

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Keeps the endpoints open while the server runs."""
        for endpoint in self._endpoints.values():
            await endpoint.open()
        try:
            yield
        finally:
            for endpoint in self._endpoints.values():
                await endpoint.close()
            self._delivery.close()
            self._writer.shutdown()
            self._journal.close()

    async def invoke_async(self, request: Request) -> Response:
        """Handles `InvokeEndpointAsync`: 202 once the request is stored."""
        endpoint = self._endpoint(request)
        body = await _read(request, wire.MAX_INLINE_BYTES)
        accepted = wire.async_request(request.headers, body)
        try:
            output, failure = await endpoint.accept(accepted)
        except sqlite3.OperationalError as exc:
            raise WireError(503, "ServiceUnavailable", f"The request cannot be written down: {exc}.") from exc
        headers = {"X-Amzn-SageMaker-OutputLocation": str(output)}
        if failure:
            headers["X-Amzn-SageMaker-FailureLocation"] = str(failure)
        return JSONResponse({"InferenceId": accepted.inference_id}, status_code=202, headers=headers)

    async def invoke(self, request: Request) -> Response:
        """Handles `InvokeEndpoint`: the container's response or a ModelError."""
        endpoint = self._endpoint(request)
        body = await _read(request, wire.MAX_SYNC_BYTES)
        wanted = wire.sync_request(request.headers, body)
        try:
            answer = await endpoint.invoke(wanted, wire.SYNC_LIMIT_S)
        except TimeoutError as exc:
            raise self._model_error(endpoint, 0, TIMED_OUT) from exc
        except (StartFailed, Unreachable, BrokenAnswer) as exc:
            raise self._model_error(endpoint, 0, str(exc)) from exc
        if answer.status not in OK_STATUSES:
            raise self._model_error(endpoint, answer.status, answer.body.decode(errors="replace"))
        headers = {
            "content-type": answer.headers.get("content-type", wire.DEFAULT_CONTENT_TYPE),
            "x-Amzn-Invoked-Production-Variant": VARIANT,
        }
        attributes = answer.headers.get("x-amzn-sagemaker-custom-attributes")
        if attributes is not None:
            headers["X-Amzn-SageMaker-Custom-Attributes"] = attributes
        return Response(answer.body, headers=headers)

    async def control(self, request: Request) -> Response:
        """Handles the control plane, JSON 1.1: `DescribeEndpoint`."""
        target = request.headers.get("x-amz-target", "")
        if target != "SageMaker.DescribeEndpoint":
            raise WireError(
                400, "UnknownOperationException", f"The operation {target!r} is not offered here."
            )
        try:
            document = json.loads(await _read(request, wire.MAX_INLINE_BYTES))
        except (ValueError, RecursionError) as exc:
            raise WireError(400, "SerializationException", f"The body is not JSON: {exc}") from exc
        name = document.get("EndpointName") if isinstance(document, dict) else None
        if not isinstance(name, str) or not name:
            raise WireError(400, "ValidationException", "EndpointName is required and must be a string.")
        endpoint = self._endpoints.get(name)
        region = self._delivery.region
        if endpoint is None:
            arn = f"arn:aws:sagemaker:{region}:{self._account}:endpoint/{name.lower()}"
            raise WireError(400, "ValidationException", f'Could not find endpoint "{arn}".')
        return Response(
            json.dumps(endpoint.describe(self._account, region)), media_type="application/x-amz-json-1.1"
        )

    async def counters(self, _request: Request) -> Response:
        """Return counts of asynchronous requests and outcomes per endpoint; kept across restarts."""
        return JSONResponse({name: self._journal.counters(name) for name in self._endpoints})

    async def reset(self, request: Request) -> Response:
        """Deletes all requests and counts; `?stop=1` also scales to zero."""
        stop = request.query_params.get("stop") == "1"
        for endpoint in self._endpoints.values():
            await endpoint.reset(stop=stop)
        await self._delivery.settle()
        # On the writer thread, after the writes of the tasks that were just canceled.
        await asyncio.get_running_loop().run_in_executor(self._writer, self._journal.reset)
        for endpoint in self._endpoints.values():
            await endpoint.open()
        return Response(status_code=204)

    def _endpoint(self, request: Request) -> Endpoint:
        name = request.path_params["name"]
        if name not in self._endpoints:
            raise wire.validation_error(f"Endpoint {name} of account {self._account} not found.")
        return self._endpoints[name]

    def _model_error(self, endpoint: Endpoint, status: int, message: str) -> WireError:
        region, name = self._delivery.region, endpoint.config.name
        side = "client" if 400 <= status < 500 else "server"
        message = message[:MESSAGE_CHARS]
        return WireError(
            424,
            "ModelError",
            f'Received {side} error ({status}) from primary with message "{message}". See the log of the local '
            f"endpoint for more information.",
            OriginalStatusCode=status,
            OriginalMessage=message,
            LogStreamArn=f"arn:aws:logs:{region}:{self._account}:log-group:/aws/sagemaker/Endpoints/{name}",
        )


def create_app(config: Config) -> Starlette:
    """Return the ASGI application. Opens the journal in `config.state_dir`; connects to nothing."""
    service = Service(config)

    async def ready(_request: Request) -> Response:
        return JSONResponse({"status": "ready"})

    def local(handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            # A web page can post to loopback or point its host name there; tests do neither.
            if "origin" in request.headers or request.url.hostname not in LOOPBACK_NAMES:
                return JSONResponse({"message": "Not for browsers."}, status_code=403)
            return await handler(request)

        return answer

    return Starlette(
        routes=[
            Route("/endpoints/{name}/async-invocations", _signed(service.invoke_async), methods=["POST"]),
            Route("/endpoints/{name}/invocations", _signed(service.invoke), methods=["POST"]),
            Route("/", _signed(service.control, json_protocol=True), methods=["POST"]),
            Route("/_ready", ready, methods=["GET"]),
            Route("/_atelier/counters", local(service.counters), methods=["GET"]),
            Route("/_atelier/reset", local(service.reset), methods=["POST"]),
        ],
        lifespan=service.lifespan,
        exception_handlers={404: _unknown, 405: _unknown},
    )


def _signed(handler: Handler, *, json_protocol: bool = False) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            wire.require_signature(request.headers)
            return await handler(request)
        except WireError as exc:
            body, headers = wire.error_body(exc, json_protocol=json_protocol)
            return Response(body, status_code=exc.status, headers=headers)
        except ClientDisconnect:
            return Response(status_code=400)

    return answer


def _say(line: str) -> None:
    """Says something to the person who started the studio; the launcher passes such lines on."""
    write(f"{NAME}: {line}")


async def _unknown(request: Request, exc: Exception) -> Response:
    status = exc.status_code if isinstance(exc, HTTPException) else 404
    error = WireError(
        status,
        "UnknownOperationException",
        f"{request.method} {request.url.path} is not an operation of this endpoint.",
    )
    body, headers = wire.error_body(error, json_protocol=False)
    return Response(body, status_code=status, headers=headers)


async def _read(request: Request, limit: int) -> bytes:
    """Return the body; if it is longer than `limit`, only `limit` + 1 bytes, which the caller's check then refuses."""
    kept, total = bytearray(), 0
    async for chunk in request.stream():
        kept += chunk[: max(limit + 1 - len(kept), 0)]
        total += len(chunk)
        if total > DRAIN_BYTES:
            break
    return bytes(kept)


def _program(config: Config, endpoint: EndpointConfig, number: int) -> Program:
    inference = config.inference
    default = (str(in_repository(inference.python)), "-m", "inference.serve", "serve")
    return Program(
        name=endpoint.name,
        command=endpoint.command or default,
        model_dir=in_repository(endpoint.model_dir),
        port=inference.port + number,
        start_timeout_s=inference.start_timeout_s,
        start_attempts=inference.start_attempts,
        stop_grace_s=inference.stop_grace_s,
    )
