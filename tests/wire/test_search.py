"""Tests of the search: changes are found at once, whether folded or not, and erased words leave the index."""

from __future__ import annotations

import gzip
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.aws.table import Table, Update
from services.build import Studio
from services.commands import rebuild_search
from services.errors import InvalidRequest
from services.records import Image, JobRequest, User
from services.search import memory
from services.search.index import SearchIndex
from services.search.query import PictureQuery, words_of
from services.search.search import Search
from services.store import keys
from tests.endpoint import ScriptedEndpoint
from tests.faults.lost import LostAnswers
from tests.wire.conftest import real_clients

PROMPTS = ("a red apple", "a Red fox, crème brûlée", "green apple tree", "猫と犬", "an apple-red car")
QUERIES = (
    "",
    "apple",
    "re",
    "-apple",
    '"red apple"',
    "apple red",
    "app -fox",
    "creme",
    "と犬",
    "sea",
    "nothing",
)
TAGS = ("sea side", "draft")


@pytest.fixture
def paint(studio: Studio, endpoint: ScriptedEndpoint, maker: User) -> Callable[..., tuple[str, ...]]:
    """Draws pictures and returns their ids: `paint("a red apple", count=2)`."""

    def painted(prompt: str = "a red apple", count: int = 1, user: User = maker) -> tuple[str, ...]:
        job = studio.jobs.submit(user, JobRequest(prompt=prompt, seed=7, count=count))
        endpoint.complete(endpoint.accepted[-1])
        studio.completion.finish(user.id, job.id, job.attempt)
        return studio.jobs.get(user, job.id).image_ids

    return painted


def found(studio: Studio, user: User, text: str = "", **filters: Any) -> list[str]:
    return [
        image.id for image in studio.search.find(user, PictureQuery(text=text, **filters), limit=500).items
    ]


def another_task(studio: Studio) -> Search:
    """Returns the search of another studio process, with empty caches."""
    return Search(studio.search._images, studio.search_index)


def by_another_task(studio: Studio, user: User) -> list[str]:
    """Returns the pictures that another process finds."""
    return [image.id for image in another_task(studio).find(user, PictureQuery(), limit=500).items]


def every_byte(studio: Studio, cloud: Any) -> bytes:
    """Returns the decompressed content of all objects in the library bucket, including old versions."""
    s3, bucket = cloud.client("s3"), studio.settings.library_bucket
    versions = s3.list_object_versions(Bucket=bucket).get("Versions", [])
    bodies = [
        s3.get_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])["Body"].read()
        for each in versions
    ]
    return b"".join(gzip.decompress(body) for body in bodies)


def plainly(images: list[Image], query: PictureQuery) -> list[str]:
    """Returns the expected result of a query, by a scan of all records."""

    def starts(words: list[str], wanted: tuple[str, ...], exact: bool) -> bool:
        spans = (words[n : n + len(wanted)] for n in range(len(words) - len(wanted) + 1))
        return any(
            tuple(span[:-1]) == wanted[:-1]
            and (span[-1] == wanted[-1] if exact else span[-1].startswith(wanted[-1]))
            for span in spans
        )

    def fits(image: Image) -> bool:
        texts = [words_of(text) for text in (image.prompt, image.model, *image.tags)]
        said = all(
            any(starts(words, term.words, term.exact) for words in texts) == term.wanted
            for term in query.terms()
        )
        day = image.created_at.astimezone(UTC).date()
        return (
            said
            and (query.model is None or image.model == query.model)
            and (query.tag is None or query.tag in image.tags)
            and (query.album is None or query.album in image.albums)
            and (query.since is None or day >= query.since)
            and (query.until is None or day <= query.until)
            and (not query.favorites or image.favorite)
            and image.rating >= query.rating
        )

    place = {image.id: keys.image_sk(image.job_id, image.n) for image in images}
    fitting = sorted(
        (i for i in images if fits(i)), key=lambda i: place[i.id], reverse=query.sort != "oldest"
    )
    if query.sort == "rating":
        fitting.sort(key=lambda image: -image.rating)
    return [image.id for image in fitting]


