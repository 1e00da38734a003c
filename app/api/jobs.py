"""The routes of jobs: create, read, list, cancel, and run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from app.api import schemas
from app.api.authentication import SignedIn
from app.api.presenters import job_list_response, job_response, open_job_response
from app.api.problems import problem_responses
from app.api.request_body import MAX_PICTURES_BODY_BYTES, read_json
from app.api.threads import in_thread
from app.api.waiting import WaitingRoom, preferred_wait_s
from services.errors import InvalidRequest, StudioError
from services.jobs.jobs import MAX_KEY_CHARACTERS

router = APIRouter(tags=["jobs"])
NEW_JOB_HEADERS = {
    "Location": {"description": "The job's address.", "schema": {"type": "string"}},
    "Preference-Applied": {"description": "How long was waited at most.", "schema": {"type": "string"}},
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/JobCreate"}}},
    }
}


@router.post(
    "/jobs",
    status_code=201,
    operation_id="createJob",
    summary="Ask for pictures",
    responses={201: {"headers": NEW_JOB_HEADERS}, **problem_responses(409, 413, 415, 422, 429)},
    openapi_extra=BODY,
)
async def create_job(
    request: Request,
    response: Response,
    caller: SignedIn,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="For 24 hours the same key with the same body gives the same job, charged once.",
            # Checked by the service, which names the rule in its refusal.
            json_schema_extra={"minLength": 1, "maxLength": MAX_KEY_CHARACTERS, "pattern": "^[ -~]+$"},
        ),
    ] = None,
    prefer: Annotated[
        list[str] | None,
        Header(
            alias="Prefer",
            description="`wait=N`: answer when the job ends, after N seconds (1 to 60) at the latest.",
        ),
    ] = None,
) -> schemas.Job:
    """Checks, prices and queues a job: text-to-image, with `image` image-to-image, with `mask` too inpainting.

    With `Prefer: wait=N` the answer holds the pictures if they are ready in time.
    Nothing is charged unless the job succeeds.
    """
    _one_key(request)
    body = await read_json(request, schemas.JobCreate, most_bytes=MAX_PICTURES_BODY_BYTES)
    job = await in_thread(
        lambda: caller.studio.jobs.submit(caller.user, body.request(), idempotency_key=idempotency_key)
    )
    response.headers["Location"] = f"{caller.studio.settings.public_url}/v1/jobs/{job.id}"
    wait_s = preferred_wait_s(prefer or ())
    room: WaitingRoom = request.app.state.waiting_room
    seen = job
    if wait_s is not None and not room.full:
        response.headers["Preference-Applied"] = f"wait={wait_s}"
        seen = await room.until_ended(request, caller, job, wait_s)
    elif not job.status.terminal:
        return open_job_response(caller, job)
    try:
        return await in_thread(job_response, caller, seen)
    except StudioError:
        # The job exists and will be charged: an error now would make the caller submit, and pay, again.
        if job.status.terminal:
            raise
        return open_job_response(caller, job)


def _one_key(request: Request) -> None:
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise InvalidRequest("Send one Idempotency-Key.", param="Idempotency-Key")


@router.get("/jobs", operation_id="listJobs", summary="List my jobs", responses=problem_responses(422))
async def list_jobs(caller: SignedIn, query: Annotated[schemas.JobsQuery, Query()]) -> schemas.JobList:
    """The caller's jobs, newest first. Only `GET /jobs/{id}` returns the queue position."""

    def read() -> schemas.JobList:
        statuses = frozenset(query.status) or None
        page = caller.studio.jobs.list(caller.user, limit=query.limit, after=query.after, statuses=statuses)
        data = job_list_response(caller, page.items)
        return schemas.JobList(data=data, has_more=page.next is not None, next=page.next)

    return await in_thread(read)


@router.get("/jobs/{id}", operation_id="getJob", summary="Look at a job", responses=problem_responses(404))
async def get_job(id: str, caller: SignedIn) -> schemas.Job:
    """The job as it is now."""
    return await in_thread(lambda: job_response(caller, caller.studio.jobs.get(caller.user, id)))


@router.post(
    "/jobs/{id}/cancel",
    operation_id="cancelJob",
    summary="Cancel a job",
    responses=problem_responses(404, 409),
)
async def cancel_job(id: str, caller: SignedIn) -> schemas.Job:
    """Cancels a job and releases its reservation. Idempotent; a job that has already ended is a conflict."""
    return await in_thread(lambda: job_response(caller, caller.studio.jobs.cancel(caller.user, id)))


@router.post(
    "/jobs/{id}/run",
    operation_id="runJob",
    summary="Run a waiting job now",
    responses=problem_responses(404, 409),
)
async def run_job(id: str, caller: SignedIn) -> schemas.Job:
    """Runs a job now that waits for its model to be awake. Idempotent, also for a running job."""
    return await in_thread(lambda: job_response(caller, caller.studio.jobs.run_now(caller.user, id)))
