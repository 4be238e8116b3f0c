"""What happens inside a network on one image: its aligners' inputs, outputs and geometry, in pixels of the image.

Aligners are found by what they are, `pixalign.aligners.Aligner`, wherever a network has them; a forward hook keeps what
goes in and comes out. What they do is told by the parts of their geometry (`pixalign.aligners.geometry`). Positions and
displacements are those of `pixalign.sampling`, turned into pixels of the image: x to the right, y downward, (0, 0) the
image's upper left corner, so that pixel (0, 0) has its center at (0.5, 0.5).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from pixalign.aligners import Aligner
from pixalign.aligners.geometry import Cell, Displacement, Gate, Mixing, Part, Points
from pixalign.data.normalization import normalize
from pixalign.errors import InputError
from pixalign.models.network import SegmentationNetwork
from pixalign.predicting import Predictor, Result
from pixalign.sampling import Size, fill, grid_of, resize, sampling_grid

_CORNERS = ("sfnet", "alignseg_std")  # conventions whose grid refers to the centers of the first and last cell

P = TypeVar("P", bound=Part)


@dataclass
class Alignment:
    """One aligner at work: fine (1, C, H, W) and coarse (1, C, h, w) in, output (1, C, H, W) out, and its geometry."""

    module: Aligner
    fine: Tensor
    coarse: Tensor
    output: Tensor
    geometry: list[Part]

    @property
    def grid(self) -> Size:
        """(H, W) of the fine map, on which the geometry lies."""
        return grid_of(self.fine)

    @property
    def source(self) -> Size:
        """(h, w) of the coarse map."""
        return grid_of(self.coarse)

    def parts(self, kind: type[P]) -> list[P]:
        """The parts of the geometry that are of one kind."""
        return [part for part in self.geometry if isinstance(part, kind)]


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
        covered: (H, W) that the cells of all maps cover: the image, filled up at its end (`pixalign.sampling.fill`).
        cell_maps: those of which it reads one cell at any point, finest first, if it does that.
    """

    name: str
    model: SegmentationNetwork
    result: Result
    alignments: list[Alignment]
    features: list[Tensor]
    covered: Size
    cell_maps: list[Tensor] = field(default_factory=list)


def look(predictor: Predictor, image: Any, name: str) -> Evidence:
    """Run a network on an image (as `Predictor` takes it) and keep what its aligners did."""
    model = predictor.network
    if model is None:
        raise InputError(f"{name}: an exported file does not tell where features are fetched from: give the network")
    with captured(model) as alignments:
        result = predictor(image, probabilities=True)
    with torch.inference_mode():
        batch = torch.tensor(result.image, device=predictor.runtime.device).permute(2, 0, 1)[None]
        filled = fill(normalize(batch, model.config.mean, model.config.std), model.step)
        features = [x.float() for x in model.encode(filled)]
        return Evidence(name, model, result, alignments, features, grid_of(filled), model.cell_maps(features))


