"""The registry of ComfyUI's nodes: one line a kind, with the inputs that its outputs give, in order.

A node that is missing here gives nothing but what `comfyui_graph` says about unknown ones; the page says its name.
The rules are in `comfyui_rules`; `None` stands for outputs that no recipe needs.
"""

from __future__ import annotations

from services.recipes.comfyui_graph import Kind
from services.recipes.comfyui_rules import (
    Spec,
    channel,
    chosen,
    const,
    each,
    each_beginning,
    encode,
    first_numbered,
    from_picture,
    joined,
    joined_numbered,
    kind,
    nothing,
    only_link,
    populated,
    replaced,
    selected,
    side,
    sized,
    styled,
    template,
    thing,
    trimmed,
    unpack,
)

_CHECKPOINT = thing(model="ckpt_name")
_SIZE, _RATIO, _RESOLUTION = sized(), sized("aspect_ratio"), sized("resolution")
_PRESET = sized("dimensions", swap="invert")
_POSITIVE, _NEGATIVE = (styled(f"text_{name}", style="style") for name in ("positive", "negative"))
_TWO_PROMPTS = encode("prompt_g", "prompt_l")
_GUIDED = thing(model="model", positive="positive", negative="negative", guidance="positive", cfg="cfg")
# Loaders of the Efficiency Nodes and their successors make an empty latent as well.
_LATENT = sized("resolution", "empty_latent_aspect", width="empty_latent_width", height="empty_latent_height")
_LOADED: dict[str, Spec] = {
    "model": "ckpt_name",
    "positive": "positive",
    "negative": "negative",
    "latent": _LATENT,
}
_OVERRIDES: dict[str, Spec] = {
    name: f"optional_{name}" for name in ("model", "positive", "negative", "latent")
}
_SAMPLING: dict[str, Spec] = {
    "seed": "seed",
    "steps": "steps",
    "cfg": "cfg",
    "sampler": "sampler_name",
    "scheduler": "scheduler",
}
_PRESAMPLING = _SAMPLING | {"latent": "latent"}
_POPULATED = populated("populated_text", "wildcard_text")
_THREE_PAIRS = tuple((f"find{number}", f"replace{number}") for number in (1, 2, 3))
_BASIC_PIPE = ("model", "clip", "vae", "positive", "negative")
_CONTEXT = ("model", "clip", "vae", "positive", "negative", "latent", "images", "seed")
_CONTEXT_BIG = (
    *_CONTEXT, "steps", "step_refiner", "cfg", "ckpt_name", "sampler", "scheduler", "clip_width", "clip_height",
    "text_pos_g", "text_pos_l", "text_neg_g", "text_neg_l", "mask", "control_net",
)  # fmt: skip


def _context(names: tuple[str, ...]) -> Kind:
    return kind(
        None, *(channel(name) for name in names), pipe={name: name for name in names}, base=("base_ctx",)
    )


def _merged(names: tuple[str, ...]) -> Kind:
    # The last context that has a value wins.
    return kind(None, *(channel(name) for name in names), base=tuple(f"ctx_{n:02}" for n in range(5, 0, -1)))


def _switched(names: tuple[str, ...]) -> Kind:
    return kind(first_numbered("ctx"), *(unpack(name, "ctx") for name in names))


