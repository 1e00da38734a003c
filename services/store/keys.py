"""Where everything is stored: DynamoDB keys, S3 keys, and ids (docs/contracts.md)."""

from __future__ import annotations

import hashlib
import re
import secrets

from ulid import ULID

USER = "USER#"
STUDIO_PK = "STUDIO"
# The partition of the counters of all queues.
QUEUES = "QUEUES"
ENTRY = "WAIT#"
HEAD = "LINE#"
PROFILE = "PROFILE"
PREFERENCES = "PREFERENCES"
JOB = "JOB#"
IMAGE = "IMAGE#"
TRASH = "TRASH#"
ATTACHED = "WITH#"
API_KEY = "APIKEY#"
LIST = "LIST#"
TEMPLATE = "TEMPLATE#"
PROMPT = "PROMPT#"
ALBUM = "ALBUM#"
EXPORT = "EXPORT#"
CHANGED = "CHANGED#"
DRAFTS = "DRAFTS#"
IDEMPOTENCY = "IDEM#"
SAME = "SAME#"
ENDED = "ENDED#"
TOMBSTONE = "ERASED#"
SEARCH = "SEARCH"
WAITING = "OPEN#waiting"
RUNNING = "OPEN#running"
REPAIR = "OPEN#repair"
ERASING = "OPEN#erasing"
TRASHED = "OPEN#trash"
CHANGES = "OPEN#changes"
EXPORTS = "OPEN#exports"
SHARED = "OPEN#share"
KEY_HOLDERS = "OPEN#keys"
CANCEL_MARKER = "cancel"
UPLOADS = "uploads"
MASKS = "masks"

_USER = re.compile(r"[0-9a-f]{32}")
_JOB = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_IMAGE = re.compile(r"([0-7][0-9A-HJKMNP-TV-Z]{25})-(0|[1-9][0-9]?)")
_UPLOAD = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}[0-9a-f]{16}-([1-9][0-9]{0,3})x([1-9][0-9]{0,3})")
_INFERENCE = re.compile(r"([0-9a-f]{32})-([0-7][0-9A-HJKMNP-TV-Z]{25})-([0-9]{1,3})")
_SEGMENT = re.compile(r"search/[0-9a-f]{32}/([0-9]{10})-[0-9A-Z]{26}\.jsonl\.gz")
_IMAGE_OBJECT = re.compile(r"images/([0-9a-f]{32})/([0-7][0-9A-HJKMNP-TV-Z]{25})/([0-9]{1,2})\.png")


def new_id() -> str:
    """Returns a ULID: 26 characters that sort by time of creation."""
    return str(ULID())


def user_pk(user_id: str) -> str:
    """Returns the partition of a user's data. Raises ValueError for a malformed user id."""
    if not _USER.fullmatch(user_id):
        raise ValueError("a user id is 32 lower-case hex digits")
    return f"{USER}{user_id}"


def user_of(pk: str) -> str:
    """Returns the id of the partition's user."""
    return pk.removeprefix(USER)


def is_job_id(text: str) -> bool:
    """Whether the job id is well-formed; no other value may become part of a key."""
    return bool(_JOB.fullmatch(text))


def job_sk(job_id: str) -> str:
    """Sort key of a job."""
    return f"{JOB}{job_id}"


def idempotency_sk(key: str) -> str:
    """Sort key of the note which job an idempotency key made; of the key only this hash is kept."""
    return f"{IDEMPOTENCY}{digest(key)}"


def entry_sk(endpoint: str, line: str, job_id: str) -> str:
    """Sort key of a waiting job's entry in a line of an endpoint, in its maker's partition."""
    return f"{ENTRY}{endpoint}#{line}#{job_id}"


def head_sk(endpoint: str, line: str) -> str:
    """Sort key of a maker's place among the makers who wait in a line of an endpoint."""
    return f"{HEAD}{endpoint}#{line}"


def heads(endpoint: str, line: str) -> str:
    """Index partition of the makers who wait in a line of an endpoint."""
    return f"OPEN#heads#{endpoint}#{line}"


def places(endpoint: str) -> str:
    """Index partition of the jobs that wait for an endpoint, in the order of their creation."""
    return f"OPEN#places#{endpoint}"


def drafts_sk(group: str, part: int) -> str:
    """Sort key of the note which job draws that part (from 0) of a press for drafts."""
    return f"{DRAFTS}{group}#{part:03d}"


def input_key(user_id: str, job_id: str, name: str) -> str:
    """S3 key of a picture that came with a job, in the inputs bucket; `name` is `image` or `mask`."""
    return f"{job_prefix(user_id, job_id)}/{name}"


def new_upload_id(width: int, height: int) -> str:
    """An id for a picture or mask of that size that came without a job: sorts by time, and cannot be guessed."""
    return f"{new_id()}{secrets.token_hex(8)}-{width}x{height}"


def split_upload_id(text: str) -> tuple[int, int] | None:
    """Width and height by an upload's id; None when it is malformed."""
    match = _UPLOAD.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def uploads_prefix(user_id: str, kind: str) -> str:
    """Below it lie a user's uploads of a kind (UPLOADS or MASKS), in the inputs bucket."""
    return f"{user_id}/{kind}/"


def image_id(job_id: str, n: int) -> str:
    """Id of the n-th picture of a job, n from 0."""
    return f"{job_id}-{n}"


def split_image_id(text: str) -> tuple[str, int] | None:
    """Job id and number of an image id; None when it is malformed."""
    match = _IMAGE.fullmatch(text)
    return (match[1], int(match[2])) if match else None


