"""What happens inside a network on one image: its aligners' inputs, outputs and geometry, in pixels of the image.

Aligners are found by what they are, modules with a method ``geometry``, wherever a network has them; a forward hook
keeps what goes in and comes out. Positions and displacements are those of `pixalign.sampling`, turned into pixels of
the image: x to the right, y downward, (0, 0) the image's upper left corner, so that pixel (0, 0) has its center at
(0.5, 0.5).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pixalign.aligners.bilinear import Bilinear
from pixalign.aligners.dual_flow import DualFlow
from pixalign.aligners.dynamic_dual import DynamicDual
from pixalign.aligners.gated_dual_flow import GatedDualFlow
from pixalign.aligners.gated_flow import GatedFlowAlignment
from pixalign.aligners.implicit import Implicit
from pixalign.data.transforms import normalize
from pixalign.errors import InputError
from pixalign.models.ifa import IFA
from pixalign.models.network import SegmentationNetwork
from pixalign.predicting import Predictor, Result
from pixalign.sampling import resize, sampling_grid, warp

_CORNERS = ("sfnet", "alignseg_std")  # conventions whose grid refers to the centers of the first and last cell


@dataclass
class Alignment:
    """One aligner at work: low (1, C, H, W) and high (1, C, h, w) in, output (1, C, H, W) out, and its geometry."""

    module: nn.Module
    low: Tensor
    high: Tensor
    output: Tensor
    geometry: dict[str, Tensor]

    @property
    def grid(self) -> tuple[int, int]:
        """(H, W) of low, on which the geometry lies."""
        return self.low.shape[-2], self.low.shape[-1]

    @property
    def convention(self) -> str:
        """The sampling convention of the aligner, ``pixel`` if it has none."""
        return next((str(m.convention) for m in self.module.modules() if hasattr(m, "convention")), "pixel")


@dataclass
class Move:
    """A displacement field: ``what`` is fetched from elsewhere, ``pixels`` (2, H, W) float32, dx and dy in the image.

    Cell i of the grid receives what lies at its own center plus its displacement.
    """

    what: str
    pixels: np.ndarray


@dataclass
class Evidence:
    """What a network did with an image.

    Attributes:
        name: what to call the network.
        result: its prediction, with probabilities.
        alignments: what its aligners did, in the order of the calls; none for networks without aligners.
        features: what its ``encode`` gave, (1, C, h, w) each.
    """

    name: str
    model: SegmentationNetwork
    result: Result
    alignments: list[Alignment]
    features: list[Tensor]


def look(predictor: Predictor, image: Any, name: str) -> Evidence:
    """Run a network on an image (as `Predictor` takes it) and keep what its aligners did."""
    model = predictor.network
    if model is None:
        raise InputError(f"{name}: an exported file does not tell where features are fetched from: give the network")
    with captured(model) as alignments:
        result = predictor(image, probabilities=True)
    with torch.inference_mode():
        batch = torch.tensor(result.image, device=predictor.runtime.device).permute(2, 0, 1)[None]
        features = model.encode(normalize(batch, model.config.mean, model.config.std))
    return Evidence(name, model, result, alignments, [x.float() for x in features])


@contextmanager
def captured(model: nn.Module) -> Iterator[list[Alignment]]:
    """Within the context, each call of an aligner of ``model`` is appended to the list."""
    found: list[Alignment] = []

    def keep(module: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        low, high = inputs
        found.append(Alignment(module, low, high, output, module.geometry(low, high)))

    handles = [module.register_forward_hook(keep) for module in aligners_of(model)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def aligners_of(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost modules with a method ``geometry``."""
    if callable(getattr(module, "geometry", None)):
        yield module
        return
    for child in module.children():
        yield from aligners_of(child)


def moves(alignment: Alignment, image: tuple[int, int]) -> list[Move]:
    """What the aligner moves, and how far: for dynamic sampling the mean of the displacements, weighted by affinity.

    Args:
        alignment: what an aligner did.
        image: (H, W) of the image.
    """
    geometry, low, high = alignment.geometry, alignment.grid, alignment.high.shape[-2:]
    if "offsets" in geometry:
        if geometry["offsets"].dim() == 4:
            return []
        offsets, shares = points(alignment, image)
        return [Move("coarse", (offsets * shares[:, None]).sum(0))]
    found = []
    if "flow" in geometry:
        of_low = isinstance(alignment.module, GatedFlowAlignment) and alignment.module.moved == "low"
        source = low if of_low or isinstance(alignment.module, DualFlow) else tuple(high)
        pixels = displacement(geometry["flow"], source, image, alignment.convention)
        found.append(Move("fine" if of_low else "coarse", pixels[0]))
    if "flow_low" in geometry:
        found.append(Move("fine", displacement(geometry["flow_low"], low, image, alignment.convention)[0]))
    return found


