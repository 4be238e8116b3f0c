"""Which modules have a form for inference: `rewrites` registers a class as that of another.

Such a class derives from the module's own, adds no state to its construction, and replaces its class in the fused
network. ``fits()`` says whether the module's layers are those that it assumes, ``prepare()`` takes weights apart; both
may be left out. A module without one is run as it is.
"""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

REWRITES: dict[type[nn.Module], type[nn.Module]] = {}  # the form for inference of a class; `rewrites` fills it

M = TypeVar("M", bound=nn.Module)


def rewrites(source: type[nn.Module]) -> Callable[[type[M]], type[M]]:
    """Register a class as the form for inference of the modules of exactly the class ``source``."""

    def register(quick: type[M]) -> type[M]:
        REWRITES[source] = quick
        return quick

    return register
