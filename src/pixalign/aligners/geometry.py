"""What an aligner does with a fine and a coarse map, as data: the parts that its ``geometry`` returns.

All parts lie on the fine map's grid (H, W). Displacements have the unit of their sampling convention
(`pixalign.sampling`): for ``pixel``, pixels of the fine grid, dx to the right and dy downward.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pixalign.sampling import Size, grid_of, resize, warp


@dataclass(frozen=True, eq=False)
class Displacement:
    """Each pixel reads one of the maps at its own place plus a displacement.

    Attributes:
        moved: which map is read.
        flow: (N, 2, H, W), dx then dy, as it is used: behind its gate, if it has one.
        source: (h, w) at which the map is read, in cells; the map's own, unless it is resized first.
        convention: of the sampling.
    """

    moved: Literal["coarse", "fine"]
    flow: Tensor
    source: Size
    convention: str = "pixel"

    def read(self, x: Tensor) -> Tensor:
        """What is read of the moved map x (N, C, h, w): (N, C, H, W)."""
        return warp(_at(x, self.source, self.convention), self.flow, self.convention)


@dataclass(frozen=True, eq=False)
class Gate:
    """Shares from 0 to 1.

    Attributes:
        values: (N, 1, H, W), or (N, 2, H, W) with one for dx and one for dy.
        scales: "maps": 1 takes all from the coarse map, 0 all from the fine one; "displacement": the share of the way
            to the displaced place that is gone.
    """

    values: Tensor
    scales: Literal["maps", "displacement"]


@dataclass(frozen=True, eq=False)
class Points:
    """Each pixel reads the coarse map at P places.

    Attributes:
        offsets: (N, P, 2, H, W), from the pixel's own place, dx then dy.
        affinity: (N, P, H, W), the places' weights in a sum, which are 1 together; None where the channels form P
            groups of one size, each read at a place of its own.
        source: (h, w) at which the map is read, in cells; the map's own, unless it is resized first.
        convention: of the sampling.
    """

    offsets: Tensor
    affinity: Tensor | None
    source: Size
    convention: str = "pixel"

    def read(self, x: Tensor) -> Tensor:
        """What is read of the coarse map x (N, C, h, w): (N, C, H, W)."""
        x, places = _at(x, self.source, self.convention), self.offsets.unbind(1)
        if self.affinity is None:
            groups = x.chunk(len(places), dim=1)
            return torch.cat([warp(group, place, self.convention) for group, place in zip(groups, places)], dim=1)
        total = torch.zeros_like(self.affinity[:, :1])
        for share, place in zip(self.affinity.split(1, dim=1), places):
            total = total + share * warp(x, place, self.convention)
        return total


@dataclass(frozen=True, eq=False)
class Cell:
    """Each pixel reads the nearest cell of the coarse map, and where it lies in that cell.

    Attributes:
        offset: (N, 2, H, W), the pixel's place minus the cell's center, dx then dy, in half cells: -1 to 1.
        source: (h, w) of the coarse map.
    """

    offset: Tensor
    source: Size


@dataclass(frozen=True, eq=False)
class Mixing:
    """Channels of the result are sums of channels of the coarse map, the same at every pixel.

    Attributes:
        weights: (N, C, C), of each channel of the coarse map (column) in each of the result (row); rows sum to 1.
        about: how the weights come about, for whoever looks at them.
    """

    weights: Tensor
    about: str = ""


Part = Displacement | Gate | Points | Cell | Mixing


def _at(x: Tensor, size: Size, convention: str) -> Tensor:
    return x if grid_of(x) == size else resize(x, size, convention)
