"""Pages of a maker with very many pictures: duration of a script rerun, and its DynamoDB requests.

The records are written into the embedded cloud in the studio's format; there are no picture files, since no page reads
them. The time is that of the script as Streamlit runs it, without the browser; "working" is its thread's CPU time,
the rest is waiting for the embedded cloud, in place of DynamoDB, and for the processor.
"""

from __future__ import annotations

import os
import random
import resource
import secrets
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from streamlit.runtime.scriptrunner import script_runner
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import AppTest, local_script_runner
from ulid import ULID

from app.auth import session
from app.streamlit_internals.garbage import collect_seldom
from bench.items import write_items
from bench.stack import PUBLIC_URL, CallCounter, running_cloud
from bench.table import print_table
from local.processes import ROOT
from local.signin import ADMINS
from services.aws.session import make_clients
from services.build import Studio, build
from services.records import Estimate, Image, Job, JobSpec, JobStatus, User
from services.search.query import PictureQuery
from services.settings import load_settings
from services.store import keys
from services.store.images import image_to_item
from services.store.job_items import job_to_item

# Number of pictures, and reruns of each page: the target is for the 95th percentile of the middle size.
SIZES = {100: 40, 10_000: 100, 100_000: 20}
# The number of word pairs below before one repeats.
SEARCHES = 30
PICTURES_A_JOB = 4
ALBUMS = 10
FIRST_PAGE = 80
TRASHED = 60
TIMEOUT_S = 120.0
LIMIT_MS = 50
GALLERY = "app/pages/gallery.py"
PAGES: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("Gallery, newest first", GALLERY, {}),
    ("Gallery, two words, best rated first", GALLERY, {"q": "apple red", "sort": "rating"}),
    ("Gallery, a tag and a rating", GALLERY, {"tag": "final", "rating": "3"}),
    ("Create", "app/pages/generate.py", {}),
    ("History", "app/pages/history.py", {}),
    ("Account", "app/pages/account.py", {}),
    ("Gallery, the trash", GALLERY, {"show": "trash"}),
    ("Gallery, the albums", GALLERY, {"show": "albums"}),
    ("Costs", "app/pages/admin_costs.py", {}),
)
THINGS = ("apple", "fox", "rocket", "lighthouse", "sailboat", "tiger", "snowman", "guitar", "castle", "whale")
COLORS = ("red", "green", "blue", "golden", "pale", "dark")
PLACES = ("on a table", "by the sea", "in the snow", "under a bridge", "at night", "in a small town")


def measure(folder: Path) -> None:
    """Writes the records for each size, and prints a table of the pages and one of the search index."""
    collect_seldom()
    with running_cloud(folder) as resources:
        environment = resources.studio_environment(
            public_url=PUBLIC_URL, cookie_secret=secrets.token_hex(32), sagemaker_url="http://localhost:1"
        )
        os.environ.update(environment)
        settings = load_settings()
        clients = make_clients(settings)
        studio = build(settings, clients)
        counter = CallCounter(clients)
        session._studio = studio
        pages: list[list[str]] = []
        search: list[list[str]] = []
        for size, reruns in SIZES.items():
            user = User(id=secrets.token_hex(16), email="bench@example.com")
            write_items(clients.dynamodb, settings.table, _items(user, size))
            _put_aside(studio, user)
            search.append([f"{size:,}", *_measure_search(studio, user)])
            for name, page, query in PAGES:
                pages.append([f"{size:,}", name, *_measure_page(counter, user, page, query, reruns)])
        studio.close()
    print_table(
        f"A rerun of a page (target with 10,000 pictures: {LIMIT_MS} ms of script at p95)",
        [
            "pictures",
            "page",
            "script p50, ms",
            "p95, ms",
            "of it working p50, ms",
            "p95, ms",
            "DynamoDB requests, opened",
            "rerun",
        ],
        pages,
    )
    print_table(
        "The search index of one maker",
        [
            "pictures",
            "made from records, s",
            "segment, kB",
            "read into memory, s",
            "memory, MB",
            "search p50, ms",
            "search p95, ms",
        ],
        search,
    )


def _measure_page(
    counter: CallCounter, user: User, page: str, query: dict[str, str], reruns: int
) -> list[str]:
    """Return script times of reruns, and the requests for opening the page and rerunning it."""
    sub = user.id
    at = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=TIMEOUT_S)
    at.user = {"is_logged_in": False}
    at.run()
    at.user = {
        "is_logged_in": True,
        "sub": f"{sub[:8]}-{sub[8:12]}-{sub[12:16]}-{sub[16:20]}-{sub[20:]}",
        "email": user.email,
        # One page is for admins.
        "cognito:groups": [ADMINS],
        "auth_time": int(time.time()),
    }
    at.switch_page(page)
    for name, value in query.items():
        at.query_params[name] = value
    times: list[float] = []
    busy: list[float] = []
    # The server caches compiled pages; AppTest would compile them for each run.
    compiled = ScriptCache()
    testing: Any = local_script_runner
    testing.ScriptCache = lambda: compiled
    runner: Any = script_runner
    run: Callable[..., Any] = runner.exec_func_with_error_handling

    def timed(*arguments: Any) -> Any:
        began, began_busy = time.perf_counter(), time.thread_time()
        answer = run(*arguments)
        times.append((time.perf_counter() - began) * 1000)
        busy.append((time.thread_time() - began_busy) * 1000)
        return answer

    runner.exec_func_with_error_handling = timed
    try:
        before = Counter(counter.calls)
        at.run()
        opened = Counter(counter.calls) - before
        at.run()
        assert not at.exception and not at.error, (page, at.exception, at.error)
        times.clear()
        busy.clear()
        before = Counter(counter.calls)
        for _ in range(reruns):
            at.run()
        calls = Counter(counter.calls) - before
    finally:
        runner.exec_func_with_error_handling = run
        testing.ScriptCache = ScriptCache
    return [*_percentiles(times), *_percentiles(busy), _requests(opened, 1), _requests(calls, reruns)]


