"""Dynamic dual: the dynamic dual sampling module, DDSM (ICIP 2021, arXiv 2105.11657).

A pair of maps, the fine x_l (C, H, W) and the coarse x_h (C, h, w), meets twice. Both branches let a query choose among
N values that lie around it at learned places: the affinity is a softmax over the N of query . key, the result the sum
of the N values weighted by it. (l and h are the paper's low and high level, which is the coarse one.)

- Spatial: one query per fine pixel. A position embedding is added to both maps. query = 1x1(x_l), keys =
  1x1([x_l, up(x_h)]), values = 1x1(up(x_h)); keys and values are read at the same N positions, a 3 x 3 neighborhood
  displaced by offsets that come from the key map. The sum goes through another 1x1.
- Channel: one query per channel. Both maps are pooled to a x a; query = 1x1(pooled x_l), keys = 1x1([pooled x_l,
  pooled x_h]), an a^2-vector per channel. The C channels are laid out row by row as a square image, in which each
  channel reads N others around it. The values are the channels of x_h; the result is resized to the fine grid.

The aligner is ``fine + spatial + channel``; the network `ddsm` is the frame `aligned_fpn` with it, in which a 3x3
convolution, BN and ReLU follow on the copy that goes to the fusion, as in SFNet. No code was released with the paper,
and its figure leaves much open. Our choices, each an argument of `DynamicDual` where it could well be otherwise:

- the position embedding is the sinusoidal one (``position``), x and y in half of the channels each, wavelengths from
  2 pi to 20,000 pi; both maps are measured in the fine map's pixels, so that one place has one code in both;
- offsets come from a 3x3 convolution on the keys (channel branch: a linear layer on each channel's key vector), in grid
  cells; it starts at zero (``zero_offsets``), so that training begins at the plain 3 x 3 neighborhood. Its output
  counts in tenths of a cell (`PACE`), which under Adam is a tenth of the learning rate, as Deformable DETR (arXiv
  2010.04159) gives the layers that predict its sampling points: at the full rate the places run away to the rim of the
  map within a few epochs, where no gradient brings them back;
- N = 9 (``grid`` = 3, squared), a = 8 (``pooled``), logits divided by sqrt(C) and by a (``scaled``);
- outside the map the border is repeated, and at the rim of the channels' square as well;
- the channel branch's "down" leaves x_h at its own size, which is the coarser one already, and has no further 1x1;
- all 1x1 layers have a bias and neither norm nor activation; both branches have their own (``branches`` picks one).

Three exact rewrites save work. A 1x1 convolution commutes with a bilinear resize, so keys and values are computed at
the coarse map's own size and resized as one map; the concatenation splits into a sum of two 1x1 convolutions; and since
the channel branch combines whole maps linearly, it samples the C x C identity in place of the values and multiplies.
"""

import math

import torch
from torch import Tensor, nn

from pixalign.aligners.base import Aligner, aligner
from pixalign.aligners.geometry import Mixing, Part, Points
from pixalign.errors import InputError
from pixalign.sampling import dynamic_sampling, grid_of, pool_to_bins, resize

BRANCHES = ("dual", "spatial", "channel")
PACE = 0.1  # cells by which a predicted offset of 1 displaces