def points(alignment: Alignment, image: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Where each cell samples, for an aligner with several points per cell.

    Returns:
        Displacements (P, 2, H, W) float32 in pixels of the image, and the points' shares (P, H, W), which sum to 1:
        the affinities, or the same for all where groups of channels have a point each.
    """
    offsets = alignment.geometry["offsets"][0]  # (P, 2, H, W)
    affinity = alignment.geometry.get("affinity")
    source = alignment.grid if affinity is not None else (alignment.high.shape[-2], alignment.high.shape[-1])
    moved = displacement(offsets, source, image, alignment.convention)
    if affinity is None:
        return moved, np.full((len(moved), *moved.shape[-2:]), 1 / len(moved), np.float32)
    return moved, affinity[0].float().cpu().numpy()


def displacement(flow: Tensor, source: tuple[int, ...], image: tuple[int, int], convention: str) -> np.ndarray:
    """Turn a field (N, 2, H, W) of a convention's unit into pixels of the image, as what is really read.

    Args:
        flow: dx, then dy.
        source: (h, w) of the map that is sampled; reads are clamped to it under the ``pixel`` convention.
        image: (H, W) of the image.
        convention: of the aligner (`pixalign.sampling`).

    Returns:
        (N, 2, H, W) float32: where each cell reads, minus where it would read with no flow.
    """
    size = (source[0], source[1])
    shift = sampling_grid(flow, size, convention) - sampling_grid(torch.zeros_like(flow), size, convention)
    scale = [
        side / 2 * ((cells - 1) / cells if convention in _CORNERS else 1) for side, cells in zip(image, flow.shape[-2:])
    ]
    return np.stack((shift[..., 0].cpu().numpy() * scale[1], shift[..., 1].cpu().numpy() * scale[0]), axis=1).astype(
        np.float32
    )


def gates(alignment: Alignment) -> list[tuple[str, np.ndarray]]:
    """The aligner's gates, name and values (H, W) from 0 to 1."""
    if "gate" not in alignment.geometry:
        return []
    gate = alignment.geometry["gate"][0].float().cpu().numpy()
    return [("", gate[0])] if len(gate) == 1 else [("left and right", gate[0]), ("up and down", gate[1])]


def mixing(alignment: Alignment) -> np.ndarray | None:
    """DDSM's channel branch: the weight (C, C) of each channel of high (column) in each of the result (row)."""
    branch = getattr(alignment.module, "channel", None)
    if not isinstance(alignment.module, DynamicDual) or branch is None:
        return None
    with torch.inference_mode():
        return branch.geometry(alignment.low, alignment.high)["mixing"][0].float().cpu().numpy()


def feature_steps(alignment: Alignment) -> list[list[tuple[str, Tensor]]]:
    """Maps (1, C, H, W) that show what the aligner did, with titles; those of one list are comparable."""
    low, high, output, geometry = alignment.low, alignment.high, alignment.output, alignment.geometry
    module, grid, convention = alignment.module, alignment.grid, alignment.convention
    resized = resize(high, grid, convention)
    with torch.inference_mode():
        if isinstance(module, GatedFlowAlignment):
            what = "fine" if module.moved == "low" else "coarse"
            before = low if module.moved == "low" else resized
            return [[(f"{what} map before", before), (f"{what} map after", output)]]
        if isinstance(module, GatedDualFlow | DualFlow):
            source = resized if isinstance(module, DualFlow) else high
            moved_high = warp(source, geometry["flow"], convention)
            moved_low = warp(low, geometry["flow_low"], convention)
            return [
                [("coarse map before", resized), ("coarse map after", moved_high)],
                [("fine map before", low), ("fine map after", moved_low)],
            ]
        if isinstance(module, Bilinear):
            return [[("fine map", low)], [("coarse map, resized", resized)], [("both, added", output)]]
        if isinstance(module, Implicit):
            added = output - low
            return [[("fine map", low)], [("coarse map, resized", resized)], [("what it adds", added)]]
        if "affinity" in geometry:
            parts = zip(geometry["offsets"].unbind(1), geometry["affinity"].split(1, dim=1))
            drawn: Tensor = sum(share * warp(resized, offset, convention) for offset, share in parts)
        else:
            drawn = output - low
        return [
            [("fine map", low)],
            [("coarse map before", resized), ("coarse map after", drawn)],
            [("both, merged", output)],
        ]


def laterals(evidence: Evidence) -> list[Tensor]:
    """The maps (1, C, h, w) that IFA reads, finest first; of other networks what the encoder gives from 1/4 on."""
    with torch.inference_mode():
        if isinstance(evidence.model, IFA):
            return [lateral(x) for lateral, x in zip(evidence.model.laterals, evidence.features)]
    height = evidence.result.ids.shape[0]
    return [x for x in evidence.features if x.shape[-2] <= -(-height // 3)][:4]
