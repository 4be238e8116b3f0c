"""Faster networks for inference, with the same results: `fuse`.

What is rewritten (benchmarks/rewrites.md has the gain of each alone):

- norms are folded into the convolutions before them, activations are done in the convolution's pass
  (`pixalign.fusing.convolution`);
- aligners and decoders compute the same sums from fewer and smaller maps (`pixalign.fusing.aligners`,
  `pixalign.fusing.networks`), on a CPU as weighted sums of rows (`pixalign.fusing.rows`);
- maps are channels last; bfloat16 and compilation on request.

A module is rewritten only where its layers are what the rewrite assumes (`pixalign.fusing.checks`), and the
rewritten network must answer as the network does (`pixalign.fusing.probe`).
"""

import copy
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from pixalign.errors import InputError
from pixalign.fusing import aligners, networks  # noqa: F401  (they register their rewrites)
from pixalign.fusing.checks import untouched
from pixalign.fusing.convolution import Convolution, fold
from pixalign.fusing.probe import SIZES, FusingError, answers, compare, probe_image, undisturbed
from pixalign.fusing.rewrites import REWRITES
from pixalign.models.network import SegmentationNetwork, as_network
from pixalign.sampling import Size
from pixalign.text import first_line

__all__ = ["PRECISIONS", "Fused", "FusingError", "computes_bfloat16", "fuse"]

PRECISIONS = ("fp32", "bf16", "auto")


def fuse(model: nn.Module, precision: str = "fp32", compile: bool = False) -> SegmentationNetwork:
    """Return a copy of ``model`` for inference that is faster and has the same outputs up to rounding.

    The copy is in evaluation mode, its parameters take no gradient, and it has the network's contract (``forward``,
    ``encode``, ``decode``, ``config``), so `Predictor` and `evaluate` take it. It cannot be saved or trained.

    Args:
        model: a network of `create_model` or `load`; it is left as it is.
        precision: "fp32"; "bf16" computes in bfloat16, except positions, sampling weights and sums of samples, and
            gives bfloat16 logits; "auto" takes bf16 where the processor computes in it.
        compile: compile ``forward`` with torch.compile, for dynamic sizes, in place of the CPU's own forms.

    Returns:
        The copy; its ``rewrites`` names what was done.

    Raises:
        InputError: an unknown precision, or a model that has been fused already.
        FusingError: a network that cannot be copied, that does not take an image of 64 x 96, or whose rewritten
            outputs differ by more than rounding.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision is {precision!r}: choose one of {', '.join(PRECISIONS)}")
    if isinstance(model, Fused):
        raise InputError(f"{type(model).__name__} has been fused already: give the model that it was made from")
    device = next(model.parameters()).device
    low = precision == "bf16" or (precision == "auto" and computes_bfloat16(device))
    with undisturbed(device):
        try:
            fused = copy.deepcopy(as_network(model)).eval().requires_grad_(False)
            image, expected = _ask(fused)
        except Exception as error:  # a network of a program's own may raise anything
            reason = first_line(error)
            raise FusingError(f"{type(model).__name__} cannot be fused ({reason}): run it as it is") from error
        norms = fold(fused, image.clone())
        rewritten = _quicken(fused)
        compare(type(model).__name__, answers(fused, image), expected)
        if low:
            for module in fused.modules():
                if isinstance(module, Convolution):
                    module.to(torch.bfloat16)
        fused.eval().to(memory_format=torch.channels_last)
    # The copy stays what it is and wraps its own methods: a class of both, made for the class that it has by now.
    fused.__class__ = type(f"Fused{type(model).__name__}", (Fused, type(fused)), {})
    assert isinstance(fused, Fused)
    fused.precision = "bf16" if low else "fp32"
    fused.rewrites = [f"{norms} norms folded", *rewritten, "channels last", *(["bf16"] if low else [])]
    if compile:
        fused.compile(dynamic=True)
        fused.rewrites.append("compiled")
    return fused


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 numbers itself: AVX-512 BF16, AMX, or a GPU that does."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


class Fused(SegmentationNetwork):
    """What a fused network has besides its own class: its precision, channels-last images, no weights to save."""

    precision: str
    rewrites: list[str]

    def forward(self, image: Tensor, heads: bool = False) -> Any:
        """As the network's."""
        with self._autocast(image):
            return super().forward(image, heads)

    def encode(self, image: Tensor) -> list[Tensor]:
        """As the network's."""
        with self._autocast(image):
            return super().encode(image.contiguous(memory_format=torch.channels_last))

    def decode(
        self, features: list[Tensor], size: Size | None = None, refine: float | None = None, **named: Any
    ) -> Tensor:
        """As the network's."""
        with self._autocast(features[0]):
            return super().decode(features, size, refine, **named)

    def state_dict(self, *arguments: Any, **named: Any) -> Any:
        """As of any module for the capture of graphs, which asks for the variables themselves; else refused."""
        if not named.get("keep_vars"):
            raise InputError("a fused model has no weights of its own to save: save the model that it was made from")
        return super().state_dict(*arguments, **named)

    def _autocast(self, x: Tensor) -> AbstractContextManager[Any]:
        enabled = self.precision == "bf16" or torch.is_autocast_enabled(x.device.type)
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.get_autocast_dtype(x.device.type)
        return torch.autocast(x.device.type, dtype=dtype, enabled=enabled)


def _ask(model: SegmentationNetwork) -> tuple[Tensor, dict[str, list[Tensor]]]:
    """A small image that the network takes, and its answers."""
    for size in SIZES[:-1]:
        try:
            image = probe_image(model, size)
            return image, answers(model, image)
        except (AssertionError, RuntimeError, ValueError):  # of a size that it does not take
            continue
    image = probe_image(model, SIZES[-1])
    return image, answers(model, image)


def _quicken(model: nn.Module) -> list[str]:
    """Give the modules of ``model`` that have a quick form, and fit it, its class; return the names of these classes.

    What a module is made of goes first, for some forms ask for those of their parts.
    """
    found: list[str] = []
    for module in reversed(list(model.modules())):
        quick, name = REWRITES.get(type(module)), type(module).__name__
        if quick is None or not untouched(module) or not getattr(quick, "fits", lambda module: True)(module):
            continue
        if name not in found:
            found.append(name)
        module.__class__ = quick
        prepare: Any = getattr(module, "prepare", None)
        if prepare is not None:
            prepare()
    return found[::-1]
