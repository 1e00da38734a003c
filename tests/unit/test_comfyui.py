"""Tests of ComfyUI's graphs: values are followed by output index, and what a graph does not hold is named."""

from __future__ import annotations

from typing import Any

import pytest

from services.catalogue.cards import Catalogue
from services.recipes.comfyui import of_comfy
from services.recipes.comfyui_graph import Graph, UnresolvedError
from services.recipes.comfyui_kinds import KINDS
from services.recipes.fit_to_model import fit
from services.recipes.read_recipe import read_recipe
from services.recipes.recipe import Recipe, Unread
from tests import hostile_files as files
from tests.unit.test_recall import FROM_COMFY

CATALOGUE = Catalogue.load(frozenset({"pocket", "sd-turbo", "sdxl"}))
# Added to the texts' nodes: an encoder for each side, with its text from the link.
TEXTS = ("prompt", "negative_prompt")


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def of_graph(graph: dict[str, Any]) -> Recipe:
    return read_recipe(files.png({"prompt": files.dumps(graph)}))


def with_texts(positive: Any, negative: Any, **nodes: dict[str, Any]) -> Recipe:
    """Read ComfyUI's first workflow with other texts in its two encoders."""
    graph = files.comfy_graph()
    graph["6"] = node("CLIPTextEncode", text=positive, clip=["4", 1])
    graph["7"] = node("CLIPTextEncode", text=negative, clip=["4", 1])
    return of_graph(graph | nodes)


def with_sampler(changed: dict[str, Any], **nodes: dict[str, Any]) -> Recipe:
    """Read ComfyUI's first workflow with other inputs of its sampler."""
    return of_graph(files.comfy_graph(**changed) | nodes)


def said(found: Recipe) -> str:
    return "\n".join(fit(found, CATALOGUE.card("pocket"), CATALOGUE.models()).remarks)


@pytest.mark.parametrize(
    "link",
    [
        node("PrimitiveString", value="a heron"),
        node("PrimitiveStringMultiline", value="a heron"),
        node("easy positive", positive="a heron"),
        node("easy negative", negative="a heron"),
        node("Text Multiline", text="a heron"),
        node("CR Prompt Text", prompt="a heron"),
        node("CR Text", text="a heron"),
        node("String Literal", string="a heron"),
        node("StringConstantMultiline", string="a heron", strip_newlines=False),
        node("JWString", text="a heron"),
        node("DF_Text_Box", Text="a heron"),
        node("Primitive string multiline [Crystools]", string="a heron"),
        node("ShowText|pysssss", text="a heron", text_0="of the last run"),
        node("Power Prompt - Simple (rgthree)", prompt="a heron"),
        node("StringConcatenate", string_a="a", string_b="heron", delimiter=" "),
        node("StringConcatenate", string_a="a", string_b=" heron", delimiter=""),
        node("StringReplace", string="a bird", find="bird", replace="heron"),
        node("StringTrim", string=" a heron ", mode="Both"),
        node("Text Concatenate", delimiter=" ", clean_whitespace="true", text_a="a ", text_b="", text_c=" heron"),
        node("Text Find and Replace", text="a bird", find="bird", replace="heron"),
        node("JoinStrings", string1="a", string2="heron", delimiter=" "),
        node("JoinStringMulti", inputcount=3, string_1="a", string_2="heron", delimiter=" "),
        node("CR Text Concatenate", text1="a", text2="heron", separator=" "),
        node("CR Text Replace", text="one bird", find1="one", replace1="a", find2="bird", replace2="heron"),
        node("easy promptConcat", prompt1="a", prompt2="heron", separator=" "),
        node("ImpactWildcardProcessor", wildcard_text="a __bird__", populated_text="a heron", mode="populate"),
        node("ImpactWildcardProcessor", wildcard_text="a heron", populated_text="", mode="populate"),
        node("DPRandomGenerator", text="a heron", seed=3),
        node("SDXLPromptStyler", text_positive="a heron", text_negative="x", style="base"),
        node("CR Text Input Switch", Input=2, text1="x", text2="a heron"),
        node("ImpactSwitch", select=2, input1="x", input2="a heron"),
        node("Switch string [Crystools]", boolean=True, on_true="a heron", on_false="x"),
        node("ComfySwitchNode", switch=False, on_true="x", on_false="a heron"),
        node("Any Switch (rgthree)", any_02="a heron", any_03="x"),
    ],
    ids=lambda link: link["class_type"],
)  # fmt: skip
def test_a_text_is_read_from_every_known_node(link: dict[str, Any]) -> None:
    found = with_texts(["50", 0], "blurry", **{"50": link})
    # Two outputs of the same kind lie side by side in this pack.
    index = 1 if link["class_type"].startswith("Power Prompt") else 0
    if index:
        found = with_texts(["50", index], "blurry", **{"50": link})
    assert (found.prompt, found.negative_prompt, found.unread) == ("a heron", "blurry", ())


