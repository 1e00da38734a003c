"""Contract tests of all back ends, and end-to-end tests of a model with a back end other than SageMaker."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from services.aws.endpoints import Endpoints
from services.aws.objects import Objects
from services.aws.session import Clients
from services.backends.base import Accepted, Attempt, Backend, DrawnResult, Found, Refused
from services.backends.by_model import UnreadableNotification
from services.backends.failures import FAILURES
from services.backends.sagemaker_async import SageMakerAsync
from services.build import Studio, build
from services.clock import now
from services.errors import BadOutput, NotFound, Unavailable
from services.formats.png_metadata import read, verify_png
from services.records import EndpointState, Job, JobRequest, JobStatus, User, When
from services.settings import Settings
from services.store import keys
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.flat_color import REVISION, USD_A_PICTURE, FlatColor
from tests.unit.made import made_job
from tests.wire.conftest import real_clients
from tests.wire.test_jobs import _keys, _make_due, money

# Offered in addition to pocket, which stays on SageMaker.
FLAT_MODEL = "sd-turbo"
FLAT = JobRequest(prompt="a red wall", model=FLAT_MODEL, seed=7)
LONG_AGO = "2000-01-01T00:00:00+00:00"


@dataclass
class Subject:
    """A back end under test, its model, and functions that trigger its behavior."""

    backend: Backend
    model: str
    draw: Callable[[], object]
    refuse: Callable[[], object]
    be_away: Callable[[], object]

    def attempt(self) -> Attempt:
        job = made_job(id=keys.new_id())
        job = job.model_copy(update={"spec": job.spec.model_copy(update={"model": self.model})})
        return Attempt(job, {}, drawing_s=60.0)

    def drawn(self, attempt: Attempt) -> DrawnResult:
        """Draws the attempt and returns its result, whether submit or result delivers it."""
        answer = self.backend.submit(attempt)
        if isinstance(answer, Accepted):
            self.draw()
            seen = self.backend.poll(attempt.job)
            assert (seen.found, seen.attempt) == (Found.RESULT, attempt.job.attempt)
            result = self.backend.result(attempt.job, seen.attempt)
            assert isinstance(result, DrawnResult)
            return result
        assert isinstance(answer, DrawnResult)
        return answer


def sagemaker_subject(settings: Settings, endpoint: ScriptedEndpoint) -> Subject:
    s3 = real_clients(settings).s3
    backend = SageMakerAsync(
        Endpoints(endpoint, endpoint),
        Objects(s3, settings.inputs_bucket),
        Objects(s3, settings.outputs_bucket),
        settings,
    )

    def failing(code: str) -> Callable[[], None]:
        error = ClientError({"Error": {"Code": code, "Message": "no"}}, "InvokeEndpointAsync")
        return lambda: endpoint.refuse.append(error)

    return Subject(
        backend,
        "pocket",
        draw=lambda: endpoint.complete(endpoint.accepted[-1]),
        refuse=failing("ValidationError"),
        be_away=failing("ThrottlingException"),
    )


def away(_: Attempt) -> None:
    raise Unavailable("It does not answer.")


def flat_subject() -> Subject:
    backend = FlatColor(frozenset({FLAT_MODEL}))
    return Subject(
        backend,
        FLAT_MODEL,
        draw=lambda: None,
        refuse=lambda: backend.refuse.append("endpoint_refused"),
        be_away=lambda: setattr(backend, "before", away),
    )


@pytest.fixture(params=["SageMaker", "flat color"])
def subject(request: pytest.FixtureRequest, settings: Settings, endpoint: ScriptedEndpoint) -> Subject:
    return sagemaker_subject(settings, endpoint) if request.param == "SageMaker" else flat_subject()


def test_a_drawn_attempt_has_the_requested_number_size_and_seeds_of_pngs(
    subject: Subject,
) -> None:
    attempt = subject.attempt()
    spec = attempt.job.spec
    result = subject.drawn(attempt)
    assert [picture.seed for picture in result.pictures] == [spec.seed + n for n in range(spec.count)]
    for picture in result.pictures:
        assert picture.png is not None and picture.withheld is None
        verify_png(picture.png, spec.width, spec.height)
    assert result.seconds > 0 and result.provenance.revision
    assert result.withheld() == ()


def test_a_back_end_has_the_abilities_that_it_declares(subject: Subject) -> None:
    abilities, attempt = subject.backend.abilities, subject.attempt()
    answer = subject.backend.submit(attempt)
    assert isinstance(answer, DrawnResult if abilities.answers_at_once else Accepted)
    if not abilities.batches:
        assert isinstance(answer, DrawnResult) and answer.batch_pictures is None
    if not abilities.reports_progress:
        assert subject.backend.progress(attempt.job) is None


def test_nothing_is_found_for_an_attempt_that_was_not_submitted(subject: Subject) -> None:
    job = subject.attempt().job
    assert subject.backend.poll(job).found is Found.NOTHING
    assert not subject.backend.has_begun(job)
    assert subject.backend.progress(job) is None
    with pytest.raises(NotFound):
        subject.backend.result(job, job.attempt)


def test_a_job_that_can_never_be_drawn_is_refused_with_a_code_and_a_message(subject: Subject) -> None:
    subject.refuse()
    answer = subject.backend.submit(subject.attempt())
    assert isinstance(answer, Refused)
    assert answer.failure.code in FAILURES and answer.failure.message


def test_an_unreachable_back_end_raises_and_accepts_the_attempt_later(
    subject: Subject, endpoint: ScriptedEndpoint
) -> None:
    attempt = subject.attempt()
    subject.be_away()
    with pytest.raises(Unavailable):
        subject.backend.submit(attempt)
    if isinstance(subject.backend, FlatColor):
        subject.backend.before = None
    assert subject.drawn(attempt).pictures


def test_canceling_an_idle_job_and_canceling_twice_raise_no_error(subject: Subject) -> None:
    job = subject.attempt().job
    subject.backend.cancel(job)
    subject.backend.cancel(job)


def test_after_erasing_a_job_nothing_of_it_is_found(subject: Subject) -> None:
    attempt = subject.attempt()
    subject.drawn(attempt)
    subject.backend.erase(attempt.job.user_id, attempt.job.id)
    assert subject.backend.poll(attempt.job).found is Found.NOTHING
    assert subject.backend.erase(attempt.job.user_id, attempt.job.id) == 0


@pytest.mark.parametrize(
    "body", ["", "{not json", "[]", "null", '"text"', "{}", '{"inferenceId": "somebody else"}', "5"]
)
def test_an_unrelated_message_is_ignored(subject: Subject, body: str) -> None:
    assert subject.backend.read_notification(body) is None


def test_the_state_of_an_unknown_model_is_unknown(subject: Subject) -> None:
    info = subject.backend.state(subject.model)
    assert (info.model, info.state) == (subject.model, EndpointState.READY)
    assert subject.backend.state("stranger").state is EndpointState.UNKNOWN


def test_the_cost_is_proportional_to_time_and_pictures(subject: Subject) -> None:
    cost = subject.backend.pricing.cost_usd
    one = cost(seconds=2.0, pictures=1, usd_per_hour=3600.0)
    assert one > 0
    assert cost(seconds=4.0, pictures=2, usd_per_hour=3600.0) == pytest.approx(2 * one)


def test_a_failure_is_explained_with_a_code_and_message_of_the_studio(subject: Subject) -> None:
    job = subject.attempt().job
    found = subject.backend.explain(job, "it broke", None)
    assert found.failure.code in FAILURES and found.failure.message
    assert not (found.undone and subject.backend.has_begun(job))


# The tests below use a studio whose second model is drawn by a back end that answers at once.


@pytest.fixture
def flat() -> FlatColor:
    return FlatColor(frozenset({FLAT_MODEL}))


@pytest.fixture
def clients(settings: Settings, endpoint: ScriptedEndpoint) -> Clients:
    return replace(real_clients(settings), sagemaker=endpoint, sagemaker_runtime=endpoint)


@pytest.fixture
def studio(settings: Settings, clients: Clients, flat: FlatColor) -> Iterator[Studio]:
    studio = build(settings, clients, elsewhere={FLAT_MODEL: flat})
    yield studio
    studio.close()


def test_submit_returns_a_finished_job_with_stored_pictures_and_a_settled_charge(
    studio: Studio, flat: FlatColor, endpoint: ScriptedEndpoint, maker: User, cloud: Any
) -> None:
    job = studio.jobs.submit(maker, FLAT.model_copy(update={"count": 2}))
    assert job.status is JobStatus.SUCCEEDED
    assert studio.jobs.get(maker, job.id) == job
    assert [attempt.job.id for attempt in flat.drawn] == [job.id]
    assert endpoint.accepted == []
    assert job.cost_usd == pytest.approx(2 * USD_A_PICTURE)
    assert job.provenance is not None and job.provenance.revision == REVISION
    assert job.took_s is not None and job.took_s >= 0
    assert job.batch_pictures is None
    images = studio.images.of_jobs(maker, [job])[job.id]
    assert [image.seed for image in images] == [7, 8]
    stored = cloud.client("s3").get_object(Bucket=studio.settings.images_bucket, Key=images[0].key)
    parameters = read(stored["Body"].read()).parameters
    assert parameters is not None
    assert (parameters.prompt, parameters.model, parameters.model_revision) == (
        "a red wall",
        FLAT_MODEL,
        REVISION,
    )
    usage = studio.ledger.usage(maker)
    assert (usage.open_jobs, usage.images_today) == (0, 2)
    assert usage.spent_month_usd == pytest.approx(2 * USD_A_PICTURE, abs=1e-6)
    assert studio.live.watch(maker, job.id).status is JobStatus.SUCCEEDED


def test_the_estimate_uses_the_price_per_picture(studio: Studio) -> None:
    estimate = studio.jobs.estimate(FLAT.model_copy(update={"count": 3}))
    assert estimate.cost_usd == pytest.approx(3 * USD_A_PICTURE)
    assert estimate.cold_start_s == 0


def test_two_models_of_one_studio_are_drawn_by_their_own_back_ends(
    studio: Studio, flat: FlatColor, endpoint: ScriptedEndpoint, maker: User
) -> None:
    pocket = studio.jobs.submit(maker, JobRequest(prompt="a red apple", model="pocket"))
    wall = studio.jobs.submit(maker, FLAT)
    assert (pocket.status, wall.status) == (JobStatus.STARTING, JobStatus.SUCCEEDED)
    worker = Worker(studio, studio.results_queue, studio.metrics)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    assert studio.jobs.get(maker, pocket.id).status is JobStatus.SUCCEEDED
    assert len(endpoint.accepted) == len(flat.drawn) == 1
    assert studio.endpoints.state(FLAT_MODEL).model == FLAT_MODEL


def test_a_refused_job_fails_with_a_reason_and_costs_nothing(
    studio: Studio, flat: FlatColor, maker: User
) -> None:
    flat.refuse.append("endpoint_refused")
    job = studio.jobs.submit(maker, FLAT)
    assert job.status is JobStatus.FAILED
    assert job.failure is not None and job.failure.code == "endpoint_refused"
    usage = studio.ledger.usage(maker)
    assert (usage.open_jobs, usage.images_today, usage.spent_month_usd) == (0, 0, 0)


def test_an_unusable_answer_fails_its_job_and_costs_nothing(
    studio: Studio, flat: FlatColor, maker: User
) -> None:
    def spoiled(_: Attempt) -> None:
        raise BadOutput("The model returned half a picture.")

    flat.before = spoiled
    job = studio.jobs.submit(maker, FLAT)
    assert job.failure is not None
    assert (job.status, job.failure.code) == (JobStatus.FAILED, "bad_output")
    assert money(studio, maker) == 0


def test_the_sweeper_retries_an_unavailable_back_end_within_a_minute(
    studio: Studio, flat: FlatColor, maker: User, cloud: Any
) -> None:
    flat.before = away
    job = studio.jobs.submit(maker, FLAT)
    assert job.status is JobStatus.STARTING
    assert due_in_s(studio, cloud, job) < 60
    flat.before = None
    _make_due(studio, cloud, job)
    assert studio.sweeper.sweep().invoked == 1
    assert studio.jobs.get(maker, job.id).status is JobStatus.SUCCEEDED
    assert money(studio, maker) == pytest.approx(USD_A_PICTURE, abs=1e-6)


def due_in_s(studio: Studio, cloud: Any, job: Job) -> float:
    """Returns the seconds until the sweeper checks the job."""
    item = cloud.client("dynamodb").get_item(
        TableName=studio.settings.table,
        Key={"PK": {"S": f"USER#{job.user_id}"}, "SK": {"S": f"JOB#{job.id}"}},
    )["Item"]
    due = item["GSI1SK"]["S"].partition("#")[0]
    return float((type(job.created_at).fromisoformat(f"{due}+00:00") - now()).total_seconds())


class Killed(BaseException):
    """Simulates the end of the process."""


def killed(_: Attempt) -> None:
    raise Killed


def test_a_job_whose_process_was_killed_is_redrawn_and_charged_once(
    studio: Studio, flat: FlatColor, maker: User, cloud: Any
) -> None:
    flat.before = killed
    with pytest.raises(Killed):
        studio.jobs.submit(maker, FLAT)
    [job] = studio.jobs.open(maker)
    # The sweeper leaves a job alone while it may still be drawn.
    assert due_in_s(studio, cloud, job) > studio.settings.job_timeout_s - 10
    flat.before = None
    _make_due(studio, cloud, job)
    studio.sweeper.sweep()
    assert studio.jobs.get(maker, job.id).status is JobStatus.SUCCEEDED
    assert len(flat.drawn) == 1
    assert money(studio, maker) == pytest.approx(USD_A_PICTURE, abs=1e-6)


def test_a_job_that_is_never_drawn_expires_and_costs_nothing(
    studio: Studio, flat: FlatColor, maker: User, cloud: Any
) -> None:
    flat.before = killed
    with pytest.raises(Killed):
        studio.jobs.submit(maker, FLAT)
    [job] = studio.jobs.open(maker)
    _make_due(studio, cloud, job, deadline_at=LONG_AGO)
    assert studio.sweeper.sweep().expired == 1
    assert studio.jobs.get(maker, job.id).status is JobStatus.EXPIRED
    usage = studio.ledger.usage(maker)
    assert (usage.open_jobs, usage.images_today, usage.spent_month_usd) == (0, 0, 0)


def test_a_job_canceled_while_it_is_drawn_keeps_no_picture_and_costs_nothing(
    studio: Studio, flat: FlatColor, maker: User
) -> None:
    drawing, go_on = threading.Event(), threading.Event()

    def slowly(_: Attempt) -> None:
        drawing.set()
        assert go_on.wait(30)

    flat.before = slowly
    with ThreadPoolExecutor(1) as pool:
        submitting = pool.submit(studio.jobs.submit, maker, FLAT)
        assert drawing.wait(30)
        [job] = studio.jobs.open(maker)
        assert studio.jobs.cancel(maker, job.id).status is JobStatus.CANCELED
        go_on.set()
        assert submitting.result().status is JobStatus.CANCELED
    assert len(flat.drawn) == 1
    assert studio.images.list(maker).items == ()
    assert _keys(studio, keys.images_prefix(maker.id)) == []
    usage = studio.ledger.usage(maker)
    assert (usage.open_jobs, usage.images_today, usage.spent_month_usd) == (0, 0, 0)
    # This back end cannot be stopped, so no cancel marker is written.
    assert _keys(studio, keys.job_prefix(maker.id, job.id), bucket="outputs") == []


def test_a_job_that_was_canceled_before_its_turn_is_not_drawn(
    studio: Studio, flat: FlatColor, maker: User
) -> None:
    flat.before = away
    job = studio.jobs.submit(maker, FLAT)
    flat.before = None
    studio.completion.cancel(job)
    assert studio.sweeper.invoke(job).status is JobStatus.CANCELED
    assert flat.drawn == []


def test_waiting_jobs_that_are_canceled_or_expire_cost_nothing_and_the_sweep_draws_the_others(
    studio: Studio, flat: FlatColor, clients: Clients, maker: User, cloud: Any
) -> None:
    flat.state_now = EndpointState.COLD
    warm = FLAT.model_copy(update={"when": When.WARM, "within_s": 3600})
    canceled, late, drawn = (studio.jobs.submit(maker, warm) for _ in range(3))
    assert drawn.status is JobStatus.QUEUED
    studio.jobs.cancel(maker, canceled.id)
    _make_due(studio, cloud, late, deadline_at=LONG_AGO, run_by=LONG_AGO)
    # Another process, without cached endpoint states.
    later = build(studio.settings, clients, elsewhere={FLAT_MODEL: flat})
    flat.state_now = EndpointState.READY
    try:
        later.sweeper.sweep()
    finally:
        later.close()
    ended = [studio.jobs.get(maker, job.id).status for job in (canceled, late, drawn)]
    assert ended == [JobStatus.CANCELED, JobStatus.EXPIRED, JobStatus.SUCCEEDED]
    assert [attempt.job.id for attempt in flat.drawn] == [drawn.id]
    assert money(studio, maker) == pytest.approx(USD_A_PICTURE, abs=1e-6)


def test_one_sweep_draws_more_waiting_jobs_than_the_window_holds(
    studio: Studio, flat: FlatColor, clients: Clients, maker: User
) -> None:
    flat.state_now = EndpointState.COLD
    warm = FLAT.model_copy(update={"when": When.WARM, "within_s": 3600})
    jobs = [studio.jobs.submit(maker, warm) for _ in range(studio.settings.dispatch_window + 2)]
    flat.state_now = EndpointState.READY
    later = build(studio.settings, clients, elsewhere={FLAT_MODEL: flat})
    try:
        assert later.sweeper.sweep().invoked == len(jobs)
    finally:
        later.close()
    assert {studio.jobs.get(maker, job.id).status for job in jobs} == {JobStatus.SUCCEEDED}
    assert len(flat.drawn) == len(jobs)


def test_each_back_end_has_its_own_queue(studio: Studio, endpoint: ScriptedEndpoint, maker: User) -> None:
    full = [
        studio.jobs.submit(maker, JobRequest(prompt="a red apple", model="pocket"))
        for _ in range(studio.settings.dispatch_window + 1)
    ]
    assert full[-1].status is JobStatus.QUEUED
    assert studio.jobs.submit(maker, FLAT).status is JobStatus.SUCCEEDED


def test_a_message_that_no_back_end_recognizes_is_unreadable(studio: Studio) -> None:
    worker = Worker(studio, studio.results_queue, studio.metrics)
    for body in ("{not json", json.dumps({"inferenceId": "x"})):
        with pytest.raises(UnreadableNotification):
            worker.handle(body)


def test_a_job_of_a_withdrawn_model_can_still_be_canceled(
    settings: Settings, studio: Studio, flat: FlatColor, clients: Clients, maker: User
) -> None:
    flat.before = away
    job = studio.jobs.submit(maker, FLAT)
    without = build(settings, clients)
    try:
        assert without.jobs.cancel(maker, job.id).status is JobStatus.CANCELED
    finally:
        without.close()
    assert money(studio, maker) == 0


def test_a_late_answer_to_an_erased_job_is_erased(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    worker = Worker(studio, studio.results_queue, studio.metrics)
    job = studio.jobs.submit(maker, JobRequest(prompt="a red apple", model="pocket"))
    studio.jobs.cancel(maker, job.id)
    studio.jobs.delete(maker, job.id)
    worker.handle(endpoint.complete(endpoint.accepted[0]))
    assert _keys(studio, keys.job_prefix(maker.id, job.id), bucket="outputs") == []
