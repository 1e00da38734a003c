"""Tests of several prompts from one form: alternatives, lists, templates, and recent and starred prompts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app.state import prompt_cache
from app.ui.common import idempotency
from app.ui.create.prompt_book import edit_prompt_book
from services.aws.table import Table
from services.build import Studio
from services.errors import Unavailable
from services.records import JobRequest, User
from tests.ui.conftest import words
from tests.ui.test_generate import submit

HOSTILE = "![x](http://evil.example/x.png) <img src=x> $x^2$ :red[y] \u202etxt\u200b end"
SHOWN = "![x](http://evil.example/x.png) <img src=x> $x^2$ :red[y] ⟨RLO⟩txt⟨ZWSP⟩ end"


def drawn(studio: Studio, user: User) -> list[str]:
    """Return the prompts of the user's jobs in order of creation."""
    return [job.spec.prompt for job in reversed(studio.jobs.list(user, limit=60).items)]


def labels(at: AppTest) -> str:
    """Return all texts rendered as Markdown."""
    kinds = ("markdown", "caption", "error", "warning", "info", "success", "toast")
    shown = [str(getattr(element, "value", "")) for kind in kinds for element in at.get(kind)]
    return "\n".join([*shown, *(button.label for button in at.button), *(box.label for box in at.expander)])


def test_alternatives_are_priced_and_previewed_before_they_are_sent(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = open_page()
    at.segmented_control(key="g_count").set_value(2)
    at.text_area(key="g_prompt").set_value("a {red|blue|green} {apple|pear}").run()
    [price] = [caption.value for caption in at.caption if " prompts x " in caption.value]
    assert price.startswith("6 prompts x 2 pictures = 12 pictures, ") and "\\$" in price and " · " in price
    assert "1. a red apple\n2. a red pear\n3. a blue apple" in words(at)
    assert [box.label for box in at.expander if "prompts" in box.label] == ["Preview 6 prompts"]
    assert drawn(studio, maker) == []


def test_one_click_submits_a_job_for_each_prompt_and_shows_all(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "DOUBLE_CLICK_S", 60.0)
    at = submit(open_page(), "a {red|blue|green} apple")
    assert drawn(studio, maker) == ["a red apple", "a blue apple", "a green apple"]
    jobs = studio.jobs.list(maker).items
    for job in jobs:
        assert not at.button(key=f"cancel_{job.id}").disabled
    assert at.query_params["job"] == jobs[-1].id
    assert at.session_state["open_jobs"] == [job.id for job in reversed(jobs)]
    # The second click of a double click.
    at.button(key="generate").click().run()
    assert len(drawn(studio, maker)) == 3


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ("an {apple|pear", "is never closed"),
        ("a __nothing__", "There is no list called nothing"),
        ("{a|b|c|d|e|f|g|h}" * 20, "over a million combinations"),
    ],
)
def test_a_prompt_that_cannot_be_expanded_is_reported_and_not_sent(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, prompt: str, problem: str
) -> None:
    at = open_page()
    at.text_area(key="g_prompt").set_value(prompt).run()
    assert problem in words(at)
    at.button(key="generate").click().run()
    assert problem in words(at)
    assert drawn(studio, maker) == [] and not at.exception