@pytest.mark.parametrize(
    ("link", "positive", "negative"),
    [
        (node("SDXLPromptStyler", text_positive="a heron", text_negative="noise", style="base"), 0, 1),
        (node("MilehighStyler", text_positive="a heron", text_negative="noise", milehigh="base"), 0, 1),
        (
            node("SDXLPromptStylerAdvanced", text_positive_g="a heron", text_positive_l="a heron",
                 text_negative="noise", style="base"),
            1, 4,
        ),
        (node("easy stylesSelector", positive="a heron", negative="noise", select_styles=""), 0, 1),
        (node("Text String", text="x", text_b="a heron", text_c="noise", text_d="y"), 1, 2),
        (node("ttN pipeLoader_v2", positive="a heron", negative="noise", ckpt_name="x", seed=1), 10, 11),
    ],
)  # fmt: skip
def test_two_texts_of_one_node_are_told_apart_by_output(
    link: dict[str, Any], positive: int, negative: int
) -> None:
    found = with_texts(["50", positive], ["50", negative], **{"50": link})
    assert (found.prompt, found.negative_prompt, found.unread) == ("a heron", "noise", ())
    crossed = with_texts(["50", negative], ["50", positive], **{"50": link})
    assert (crossed.prompt, crossed.negative_prompt) == ("noise", "a heron")


def test_both_sides_of_a_styler_are_followed_through_further_nodes() -> None:
    styler = node("SDXLPromptStyler", text_positive=["51", 0], text_negative=["52", 0], style="base")
    texts = {"51": node("Text Multiline", text="a heron"), "52": node("Text Multiline", text="noise")}
    graph = files.comfy_graph() | texts | {"50": styler}
    for number, output in (("6", 0), ("7", 1)):
        link = ["50", output]
        graph[number] = node("CLIPTextEncodeSDXL", text_g=link, text_l=link, width=1024, height=1024)
    found = of_graph(graph)
    assert (found.prompt, found.negative_prompt, found.width) == ("a heron", "noise", 512)


def test_the_words_of_a_style_are_not_in_the_file_and_that_is_told() -> None:
    styler = node("SDXLPromptStyler", text_positive="a heron", text_negative="noise", style="sai-anime")
    found = with_texts(["50", 0], ["50", 1], **{"50": styler})
    assert (found.prompt, found.negative_prompt) == ("a heron", "noise")
    assert [(missing.field, missing.partly) for missing in found.unread] == [(name, True) for name in TEXTS]
    assert "The prompt is what went into “SDXLPromptStyler”" in said(found)


@pytest.mark.parametrize(
    "link",
    [
        node("SomeNewPromptNode", text="a heron"),
        node("OllamaGenerate", prompt="describe a bird", model="llama"),
        node("ImpactWildcardProcessor", wildcard_text="a __bird__", populated_text="", mode="populate"),
        node("ImpactWildcardProcessor", wildcard_text="x", populated_text="a __birds/water__", mode="fixed"),
        node("DPRandomGenerator", text="a {heron|stork}", seed=3),
        node("DPRandomGenerator", text="{2$$red|blue|green} bird", seed=3),
        node("StringConcatenate", string_a="a", string_b=["51", 0], delimiter=" "),
        node("ImpactSwitch", select=["51", 0], input1="x", input2="a heron"),
        node("CR Text Input Switch", Input=3, text1="x", text2="a heron"),
        node("ComfySwitchNode", switch=["51", 0], on_true="x", on_false="a heron"),
        node("Reroute", a=["6", 0], b=["7", 0]),
    ],
    ids=lambda link: link["class_type"],
)
def test_a_text_that_the_graph_does_not_hold_is_left_empty_and_told(link: dict[str, Any]) -> None:
    found = with_texts(["50", 0], "blurry", **{"50": link, "51": node("Florence2Run", task="caption")})
    assert (found.prompt, found.negative_prompt, found.steps) == (None, "blurry", 20)
    [missing] = found.unread
    assert missing.field == "prompt" and not missing.partly
    assert f"The prompt is left out: it came from “{missing.part}”" in said(found)


