"""Tests that the endpoint state is never stale and that reading it takes a bounded time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from services.aws.endpoints import Endpoints
from services.aws.objects import Objects
from services.backends import endpoint_status
from services.backends.by_model import Backends
from services.backends.endpoint_status import EndpointStatus
from services.backends.sagemaker_async import SageMakerAsync
from services.records import EndpointState
from services.settings import Settings

MODELS = {"pocket": "endpoint-pocket", "sdxl": "endpoint-sdxl"}


class Control:
    """Fake of SageMaker's DescribeEndpoint with a settable number of instances; counts its calls."""

    def __init__(self) -> None:
        self.instances = 1
        self.calls: Counter[str] = Counter()
        self.trouble: Callable[[], object] | None = None

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:
        self.calls[EndpointName] += 1
        if self.trouble:
            self.trouble()
        variant = {"CurrentInstanceCount": self.instances, "DesiredInstanceCount": self.instances}
        return {"EndpointStatus": "InService", "ProductionVariants": [variant]}


@pytest.fixture
def control() -> Control:
    return Control()


@pytest.fixture
def status(control: Control, monkeypatch: pytest.MonkeyPatch) -> Iterator[EndpointStatus]:
    """An EndpointStatus with all intervals about 100 times shorter; its thread sleeps after 0.2 s."""
    monkeypatch.setattr(endpoint_status, "REFRESH_S", 0.03)
    monkeypatch.setattr(endpoint_status, "FRESH_S", 0.3)
    monkeypatch.setattr(endpoint_status, "WANTED_S", 0.2)
    used: dict[str, Any] = {"endpoints": MODELS, "job_ttl_s": 60, "job_timeout_s": 60}
    settings = Settings.model_construct(**used)
    # Neither bucket is used.
    sagemaker = SageMakerAsync(Endpoints(None, control), Objects(None, ""), Objects(None, ""), settings)
    status = EndpointStatus(Backends(dict.fromkeys(MODELS, sagemaker), former=sagemaker))
    yield status
    status.close()


def fall_asleep(control: Control) -> None:
    """Return when no call was made for longer than a state stays fresh."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        before = control.calls.total()
        time.sleep(0.5)
        if control.calls.total() == before:
            return
    raise AssertionError("the thread never sleeps")


def test_the_first_request_reads_the_endpoint(status: EndpointStatus) -> None:
    assert status.state("pocket").state is EndpointState.READY


def test_a_model_that_was_stopped_between_requests_is_reported_as_cold(
    status: EndpointStatus, control: Control
) -> None:
    assert status.state("pocket").state is EndpointState.READY
    fall_asleep(control)
    control.instances = 0
    assert status.state("pocket").state is EndpointState.COLD


def test_a_request_just_before_the_thread_sleeps_keeps_it_reading(
    status: EndpointStatus, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    real = time.monotonic

    def monotonic() -> float:
        at = real()
        if threading.current_thread().name == "endpoint_status" and control.calls and not asked.is_set():
            at += 1000.0
            asked.set()
            other = threading.Thread(target=status.state, args=("pocket",))
            other.start()
            other.join(0.05)
        return at

    status.state("pocket")
    monkeypatch.setattr("time.monotonic", monotonic)
    assert asked.wait(20)
    before = control.calls.total()
    deadline = real() + 20
    while control.calls.total() == before and real() < deadline:
        time.sleep(0.01)
    assert control.calls.total() > before


def test_frequent_requests_share_the_calls_of_the_thread(
    status: EndpointStatus, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    status.state("pocket")
    monkeypatch.setattr(endpoint_status, "FRESH_S", 60.0)
    control.trouble = lambda: time.sleep(0.05)
    began = time.monotonic()
    for _ in range(1000):
        status.state("pocket")
    assert time.monotonic() - began < 5
    assert control.calls["endpoint-pocket"] < 200


def test_only_requested_models_are_read(status: EndpointStatus, control: Control) -> None:
    for _ in range(5):
        status.state("pocket")
        time.sleep(0.05)
    assert control.calls["endpoint-pocket"] > 1
    assert control.calls["endpoint-sdxl"] == 0
    assert status.state("sdxl").state is EndpointState.READY
    assert control.calls["endpoint-sdxl"] >= 1


def throttled() -> None:
    raise ClientError({"Error": {"Code": "ThrottlingException"}}, "DescribeEndpoint")


def test_an_endpoint_that_does_not_respond_keeps_its_last_state_for_a_limited_time(
    status: EndpointStatus, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_status, "WAIT_S", 0.1)
    control.instances = 0
    assert status.state("pocket").state is EndpointState.COLD
    control.trouble = throttled
    time.sleep(0.4)
    assert status.state("pocket").state is EndpointState.COLD
    monkeypatch.setattr(endpoint_status, "KEPT_S", 0.0)
    assert status.state("pocket").state is EndpointState.UNKNOWN


def test_only_one_request_waits_while_the_endpoints_do_not_respond(
    status: EndpointStatus, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_status, "FRESH_S", 60.0)
    hanging = threading.Event()
    control.trouble = lambda: hanging.wait(20)
    began = time.monotonic()
    for model in [*MODELS] * 10:
        assert status.state(model).state is EndpointState.UNKNOWN
    took_s = time.monotonic() - began
    hanging.set()
    assert endpoint_status.WAIT_S <= took_s < 3 * endpoint_status.WAIT_S


def test_an_error_of_one_endpoint_does_not_affect_another(
    status: EndpointStatus, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_status, "WAIT_S", 0.2)

    def denied() -> None:
        if control.calls["endpoint-sdxl"] == 0:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeEndpoint")

    control.trouble = denied
    assert status.state("pocket").state is EndpointState.UNKNOWN
    time.sleep(0.4)
    assert status.state("sdxl").state is EndpointState.READY


def test_a_delayed_older_reading_does_not_replace_a_newer_one(
    status: EndpointStatus, control: Control
) -> None:
    held, go_on = threading.Event(), threading.Event()
    describe = control.describe_endpoint

    def slow(*, EndpointName: str) -> dict[str, Any]:
        answer = describe(EndpointName=EndpointName)
        if not held.is_set():
            held.set()
            go_on.wait(20)
        return answer

    control.describe_endpoint = slow  # type: ignore[method-assign]
    late = threading.Thread(target=status.fresh, args=("pocket",))
    late.start()
    assert held.wait(20)
    control.instances = 0
    assert status.fresh("pocket").state is EndpointState.COLD
    go_on.set()
    late.join(20)
    assert {info.model: info.state for info in status.all()} == {"pocket": EndpointState.COLD}


def test_a_model_without_an_endpoint_is_unknown_at_once(status: EndpointStatus, control: Control) -> None:
    assert status.state("withdrawn").state is EndpointState.UNKNOWN
    assert status.fresh("withdrawn").state is EndpointState.UNKNOWN
    assert control.calls.total() == 0
