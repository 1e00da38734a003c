"""Tests that a lost answer to any write of submit or finish leads to one job, one set of pictures and one charge."""

from __future__ import annotations

from typing import Any

import pytest

from services.aws.session import Clients
from services.aws.table import Table
from services.build import Studio
from services.errors import Unavailable
from services.records import Job, JobRequest, JobStatus, User
from services.store.spend import SpendStore
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.faults.lost import LostAnswers
from tests.studios import pool_user
from tests.wire.test_jobs import _make_due

APPLE = JobRequest(prompt="a red apple", seed=7)
# boto3's attempts before it gives up (services/aws/session.py).
GIVES_UP = 4

SUBMIT_WRITES = [
    ("dynamodb", "UpdateItem", 0),  # opens the month's pot
    ("dynamodb", "TransactWriteItems", 0),
    ("dynamodb", "UpdateItem", 1),  # confirms the invocation
]
FINISH_WRITES = [
    ("s3", "PutObject", 0),  # the picture
    ("s3", "PutObject", 1),  # its thumbnail
    ("dynamodb", "TransactWriteItems", 0),
    ("sqs", "DeleteMessage", 0),
]


def assert_one_finished_job(studio: Studio, user: User, cloud: Any) -> Job:
    """Asserts that there is one succeeded job with one picture, charged at its cost, with nothing left reserved."""
    [job] = studio.jobs.list(user).items
    assert job.status is JobStatus.SUCCEEDED
    assert len(studio.images.list(user).items) == 1
    usage = studio.ledger.usage(user)
    assert job.cost_usd is not None and job.cost_usd > 0
    assert usage.spent_month_usd == pytest.approx(job.cost_usd, abs=1e-6)
    assert (usage.images_today, usage.open_jobs) == (1, 0)
    month = SpendStore(Table(cloud.client("dynamodb"), studio.settings.table)).read(job.created_at)
    assert month.spent == round(job.cost_usd * 1e6)
    assert month.spent + month.free == round(studio.settings.studio_monthly_usd * 1e6)
    return job


def deliver(cloud: Any, studio: Studio, worker: Worker, message: str, *, at_most: int = 8) -> None:
    """Sends the notification and lets the worker receive until the queue is empty."""
    sqs, url = cloud.client("sqs"), studio.settings.results_queue_url
    sqs.send_message(QueueUrl=url, MessageBody=message)
    for _ in range(at_most):
        worker.receive_once(wait_s=1)
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        if not any(int(left[name]) for name in names):
            return
    raise AssertionError("the notification was never acknowledged")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch, studio: Studio) -> None:
    """Makes a returned message available again at once."""
    give_back = studio.results_queue.give_back
    monkeypatch.setattr(
        studio.results_queue, "give_back", lambda message, delay_s: give_back(message, delay_s=0)
    )


@pytest.mark.parametrize("times", [1, GIVES_UP], ids=["once", "until boto3 gives up"])
@pytest.mark.parametrize(("service", "operation", "skip"), SUBMIT_WRITES)
def test_a_lost_answer_on_submit_makes_one_job(
    studio: Studio,
    clients: Clients,
    endpoint: ScriptedEndpoint,
    worker: Worker,
    maker: User,
    cloud: Any,
    service: str,
    operation: str,
    skip: int,
    times: int,
) -> None:
    with LostAnswers(getattr(clients, service), operation, times, skip=skip) as fault:
        try:
            job = studio.jobs.submit(maker, APPLE, idempotency_key="k")
        except Unavailable:
            assert times == GIVES_UP
            job = studio.jobs.submit(maker, APPLE, idempotency_key="k")
    assert fault.fired == times
    if not endpoint.accepted:
        _make_due(studio, cloud, job)
        studio.sweeper.sweep()
    assert len(endpoint.accepted) == 1, "one GPU run"
    deliver(cloud, studio, worker, endpoint.complete(endpoint.accepted[0]))
    assert assert_one_finished_job(studio, maker, cloud).id == job.id


@pytest.mark.parametrize("times", [1, GIVES_UP], ids=["once", "until boto3 gives up"])
@pytest.mark.parametrize(("service", "operation", "skip"), FINISH_WRITES)
def test_a_lost_answer_on_finish_stores_and_charges_once(
    studio: Studio,
    clients: Clients,
    endpoint: ScriptedEndpoint,
    worker: Worker,
    maker: User,
    cloud: Any,
    service: str,
    operation: str,
    times: int,
    skip: int,
) -> None:
    studio.jobs.submit(maker, APPLE)
    message = endpoint.complete(endpoint.accepted[0])
    with LostAnswers(getattr(clients, service), operation, times, skip=skip) as fault:
        deliver(cloud, studio, worker, message)
    assert fault.fired == times
    assert_one_finished_job(studio, maker, cloud)


@pytest.mark.parametrize("times", [1, GIVES_UP], ids=["once", "until boto3 gives up"])
def test_a_lost_answer_on_the_claim_of_a_waiting_job_invokes_it_once(
    studio: Studio,
    clients: Clients,
    endpoint: ScriptedEndpoint,
    maker: User,
    cloud: Any,
    times: int,
) -> None:
    jobs = [studio.jobs.submit(maker, APPLE) for _ in range(5)]
    studio.completion.end(jobs[0], JobStatus.CANCELED)
    with LostAnswers(clients.dynamodb, "UpdateItem", times) as fault:
        try:
            studio.sweeper.sweep()
        except Unavailable:
            assert times == GIVES_UP
    assert fault.fired == times
    if times == GIVES_UP:
        _make_due(studio, cloud, jobs[4])
        studio.sweeper.sweep()
    assert len(endpoint.accepted) == 5
    assert len({invocation.inference_id for invocation in endpoint.accepted}) == 5


@pytest.mark.parametrize("times", [1, GIVES_UP], ids=["once", "until boto3 gives up"])
def test_a_lost_answer_on_a_refund_refunds_once(
    studio: Studio,
    clients: Clients,
    endpoint: ScriptedEndpoint,
    worker: Worker,
    maker: User,
    cloud: Any,
    times: int,
) -> None:
    job = studio.jobs.submit(maker, APPLE)
    message = endpoint.fail(endpoint.accepted[0])
    with LostAnswers(clients.dynamodb, "TransactWriteItems", times) as fault:
        deliver(cloud, studio, worker, message)
    assert fault.fired == times
    assert studio.jobs.get(maker, job.id).status is JobStatus.FAILED
    usage = studio.ledger.usage(maker)
    assert (usage.spent_month_usd, usage.images_today, usage.open_jobs) == (0, 0, 0)


@pytest.mark.parametrize("times", [1, GIVES_UP], ids=["once", "until boto3 gives up"])
def test_a_lost_answer_on_a_new_api_key_makes_one_key_that_works(
    studio: Studio, clients: Clients, maker: User, times: int
) -> None:
    user = studio.accounts.sign_in(sub=pool_user(studio.settings), email=maker.email, groups=())
    with LostAnswers(clients.dynamodb, "TransactWriteItems", times) as fault:
        try:
            made = studio.accounts.create_key(user, "ci")
        except Unavailable:
            assert times == GIVES_UP
            assert len(studio.accounts.keys(user)) == 1
            return
        finally:
            assert fault.fired == times
    assert studio.accounts.by_api_key(made.secret).id == user.id
    assert len(studio.accounts.keys(user)) == 1
