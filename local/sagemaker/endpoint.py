"""One endpoint: its queue, its workers, its scaling between zero and one, and the result of each request."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from local.sagemaker import notices
from local.sagemaker.config import EndpointConfig
from local.sagemaker.delivery import Delivery, DeliveryError
from local.sagemaker.journal import Entry, Journal, Outcome
from local.sagemaker.locations import S3Location, failure_location, output_location
from local.sagemaker.log import event
from local.sagemaker.notices import Failure
from local.sagemaker.runner import Answer, BrokenAnswer, Container, Program, StartFailed, State, Unreachable
from local.sagemaker.wire import DEFAULT_CONTENT_TYPE, AsyncRequest, SyncRequest, container_headers

OK_STATUSES = range(200, 300)
BUSY_STATUS = 503
FIRST_BUSY_PAUSE_S = 0.25
LONGEST_BUSY_PAUSE_S = 5.0
UNREACHABLE_TRIES = 3
EXIT_WAIT_S = 0.5
CLOSE_GRACE_S = 3.0
MIN_EXPIRY_PAUSE_S = 0.05
FIRST_DISK_PAUSE_S = 0.5
LONGEST_DISK_PAUSE_S = 5.0
AGAIN_AFTER_S = 1.0

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class Endpoint:
    """Runs requests in order of arrival, at most `max_concurrency` at once."""

    def __init__(
        self,
        config: EndpointConfig,
        program: Program,
        journal: Journal,
        writer: Executor,
        delivery: Delivery,
    ) -> None:
        self.config = config
        self._journal = journal
        self._writer = writer
        self._delivery = delivery
        self._container = Container(program, self._count_cold_start)
        self._waiting: dict[int, Entry] = {}
        self._changed = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._put_backs: set[asyncio.Task[None]] = set()
        self._active = 0
        self._in_flight = 0
        self._idle: asyncio.TimerHandle | None = None
        self._stop: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Loads open requests from the journal and starts the workers."""
        pending = await self._record(self._journal.pending, self.config.name)
        self._waiting = {entry.seq: entry.timed() for entry in pending}
        if pending:
            event("resumed", endpoint=self.config.name, requests=len(pending))
        self._tasks = [
            asyncio.create_task(self._work(), name=f"{self.config.name}-{n}")
            for n in range(self.config.max_concurrency)
        ]
        self._tasks.append(asyncio.create_task(self._expire_waiting(), name=f"{self.config.name}-expiry"))

    async def close(self) -> None:
        """Stops the workers and the container; unfinished requests stay in the journal."""
        await self._halt()
        if self._idle:
            self._idle.cancel()
        if self._stop:
            await asyncio.gather(self._stop, return_exceptions=True)
        # No need to let it finish: its requests run again at the next start.
        await self._container.stop(CLOSE_GRACE_S)

    async def reset(self, *, stop: bool) -> None:
        """Drops queued and running requests; `stop` also stops the container. The caller clears the journal."""
        busy = self._in_flight > 0
        await self._halt()
        self._waiting.clear()
        if busy and (pid := self._container.pid):
            await self._container.kill(pid)
        if stop:
            await self._container.stop()

    async def accept(self, request: AsyncRequest) -> tuple[S3Location, S3Location | None]:
        """Queues the request durably; returns the locations of its output and its failure object."""
        entry = await self._record(self._journal.accept, self.config.name, time.time(), request)
        async with self._changed:
            self._waiting[entry.seq] = entry.timed()
            self._changed.notify_all()
        event("accepted", endpoint=self.config.name, inference_id=request.inference_id)
        return self._output(request), self._failure(request)

    async def invoke(self, request: SyncRequest, limit_s: float) -> Answer:
        """Runs one synchronous request. Raises StartFailed, Unreachable, BrokenAnswer, or TimeoutError at the limit."""
        with self._activity():
            async with asyncio.timeout(limit_s):
                await self._container.ensure_ready()
                return await self._container.invoke(request.body, container_headers(request), limit_s)

    def describe(self, account: str, region: str) -> dict[str, Any]:
        """Return the `DescribeEndpoint` response; as on AWS, counts and the status Updating show scaling."""
        state = self._container.state
        wanted = bool(self._active or self._waiting)
        current = 1 if state in {State.READY, State.STOPPING} else 0
        desired = 1 if wanted or state in {State.STARTING, State.READY} else 0
        config = self.config
        topics = {"SuccessTopic": config.success_topic, "ErrorTopic": config.error_topic}
        output: dict[str, Any] = {"S3OutputPath": config.output_path}
        if config.failure_path:
            output["S3FailurePath"] = config.failure_path
        if any(topics.values()):
            output["NotificationConfig"] = {name: arn for name, arn in topics.items() if arn}
        return {
            "EndpointName": config.name,
            "EndpointArn": f"arn:aws:sagemaker:{region}:{account}:endpoint/{config.name.lower()}",
            "EndpointConfigName": config.name,
            "EndpointStatus": "InService" if current == desired else "Updating",
            "ProductionVariants": [
                {
                    "VariantName": "AllTraffic",
                    "CurrentWeight": 1.0,
                    "DesiredWeight": 1.0,
                    "CurrentInstanceCount": current,
                    "DesiredInstanceCount": desired,
                }
            ],
            "AsyncInferenceConfig": {
                "ClientConfig": {"MaxConcurrentInvocationsPerInstance": config.max_concurrency},
                "OutputConfig": output,
            },
            "CreationTime": self._journal.created_at,
            "LastModifiedTime": self._journal.created_at,
        }

    async def _work(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._waiting)
                entry = self._waiting.pop(next(iter(self._waiting)))
            with self._activity():
                self._in_flight += 1
                try:
                    await self._process(entry)
                except Exception as exc:  # noqa: BLE001 - the worker must survive a failing request
                    event(
                        "unexpected",
                        endpoint=self.config.name,
                        inference_id=entry.request.inference_id,
                        error=repr(exc),
                    )
                    # It is still open in the journal. In memory it goes behind the others, after a pause.
                    asyncio.get_running_loop().call_later(AGAIN_AFTER_S, self._put_back, entry)
                finally:
                    self._in_flight -= 1

    def _put_back(self, entry: Entry) -> None:
        self._put_backs.add(task := asyncio.create_task(self._wait_again(entry)))
        task.add_done_callback(self._put_backs.discard)

    async def _wait_again(self, entry: Entry) -> None:
        async with self._changed:
            self._waiting[entry.seq] = entry
            self._changed.notify_all()

    async def _expire_waiting(self) -> None:
        # Expire a queued request on time, not only when its turn comes.
        while True:
            now = time.monotonic()
            open_entries = [entry for entry in self._waiting.values() if entry.outcome is None]
            for entry in [entry for entry in open_entries if entry.expires_at <= now]:
                if self._waiting.pop(entry.seq, None):
                    await self._expire(entry)
            async with self._changed:
                next_at = min((entry.expires_at for entry in self._waiting.values()), default=None)
                pause = None if next_at is None else max(next_at - time.monotonic(), MIN_EXPIRY_PAUSE_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._changed.wait()

    async def _process(self, entry: Entry) -> None:
        if entry.outcome and entry.message:
            await self._notify(entry.seq, entry.outcome, entry.message)
        elif entry.expires_at <= time.monotonic():
            await self._expire(entry)
        else:
            try:
                body = await self._input(entry.request)
            except DeliveryError as exc:
                await self._fail(entry, notices.endpoint_failure("input", str(exc)))
                return
            await self._run(entry, body)

    async def _run(self, entry: Entry, body: bytes) -> None:
        pause, unreachable, started = FIRST_BUSY_PAUSE_S, 0, False
        while True:
            try:
                pid = await self._container.ensure_ready()
            except StartFailed as exc:
                await self._fail_all(entry, str(exc))
                return
            if entry.expires_at <= time.monotonic():
                await self._expire(entry)
                return
            if not started:
                await self._record_surely(self._journal.start, self.config.name, entry.seq)
                started = True
            try:
                answer = await self._container.invoke(
                    body, container_headers(entry.request), entry.request.timeout_s
                )
            except Unreachable as exc:
                unreachable += 1
                if unreachable >= UNREACHABLE_TRIES:
                    await self._fail(
                        entry,
                        notices.endpoint_failure("unreachable", f"The container cannot be reached: {exc}."),
                    )
                    return
            except TimeoutError:
                await self._container.kill(pid)
                await self._fail(
                    entry,
                    notices.endpoint_failure(
                        "time_out",
                        f"Time-out: the container did not answer within {entry.request.timeout_s} s "
                        "(InvocationTimeoutSeconds); it was stopped.",
                    ),
                )
                return
            except BrokenAnswer as exc:
                await self._fail(entry, await self._broken(pid, exc))
                return
            else:
                if answer.status != BUSY_STATUS:
                    await self._settle(entry, answer)
                    return
                pause = max(pause, min(_retry_after(answer), LONGEST_BUSY_PAUSE_S))
            await asyncio.sleep(min(pause, max(entry.expires_at - time.monotonic(), 0)))
            pause = min(pause * 2, LONGEST_BUSY_PAUSE_S)

    async def _settle(self, entry: Entry, answer: Answer) -> None:
        content_type = answer.headers.get("content-type", DEFAULT_CONTENT_TYPE)
        if answer.status not in OK_STATUSES:
            await self._fail(entry, notices.model_failure(answer.status, answer.body, content_type))
            return
        output = self._output(entry.request)
        try:
            await self._delivery.put(output, answer.body, content_type)
        except DeliveryError as exc:
            await self._fail(entry, notices.endpoint_failure("output", str(exc)))
            return
        await self._close(
            entry,
            "succeeded",
            notices.completed(
                self._delivery.region, self.config.name, entry, time.time(), output, content_type
            ),
        )

    async def _broken(self, pid: int, error: BrokenAnswer) -> Failure:
        status = await self._container.exit_status(pid, EXIT_WAIT_S)
        if status is None:
            return notices.endpoint_failure(
                "broken_answer", f"The container's answer was not whole: {error}."
            )
        return notices.endpoint_failure(
            "crash", f"The container program ended with status {status} while it worked."
        )

    async def _fail_all(self, entry: Entry, reason: str) -> None:
        # All requests that waited for this start fail with it; later ones trigger a new start.
        others = [other for other in self._waiting.values() if other.outcome is None]
        for other in others:
            del self._waiting[other.seq]
        for failing in (entry, *others):
            await self._fail(failing, notices.endpoint_failure("start", reason))

    async def _fail(self, entry: Entry, failure: Failure) -> None:
        location = self._failure(entry.request)
        if location:
            try:
                await self._delivery.put(location, failure.body, failure.content_type)
            except DeliveryError as exc:
                event("failure_object_lost", endpoint=self.config.name, cause=exc.cause)
                location = None
        message = notices.failed(
            self._delivery.region, self.config.name, entry, time.time(), failure.reason, location
        )
        await self._close(entry, "failed", message, cause=failure.cause)

    async def _expire(self, entry: Entry) -> None:
        message = notices.expired(self._delivery.region, self.config.name, entry, time.time())
        await self._close(entry, "expired", message)

    async def _close(self, entry: Entry, outcome: Outcome, message: str, **details: str) -> None:
        await self._record_surely(self._journal.decide, self.config.name, entry.seq, outcome, message)
        event(outcome, endpoint=self.config.name, inference_id=entry.request.inference_id, **details)
        await self._notify(entry.seq, outcome, message)

    async def _notify(self, seq: int, outcome: Outcome, message: str) -> None:
        topic = self.config.success_topic if outcome == "succeeded" else self.config.error_topic
        if topic:
            try:
                await self._delivery.publish(topic, message)
            except DeliveryError as exc:
                event("notification_lost", endpoint=self.config.name, cause=exc.cause)
        await self._record_surely(self._journal.finish, seq)

    async def _input(self, request: AsyncRequest) -> bytes:
        if request.body is not None:
            return request.body
        return await self._delivery.fetch(S3Location.parse(request.input_location or ""))

    def _output(self, request: AsyncRequest) -> S3Location:
        return output_location(
            self.config.output_path, request.inference_id, request.extension, request.filename
        )

    def _failure(self, request: AsyncRequest) -> S3Location | None:
        return failure_location(
            self.config.failure_path, request.inference_id, request.extension, request.filename
        )

    async def _count_cold_start(self) -> None:
        await self._record_surely(self._journal.count_cold_start, self.config.name)

    async def _record(
        self, call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        # A single writer thread keeps the order of requests, and the event loop never waits for the disk.
        return await asyncio.get_running_loop().run_in_executor(self._writer, partial(call, *args, **kwargs))

    async def _record_surely(
        self, call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Records what has happened already, as soon as the disk has room for it."""
        pause = FIRST_DISK_PAUSE_S
        while True:
            try:
                return await self._record(call, *args, **kwargs)
            except sqlite3.OperationalError as exc:
                event("not_recorded", endpoint=self.config.name, error=str(exc), again_in_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_DISK_PAUSE_S)

    @contextlib.contextmanager
    def _activity(self) -> Iterator[None]:
        self._active += 1
        if self._idle:
            self._idle.cancel()
            self._idle = None
        try:
            yield
        finally:
            self._active -= 1
            if not self._active:
                self._idle = asyncio.get_running_loop().call_later(self.config.idle_stop_s, self._go_idle)

    def _go_idle(self) -> None:
        if not self._active and not self._waiting:
            event("idle", endpoint=self.config.name)
            self._stop = asyncio.create_task(self._container.stop())

    async def _halt(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []


def _retry_after(answer: Answer) -> float:
    value = answer.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else 0.0