@aligner("dynamic_dual")
class DynamicDual(Aligner):
    """``fine + spatial(fine, coarse) + channel(fine, coarse)``, each branch usable alone.

    Args:
        channels: channels C of both maps; a perfect square (64, 144, 256) unless ``branches`` is "spatial".
        convention: sampling convention of resize and spatial sampling (`pixalign.sampling`).
        branches: "dual", "spatial" or "channel".
        grid: side of the neighborhood, so that N = grid^2.
        pooled: side a of the pooled maps in the channel branch.
        position: add the sinusoidal position embedding in the spatial branch.
        zero_offsets: start the layers that predict offsets at zero, rather than as torch starts a convolution.
        scaled: divide the logits by sqrt(C) in the spatial branch and by a in the channel branch.

    Raises:
        InputError: an unknown branch, a number below 1, or channels that make no square.
    """

    about = (
        "Each pixel reads the coarse map at nine learned places around it and sums what is there by how well it "
        "matches. Shown is the mean of the nine places, weighted by affinity."
    )

    def __init__(
        self,
        channels: int,
        convention: str = "pixel",
        branches: str = "dual",
        grid: int = 3,
        pooled: int = 8,
        position: bool = True,
        zero_offsets: bool = True,
        scaled: bool = True,
    ) -> None:
        super().__init__(convention)
        if branches not in BRANCHES:
            raise InputError(f"branches is {branches!r}: choose one of {', '.join(BRANCHES)}")
        for name, value in (("grid", grid), ("pooled", pooled)):
            if value < 1:
                raise InputError(f"{name} is {value}: it must be 1 or more")
        spatial, channel = branches != "channel", branches != "spatial"
        self.spatial = SpatialSampling(channels, convention, grid, position, zero_offsets, scaled) if spatial else None
        self.channel = ChannelSampling(channels, convention, grid, pooled, zero_offsets, scaled) if channel else None

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Merge fine (N, C, H, W) and coarse (N, C, h, w) into (N, C, H, W)."""
        fused = fine
        for branch in (self.spatial, self.channel):
            if branch is not None:
                fused = fused + branch(fine, coarse)
        return fused

    def geometry(self, fine: Tensor, coarse: Tensor) -> list[Part]:
        """Return the spatial branch's points and the channel branch's mixing, of the branches that there are."""
        return [b.geometry(fine, coarse) for b in (self.spatial, self.channel) if b is not None]


class SpatialSampling(nn.Module):
    """Each pixel of the fine map sums N values of the coarse one around it; arguments as for `DynamicDual`."""

    def __init__(
        self,
        channels: int,
        convention: str = "pixel",
        grid: int = 3,
        position: bool = True,
        zero_offsets: bool = True,
        scaled: bool = True,
    ) -> None:
        super().__init__()
        self.convention = convention
        self.grid = grid
        self.position = position
        self.scale = channels**-0.5 if scaled else 1.0
        self.query = nn.Conv2d(channels, channels, 1)
        self.key_fine = nn.Conv2d(channels, channels, 1)
        self.key_coarse = nn.Conv2d(channels, channels, 1, bias=False)
        self.value = nn.Conv2d(channels, channels, 1)
        self.make_flow = _offset_layer(channels, grid, 3, zero_offsets)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return what fine (N, C, H, W) draws from coarse (N, C, h, w): (N, C, H, W), without fine itself."""
        sampled, _, _ = self.sample(fine, coarse)
        drawn: Tensor = self.project(sampled)
        return drawn

    def geometry(self, fine: Tensor, coarse: Tensor) -> Points:
        """Return the sampled places, each with its place in the neighborhood: without learned ones -1, 0 and 1."""
        _, offsets, affinity = self.sample(fine, coarse)
        return Points(offsets, affinity, grid_of(fine), self.convention)

    def sample(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The sum of sampled values (N, C, H, W), offsets (N, grid^2, 2, H, W) and affinity (N, grid^2, H, W)."""
        size = grid_of(fine)
        if self.position:
            coarse = coarse + position_embedding(coarse, size)
            fine = fine + position_embedding(fine, size)
        both = torch.cat((self.key_coarse(coarse), self.value(coarse)), dim=1)
        key_coarse, values = resize(both, size, self.convention).chunk(2, dim=1)
        keys = self.key_fine(fine) + key_coarse
        offsets = neighborhood(self.make_flow(keys), self.grid)
        query = self.query(fine) * self.scale
        sampled, affinity = dynamic_sampling(query, keys, values, offsets, self.convention, recompute=self.training)
        return sampled, offsets, affinity


class ChannelSampling(nn.Module):
    """Each channel of the fine map sums N channels of the coarse one; arguments as for `DynamicDual`."""

    def __init__(
        self,
        channels: int,
        convention: str = "pixel",
        grid: int = 3,
        pooled: int = 8,
        zero_offsets: bool = True,
        scaled: bool = True,
    ) -> None:
        super().__init__()
        self.convention = convention
        self.grid = grid
        self.pooled = pooled
        self.side = _square_side(channels)
        self.scale = 1 / pooled if scaled else 1.0
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(2 * channels, channels, 1)
        self.make_flow = _offset_layer(pooled**2, grid, 1, zero_offsets)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return the channels of coarse (N, C, h, w) that those of fine (N, C, H, W) ask for: (N, C, H, W)."""
        mixing, _, _ = self.sample(fine, coarse)
        mixed = (mixing @ coarse.flatten(2)).view(coarse.shape)  # (N, C, h, w)
        return resize(mixed, grid_of(fine), self.convention)

    def geometry(self, fine: Tensor, coarse: Tensor) -> Mixing:
        """Return the weight of each channel of coarse in each channel of the result."""
        mixing, _, _ = self.sample(fine, coarse)
        about = "The channels are laid out as a square, in which each reads nine at learned places around it."
        return Mixing(mixing, about)

    def sample(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What happens in the square of channels, S = sqrt(C).

        Returns:
            The mixing (N, C, C) as in `Mixing`, offsets (N, grid^2, 2, S, S), dx then dy, in cells of the square, and
            affinity (N, grid^2, S, S).
        """
        pooled_fine, pooled_coarse = pool_to_bins(fine, self.pooled), pool_to_bins(coarse, self.pooled)
        keys = self._square(self.key(torch.cat((pooled_fine, pooled_coarse), dim=1)))
        query = self._square(self.query(pooled_fine)) * self.scale
        offsets = neighborhood(self.make_flow(keys), self.grid)
        channels = self.side**2
        identity = torch.eye(channels, device=coarse.device, dtype=offsets.dtype).view(
            1, channels, self.side, self.side
        )
        every = identity.expand(coarse.shape[0], -1, -1, -1)
        mixing, affinity = dynamic_sampling(query, keys, every, offsets)  # (N, C of coarse, side, side)
        return mixing.flatten(2).transpose(1, 2).to(coarse.dtype), offsets, affinity

    def _square(self, x: Tensor) -> Tensor:
        """Lay out channels (N, C, a, a) as an image of a^2-vectors (N, a^2, side, side)."""
        square: Tensor = x.flatten(2).transpose(1, 2).unflatten(2, (self.side, self.side))
        return square


def position_embedding(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Sinusoids of where x's pixels lie, "Attention Is All You Need" (arXiv 1706.03762) along both axes.

    Args:
        x: (N, C, h, w), used for its shape, device and dtype.
        size: (H, W), the grid in whose pixels places are measured.

    Returns:
        (C, h, w) in x's dtype: sines and cosines of y, then of x, cut to C channels.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    count = (x.shape[1] + 3) // 4
    frequency = torch.exp(torch.arange(count, device=x.device, dtype=dtype) * (-math.log(10_000) / count))
    codes = []
    for length, full in zip((x.shape[-2], x.shape[-1]), size):
        place = (torch.arange(length, device=x.device, dtype=dtype) + 0.5) * (full / length) - 0.5
        angle = frequency.unsqueeze(1) * place  # (C / 4, length)
        codes.append(torch.cat((angle.sin(), angle.cos())))  # (C / 2, length)
    rows, columns = codes
    shape = (-1, x.shape[-2], x.shape[-1])
    both = torch.cat((rows.unsqueeze(2).expand(shape), columns.unsqueeze(1).expand(shape)))
    return both[: x.shape[1]].to(x.dtype)  # (C, h, w)


def _offset_layer(channels: int, grid: int, kernel_size: int, zero: bool) -> nn.Conv2d:
    layer = nn.Conv2d(channels, 2 * grid**2, kernel_size, padding=kernel_size // 2)
    if zero:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def neighborhood(learned: Tensor, grid: int) -> Tensor:
    """Add predicted offsets (N, 2 grid^2, H, W) to a centered neighborhood: (N, grid^2, 2, H, W), float32 at least."""
    learned = PACE * learned.to(torch.promote_types(learned.dtype, torch.float32)).unflatten(1, (grid**2, 2))
    step = torch.arange(grid, device=learned.device, dtype=learned.dtype) - (grid - 1) / 2
    dy, dx = torch.meshgrid(step, step, indexing="ij")
    return learned + torch.stack((dx, dy), dim=-1).view(grid**2, 2, 1, 1)


def _square_side(channels: int) -> int:
    side = math.isqrt(channels)
    if side**2 == channels:
        return side
    raise InputError(
        f"channels is {channels}: the channel branch lays the channels out as a square, so choose {side**2} or "
        f"{(side + 1) ** 2}, or branches 'spatial'"
    )
