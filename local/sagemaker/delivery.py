"""S3 and SNS access for the endpoint: fetches inputs, puts outputs, publishes notifications; boto3 runs in threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import boto3
from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError, ClientError

from local.sagemaker.locations import S3Location

MAX_INPUT_BYTES = 1_000_000_000
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
# Errors that a retry does not fix. All others (throttling, 5xx, a cloud that is still starting) are retried.
FINAL_CODES = frozenset(
    {
        "AccessDenied",
        "AuthorizationError",
        "InvalidAccessKeyId",
        "InvalidParameter",
        "NoSuchBucket",
        "NoSuchKey",
        "NotFound",
        "SignatureDoesNotMatch",
    }
)

Result = TypeVar("Result")


class DeliveryError(Exception):
    """S3 or SNS refused permanently or stayed unreachable for the whole delivery time; the message has the details.

    `cause` is the AWS error code or the exception type, which may be logged where addresses may not.
    """

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class Delivery:
    """S3 and SNS as the endpoint's execution role sees them. boto3's variables set endpoints and credentials."""

    def __init__(self, timeout_s: float) -> None:
        config = BotoConfig(
            connect_timeout=2,
            read_timeout=20,
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=8,
            signature_version="v4",
        )
        session = boto3.Session()
        self.region = str(session.region_name or "us-east-1")
        self._s3 = session.client(
            "s3",
            region_name=self.region,
            config=config.merge(BotoConfig(signature_version="s3v4", s3={"addressing_style": "path"})),
        )
        self._sns = session.client("sns", region_name=self.region, config=config)
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="delivery")
        self._calls: set[Future[Any]] = set()

    def close(self) -> None:
        """Ends the threads without waiting for calls in progress."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._s3.close()
        self._sns.close()

    async def settle(self) -> None:
        """Waits until no call is in progress: calls of a canceled task continue in their threads."""
        await asyncio.to_thread(wait, list(self._calls))

    async def fetch(self, location: S3Location) -> bytes:
        """Return the object's bytes with one GetObject. Raises DeliveryError."""
        return await self._persist(f"Could not read {location}", lambda: self._get(location))

    async def put(self, location: S3Location, body: bytes, content_type: str) -> None:
        """Writes the object with one PutObject. Raises DeliveryError."""

        def call() -> None:
            self._s3.put_object(Bucket=location.bucket, Key=location.key, Body=body, ContentType=content_type)

        await self._persist(f"Could not write {location}", call)

    async def publish(self, topic: str, message: str) -> None:
        """Publishes to the topic with one Publish. Raises DeliveryError."""

        def call() -> None:
            self._sns.publish(TopicArn=topic, Message=message)

        await self._persist(f"Could not publish to {topic}", call)

    def _get(self, location: S3Location) -> bytes:
        answer: dict[str, Any] = self._s3.get_object(Bucket=location.bucket, Key=location.key)
        with answer["Body"] as stream:
            size = int(answer["ContentLength"])
            if size > MAX_INPUT_BYTES:
                raise DeliveryError(
                    f"{location} has {size} bytes; {MAX_INPUT_BYTES} at most can be invoked with", "too_large"
                )
            return bytes(stream.read())

    async def _persist(self, task: str, call: Callable[[], Result]) -> Result:
        deadline = time.monotonic() + self._timeout_s
        pause = FIRST_PAUSE_S
        while True:
            future = self._threads.submit(call)
            self._calls.add(future)
            future.add_done_callback(self._calls.discard)
            try:
                return await asyncio.wrap_future(future)
            except ClientError as exc:
                code = exc.response["Error"].get("Code", "")
                if code in FINAL_CODES or time.monotonic() + pause > deadline:
                    raise DeliveryError(f"{task}: {exc}", code) from exc
            except BotoCoreError as exc:
                if time.monotonic() + pause > deadline:
                    raise DeliveryError(f"{task}: {exc}", type(exc).__name__) from exc
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)