def all_images(studio: Studio, user: User) -> list[Image]:
    return [image for page in [studio.images.list(user, limit=500)] for image in page.items]


@pytest.mark.parametrize("seed", range(4))
def test_after_any_changes_the_search_matches_a_scan_of_all_records(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User, seed: int
) -> None:
    chance = random.Random(seed)
    ids: list[str] = []
    searches = [studio.search, another_task(studio)]
    queries = [
        *(PictureQuery(text=text) for text in QUERIES),
        PictureQuery(text="apple", sort="oldest"),
        PictureQuery(sort="rating"),
        PictureQuery(rating=3, sort="rating"),
        PictureQuery(favorites=True),
        PictureQuery(tag="sea side", text="-fox"),
        PictureQuery(model="pocket", since=datetime.now(UTC).date()),
        PictureQuery(until=datetime.now(UTC).date() - timedelta(days=1)),
    ]
    for _ in range(30):
        some = chance.sample(ids, min(len(ids), 3))
        match chance.randrange(9):
            case 0 | 1:
                ids += paint(chance.choice(PROMPTS), count=chance.choice((1, 4)))
            case 2:
                studio.marks.star_many(maker, some, chance.random() < 0.6)
            case 3:
                studio.marks.rate_many(maker, some, chance.randrange(6))
            case 4:
                studio.marks.tag_many(maker, some, add=[chance.choice(TAGS)], remove=[chance.choice(TAGS)])
            case 5:
                studio.trash.put_many(maker, some)
            case 6:
                studio.trash.restore_many(maker, some)
            case 7:
                studio.trash.erase_many(maker, some)
            case 8:
                studio.search_index.fold(maker.id, rebuild=chance.random() < 0.2)
        images = all_images(studio, maker)
        for search in chance.sample(searches, chance.randrange(1, 3)):
            for query in chance.sample(queries, 4):
                page = search.find(maker, query, limit=500)
                assert [image.id for image in page.items] == plainly(images, query), query
                assert page.total == len(page.items)
                assert {image.id: image for image in page.items}.items() <= {i.id: i for i in images}.items()
    assert len(ids) > 5


def test_pages_are_complete_in_every_sort_order(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User
) -> None:
    ids = [image_id for prompt in PROMPTS for image_id in paint(prompt, count=4)]
    studio.marks.rate_many(maker, ids[::3], 4)
    studio.marks.rate_many(maker, ids[1::5], 2)
    for sort in ("newest", "oldest", "rating"):
        query = PictureQuery(sort=sort)
        seen: list[str] = []
        after = None
        while True:
            page = studio.search.find(maker, query, limit=7, after=after)
            assert page.total == len(ids) and page.before == len(seen)
            seen += [image.id for image in page.items]
            after = page.next
            if after is None:
                break
        assert seen == plainly(all_images(studio, maker), query)


def test_other_users_pictures_are_not_found(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User, other: User
) -> None:
    paint("a red apple")
    assert found(studio, other, "apple") == []
    assert studio.search.facets(other).total == 0


def test_erased_words_are_gone_from_every_object_after_the_next_fold(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User, cloud: Any
) -> None:
    secret = paint("my embarrassing unicorn")
    kept = paint("a red apple")
    studio.search_index.fold(maker.id)
    paint("another one")
    studio.search_index.fold(maker.id)
    assert b"unicorn" in every_byte(studio, cloud)
    studio.trash.put_many(maker, secret)
    studio.search_index.fold(maker.id)
    studio.trash.erase_many(maker, secret)
    assert studio.search_index.fold_due() == 1, "an erasure is folded at once"
    assert b"unicorn" not in every_byte(studio, cloud)
    assert b"apple" in every_byte(studio, cloud)
    assert set(kept) < set(found(studio, maker))