def test_an_output_that_the_registry_does_not_know_is_never_another_one() -> None:
    styler = node("SDXLPromptStyler", text_positive="a heron", text_negative="noise", style="base")
    found = with_texts(["50", 2], ["50", -1], **{"50": styler})
    assert (found.prompt, found.negative_prompt) == (None, None)
    assert {missing.field for missing in found.unread} == set(TEXTS)


def test_a_link_to_a_node_that_is_not_there_is_told() -> None:
    found = with_texts(["99", 0], "blurry")
    assert found.prompt is None
    assert found.unread == (Unread(field="prompt", part="#99"),)


BIG = {
    "seed": ["60", 8], "steps": ["60", 9], "cfg": ["60", 11], "sampler_name": ["60", 13], "scheduler": ["60", 14],
    "model": ["60", 1], "positive": ["60", 4], "negative": ["60", 5], "latent_image": ["60", 6],
}  # fmt: skip
CONTEXT = {
    "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent": ["5", 0], "seed": ["61", 0],
    "steps": ["63", 0], "cfg": ["64", 0], "sampler": "euler", "scheduler": "normal",
}  # fmt: skip
NUMBERS = {
    "61": node("PrimitiveInt", value=42),
    "63": node("PrimitiveInt", value=31),
    "64": node("PrimitiveFloat", value=8.5),
}
FROM_CONTEXT = FROM_COMFY.model_copy(update={"seed": 42, "steps": 31, "guidance": 8.5})


def test_values_are_told_apart_by_the_outputs_of_a_context() -> None:
    context = {"60": node("Context Big (rgthree)", **CONTEXT)}
    assert with_sampler(BIG, **context, **NUMBERS) == FROM_CONTEXT


def test_a_context_passes_on_what_it_does_not_set() -> None:
    halves = [dict(list(CONTEXT.items())[:5]), dict(list(CONTEXT.items())[5:])]
    nodes = {
        "60": node("Context Big (rgthree)", base_ctx=["70", 0], **halves[1]),
        "70": node("Context Big (rgthree)", steps=9, **halves[0]),
    }
    assert with_sampler(BIG, **nodes, **NUMBERS) == FROM_CONTEXT


def test_contexts_are_merged_switched_and_rerouted() -> None:
    whole, older = node("Context Big (rgthree)", **CONTEXT), node("Context Big (rgthree)", seed=1, steps=2)
    merged = {
        "60": node("Context Merge Big (rgthree)", ctx_01=["71", 0], ctx_02=["72", 0]),
        "71": older,
        "72": whole,
    }
    assert with_sampler(BIG, **merged, **NUMBERS) == FROM_CONTEXT
    switched = {
        "60": node("Context Switch Big (rgthree)", ctx_02=["73", 0], ctx_03=["71", 0]),
        "71": older,
        "72": whole,
    }
    rerouted = {"73": node("Reroute", value=["72", 0])}
    assert with_sampler(BIG, **switched, **rerouted, **NUMBERS) == FROM_CONTEXT


def test_a_value_from_a_node_with_several_numbers_is_the_one_of_its_output() -> None:
    config = node(
        "KSampler Config (rgthree)",
        steps_total=31,
        refiner_step=24,
        cfg=8.5,
        sampler_name="ddim",
        scheduler="normal",
    )
    found = with_sampler(
        {"steps": ["60", 0], "cfg": ["60", 2], "sampler_name": ["60", 3], "scheduler": ["60", 4]},
        **{"60": config},
    )
    assert (found.steps, found.guidance, found.scheduler) == (31, 8.5, "ddim")


@pytest.mark.parametrize(
    ("field", "name", "link"),
    [
        ("seed", "seed", node("SomeRandomInt", seed=5, min=0, max=9)),
        ("steps", "steps", node("SimpleMath+", value="a*2", a=10)),
        ("guidance", "cfg", node("RandomFloat", value=7.0)),
        ("sampler", "sampler_name", node("PickASampler", sampler_name="euler")),
        ("size", "latent_image", node("ResolutionByMegapixels", width=512, height=512)),
        ("model", "model", node("MergeByBlocks", model1=["4", 0], model2=["4", 0])),
    ],
)
def test_a_number_or_choice_of_an_unknown_node_is_left_empty_and_told(
    field: str, name: str, link: dict[str, Any]
) -> None:
    found = with_sampler({name: ["60", 0]}, **{"60": link})
    assert [missing.field for missing in found.unread] == [field]
    values = found.model_dump()
    empty = ("width", "height") if field == "size" else (field,)
    assert all(values[name] is None for name in empty)
    assert f"“{link['class_type']}”" in said(found)