def test_one_refused_alternative_is_reported_and_no_job_is_sent(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = submit(open_page(), "a {red apple|naked child}")
    assert "Found: “naked" in words(at)
    assert drawn(studio, maker) == []


def test_a_failure_midway_is_reported_and_the_next_click_sends_the_rest(
    open_page: Callable[..., AppTest],
    studio: Studio,
    maker: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # DynamoDB becomes unavailable after two jobs were written.
    real = Table.transact
    written: list[int] = []

    def breaking(table: Table, writes: list[object]) -> None:
        if len(written) >= 2:
            raise Unavailable("The table is busy.")
        # A first try that its budget shard refuses writes nothing and must not be counted.
        real(table, writes)  # type: ignore[arg-type]
        written.append(1)

    at = open_page()
    with monkeypatch.context() as fault:
        fault.setattr(Table, "transact", breaking)
        at = submit(at, "a {red|blue|green} apple")
    assert "2 of 3 jobs were sent and are running. The others were not sent: The table is busy" in words(at)
    assert drawn(studio, maker) == ["a red apple", "a blue apple"]
    assert len(at.session_state["open_jobs"]) == 2
    at.button(key="generate").click().run()
    assert drawn(studio, maker) == ["a red apple", "a blue apple", "a green apple"]
    assert "jobs were sent" not in words(at)


def test_more_pictures_than_the_daily_limit_are_refused_before_any_is_sent(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = studio.settings.model_copy(update={"user_daily_images": 3})
    monkeypatch.setattr(studio.ledger, "_settings", limited)
    at = submit(open_page(), "a {red|blue|green|black} apple")
    assert "of 3 pictures today you have made 0" in words(at)
    assert drawn(studio, maker) == []


def test_only_the_users_own_list_is_expanded(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, other: User
) -> None:
    studio.prompts.save_list(other, "animal", "a secret cat", new=True)
    studio.prompts.save_list(maker, "animal", "fox\n" + HOSTILE, new=True)
    at = open_page()
    at.text_area(key="g_prompt").set_value("a __animal__").run()
    assert f"1. a fox\n2. a {SHOWN}" in words(at)
    assert "evil" not in labels(at) and "secret" not in words(at)
    at.button(key="generate").click().run()
    assert drawn(studio, maker) == ["a fox", "a " + HOSTILE]


def test_a_template_is_applied_and_the_jobs_store_the_complete_prompt(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    assert not [box for box in open_page().selectbox if box.key == "g_template"]
    studio.prompts.save_template(maker, "film", "a {photo|sketch} of {prompt}, 35 mm", new=True)
    at = open_page()
    assert at.selectbox(key="g_template").value == ""
    at.selectbox(key="g_template").select("film")
    at = submit(at, "an apple")
    assert drawn(studio, maker) == ["a photo of an apple, 35 mm", "a sketch of an apple, 35 mm"]
    # The selection survives a page change, and a deleted template is not applied.
    at.switch_page("app/pages/gallery.py").run()
    at.switch_page("app/pages/generate.py").run()
    assert at.selectbox(key="g_template").value == "film"
    studio.prompts.delete_template(maker, "film")
    at.session_state[prompt_cache.KEPT] = {}
    at.run()
    assert at.session_state["g_template"] == ""
    submit(at, "a plain apple")
    assert drawn(studio, maker)[-1] == "a plain apple"


def test_an_empty_prompt_with_a_template_is_refused(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    studio.prompts.save_template(maker, "film", "{prompt}, 35 mm", new=True)
    at = open_page()
    at.selectbox(key="g_template").select("film")
    assert "The prompt is empty" in words(submit(at, "  "))
    assert drawn(studio, maker) == []


def test_a_recalled_prompt_is_escaped_and_used_without_the_template(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, draw: Callable[..., object]
) -> None:
    studio.prompts.save_template(maker, "film", "{prompt}, 35 mm", new=True)
    draw("{red|blue} apple")
    [job] = studio.jobs.list(maker).items
    at = open_page()
    at.selectbox(key="g_template").select("film").run()
    at.button(key=f"remix_{job.id}").click().run()
    assert at.text_area(key="g_prompt").value == r"\{red\|blue\} apple"
    assert at.selectbox(key="g_template").value == ""
    at.button(key="generate").click().run()
    assert drawn(studio, maker) == ["{red|blue} apple"] * 2


def test_recent_prompts_are_read_when_the_box_opens_and_fill_the_form(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for prompt in ("a rocket", "{red|blue} apple", HOSTILE):
        studio.jobs.submit(maker, JobRequest(prompt=prompt))
    at = open_page()
    assert not [button for button in at.button if str(button.key).startswith("use_")]
    at.session_state["recent_box"] = True
    at.run()
    assert SHOWN in [text.value for text in at.text] and "evil" not in labels(at)
    rows = [str(button.key) for button in at.button if str(button.key).startswith("use_")]
    assert len(rows) == 3
    at.button(key=rows[1]).click().run()
    assert at.text_area(key="g_prompt").value == r"\{red\|blue\} apple"
    assert at.session_state["recent_box"] is False
    assert not [button for button in at.button if str(button.key).startswith("use_")]


def test_a_starred_prompt_comes_first_until_the_star_is_removed(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    for prompt in ("a rocket", "an apple"):
        studio.jobs.submit(maker, JobRequest(prompt=prompt))
    at = open_page()
    at.session_state["recent_box"] = True
    at.run()
    stars = [str(button.key) for button in at.button if str(button.key).startswith("star_")]
    at.button(key=stars[1]).click().run()
    assert studio.prompts.stars(maker) == ("a rocket",)
    shown = [text.value for text in at.text]
    assert shown.index("a rocket") < shown.index("an apple")
    at.text_area(key="g_prompt").set_value("{red|blue} apple").run()
    at.button(key="star_typed").click().run()
    assert studio.prompts.stars(maker) == ("{red|blue} apple", "a rocket")
    at.button(key="un" + stars[1]).click().run()
    assert studio.prompts.stars(maker) == ("{red|blue} apple",)


def test_a_rerun_does_not_read_lists_and_templates_from_dynamodb(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.prompts.save_list(maker, "animal", "cat\ndog", new=True)
    studio.prompts.save_template(maker, "film", "{prompt}, 35 mm", new=True)
    at = open_page()
    at.selectbox(key="g_template").select("film")
    at.text_area(key="g_prompt").set_value("a __animal__").run()
    asked: list[str] = []

    def counted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def read(table: Table, *arguments: object, **named: object) -> object:
            # Ignore reads by other threads for other makers.
            if maker.id in f"{arguments}{named}":
                asked.append(name)
            return real(table, *arguments, **named)

        return read

    for name in ("get", "_get_batch", "query"):
        monkeypatch.setattr(Table, name, counted(name, getattr(Table, name)))
    at.segmented_control(key="g_count").set_value(2).run()
    at.text_area(key="g_prompt").set_value("two __animal__").run()
    assert "1. two cat, 35 mm\n2. two dog, 35 mm" in words(at)
    assert asked == [] and not at.exception
    # Control: a list not read before causes a counted request.
    at.text_area(key="g_prompt").set_value("a __bird__").run()
    assert asked == ["_get_batch"]


def test_a_list_is_created_changed_and_deleted_in_the_dialog(
    in_dialog: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = in_dialog(edit_prompt_book).run()
    at.text_input(key="book_list_name").set_value(" Animal ")
    at.text_area(key="book_list_text_").set_value(f"cat\n\n{HOSTILE}\ncat")
    at.button(key="book_list_save").click().run()
    assert studio.prompts.entries(maker, ["animal"]) == {"animal": ("cat", HOSTILE)}
    assert "Saved 2 entries" in words(at) and "evil" not in labels(at)
    assert at.selectbox(key="book_list_chosen").value == "animal"
    at.text_area(key="book_list_text_animal").set_value("fox")
    at.button(key="book_list_save").click().run()
    assert studio.prompts.entries(maker, ["animal"]) == {"animal": ("fox",)}
    at.button(key="book_list_sure").click().run()
    assert studio.prompts.lists(maker) == ()
    assert at.selectbox(key="book_list_chosen").value == "" and not at.exception


def test_a_template_is_created_in_the_dialog_and_one_without_placeholder_is_refused(
    in_dialog: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = in_dialog(edit_prompt_book).run()
    at.segmented_control(key="book_kind").set_value("template").run()
    at.text_input(key="book_template_name").set_value("film")
    at.text_area(key="book_template_text_").set_value("35 mm " + HOSTILE)
    at.button(key="book_template_save").click().run()
    assert "The template has no \\{prompt\\}" in words(at) and studio.prompts.templates(maker) == ()
    # The typed text is kept so that it can be corrected.
    assert at.text_area(key="book_template_text_").value == "35 mm " + HOSTILE
    at.text_area(key="book_template_text_").set_value("{prompt}, 35 mm")
    at.button(key="book_template_save").click().run()
    assert [each.name for each in studio.prompts.templates(maker)] == ["film"]
    assert "Saved. Choose" in words(at) and not at.exception


def test_a_new_list_does_not_overwrite_one_created_in_another_window(
    in_dialog: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = in_dialog(edit_prompt_book).run()
    studio.prompts.save_list(maker, "animal", "cat", new=True)
    at.text_input(key="book_list_name").set_value("animal")
    at.text_area(key="book_list_text_").set_value("dog")
    at.button(key="book_list_save").click().run()
    assert "There is a list of that name" in words(at)
    assert studio.prompts.entries(maker, ["animal"]) == {"animal": ("cat",)}