def test_the_words_of_a_deleted_job_leave_the_index(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User, cloud: Any
) -> None:
    [image_id] = paint("my embarrassing unicorn")
    studio.search_index.fold(maker.id)
    studio.jobs.delete(maker, image_id.rpartition("-")[0])
    assert found(studio, maker) == []
    studio.search_index.fold_due()
    assert every_byte(studio, cloud) == b""


def test_deleting_everything_also_removes_the_objects_of_an_interrupted_fold(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User, cloud: Any
) -> None:
    paint("my embarrassing unicorn")
    studio.search_index.fold(maker.id)
    left = keys.search_key(maker.id, 2, keys.new_id())
    studio.jobs.delete_all(maker)
    assert every_byte(studio, cloud) == b""
    cloud.client("s3").put_object(
        Bucket=studio.settings.library_bucket, Key=left, Body=gzip.compress(b"unicorn")
    )
    studio.search_index.fold_due()
    assert every_byte(studio, cloud) == b""
    assert found(studio, maker) == []
    [image_id] = paint("a new beginning")
    assert found(studio, maker) == [image_id]


@pytest.mark.parametrize("damage", ["missing", "cut off", "other bytes", "head lost"])
def test_a_damaged_index_is_rebuilt_from_the_records(
    studio: Studio,
    paint: Callable[..., tuple[str, ...]],
    maker: User,
    cloud: Any,
    table: Table,
    damage: str,
) -> None:
    ids = paint(count=4)
    studio.search_index.fold(maker.id)
    s3, bucket = cloud.client("s3"), studio.settings.library_bucket
    [segment] = studio.search_index.head(maker.id).segments
    if damage == "missing":
        s3.delete_object(Bucket=bucket, Key=segment.key)
    elif damage == "head lost":
        table.delete(keys.user_pk(maker.id), keys.SEARCH)
    else:
        body = s3.get_object(Bucket=bucket, Key=segment.key)["Body"].read()
        spoiled = body[:-9] if damage == "cut off" else gzip.compress(b'["x"]')
        s3.put_object(Bucket=bucket, Key=segment.key, Body=spoiled)
    search = another_task(studio)
    assert {image.id for image in search.find(maker, PictureQuery()).items} == set(ids)
    assert studio.search_index.head(maker.id).whole


def test_merging_into_a_damaged_index_rebuilds_it(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User, cloud: Any
) -> None:
    ids = paint(count=4)
    studio.search_index.fold(maker.id)
    [segment] = studio.search_index.head(maker.id).segments
    cloud.client("s3").delete_object(Bucket=studio.settings.library_bucket, Key=segment.key)
    more = paint("another", count=4)
    assert studio.search_index.fold(maker.id)
    assert set(found(studio, maker)) == {*ids, *more}


def test_concurrent_folds_keep_all_changes_and_leave_no_orphans(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User, cloud: Any
) -> None:
    studio.search_index.fold(maker.id, rebuild=True)
    for _ in range(5):
        paint()
        index = studio.search_index
        task = SearchIndex(index._heads, index._notes, index._images, index._objects, index._on_erased)
        folds = [threading.Thread(target=task.fold, args=(maker.id,)) for _ in range(4)]
        for fold in folds:
            fold.start()
        for fold in folds:
            fold.join()
    while studio.search_index.notes(maker.id):
        studio.search_index.fold(maker.id)
    assert len(by_another_task(studio, maker)) == 5
    named = {segment.key for segment in studio.search_index.head(maker.id).segments}
    assert set(studio.search_index._objects.keys("search/")) == named


def test_a_lost_answer_to_the_head_update_does_not_fail_the_fold(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User
) -> None:
    paint()
    with LostAnswers(real_clients(studio.settings).dynamodb, "UpdateItem", 1) as lost:
        assert studio.search_index.fold(maker.id)
    assert lost.fired == 1
    assert len(found(studio, maker)) == 1 and not studio.search_index.notes(maker.id)