def image_sk(job_id: str, n: int) -> str:
    """Sort key of a picture: newest job first, then by number."""
    return f"{IMAGE}{job_id}#{n}"


def trash_sk(job_id: str, n: int) -> str:
    """Sort key of the note that a picture is in the trash."""
    return f"{TRASH}{job_id}#{n}"


def attached_prefix(job_id: str, n: int | None = None) -> str:
    """Sort keys of what hangs on a picture, or on any picture of a job, begin with it."""
    return f"{ATTACHED}{job_id}#" if n is None else f"{ATTACHED}{job_id}#{n}#"


def share_sk(job_id: str, n: int, share_id: str) -> str:
    """Sort key of a share of a picture, in its owner's partition."""
    return f"{attached_prefix(job_id, n)}SHARE#{share_id}"


def share_link(token: str) -> tuple[str, str]:
    """Key of what a share's token leads to; of the token only this hash is kept."""
    return f"SHARE#{digest('share', token)}", "SHARE"


def rerun_sk(job_id: str, n: int, again_id: str) -> str:
    """Sort key of the note that the n-th picture of a job was drawn again by the job `again_id`."""
    return f"{attached_prefix(job_id, n)}RERUN#{again_id}"


def tombstone_sk(job_id: str, n: int | None = None) -> str:
    """Sort key of the mark that a job, or one picture of it, was erased on purpose."""
    return f"{TOMBSTONE}{job_id}" if n is None else f"{TOMBSTONE}{job_id}#{n}"


def inference_id(user_id: str, job_id: str, attempt: int) -> str:
    """What SageMaker calls the invocation: 64 characters at most, and it leads back to the job."""
    return f"{user_id}-{job_id}-{attempt}"


def split_inference_id(text: str) -> tuple[str, str, int] | None:
    """User id, job id and attempt of an inference id; None when the studio did not make it."""
    match = _INFERENCE.fullmatch(text)
    return (match[1], match[2], int(match[3])) if match else None


def cancel_marker(user_id: str, job_id: str) -> str:
    """S3 key of a job's cancel marker, in the outputs bucket."""
    return f"{job_prefix(user_id, job_id)}/{CANCEL_MARKER}"


def job_prefix(user_id: str, job_id: str) -> str:
    """Below it lie a job's input, output, progress and cancel marker, in their buckets."""
    return f"{user_id}/{job_id}"


def output_key(user_id: str, job_id: str, attempt: int) -> str:
    """Where the endpoint writes an attempt's answer, in the outputs bucket."""
    return f"{job_prefix(user_id, job_id)}/{attempt_file(attempt)}"


def progress_key(user_id: str, job_id: str, attempt: int) -> str:
    """S3 key of what the container tells of a running attempt, in the outputs bucket."""
    return f"{job_prefix(user_id, job_id)}/{attempt}.progress.json"


def failures_prefix(user_id: str, job_id: str | None = None) -> str:
    """Below it lie failure objects in the outputs bucket."""
    return f"failures/{user_id}/" if job_id is None else f"failures/{user_id}/{job_id}/"


def attempt_file(attempt: int) -> str:
    """File name of an attempt's input and output."""
    return f"{attempt}.json"


def images_prefix(user_id: str, job_id: str | None = None) -> str:
    """Below it lie a user's (or one job's) pictures in the images bucket."""
    return f"images/{user_id}/" if job_id is None else f"images/{user_id}/{job_id}/"


def image_prefix(user_id: str, job_id: str, n: int) -> str:
    """Below it lie one picture and its thumbnail, and nothing of another."""
    return f"{images_prefix(user_id, job_id)}{n}."


def image_key(user_id: str, job_id: str, n: int) -> str:
    """S3 key of a picture."""
    return f"{images_prefix(user_id, job_id)}{n}.png"


def thumbnail_key(user_id: str, job_id: str, n: int) -> str:
    """S3 key of a picture's thumbnail."""
    return f"{images_prefix(user_id, job_id)}{n}.thumb.webp"


def difference_key(user_id: str, job_id: str, n: int) -> str:
    """S3 key of the map of how a picture, drawn again, differs; below the picture's own prefix, to go with it."""
    return f"{image_prefix(user_id, job_id, n)}difference.png"


def shared_copy_key(name: str) -> str:
    """S3 key of a share's copy. Strangers see it in its link: it says nothing of the user or the picture."""
    return f"shares/{name}.png"


def split_image_key(key: str) -> tuple[str, str, int] | None:
    """User id, job id and number of a picture's S3 key; None for a thumbnail or a stranger."""
    match = _IMAGE_OBJECT.fullmatch(key)
    return (match[1], match[2], int(match[3])) if match else None


def search_prefix(user_id: str) -> str:
    """Below it lie the segments of a user's search index, in the library bucket."""
    return f"search/{user_id}/"


def search_key(user_id: str, version: int, token: str) -> str:
    """S3 key of the segment that comes into the index with `version`; `token` is a ULID of its writer's own."""
    return f"{search_prefix(user_id)}{version:010d}-{token}.jsonl.gz"


def search_version(key: str) -> int | None:
    """The version that a segment's key tells of; None for a stranger."""
    match = _SEGMENT.fullmatch(key)
    return int(match[1]) if match else None


def exports_prefix(user_id: str, export_id: str | None = None) -> str:
    """Below it lie a user's (or one) export's files in the library bucket."""
    return f"exports/{user_id}/" if export_id is None else f"exports/{user_id}/{export_id}/"


def digest(*parts: str) -> str:
    """SHA-256 in hex over length-prefixed parts, so that different lists of parts never collide."""
    joined = "".join(f"{len(part.encode())}:{part}" for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()
