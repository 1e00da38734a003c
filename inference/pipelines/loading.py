"""Loads a folder part by part with the stock classes, so that errors name the part."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
import torch
import transformers
from transformers.initialization import no_init_weights

from inference.errors import StartError
from inference.pipelines.folder import ModelFolder
from inference.pipelines.speed import DtypeName

DTYPES: dict[DtypeName, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
LOADING_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError)


def silence_libraries() -> None:
    """Send the libraries' messages only to our logs: their warnings quote the truncated part of a prompt."""
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_default_handler()
        library.utils.logging.enable_propagation()
        library.utils.logging.disable_progress_bar()


def import_classes(folder: ModelFolder) -> None:
    """Import the classes of the folder's parts, which diffusers and transformers import lazily."""
    for found in (folder, folder.refiner):
        if found is not None:
            getattr(diffusers, found.pipeline_class)
            for library, class_name in found.components.values():
                _find_class(library, class_name)


def load_pipeline(folder: ModelFolder, dtype: DtypeName, shared: dict[str, Any] | None = None) -> Any:
    """Return the folder's stock pipeline on the CPU; `shared` parts are used where the folder has none.

    Raises `StartError` naming the part that does not load, or that has fewer weights than its configuration requires.
    """
    pipeline_class = getattr(diffusers, folder.pipeline_class)
    parameters = inspect.signature(pipeline_class.__init__).parameters
    # Optional parts are None; the required ones were checked when the folder was found.
    parts: dict[str, Any] = {
        name: None
        for name, parameter in parameters.items()
        if name != "self"
        and (parameter.default is parameter.empty or name in pipeline_class._optional_components)
    }
    parts |= {name: part for name, part in (shared or {}).items() if name not in folder.components}
    for name, (library, class_name) in folder.components.items():
        parts[name] = _load_part(folder, name, library, class_name, DTYPES[dtype])
    settings = {name: value for name, value in folder.settings.items() if name in parameters}
    try:
        pipe = pipeline_class(**parts, **settings)
    except LOADING_ERRORS as exc:
        raise StartError(f"{folder.path}: the parts do not make a {folder.pipeline_class}: {exc}") from exc
    pipe.set_progress_bar_config(disable=True)
    return pipe


def make_sibling(pipe: Any, class_name: str, scheduler: Any) -> Any:
    """Return another stock pipeline with the parts of `pipe` and the folder's `scheduler`; it shares the weights.

    `from_pipe` is not used, because it leaves out parts of other classes than its type hints name (AutoencoderTiny is
    one).
    """
    pipeline_class = getattr(diffusers, class_name)
    parameters = inspect.signature(pipeline_class.__init__).parameters
    parts = {**pipe.config, **pipe.components, "scheduler": scheduler}
    sibling = pipeline_class(**{name: value for name, value in parts.items() if name in parameters})
    sibling.set_progress_bar_config(disable=True)
    return sibling


def _load_part(folder: ModelFolder, name: str, library: str, class_name: str, dtype: torch.dtype) -> Any:
    path = folder.path / name
    part_class = _find_class(library, class_name)
    if part_class is None:
        raise StartError(f"{folder.path / 'model_index.json'}: {library} has no class {class_name}.")
    has_weights = isinstance(part_class, type) and issubclass(part_class, torch.nn.Module)
    options: dict[str, Any] = {"local_files_only": True}
    if has_weights:
        options |= {"dtype": dtype, "use_safetensors": True}
    try:
        # All initial random weights are replaced, and creating them takes longer than loading.
        with no_init_weights():
            part = part_class.from_pretrained(path, **options)
    except LOADING_ERRORS as exc:
        raise StartError(f"{path}: this part does not load: {_first_lines(exc)}") from exc
    if has_weights:
        _check_complete(folder, name, part)
    return part


def _find_class(library: str, class_name: str) -> Any:
    """Return the class of that name, or None if the library has none."""
    return getattr({"diffusers": diffusers, "transformers": transformers}[library], class_name, None)


def _check_complete(folder: ModelFolder, name: str, part: torch.nn.Module) -> None:
    """Raise `StartError` when the files hold fewer parameters than the part has: the rest would be random.

    Compares the number, not the names, because the names in old files are translated on loading.
    """
    wanted = sum(parameter.numel() for parameter in part.parameters())
    found = folder.count_numbers(name)
    if found < wanted:
        raise StartError(
            f"{folder.path / name}: the weights hold {found} numbers, and its configuration asks for {wanted}: "
            "a file is missing, or they belong to another model."
        )
    part.eval()


def _first_lines(exc: Exception) -> str:
    return " ".join(str(exc).split())[:400] or type(exc).__name__
