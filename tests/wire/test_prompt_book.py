"""Tests of lists, templates, starred and recent prompts in the real table: private, limited and erasable."""

from __future__ import annotations

import pytest

from services.build import Studio
from services.errors import Conflict, InvalidRequest, LimitReached
from services.prompts.book import MAX_LISTS, MAX_STARS, RECENT
from services.prompts.syntax import expand
from services.records import JobRequest, User
from services.store import keys
from tests.endpoint import ScriptedEndpoint

HOSTILE = "![x](http://evil.example/x.png) <img src=x> $x^2$ \u202etxt \u200b 😀"


def test_a_list_is_stored_line_by_line_changed_and_deleted(studio: Studio, maker: User) -> None:
    book = studio.prompts
    made = book.save_list(maker, "animal", " cat \n\ndog\r\ncat\n" + HOSTILE, new=True)
    assert made.entries == ("cat", "dog", HOSTILE)
    pasted = "\ufeff# My animals\ncat\u200b\n\u200b\n#dog\n  # owl\n\u200e\u2060 fox #2 \u200f\n\ufeff\n👩\u200d🚀\n"
    assert book.save_list(maker, "pasted", pasted, new=True).entries == ("cat", "fox #2", "👩\u200d🚀")
    with pytest.raises(InvalidRequest, match="The list is empty"):
        book.save_list(maker, "comments", "# one\n#two\n\ufeff", new=True)
    book.delete_list(maker, "pasted")
    assert book.lists(maker) == (made,)
    changed = book.save_list(maker, "animal", "fox", new=False)
    assert book.entries(maker, ["animal", "bird", "NO/NAME"]) == {"animal": changed.entries}
    book.delete_list(maker, "animal")
    book.delete_list(maker, "animal")
    assert book.lists(maker) == ()


def test_a_new_list_never_replaces_an_existing_one(studio: Studio, maker: User) -> None:
    studio.prompts.save_list(maker, "animal", "cat", new=True)
    with pytest.raises(Conflict, match="There is a list of that name"):
        studio.prompts.save_list(maker, "animal", "dog", new=True)
    # A retry after a lost answer sends the same list again.
    studio.prompts.save_list(maker, "animal", "cat", new=True)
    assert studio.prompts.entries(maker, ["animal"]) == {"animal": ("cat",)}


def test_prompt_texts_are_private_to_their_maker(studio: Studio, maker: User, other: User) -> None:
    book = studio.prompts
    book.save_list(maker, "animal", "cat", new=True)
    book.save_template(maker, "film", "{prompt}, 35 mm", new=True)
    book.star(maker, "a red apple")
    studio.jobs.submit(maker, JobRequest(prompt="a secret apple"))
    assert (book.lists(other), book.templates(other), book.stars(other), book.recent(other)) == (
        (),
        (),
        (),
        (),
    )
    assert book.entries(other, ["animal"]) == {}
    book.delete_list(other, "animal")
    book.delete_template(other, "film")
    book.unstar(other, "a red apple")
    assert (len(book.lists(maker)), len(book.templates(maker)), len(book.stars(maker))) == (1, 1, 1)


@pytest.mark.parametrize("name", ["", "A", "a b", "a#b", "../x", "a__b", "_a", "a_", "x" * 41, "ä", "a\n"])
def test_a_name_that_cannot_be_used_in_a_prompt_is_refused(studio: Studio, maker: User, name: str) -> None:
    for save in (studio.prompts.save_list, studio.prompts.save_template):
        with pytest.raises(InvalidRequest) as refused:
            save(maker, name, "{prompt}", new=True)
        assert refused.value.param == "name"