@pytest.mark.parametrize("call", ["PutObject", "UpdateItem", "TransactWriteItems", "DeleteObjects"])
@pytest.mark.parametrize("done", [True, False])
def test_an_interrupted_fold_is_completed_by_the_next(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User, cloud: Any, call: str, done: bool
) -> None:
    paint("my embarrassing unicorn")
    studio.search_index.fold(maker.id)
    [gone] = found(studio, maker)
    kept = paint("a red apple")
    studio.images.delete(maker, gone)
    clients = real_clients(studio.settings)
    client = clients.s3 if "Object" in call else clients.dynamodb
    event = f"{'after' if done else 'before'}-call.{client.meta.service_model.service_id.hyphenize()}.{call}"
    fired: list[int] = []

    def die(**_: Any) -> None:
        fired.append(1)
        raise KeyboardInterrupt

    client.meta.events.register_first(event, die)
    try:
        with pytest.raises(KeyboardInterrupt):
            studio.search_index.fold(maker.id)
    finally:
        client.meta.events.unregister(event, die)
    assert fired
    assert found(studio, maker) == list(kept)
    studio.search_index.fold_due()
    studio.search_index.fold(maker.id)
    assert (
        found(studio, maker)
        == list(kept)
        == [image.id for image in another_task(studio).find(maker, PictureQuery()).items]
    )
    assert b"unicorn" not in every_byte(studio, cloud) and not studio.search_index.notes(maker.id)