EFFICIENT = node(
    "Efficient Loader", ckpt_name="dream_8.safetensors", positive="a glass bottle", negative="watermark",
    empty_latent_width=512, empty_latent_height=640,
)  # fmt: skip
FROM_EFFICIENT = {"model": ["2", 0], "positive": ["2", 1], "negative": ["2", 2], "latent_image": ["2", 3]}


def test_an_efficient_loader_has_texts_size_and_model() -> None:
    assert with_sampler(FROM_EFFICIENT, **{"2": EFFICIENT}) == FROM_COMFY


SAMPLING = {"seed": 156680208700286, "steps": 20, "cfg": 8, "sampler_name": "euler", "scheduler": "normal"}
LOADED = EFFICIENT["inputs"]


@pytest.mark.parametrize(
    "nodes",
    [
        [
            node("easy fullLoader", **LOADED, resolution="width x height (custom)"),
            node("easy fullkSampler", pipe=["0", 0], **SAMPLING),
        ],
        [
            node("easy a1111Loader", **LOADED | {"empty_latent_width": 9}, resolution="512 x 640"),
            node("easy preSampling", pipe=["0", 0], **SAMPLING),
            node("easy kSampler", pipe=["1", 0], image_output="Preview"),
        ],
        [
            node("ttN pipeLoader_v2", **LOADED, seed=SAMPLING["seed"]),
            node("ttN pipeKSampler_v2", pipe=["0", 0], **SAMPLING),
        ],
        [
            node("Eff. Loader SDXL", **{"base_ckpt_name": LOADED["ckpt_name"]} | LOADED),
            node("KSampler SDXL (Eff.)", sdxl_tuple=["0", 0], latent_image=["0", 1], noise_seed=SAMPLING["seed"],
                 **{name: value for name, value in SAMPLING.items() if name != "seed"}),
        ],
        [
            EFFICIENT,
            node("ToBasicPipe", model=["0", 0], positive=["0", 1], negative=["0", 2]),
            node("ImpactKSamplerBasicPipe", basic_pipe=["1", 0], latent_image=["0", 3], **SAMPLING),
        ],
        [
            EFFICIENT,
            node("ToBasicPipe", model=["0", 0], positive=["0", 1], negative=["0", 2]),
            node("FromBasicPipe", basic_pipe=["1", 0]),
            node("KSampler", model=["2", 0], positive=["2", 3], negative=["2", 4], latent_image=["0", 3], **SAMPLING),
        ],
    ],
    ids=lambda nodes: nodes[-1]["class_type"],
)  # fmt: skip
def test_what_a_pipe_carries_is_read(nodes: list[dict[str, Any]]) -> None:
    assert of_graph({str(number): one for number, one in enumerate(nodes)}) == FROM_COMFY


@pytest.mark.parametrize(
    ("latent", "output"),
    [
        (node("EmptySD3LatentImage", width=832, height=1216), 0),
        (node("EmptySomeNewLatentImage", width=832, height=1216), 0),
        (node("EmptyLatentImagePresets", dimensions="832 x 1216 (portrait)", invert=False), 0),
        (node("EmptyLatentImagePresets", dimensions="1216 x 832 (landscape)", invert=True), 0),
        (node("SDXLEmptyLatentSizePicker+", resolution="832x1216 (0.68)", batch_size=1), 0),
        (node("SDXL Empty Latent Image (rgthree)", dimensions=" 832 x 1216  (portrait)"), 0),
        (node("CR SDXL Aspect Ratio", aspect_ratio="5:8 portrait 832x1216", width=9, swap_dimensions="Off"), 4),
        (node("CR SDXL Aspect Ratio", aspect_ratio="custom", width=1216, height=832, swap_dimensions="On"), 4),
        (node("easy fullLoader", resolution="832 x 1216", empty_latent_width=1, empty_latent_height=1), 6),
    ],
)  # fmt: skip
def test_the_size_is_read_from_every_known_latent(latent: dict[str, Any], output: int) -> None:
    found = with_sampler({"latent_image": ["60", output]}, **{"60": latent})
    assert (found.width, found.height, found.unread) == (832, 1216, ())