def test_every_valid_name_can_be_used_in_a_prompt(studio: Studio, maker: User) -> None:
    for name in ("a", "sea-animals", "a_b-1_c", "9", "x" * 40, "-"):
        studio.prompts.save_list(maker, name, "cat", new=True)
        assert expand(f"a __{name}__!", studio.prompts.entries(maker, [name])) == ("a cat!",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" \n\n", "The list is empty"),
        ("cat\n" + "x" * 201, "Line 2 has 201 characters"),
        ("\n".join(str(n) for n in range(201)), "201 entries"),
        ("cat\nd\x07og", "Line 2 has a control character (U+0007)"),
        ("\ud800", "Line 1 has a control character (U+D800)"),
    ],
)
def test_an_invalid_list_is_refused_with_the_reason(
    studio: Studio, maker: User, text: str, words: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        studio.prompts.save_list(maker, "animal", text, new=True)
    assert words in refused.value.message and refused.value.param == "entries"
    assert studio.prompts.lists(maker) == ()


def test_the_largest_list_can_be_stored(studio: Studio, maker: User) -> None:
    entries = tuple(f"{n:03}" + "😀" * 197 for n in range(200))
    studio.prompts.save_list(maker, "large", "\n".join(entries), new=True)
    assert studio.prompts.entries(maker, ["large"]) == {"large": entries}


def test_there_are_at_most_a_hundred_lists(studio: Studio, maker: User) -> None:
    for n in range(MAX_LISTS):
        studio.prompts.save_list(maker, f"list-{n}", "cat", new=False)
    with pytest.raises(LimitReached, match="100 lists"):
        studio.prompts.save_list(maker, "one-more", "cat", new=True)
    # An existing list can still be changed.
    studio.prompts.save_list(maker, "list-0", "dog", new=False)


def test_a_template_must_contain_the_prompt_placeholder_once(studio: Studio, maker: User) -> None:
    made = studio.prompts.save_template(maker, "film", " a photo of {prompt}, 35 mm\n", new=True)
    assert studio.prompts.templates(maker) == (made,)
    assert made.text == "a photo of {prompt}, 35 mm"
    for text in ("a photo", "{prompt} {prompt}", "", "{prompt}" + "x" * 1000, "{prompt} \x00"):
        with pytest.raises(InvalidRequest) as refused:
            studio.prompts.save_template(maker, "bad", text, new=True)
        assert refused.value.param == "template"
    studio.prompts.delete_template(maker, "film")
    assert studio.prompts.templates(maker) == ()


def test_stars_are_stored_once_and_listed_latest_first(studio: Studio, maker: User) -> None:
    for text in ("a red apple", HOSTILE, "a red apple", "x" * 2000):
        studio.prompts.star(maker, text)
    assert set(studio.prompts.stars(maker)) == {"a red apple", HOSTILE, "x" * 2000}
    studio.prompts.unstar(maker, HOSTILE)
    studio.prompts.unstar(maker, HOSTILE)
    assert set(studio.prompts.stars(maker)) == {"a red apple", "x" * 2000}
    for text in (" ", "\x07", "x" * 4001):
        with pytest.raises(InvalidRequest):
            studio.prompts.star(maker, text)


def test_there_are_at_most_a_hundred_stars(studio: Studio, maker: User) -> None:
    for n in range(MAX_STARS):
        studio.prompts.star(maker, f"apple {n}")
    with pytest.raises(LimitReached, match="100 prompts"):
        studio.prompts.star(maker, "one more")
    studio.prompts.star(maker, "apple 7")
    assert studio.prompts.stars(maker)[0] == "apple 99"


def test_recent_prompts_are_distinct_newest_first_and_escaped_for_the_form(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    prompts = ["a rocket", "{red|blue} apple", "a rocket", HOSTILE]
    for prompt in prompts:
        studio.jobs.submit(maker, JobRequest(prompt=prompt))
    recent = studio.prompts.recent(maker)
    assert recent == (HOSTILE, "a rocket", r"\{red\|blue\} apple")
    assert expand(recent[2], {}) == ("{red|blue} apple",)
    for n in range(RECENT):
        studio.jobs.submit(maker, JobRequest(prompt=f"apple {n}"))
    assert len(studio.prompts.recent(maker)) == RECENT


def test_deleting_everything_erases_and_counts_the_texts(studio: Studio, maker: User, other: User) -> None:
    book = studio.prompts
    for user in (maker, other):
        book.save_list(user, "animal", "cat\ndog", new=True)
        book.save_template(user, "film", "{prompt}, 35 mm", new=True)
        book.star(user, "a red apple")
        book.star(user, "a rocket")
    assert studio.jobs.delete_all(maker).texts == 4
    assert (book.lists(maker), book.templates(maker), book.stars(maker)) == ((), (), ())
    assert book.entries(maker, ["animal"]) == {}
    assert (len(book.lists(other)), len(book.templates(other)), len(book.stars(other))) == (1, 1, 2)
    assert studio.jobs.delete_all(maker).texts == 0
    with pytest.raises(ValueError, match="user id"):
        keys.user_pk("../" + maker.id)
