"""What every aligner is, and how one gets its name: `Aligner`, the decorator `aligner`, `create_aligner`."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn

from pixalign.aligners.geometry import Part
from pixalign.errors import InputError

ALIGNERS: dict[str, type["Aligner"]] = {}  # by name; `aligner` fills it


class Aligner(nn.Module):
    """An operator between two maps; a registered one is built as ``Aligner(channels, convention=..., **options)``.

    Args:
        convention: sampling convention of every resize and warp (`pixalign.sampling`).

    Attributes:
        about: what it does, in a sentence or two for the sheets of `pixalign.explain`.
        merges: whether the result is both maps merged, rather than one of them, moved.
    """

    about: str = ""
    merges: bool = True

    def __init__(self, convention: str = "pixel") -> None:
        super().__init__()
        self.convention = convention

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Merge fine (N, C, H, W) and coarse (N, C, h, w) into (N, C, H, W)."""
        raise NotImplementedError

    def geometry(self, fine: Tensor, coarse: Tensor) -> list[Part]:
        """Return what ``forward`` does with the same maps; nothing, if it moves nothing."""
        return []


A = TypeVar("A", bound=Aligner)


def aligner(name: str) -> Callable[[type[A]], type[A]]:
    """Register a class of `Aligner` as the aligner called ``name``: ``@aligner("flow")`` above the class.

    Raises:
        ValueError: another class has this name already.
    """

    def register(made: type[A]) -> type[A]:
        if name in ALIGNERS:
            raise ValueError(f"aligner {name!r} is {ALIGNERS[name].__name__} already: choose another name")
        ALIGNERS[name] = made
        return made

    return register


def create_aligner(name: str, channels: int, convention: str = "pixel", **options: Any) -> Aligner:
    """Build the aligner called ``name`` for maps of ``channels`` channels; ``options`` are its own further arguments.

    Raises:
        InputError: an unknown name or option (the known ones are listed), or a value that the aligner refuses.
    """
    if name not in ALIGNERS:
        raise InputError(f"aligner {name!r} is unknown: choose one of {', '.join(sorted(ALIGNERS))}")
    build: Callable[..., Aligner] = ALIGNERS[name]
    allowed = [p for p in inspect.signature(build).parameters if p not in ("channels", "convention")]
    for option in options:
        if option not in allowed:
            known = f"choose from {', '.join(allowed)}" if allowed else "it has none"
            raise InputError(f"aligner_options: {name} has no option {option!r}: {known}")
    return build(channels, convention=convention, **options)