KINDS: dict[str, Kind] = {
    # Prompts to conditionings.
    "CLIPTextEncode": kind(encode("text")),
    "CLIPTextEncodeSDXL": kind(encode("text_g", "text_l")),
    "CLIPTextEncodeSDXLRefiner": kind(encode("text")),
    "CLIPTextEncodeSD3": kind(encode("clip_g", "clip_l", "t5xxl")),
    "CLIPTextEncodeFlux": kind(thing(text=encode("t5xxl", "clip_l"), guidance="guidance")),
    "CLIPTextEncodeHiDream": kind(encode("clip_g", "clip_l", "t5xxl", "llama")),
    "CLIPTextEncodeHunyuanDiT": kind(encode("bert", "mt5xl")),
    "CLIPTextEncodeKandinsky5": kind(encode("clip_l", "qwen25_7b")),
    "CLIPTextEncodeLumina2": kind(encode("user_prompt")),
    "CLIPTextEncodePixArtAlpha": kind(encode("text")),
    "TextEncodeQwenImageEdit": kind(encode("prompt")),
    "TextEncodeQwenImageEditPlus": kind(encode("prompt")),
    "BNK_CLIPTextEncodeAdvanced": kind(encode("text")),
    "BNK_CLIPTextEncodeSDXLAdvanced": kind(encode("text_g", "text_l")),
    "smZ CLIPTextEncode": kind(encode("text")),
    "CLIPTextEncodeSDXL+": kind(encode("text")),
    "Text to Conditioning": kind(encode("text")),
    "CLIPTextEncode (NSP)": kind(template("text")),
    "CR SDXL Base Prompt Encoder": kind(encode("pos_g", "pos_l"), encode("neg_g", "neg_l")),
    "Power Prompt (rgthree)": kind(encode("prompt"), "opt_model", "opt_clip", "prompt"),
    "Power Prompt - Simple (rgthree)": kind(encode("prompt"), "prompt"),
    "SDXL Power Prompt - Positive (rgthree)": kind(_TWO_PROMPTS, "opt_model", "opt_clip", "prompt_g", "prompt_l"),
    "SDXL Power Prompt - Simple / Negative (rgthree)": kind(_TWO_PROMPTS, "prompt_g", "prompt_l"),
    "ImpactWildcardEncode": kind("model", "clip", _POPULATED, _POPULATED),
    "WildcardEncode //Inspire": kind("model", "clip", _POPULATED, _POPULATED),
    # Conditionings to conditionings.
    "ConditioningCombine": kind(each("conditioning_1", "conditioning_2")),
    "ConditioningConcat": kind(each("conditioning_to", "conditioning_from")),
    "ConditioningAverage": kind(each("conditioning_to", "conditioning_from")),
    "ConditioningMultiCombine": kind(each_beginning("conditioning")),
    "ConditioningZeroOut": kind(nothing),
    "FluxGuidance": kind(thing("conditioning", guidance="guidance")),
    "ControlNetApply": kind("conditioning"),
    "ControlNetApplyAdvanced": kind("positive", "negative"),
    "ControlNetApplySD3": kind("positive", "negative"),
    "ControlNetInpaintingAliMamaApply": kind("positive", "negative"),
    "ACN_AdvancedControlNetApply": kind("positive", "negative", "model_optional"),
    "InpaintModelConditioning": kind("positive", "negative", from_picture),
    "InstructPixToPixConditioning": kind("positive", "negative", from_picture),
    # Texts.
    "PrimitiveString": kind("value"),
    "PrimitiveStringMultiline": kind("value"),
    "StringConcatenate": kind(joined("string_a", "string_b", by="delimiter", keep_empty=True)),
    "StringReplace": kind(replaced("string", ("find", "replace"))),
    "StringTrim": kind(trimmed("string", "mode")),
    "PreviewAny": kind("source"),
    "Text Multiline": kind("text"),
    "Text Multiline (Code Compatible)": kind("text"),
    "Text String": kind("text", "text_b", "text_c", "text_d"),
    "Text Concatenate": kind(joined("text_a", "text_b", "text_c", "text_d", by="delimiter", default=", ")),
    "Text Find and Replace": kind(replaced("text", ("find", "replace"))),
    "Text to Console": kind("text"),
    "Text Parse Noodle Soup Prompts": kind(template("text")),
    "ImpactWildcardProcessor": kind(_POPULATED),
    "DPRandomGenerator": kind(template("text")),
    "DPCombinatorialGenerator": kind(template("text")),
    "easy positive": kind("positive"),
    "easy negative": kind("negative"),
    "easy wildcards": kind("text", template("text")),
    "easy string": kind("value"),
    "easy showAnything": kind("anything"),
    "easy promptConcat": kind(joined("prompt1", "prompt2", by="separator")),
    "easy promptReplace": kind(replaced("prompt", *_THREE_PAIRS)),
    "easy stylesSelector": kind(styled("positive", style="select_styles"), styled("negative", style="select_styles")),
    "SDXLPromptStyler": kind(_POSITIVE, _NEGATIVE),
    "SDXLPromptStylerAdvanced": kind(
        styled("text_positive_g", style="style"), styled("text_positive_l", style="style"),
        styled("text_positive_g", "text_positive_l", style="style"),
        _NEGATIVE, _NEGATIVE, _NEGATIVE,
    ),
    "MilehighStyler": kind(styled("text_positive", style="milehigh"), styled("text_negative", style="milehigh")),
    "ShowText|pysssss": kind("text"),
    "PresetText|pysssss": kind("text"),
    "CR Prompt Text": kind("prompt"),
    "CR Text": kind("text"),
    "CR Multiline Text": kind("text"),
    "CR Text Concatenate": kind(joined("text1", "text2", by="separator", keep_empty=True)),
    "CR Combine Prompt": kind(joined("part1", "part2", "part3", "part4", by="separator", keep_empty=True)),
    "CR Text Replace": kind(replaced("text", *_THREE_PAIRS)),
    "StringConstant": kind("string"),
    "StringConstantMultiline": kind("string"),
    "JoinStrings": kind(joined("string1", "string2", by="delimiter", keep_empty=True)),
    "JoinStringMulti": kind(joined_numbered("string", by="delimiter")),
    "String Literal": kind("string"),
    "String Literal (Image Saver)": kind("string"),
    "JWString": kind("text"),
    "JWStringMultiline": kind("text"),
    "DF_Text": kind("Text"),
    "DF_Text_Box": kind("Text"),
    "Primitive string [Crystools]": kind("string"),
    "Primitive string multiline [Crystools]": kind("string"),
    "TextInput_": kind("text"),
    "ttN text": kind("text"),
    "ttN textDebug": kind("text"),
    # Numbers and choices.
    "PrimitiveNode": kind("value"),
    "PrimitiveInt": kind("value"),
    "PrimitiveFloat": kind("value"),
    "PrimitiveBoolean": kind("value"),
    "Seed (rgthree)": kind("seed"),
    "Power Primitive (rgthree)": kind("value"),
    "KSampler Config (rgthree)": kind("steps_total", "refiner_step", "cfg", "sampler_name", "scheduler"),
    "easy seed": kind("seed"),
    "easy int": kind("value"),
    "easy float": kind("value"),
    "Seed": kind("seed", "seed", "seed", "seed"),
    "Seed Generator": kind("seed"),
    "Seed Everywhere": kind("seed"),
    "CR Seed": kind("seed"),
    "Constant Number": kind("number", "number", "number"),
    "Number Input Switch": kind(chosen("boolean", "number_a", "number_b")),
    "ImpactInt": kind("value"),
    "ImpactFloat": kind("value"),
    "INTConstant": kind("value"),
    "FloatConstant": kind("value"),
    "Int Literal": kind("int"),
    "Int Literal (Image Saver)": kind("int"),
    "Float Literal (Image Saver)": kind("float"),
    "Cfg Literal": kind("float"),
    "Cfg Literal (Image Saver)": kind("float"),
    "Width/Height Literal": kind("int"),
    "Width/Height Literal (Image Saver)": kind("int"),
    "Sampler Selector": kind("sampler_name"),
    "Sampler Selector (Image Saver)": kind("sampler_name"),
    "Scheduler Selector": kind("scheduler"),
    "Scheduler Selector (Image Saver)": kind("scheduler"),
    "JWInteger": kind("value"),
    "JWFloat": kind("value"),
    "DF_Integer": kind("Value"),
    "DF_Float": kind("Value"),
    "Primitive integer [Crystools]": kind("int"),
    "Primitive float [Crystools]": kind("float"),
    "Primitive boolean [Crystools]": kind("boolean"),
    "ttN int": kind("int"),
    "ttN float": kind("float"),
    "ttN seed": kind("seed"),
    # Nodes that pass on one of their inputs.
    "Reroute": kind(only_link),
    "Any Switch (rgthree)": kind(first_numbered("any")),
    "ImpactSwitch": kind(selected("select", "input{}")),
    "LatentSwitch": kind(selected("select", "input{}")),
    "ImpactConditionalBranch": kind(chosen("cond", "tt_value", "ff_value")),
    "ComfySwitchNode": kind(chosen("switch", "on_true", "on_false")),
    "Switch any [Crystools]": kind(chosen("boolean", "on_true", "on_false")),
    "Switch string [Crystools]": kind(chosen("boolean", "on_true", "on_false")),
    "Switch conditioning [Crystools]": kind(chosen("boolean", "on_true", "on_false")),
    "Switch latent [Crystools]": kind(chosen("boolean", "on_true", "on_false")),
    "CR Text Input Switch": kind(selected("Input", "text{}")),
    "CR Conditioning Input Switch": kind(selected("Input", "conditioning{}")),
    "CR Model Input Switch": kind(selected("Input", "model{}")),
    "CR Latent Input Switch": kind(selected("Input", "latent{}")),
    "Text Input Switch": kind(chosen("boolean", "text_a", "text_b")),
    "Conditioning Input Switch": kind(chosen("boolean", "conditioning_a", "conditioning_b")),
    "Latent Input Switch": kind(chosen("boolean", "latent_a", "latent_b")),
    "Model Input Switch": kind(chosen("boolean", "model_a", "model_b")),
    "easy ifElse": kind(chosen("boolean", "on_true", "on_false")),
    # Models.
    "CheckpointLoaderSimple": kind(_CHECKPOINT),
    "CheckpointLoader": kind(_CHECKPOINT),
    "CheckpointLoader|pysssss": kind(_CHECKPOINT),
    "Checkpoint Loader": kind(_CHECKPOINT, None, None, "ckpt_name"),
    "Checkpoint Loader with Name (Image Saver)": kind(_CHECKPOINT, None, None, "ckpt_name"),
    "Checkpoint Selector": kind("ckpt_name"),
    "UNETLoader": kind(thing(model="unet_name")),
    "UnetLoaderGGUF": kind(thing(model="unet_name")),
    "NunchakuFluxDiTLoader": kind(thing(model="model_path")),
    "LoraLoader": kind("model", "clip"),
    "LoraLoader|pysssss": kind("model", "clip"),
    "LoraLoaderModelOnly": kind("model"),
    "Power Lora Loader (rgthree)": kind("model", "clip"),
    "CR Apply LoRA Stack": kind("model", "clip"),
    # Guiders, noise, schedules, samplers' choices.
    "BasicGuider": kind(thing(model="model", positive="conditioning", negative=nothing, guidance="conditioning")),
    "CFGGuider": kind(_GUIDED),
    "PerpNegGuider": kind(_GUIDED),
    "DualCFGGuider": kind(
        thing(model="model", positive=each("cond1", "cond2"), negative="negative", guidance="cond1", cfg="cfg_conds")
    ),
    "RandomNoise": kind(thing(seed="noise_seed")),
    "DisableNoise": kind(thing()),
    "KSamplerSelect": kind(thing(sampler="sampler_name")),
    "SamplerEulerAncestral": kind(thing(sampler=const("euler_ancestral"))),
    "SamplerDPMPP_2M_SDE": kind(thing(sampler=const("dpmpp_2m_sde"))),
    "SamplerDPMPP_3M_SDE": kind(thing(sampler=const("dpmpp_3m_sde"))),
    "SamplerDPMPP_SDE": kind(thing(sampler=const("dpmpp_sde"))),
    "SamplerLMS": kind(thing(sampler=const("lms"))),
    "BasicScheduler": kind(thing(steps="steps", scheduler="scheduler")),
    "KarrasScheduler": kind(thing(steps="steps", scheduler=const("karras"))),
    "ExponentialScheduler": kind(thing(steps="steps", scheduler=const("exponential"))),
    "PolyexponentialScheduler": kind(thing(steps="steps", scheduler=const("polyexponential"))),
    "BetaSamplingScheduler": kind(thing(steps="steps", scheduler=const("beta"))),
    "SDTurboScheduler": kind(thing(steps="steps", scheduler=const("turbo"))),
    "AlignYourStepsScheduler": kind(thing(steps="steps", scheduler=const("align_your_steps"))),
    "Flux2Scheduler": kind(thing(steps="steps", scheduler=const("flux2"))),
    "SplitSigmas": kind("sigmas", "sigmas"),
    "SplitSigmasDenoise": kind("sigmas", "sigmas"),
    "FlipSigmas": kind("sigmas"),
    # Latents.
    "EmptyLatentImage": kind(_SIZE),
    "EmptySD3LatentImage": kind(_SIZE),
    "EmptyLatentImagePresets": kind(_PRESET, side("width", _PRESET), side("height", _PRESET)),
    "SDXLEmptyLatentSizePicker+": kind(_RESOLUTION, side("width", _RESOLUTION), side("height", _RESOLUTION)),
    "SDXL Empty Latent Image (rgthree)": kind(sized("dimensions")),
    "CR SDXL Aspect Ratio": kind(side("width", _RATIO), side("height", _RATIO), None, None, _RATIO),
    "CR SD1.5 Aspect Ratio": kind(side("width", _RATIO), side("height", _RATIO), None, None, _RATIO),
    "VAEEncode": kind(from_picture),
    "VAEEncodeTiled": kind(from_picture),
    "VAEEncodeForInpaint": kind(from_picture),
    "SetLatentNoiseMask": kind("samples"),
    "RepeatLatentBatch": kind("samples"),
    "LatentFromBatch": kind("samples"),
    # Loaders that do several of these at once, and pipes.
    "Efficient Loader": kind(_CHECKPOINT, "positive", "negative", _LATENT),
    "Eff. Loader SDXL": kind(None, _LATENT, pipe=_LOADED | {"model": "base_ckpt_name"}),
    "easy fullLoader": kind(None, _CHECKPOINT, None, None, "positive", "negative", _LATENT, pipe=_LOADED),
    "easy a1111Loader": kind(None, _CHECKPOINT, pipe=_LOADED),
    "easy comfyLoader": kind(None, _CHECKPOINT, pipe=_LOADED),
    "easy fluxLoader": kind(None, _CHECKPOINT, pipe=_LOADED | {"negative": nothing}),
    "easy pipeIn": kind(
        None, pipe={"model": "model", "positive": "pos", "negative": "neg", "latent": "latent"}, base=("pipe",)
    ),
    "easy pipeOut": kind(
        None, channel("model"), channel("positive"), channel("negative"), channel("latent"), None, None, None,
        channel("seed"), base=("pipe",),
    ),
    "easy preSampling": kind(None, pipe=_PRESAMPLING, base=("pipe",)),
    "easy preSamplingAdvanced": kind(None, pipe=_PRESAMPLING, base=("pipe",)),
    "easy preSamplingDynamicCFG": kind(None, pipe=_PRESAMPLING, base=("pipe",)),
    "ttN pipeLoader_v2": kind(
        None, _CHECKPOINT, "positive", "negative", _LATENT, None, None, "seed",
        side("width", _LATENT), side("height", _LATENT), "positive", "negative",
        pipe=_LOADED | {"seed": "seed"},
    ),
    "ToBasicPipe": kind(None, pipe={name: name for name in _BASIC_PIPE}),
    "EditBasicPipe": kind(None, pipe={name: name for name in _BASIC_PIPE}, base=("basic_pipe",)),
    "FromBasicPipe": kind(*(unpack(name, "basic_pipe") for name in _BASIC_PIPE)),
    "FromBasicPipe_v2": kind("basic_pipe", *(unpack(name, "basic_pipe") for name in _BASIC_PIPE)),
    "Context (rgthree)": _context(_CONTEXT),
    "Context Big (rgthree)": _context(_CONTEXT_BIG),
    "Context Merge (rgthree)": _merged(_CONTEXT),
    "Context Merge Big (rgthree)": _merged(_CONTEXT_BIG),
    "Context Switch (rgthree)": _switched(_CONTEXT),
    "Context Switch Big (rgthree)": _switched(_CONTEXT_BIG),
    # Samplers: what they pass on, and those that get everything from a pipe.
    "KSampler (Efficient)": kind("model", "positive", "negative"),
    "KSampler Adv. (Efficient)": kind("model", "positive", "negative"),
    "KSampler SDXL (Eff.)": kind(None, base=("sdxl_tuple",), samples=True),
    "easy kSampler": kind(None, base=("pipe",), samples=True),
    "easy kSamplerTiled": kind(None, base=("pipe",), samples=True),
    "easy fullkSampler": kind(None, pipe=_SAMPLING, base=("pipe",), samples=True),
    "ttN pipeKSampler_v2": kind(None, pipe=_SAMPLING | _OVERRIDES, base=("pipe",), samples=True),
    "ttN pipeKSamplerAdvanced_v2": kind(
        None, pipe=_SAMPLING | _OVERRIDES | {"seed": "noise_seed"}, base=("pipe",), samples=True
    ),
    "ImpactKSamplerBasicPipe": kind("basic_pipe", base=("basic_pipe",), samples=True),
    "ImpactKSamplerAdvancedBasicPipe": kind("basic_pipe", base=("basic_pipe",), samples=True),
    "KSamplerPipe //Inspire": kind(None, base=("basic_pipe",), samples=True),
}  # fmt: skip