@contextmanager
def captured(model: nn.Module) -> Iterator[list[Alignment]]:
    """Within the context, each call of an aligner of ``model`` is appended to the list."""
    found: list[Alignment] = []

    def keep(module: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        fine, coarse = inputs
        found.append(Alignment(module, fine, coarse, output, module.geometry(fine, coarse)))

    handles = [module.register_forward_hook(keep) for module in aligners_of(model)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def aligners_of(module: nn.Module) -> Iterator[Aligner]:
    """The outermost aligners."""
    if isinstance(module, Aligner):
        yield module
        return
    for child in module.children():
        yield from aligners_of(child)


def moves(alignment: Alignment, image: Size) -> list[Move]:
    """What the aligner moves, and how far: for sampled points the mean of the displacements, weighted by their shares.

    Args:
        alignment: what an aligner did.
        image: (H, W) of the image, as far as the maps' cells cover it.
    """
    found = []
    for part in alignment.geometry:
        if isinstance(part, Displacement):
            pixels = displacement(part.flow, part.source, image, part.convention)
            found.append(Move(part.moved, pixels[0]))
        elif isinstance(part, Points):
            offsets, shares = places(part, image)
            found.append(Move("coarse", (offsets * shares[:, None]).sum(0)))
    return found


def places(points: Points, image: Size) -> tuple[np.ndarray, np.ndarray]:
    """Where each cell samples, for an aligner with several points per cell.

    Returns:
        Displacements (P, 2, H, W) float32 in pixels of the image, and the points' shares (P, H, W), which sum to 1:
        the affinities, or the same for all where groups of channels have a point each.
    """
    moved = displacement(points.offsets[0], points.source, image, points.convention)
    if points.affinity is None:
        return moved, np.full((len(moved), *moved.shape[-2:]), 1 / len(moved), np.float32)
    return moved, points.affinity[0].float().cpu().numpy()


def displacement(flow: Tensor, source: Size, image: Size, convention: str) -> np.ndarray:
    """Turn a field (N, 2, H, W) of a convention's unit into pixels of the image, as what is really read.

    Args:
        flow: dx, then dy.
        source: (h, w) of the map that is sampled; reads are clamped to it under the ``pixel`` convention.
        image: (H, W) of the image.
        convention: of the aligner (`pixalign.sampling`).

    Returns:
        (N, 2, H, W) float32: where each cell reads, minus where it would read with no flow.
    """
    shift = sampling_grid(flow, source, convention) - sampling_grid(torch.zeros_like(flow), source, convention)
    scale = [
        side / 2 * ((cells - 1) / cells if convention in _CORNERS else 1) for side, cells in zip(image, flow.shape[-2:])
    ]
    return np.stack((shift[..., 0].cpu().numpy() * scale[1], shift[..., 1].cpu().numpy() * scale[0]), axis=1).astype(
        np.float32
    )


def gates(alignment: Alignment) -> list[tuple[Gate, str, np.ndarray]]:
    """The aligner's gates, each with the name of what it scales and its values (H, W) from 0 to 1."""
    found = []
    for gate in alignment.parts(Gate):
        values = gate.values[0].float().cpu().numpy()
        names = [""] if len(values) == 1 else ["left and right", "up and down"]
        found += [(gate, name, x) for name, x in zip(names, values)]
    return found


def cells(evidence: Evidence) -> list[Size]:
    """Grids (h, w), finest first, of the maps of which the network reads one cell each; none, if it reads no cells."""
    parts = (part.source for alignment in reversed(evidence.alignments) for part in alignment.parts(Cell))
    return [grid_of(x) for x in evidence.cell_maps] or list(parts)


def feature_steps(alignment: Alignment) -> list[list[tuple[str, Tensor]]]:
    """Maps (1, C, H, W) that show what the aligner did, with titles; those of one list are comparable."""
    fine, output, module = alignment.fine, alignment.output, alignment.module
    resized = resize(alignment.coarse, alignment.grid, module.convention)
    with torch.inference_mode():
        moved: dict[str, list[tuple[str, Tensor]]] = {}
        for part in alignment.parts(Displacement):
            before, x = (fine, fine) if part.moved == "fine" else (resized, alignment.coarse)
            moved[part.moved] = [(f"{part.moved} map before", before), (f"{part.moved} map after", part.read(x))]
        if "fine" in moved or not module.merges:
            return list(moved.values())
        for points in alignment.parts(Points):
            drawn = points.read(alignment.coarse)
            moved["coarse"] = [("coarse map before", resized), ("coarse map after", drawn)]
        if alignment.parts(Mixing) and not moved:
            moved["coarse"] = [("coarse map before", resized), ("coarse map after", output - fine)]
        if not moved:
            last = ("what it adds", output - fine) if alignment.geometry else ("both, merged", output)
            return [[("fine map", fine)], [("coarse map, resized", resized)], [last]]
        return [[("fine map", fine)], *moved.values(), [("both, merged", output)]]


def laterals(evidence: Evidence) -> list[Tensor]:
    """The maps (1, C, h, w) whose cells a network reads, finest first; of others the encoder's from 1/4 on."""
    height = evidence.result.ids.shape[0]
    return evidence.cell_maps or [x for x in evidence.features if x.shape[-2] <= -(-height // 3)][:4]
