"""Tests of prompt templates: their expansion, refused syntax, and bounded work."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from services.errors import InvalidRequest
from services.prompts.syntax import MAX_PROMPTS, check_template, escape, expand, list_names

LISTS = {"animal": ("cat", "dog"), "none": ()}


@pytest.mark.parametrize(
    ("text", "prompts"),
    [
        ("a red apple", ("a red apple",)),
        ("", ("",)),
        ("{red|blue} apple", ("red apple", "blue apple")),
        ("{red |}apple", ("red apple", "apple")),
        ("{a|b}{1|2}", ("a1", "a2", "b1", "b2")),
        ("{a|{b|c} d} e", ("a e", "b d e", "c d e")),
        ("{a|a|b}", ("a", "b")),
        ("a __animal__", ("a cat", "a dog")),
        ("a __Animal__", ("a cat", "a dog")),
        ("{__animal__|bird}", ("cat", "dog", "bird")),
        ("__animal__ and __animal__", ("cat and cat", "cat and dog", "dog and cat", "dog and dog")),
        # Without alternatives the braces are literal, and their content is still expanded.
        ("{x} {prompt} {}", ("{x} {prompt} {}",)),
        ("{{a|b}}", ("{a}", "{b}")),
        ("a | b } c", ("a | b } c",)),
        (r"\{a|b\} \\ \| \__animal__ \(x\)", (r"{a|b} \ | __animal__ \(x\)",)),
        ("____ _a_ __ __a b__", ("____ _a_ __ __a b__",)),
        (r"__a\_b__ __a/__ \__a/b__", (r"__a_b__ __a/__ __a/b__",)),
    ],
)
def test_a_prompt_expands_to_all_its_combinations_in_order(text: str, prompts: tuple[str, ...]) -> None:
    assert expand(text, LISTS) == prompts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("an {apple|pear", "position 4 of the prompt is never closed"),
        ("{a {b|c}", "position 1 of the prompt is never closed"),
        ("a __bird__", "no list called bird (position 3 of the prompt)"),
        ("a {red|__bird__}", "no list called bird (position 8 of the prompt)"),
        ("a __Animals/bird__", "no list called animals/bird (position 3 of the prompt)"),
        ("__a_b/c-d/*__", "no list called a_b/c-d/* (position 1 of the prompt)"),
        (r"{red|__animals\bird__}", r"no list called animals\bird (position 6 of the prompt)"),
        ("__none__", "has no entries"),
        ("{" * 21 + "a|b" + "}" * 21, "nested over 20 deep at position 21"),
        ("x" * 4001, "has 4001 characters"),
        ("{a|b|c}{a|b|c}{a|b|c}{a|b}", "54 combinations; at most 50"),
        # An empty list must not make the product zero and so pass the limit.
        ("{a|b|c|d|e|f|g|h}" * 20 + "__none__", "has no entries"),
    ],
)
def test_a_prompt_that_cannot_be_expanded_is_refused_with_position_and_reason(text: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        expand(text, LISTS)
    assert words in refused.value.message
    assert refused.value.param == "prompt"


@pytest.mark.parametrize("text", ["{a|b|c|d|e|f|g|h}" * 20, "__animal__" * 300, "{a|b}" * 700])
def test_combinations_are_counted_before_they_are_generated(text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest, match="over a million combinations"):
            expand(text, LISTS)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_the_largest_allowed_number_of_prompts_is_generated() -> None:
    assert len(expand("{a|b|c|d|e}{0|1|2|3|4|5|6|7|8|9}", LISTS)) == MAX_PROMPTS


def test_a_template_wraps_every_prompt_and_may_have_alternatives() -> None:
    assert expand("{red|blue} apple", LISTS, template="a photo of {prompt}, 35 mm") == (
        "a photo of red apple, 35 mm",
        "a photo of blue apple, 35 mm",
    )
    assert expand("x|y", LISTS, template="{a {prompt}|__animal__}") == ("a x|y", "cat", "dog")
    assert expand("{prompt}", LISTS, template="<{prompt}>") == ("<{prompt}>",)


def test_the_combinations_of_prompt_and_template_are_counted_together() -> None:
    with pytest.raises(InvalidRequest, match="64 combinations"):
        expand("{1|2|3|4|5|6|7|8}", LISTS, template="{1|2|3|4|5|6|7|8} {prompt}")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("a photo", "no {prompt}"),
        (r"a \{prompt\}", "no {prompt}"),
        ("{prompt} and {prompt}", "2 times"),
        ("{a|{prompt}", "position 1 of the template is never closed"),
    ],
)
def test_a_template_without_exactly_one_prompt_placeholder_is_refused(template: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_template(template)
    assert words in refused.value.message
    assert refused.value.param == "template"


def test_the_prompt_placeholder_may_be_inside_braces() -> None:
    check_template("{a photo|a drawing} of {prompt}")
    check_template("{a {prompt}|nothing}")


def test_the_list_names_in_prompt_and_template_are_found() -> None:
    assert list_names(r"a {__animal__|\__no__} __B-2__", template="{prompt} in __place__") == {
        "animal",
        "b-2",
        "place",
    }


def test_any_escaped_text_expands_to_itself() -> None:
    chance = random.Random(7)
    assert escape("a red apple (big) {x} 50 % _") == "a red apple (big) {x} 50 % _"
    assert escape("{red|blue} __animal__") == r"\{red\|blue\} \__animal\__"
    for _ in range(3000):
        text = "".join(chance.choice(r"{}|_\ab-") for _ in range(chance.randrange(30)))
        assert expand(escape(text), {}) == (text,)