def _requests(calls: Counter[str], runs: int) -> str:
    """Return the DynamoDB requests of one run: `Query 1, GetItem 2`."""
    asked = {name: number for name, number in sorted(calls.items()) if name.startswith("dynamodb ")}
    said = [f"{name.removeprefix('dynamodb ')} {number / runs:.2g}" for name, number in asked.items()]
    return ", ".join(said) or "none"


def _measure_search(studio: Studio, user: User) -> list[str]:
    """Build, read and query the index; return times, size and the additional memory of this process."""
    began = time.perf_counter()
    studio.search_index.fold(user.id, rebuild=True)
    made_s = time.perf_counter() - began
    segments = studio.search_index.head(user.id).segments
    size_bytes = sum(len(studio.search_index._objects.get(one.key, max_bytes=2**30)) for one in segments)
    before_mb = _memory_mb()
    began = time.perf_counter()
    studio.search.find(user, PictureQuery(text="apple"))
    read_s = time.perf_counter() - began
    memory_mb = _memory_mb() - before_mb
    times = []
    for n in range(SEARCHES):
        query = PictureQuery(text=f"{THINGS[n % len(THINGS)][:3]} {COLORS[n % len(COLORS)]}")
        began = time.perf_counter()
        studio.search.find(user, query)
        times.append((time.perf_counter() - began) * 1000)
    return [
        f"{made_s:.2f}",
        f"{size_bytes / 1000:,.0f}",
        f"{read_s:.2f}",
        f"{memory_mb:.0f}",
        *_percentiles(times),
    ]


def _percentiles(milliseconds: list[float]) -> list[str]:
    twentieths = statistics.quantiles(milliseconds, n=20)
    return [f"{twentieths[9]:.1f}", f"{twentieths[18]:.1f}"]


def _memory_mb() -> float:
    """Return the peak memory of this process; later reads that fit into freed memory do not show."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _put_aside(studio: Studio, user: User) -> None:
    """Puts pictures into albums, and one page after the first of the gallery into the trash."""
    ids = [image.id for image in studio.images.list(user, limit=FIRST_PAGE + TRASHED).items]
    for n in range(ALBUMS):
        album = studio.albums.create(user, f"{THINGS[n]} and more")
        studio.albums.put_in(user, album.id, ids[n:FIRST_PAGE])
    studio.trash.put_many(user, ids[FIRST_PAGE:])


def _items(user: User, size: int) -> Iterator[dict[str, Any]]:
    """Yield jobs and pictures over the last two years; same words for the same size."""
    chance = random.Random(size)  # noqa: S311 - words to search for, no secret
    newest = datetime.now(UTC)
    for number in range(size // PICTURES_A_JOB):
        at = newest - timedelta(days=730) * (number / (size // PICTURES_A_JOB))
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        words = [chance.choice(COLORS), chance.choice(THINGS), chance.choice(PLACES)]
        more = " ".join(chance.choice(THINGS) + str(chance.randrange(3000)) for _ in range(12))
        job = _job(user, str(ULID.from_datetime(at)), at, f"a {' '.join(words)}, {more}")
        yield job_to_item(job)
        for n in range(PICTURES_A_JOB):
            image = Image(
                id=keys.image_id(job.id, n),
                user_id=user.id,
                job_id=job.id,
                n=n,
                key=keys.image_key(user.id, job.id, n),
                thumbnail_key=keys.thumbnail_key(user.id, job.id, n),
                width=job.spec.width,
                height=job.spec.height,
                size_bytes=1_400_000,
                sha256="0" * 64,
                seed=job.spec.seed + n,
                model=job.spec.model,
                prompt=job.spec.prompt,
                color="#204060",
                favorite=chance.random() < 0.1,
                created_at=at,
            )
            marks = {
                "rating": chance.randrange(6),
                "tags": chance.choice([[], [], ["draft"], ["draft", "final"]]),
            }
            yield image_to_item(image) | marks


def _job(user: User, job_id: str, at: datetime, prompt: str) -> Job:
    spec = JobSpec(
        prompt=prompt,
        negative_prompt="",
        model="pocket",
        model_revision="r",
        width=1024,
        height=1024,
        steps=20,
        guidance=4.0,
        scheduler="ddim",
        quality="standard",
        seed=7,
        count=PICTURES_A_JOB,
    )
    return Job(
        id=job_id,
        user_id=user.id,
        status=JobStatus.SUCCEEDED,
        spec=spec,
        attempt=1,
        created_at=at,
        completed_at=at,
        estimate=Estimate(cost_usd=0, at_most_usd=0, run_s=1, cold_start_s=0),
        cost_usd=0.0004,
        image_ids=tuple(keys.image_id(job_id, n) for n in range(PICTURES_A_JOB)),
    )
