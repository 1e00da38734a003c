"""The boto3 clients of one process, with their timeouts and retries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
)

from services.aws.item_parsing import read_items_quickly
from services.errors import Unavailable
from services.sentences import sentence
from services.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

THROTTLES = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        # A single write conflicted with a transaction on the same item; boto3 does not retry it.
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
SERVER_ERROR = 500

# botocore ships no types; a client is whatever boto3 returns.
Client = Any


@dataclass(frozen=True)
class Clients:
    """One client per service. Creating them loads botocore's models (about a second) without connecting."""

    dynamodb: Client
    s3: Client
    sqs: Client
    sagemaker: Client
    sagemaker_runtime: Client
    cloudwatch: Client
    cognito: Client


def make_clients(settings: Settings) -> Clients:
    """The clients for the account and region of `settings`; endpoints come from boto3's own variables."""
    session = boto3.Session(region_name=settings.aws_region)

    def client(service: str, **config: Any) -> Client:
        options: dict[str, Any] = {
            "connect_timeout": 2,
            "read_timeout": 10,
            "retries": {"mode": "standard", "total_max_attempts": 4},
            "max_pool_connections": 32,
            "user_agent_extra": "atelier",
        }
        return session.client(service, config=Config(**(options | config)))

    dynamodb = client("dynamodb")
    read_items_quickly(dynamodb)
    return Clients(
        dynamodb=dynamodb,
        s3=client(
            "s3",
            signature_version="s3v4",
            read_timeout=20,
            # On AWS a link names bucket and region in its host, as the page's content security policy does
            # (settings.picture_origins); the embedded cloud has one host for all.
            s3={"addressing_style": "path"}
            if settings.aws_endpoint_url
            else {"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
        ),
        # Long polling waits up to 20 s for a message.
        sqs=client("sqs", read_timeout=30),
        sagemaker=client("sagemaker"),
        cloudwatch=client("cloudwatch"),
        cognito=client("cognito-idp"),
        # A retry after a lost response would run on the GPU twice. The sweeper retries after checking for output.
        sagemaker_runtime=client("sagemaker-runtime", retries={"mode": "standard", "total_max_attempts": 1}),
    )


def error_code(exc: ClientError) -> str:
    """Returns AWS's error code, such as `SlowDown` or `404`."""
    return str(exc.response.get("Error", {}).get("Code", ""))


def passing(exc: BotoCoreError | ClientError) -> bool:
    """Whether the same call may succeed later: throttles, 5xx, and network errors."""
    if isinstance(exc, ClientError):
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error_code(exc) in THROTTLES or int(status) >= SERVER_ERROR
    return True


def unavailable(service: str, exc: BotoCoreError | ClientError) -> Unavailable:
    """Returns the error for an AWS service that throttles or is unreachable."""
    reason = error_code(exc) if isinstance(exc, ClientError) else type(exc).__name__
    return Unavailable(
        sentence(
            "{service} did not answer ({reason}). Try again in a few seconds.", service=service, reason=reason
        )
    )


def translated(service: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a method raise Unavailable, naming `service`, for throttles and network errors; other errors propagate."""

    def decorate(call: Callable[P, R]) -> Callable[P, R]:
        @wraps(call)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return call(*args, **kwargs)
            except (BotoCoreError, ClientError) as exc:
                if passing(exc):
                    raise unavailable(service, exc) from exc
                raise

        return guarded

    return decorate
