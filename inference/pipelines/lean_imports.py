"""Keeps out of the process what libraries import in case: LoRAs, offloading, clusters, torch's compiler.

diffusers imports peft and accelerate wherever they are installed; transformers imports torch's distributed tensors,
and marks functions for `torch.compile`, for which the whole compiler is read, and sympy for it. `bench first_picture`
says what a start without them is worth.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

COMPILER = "torch._dynamo"


@dataclass(frozen=True)
class Wanted:
    """What the model that is about to be loaded makes use of."""

    loras: bool
    accelerate: bool
    compiler: bool


@contextmanager
def without_collecting() -> Iterator[None]:
    """Import without collecting garbage: a third of a million objects come, to stay, and are looked at each time.

    What is there afterwards is never looked at again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def keep_out_unused(wanted: Wanted) -> Iterator[None]:
    """Let libraries that are imported within find only what is `wanted`. Needs torch; what is imported already stays.

    They remember what they did not find: for processes that load one model only.
    """
    hidden = [] if wanted.loras else ["peft"]
    if not (wanted.loras or wanted.accelerate):
        hidden.append("accelerate")
    hidden = [name for name in hidden if name not in sys.modules]
    for name in hidden:
        # To importlib, and so to libraries that ask it, a module that is None is not installed.
        sys.modules[name] = None  # type: ignore[assignment]
    distributed = sys.modules["torch"].distributed
    is_available: Callable[[], bool] = distributed.is_available
    if "accelerate" in hidden:
        distributed.is_available = lambda: False
    if not wanted.compiler and COMPILER not in sys.modules:
        _defer_compiler()
    try:
        yield
    finally:
        distributed.is_available = is_available
        for name in hidden:
            del sys.modules[name]


class _DeferredCompiler(ModuleType):
    """Stands for torch's compiler until something asks it for more than to leave a function as it is.

    What is not compiled needs no marks for the compiler. Asked for any other name it becomes the real one; single
    parts of it can be imported before that, as transformers does for attention masks.
    """

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        self.is_real = False
        vars(self).update(
            __spec__=spec,
            __file__=spec.origin,
            __path__=list(spec.submodule_search_locations or ()),
            allow_in_graph=_leave,
            assume_constant_result=_leave,
            disable=_leave,
            # What diffusers asks each part of a pipeline: whether it was compiled.
            eval_frame=SimpleNamespace(OptimizedModule=type("OptimizedModule", (), {})),
        )

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if name.startswith("__") or self.is_real or spec is None or spec.loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        # Said first: while it comes, its parts look for each other here.
        self.is_real = True
        spec.loader.exec_module(self)
        return getattr(self, name)


def _leave(fn: Any = None, *_how: Any, **_why: Any) -> Any:
    """Decorate nothing, with or without arguments."""
    return (lambda inner: inner) if fn is None else fn


def _defer_compiler() -> None:
    spec = importlib.util.find_spec(COMPILER)
    if spec is not None:
        sys.modules[COMPILER] = vars(sys.modules["torch"])["_dynamo"] = _DeferredCompiler(spec)