def test_a_side_of_the_size_can_come_from_another_node_by_its_output() -> None:
    ratio = node("CR SDXL Aspect Ratio", aspect_ratio="5:8 portrait 832x1216", swap_dimensions="Off")
    found = of_graph(
        files.comfy_graph() | {"5": node("EmptyLatentImage", width=["60", 0], height=["60", 1]), "60": ratio}
    )
    assert (found.width, found.height) == (832, 1216)


def test_a_sampling_that_starts_from_a_picture_says_so() -> None:
    nodes = {"60": node("VAEEncode", pixels=["61", 0], vae=["4", 2]), "61": node("LoadImage", image="x.png")}
    found = with_sampler({"latent_image": ["60", 0]}, **nodes)
    assert found.drawn_over and (found.width, found.height, found.unread) == (None, None, ())


def test_wildcards_are_encoded_beside_the_model_that_they_load() -> None:
    encoder = node(
        "ImpactWildcardEncode",
        model=["4", 0],
        clip=["4", 1],
        wildcard_text="a __x__",
        populated_text="a heron",
    )
    found = with_sampler({"model": ["60", 0], "positive": ["60", 2]}, **{"60": encoder})
    assert (found.prompt, found.model, found.guidance, found.unread) == ("a heron", "dream_8", 8.0, ())


def test_conditionings_pass_through_unknown_nodes_that_only_change_them() -> None:
    nodes = {
        "60": node("NewControlNet", positive=["6", 0], negative=["7", 0], image=["61", 0]),
        "62": node("NewRegion", conditioning=["60", 0], x=1),
    }
    found = with_sampler({"positive": ["62", 0], "negative": ["60", 1]}, **nodes)
    assert found == FROM_COMFY


def test_the_guidance_of_flux_is_found_through_several_conditionings() -> None:
    nodes = {
        "60": node("FluxGuidance", guidance=["63", 0], conditioning=["6", 0]),
        "61": node("ControlNetApplyAdvanced", positive=["60", 0], negative=["7", 0]),
        "63": node("PrimitiveFloat", value=3.5),
    }
    assert with_sampler({"positive": ["61", 0], "cfg": 1}, **nodes).guidance == 3.5
    encoded = node("CLIPTextEncodeFlux", clip_l="a heron", t5xxl="a heron", guidance=2.5)
    assert with_sampler({"positive": ["60", 0], "cfg": 1}, **{"60": encoded}).guidance == 2.5


@pytest.mark.parametrize(
    "changed", [{"positive": ["70", 0]}, {"seed": ["70", 0]}, {"latent_image": ["70", 0]}]
)
@pytest.mark.parametrize(
    "kind", ["Reroute", "ConditioningCombine", "StringConcatenate", "Context (rgthree)", "Unknown"]
)
def test_circles_and_long_chains_end(changed: dict[str, Any], kind: str) -> None:
    names = ("conditioning_1", "conditioning_2", "string_a", "string_b", "base_ctx", "conditioning")
    inputs = names if kind != "Reroute" else ("x",)
    for length in (3, 5000):
        chain = {
            str(70 + n): node(kind, **{name: [str(70 + (n + 1) % length), 0] for name in inputs})
            for n in range(length)
        }
        found = of_comfy(files.comfy_graph(**changed) | chain)
        assert found is not None and found.steps == 20
        assert found.unread


def test_texts_that_double_at_each_link_stay_bounded() -> None:
    chain = {
        str(70 + n): node(
            "StringConcatenate", string_a=[str(71 + n), 0], string_b=[str(71 + n), 0], delimiter="x"
        )
        for n in range(30)
    }
    chain["100"] = node("PrimitiveString", value="a heron")
    with pytest.raises(Exception, match="20001 characters"):
        with_texts(["70", 0], "x", **chain)


@pytest.mark.parametrize(
    "field", ["positive", "guidance", "seed", "steps", "sampler", "width", "model", "latent/width"]
)
def test_every_kind_answers_for_inputs_that_are_missing(field: str) -> None:
    for name, kind in KINDS.items():
        graph = Graph({"60": node(name)}, KINDS)
        for output in range(-1, len(kind.outputs) + 1):
            try:
                found = graph.follow(["60", output], field)
            except UnresolvedError as unresolved:
                assert unresolved.part == name
            else:
                # Some nodes have one sampler or schedule, whatever goes in.
                assert not found or name.startswith("Sampler") or name.endswith("Scheduler")
