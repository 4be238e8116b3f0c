"""Whether a rewritten network answers as the network does, asked on one small image."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._pytree import tree_leaves

from pixalign.errors import InputError
from pixalign.models.ifa import IFA
from pixalign.models.network import SegmentationNetwork
from pixalign.sampling import Size

SIZES = ((33, 49), (64, 96))  # an odd one, on which levels do not divide each other; for those that refuse it, an even
_GRID = (21, 30)  # that a decoder is asked for
_POINTS = 12
_TOLERANCES = {torch.float64: 1e-6, torch.float32: 1e-3}  # of the largest logit, on a CPU; rounding was below 1e-4
_ROUGH = 0.1  # in other dtypes, and on devices that compute float32 in TF32


class FusingError(InputError):
    """A network cannot be rewritten, or not with the same outputs: run it as it is."""


def probe_image(model: SegmentationNetwork, size: Size) -> Tensor:
    """Noise from -2 to 2 (1, in_channels, *size), always the same, of the network's dtype on its device."""
    like = next(x for x in model.parameters() if x.is_floating_point())
    channels = model.config.in_channels
    count = torch.arange(channels * size[0] * size[1], dtype=torch.float32, device=like.device)
    noise = 4 * ((400 * (13 * count).sin()) % 1) - 2  # made where it is needed, of no generator's numbers
    return noise.view(1, channels, *size).to(like.dtype)


def answers(model: SegmentationNetwork, image: Tensor) -> dict[str, list[Tensor]]:
    """What a network gives for an image by every way that prediction takes: with heads, without, at another size."""
    ways: dict[str, Any] = {"with heads": lambda: model(image, heads=True), "forward": lambda: model(image)}
    if model.any_output_size:
        features = model.encode(image)
        ways["decode"] = lambda: [features, model.decode(features), model.decode(features, _GRID)]
        if model.takes_refine:
            ways["pixels"] = lambda: model.decode(features, _GRID, refine=1)
        if isinstance(model, IFA) and image.device.type == "cpu":  # elsewhere these are the network's own
            points = torch.linspace(-0.9, 0.9, 2 * _POINTS).view(1, _POINTS, 2)
            ways["some pixels"] = lambda: model.decode(features, _GRID, refine=1 - 1e-9)  # all, by the way of some
            ways["points"] = lambda: model.decode(features, points=points)
    found = {}
    for name, ask in ways.items():
        torch.manual_seed(0)  # for networks that draw numbers
        found[name] = [x for x in tree_leaves(ask()) if isinstance(x, Tensor)]
    return found


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """No gradients, none of the caller's autocast or inference mode; random numbers are as before afterwards."""
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast(device.type, enabled=False),
        torch.random.fork_rng([device] if device.type == "cuda" and torch.cuda.is_available() else []),
    ):
        yield


def compare(name: str, found: dict[str, list[Tensor]], expected: dict[str, list[Tensor]]) -> None:
    """Raise FusingError where answers differ by more than rounding."""
    for way, outputs in expected.items():
        if len(outputs) != len(found[way]):
            raise FusingError(f"{name}: rewritten ({way}) gives {len(found[way])} outputs instead of {len(outputs)}")
        for mine, output in zip(found[way], outputs, strict=True):
            if mine.shape != output.shape:
                shapes = f"outputs of shape {tuple(mine.shape)} instead of {tuple(output.shape)}"
                raise FusingError(f"{name}: rewritten ({way}), it gives {shapes}: run it as it is")
            if not output.is_floating_point() or isinstance(output, FakeTensor):  # which has no values
                continue
            finite = output.isfinite()
            largest = output[finite].abs().max().item() if finite.any() else 0.0
            off = (mine - output)[finite].abs().max().item() if finite.any() else 0.0
            share = _TOLERANCES.get(output.dtype, _ROUGH) if output.device.type == "cpu" else _ROUGH
            if not off <= share * max(largest, 1e-3) or not torch.equal(mine.isfinite(), finite):
                raise FusingError(
                    f"{name}: rewritten ({way}), its outputs are off by {off:.3g} where the largest is {largest:.3g}: "
                    "run it as it is"
                )