def test_the_command_rebuilds_an_index(
    studio: Studio,
    paint: Callable[..., tuple[str, ...]],
    maker: User,
    table: Table,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = paint(count=2)
    studio.search_index.fold(maker.id)
    before = studio.search_index.head(maker.id)
    table.update(
        Update((keys.user_pk(maker.id), "IMAGE#" + ids[0].replace("-", "#")), assign={"prompt": "by hand"})
    )
    assert found(studio, maker, "hand") == []
    monkeypatch.setattr("services.commands.rebuild_search.build", lambda settings: studio)
    assert rebuild_search.main([maker.id]) == 0
    assert studio.search_index.head(maker.id).version == before.version + 1
    assert found(studio, maker, "hand") == [ids[0]]
    assert rebuild_search.main(["../x"]) == 2


def test_many_small_folds_leave_few_segments(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User
) -> None:
    ids = [image_id for _ in range(20) for image_id in paint() if studio.search_index.fold(maker.id)]
    assert len(studio.search_index.head(maker.id).segments) <= 5
    assert by_another_task(studio, maker) == ids[::-1]


def test_a_page_costs_three_calls_then_two_and_recent_facets_none(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User
) -> None:
    ids = paint(count=4)
    studio.marks.tag_many(maker, ids[:3], add=["draft"])
    studio.search.find(maker, PictureQuery(text="apple"))
    calls: list[str] = []
    clients = real_clients(studio.settings)
    watch = lambda model, **_: calls.append(model.name)  # noqa: E731
    for client in (clients.dynamodb, clients.s3):
        client.meta.events.register("before-call", watch, unique_id="watch")
    try:
        assert studio.search.find(maker, PictureQuery(text="apple", tag="draft")).total == 3
        assert calls == ["Query", "GetItem"]
        another_task(studio).find(maker, PictureQuery(text="apple", tag="draft"))
        assert [call for call in calls[2:] if call != "GetObject"] == ["Query", "GetItem", "BatchGetItem"]
        calls.clear()
        facets = studio.search.facets(maker, max_age_s=60)
        assert calls == []
    finally:
        for client in (clients.dynamodb, clients.s3):
            client.meta.events.unregister("before-call", unique_id="watch")
    assert facets.tags == (("draft", 3),) and facets.models == (("pocket", 4),) and facets.total == 4


def test_a_picture_on_a_page_is_shown_in_its_current_state(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User
) -> None:
    (image_id,) = paint()
    for rating in (3, 5):
        studio.marks.rate_many(maker, [image_id], rating)
        assert [image.rating for image in studio.search.find(maker, PictureQuery()).items] == [rating]
        studio.search_index.fold(maker.id)
        assert [image.rating for image in studio.search.find(maker, PictureQuery()).items] == [rating]


def test_a_record_read_before_a_concurrent_change_is_not_cached(
    studio: Studio,
    paint: Callable[..., tuple[str, ...]],
    maker: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (image_id,) = paint()
    task, read = another_task(studio), studio.search._images.visible
    late: list[str] = []

    def read_and_wait(wanted: Any) -> Any:
        items = read(wanted)
        if not late:
            late.append("changed")
            studio.marks.rate_many(maker, [image_id], 5)
            task.find(maker, PictureQuery())
        return items

    task.facets(maker)
    monkeypatch.setattr(task, "_images", SimpleNamespace(visible=read_and_wait))
    assert [image.rating for image in task.find(maker, PictureQuery()).items] == [0]
    assert late
    assert [image.rating for image in task.find(maker, PictureQuery()).items] == [5]


def test_caches_are_bounded_and_freed_for_inactive_users(
    studio: Studio,
    paint: Callable[..., tuple[str, ...]],
    maker: User,
    other: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "MOST_IMAGES", 2)
    monkeypatch.setattr(memory, "MOST_PAGES", 2)
    paint(count=4)
    for text in ("", "red", "apple", "app"):
        assert len(found(studio, maker, text)) == 4
    kept = studio.search._kept[maker.id]
    assert (len(kept._images), len(kept._pages)) == (2, 2)
    monkeypatch.setattr(memory, "IMAGE_MAX_AGE_S", 0.0)
    found(studio, other)
    assert len(kept._images) == 0


def test_a_manually_deleted_record_disappears_from_the_search(
    studio: Studio,
    paint: Callable[..., tuple[str, ...]],
    maker: User,
    table: Table,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone, kept = paint(count=2)
    studio.search_index.fold(maker.id)
    assert len(found(studio, maker)) == 2
    job_id, n = keys.split_image_id(gone) or ("", 0)
    table.delete(keys.user_pk(maker.id), keys.image_sk(job_id, n))
    monkeypatch.setattr(memory, "IMAGE_MAX_AGE_S", 0.0)
    first = studio.search.find(maker, PictureQuery())
    assert [image.id for image in first.items] == [kept] and first.total == 1
    assert studio.search.find(maker, PictureQuery(), limit=1).next is None


@pytest.mark.parametrize(
    "query",
    [
        PictureQuery(text="x" * 201),
        PictureQuery(text="a " * 17),
        PictureQuery(rating=6),
        PictureQuery(since=datetime(2026, 2, 1).date(), until=datetime(2026, 1, 1).date()),  # noqa: DTZ001
        replace(PictureQuery(), sort="random"),  # type: ignore[arg-type]
    ],
)
def test_an_invalid_query_is_refused(studio: Studio, maker: User, query: PictureQuery) -> None:
    with pytest.raises(InvalidRequest):
        studio.search.find(maker, query)


@pytest.mark.parametrize("cursor", ["x", "../etc", "WzAsIDFd", "W10", "é", "A" * 500])
def test_an_invalid_cursor_is_refused(studio: Studio, maker: User, cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        studio.search.find(maker, PictureQuery(), after=cursor)


def test_query_syntax_in_the_text_is_treated_as_words(
    studio: Studio, paint: Callable[..., tuple[str, ...]], maker: User
) -> None:
    [image_id] = paint("a red apple")
    for text in (
        '" OR prompt:*',
        "NEAR(a b)",
        "{prompt tags}: a",
        "a* ^b",
        "'; DROP TABLE picture; --",
        "a\0b",
    ):
        studio.search.find(maker, PictureQuery(text=text))
    assert found(studio, maker, "a AND") == [], "AND is an ordinary word"
    assert found(studio, maker, "apple") == [image_id]
