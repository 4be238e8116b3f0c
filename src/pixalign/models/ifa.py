"""IFA (ECCV 2022, arXiv 2206.08655): alignment as a function of position, section 3.

Feature maps are read as one function of a continuous position: at a query point, every level gives the feature z of
the nearest cell and psi(d), the encoded position d of the point inside that cell, in half cells; an MLP turns all of
them into logits. Nothing is resized, so nothing is misaligned, and the points may lie anywhere: on a grid of any
resolution, or scattered (`IFA.decode`).

- laterals on c2 c3 c4 c5 (1/4 1/8 1/16 1/32): 1x1 with bias to C channels, BN, ReLU;
- psi(d) = [d, sin(d F^T), cos(d F^T)], d = (dy, dx), with F learnable per level (`pixalign.blocks.RelativeEncoding`);
- MLP on [psi, z] of all levels, finest first: 2C, C, C, classes, with BN and ReLU between;
- forward asks at the centers of the finest map's cells and resizes the logits (as the release), or at every pixel.

The first layer of the MLP is linear, and reading the nearest feature commutes with a linear map, so that
W [psi, z] = W_psi psi + (W_z z): W_z is applied to each level at its own resolution and the result is read; W_psi psi
depends on the positions alone and serves the whole batch. That is exact, and the map of 4 (C + 26) channels at the
queries' resolution never exists. Without gradients, queries are answered strip by strip: memory does not grow with 2C
channels per query, and a strip stays in a CPU's cache.

Adaptive decoding (`IFA.decode` with ``refine``): the MLP is asked at the centers of the finest map's cells, the logits
are resized, and it is asked again at every pixel of the least sure cells alone, whose logits are replaced. That a
function of position need be refined only where it is unsure is PointRend's (CVPR 2020, arXiv 1912.08193), which refines
single points, anew at each doubling of the resolution. Our choice: whole cells, once, so that each refined pixel is
exactly what decoding at every pixel gives, and few cells are read; and what "sure" is, see `least_sure`.

Open in the paper, our choice:

- A point midway between two cells takes the even one (`pixalign.sampling.nearest_grid_cells`).
- Local ensemble: the paper names it, and its release overwrites the neighbors' parts in place of adding them. Here
  [psi, z] of the four cells around the point, level by level, are averaged with the shares of bilinear interpolation
  (the area opposite to each) before the MLP.
- Training at random points: uniform in the image, drawn anew in each step. (Asked at its own cells' centers alone, the
  finest level has d = 0, and its F stays as it is.)
- The auxiliary head is the release's, on c4: 3x3 with bias, BN, ReLU, dropout, 1x1.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixalign.blocks import RelativeEncoding, class_head, conv_norm_act
from pixalign.encoders import TimmEncoder
from pixalign.errors import InputError
from pixalign.models.network import SegmentationNetwork
from pixalign.sampling import (
    Size,
    cell_centers,
    check_convention,
    grid_of,
    linear_cells,
    nearest_cells,
    nearest_grid_cells,
    resize,
)

QUERIES = ("finest", "pixels")

_STRIP = {"cpu": 2**12, "cuda": 2**17}  # queries answered at a time where no gradient is wanted


class Read(NamedTuple):
    """What each query reads, along one axis or in a map; tensors of the queries' shape (B, H, W), B = 1 or N.

    Attributes:
        cell: index, int64; in a map, and along its height, row * width + column.
        offset: the query's position relative to the cell's center in half cells; in a map (B, H, W, 2), y then x.
        share: of the cell in a local ensemble; None where it is the only one.
    """

    cell: Tensor
    offset: Tensor
    share: Tensor | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> "Read":
        """The same read after a change of the queries' shape."""
        share = None if self.share is None else change(self.share)
        return Read(change(self.cell), change(self.offset), share)


Axes = tuple[list[Read], list[Read]]  # along a map's height and along its width


class IFA(SegmentationNetwork):
    """Encoder, laterals, and an implicit function over the four levels.

    Args:
        encoder: timm model name.
        num_classes: number of classes K.
        channels: width C of laterals and MLP (the release: 256).
        encoding: of positions, "learnable" (the release), "sinusoidal", "raw" or "none".
        queries: where logits are computed when a map of them is asked for: "finest", at the centers of the finest map's
            cells, then resized (the release), or "pixels", at the center of every pixel of the size asked for, which
            costs up to 16 times as much. It is an attribute too, which may be changed after training.
        local_ensemble: average the four cells around a query in place of taking the nearest.
        train_points: train at this many random points of each image in place of a map of logits; 0 does not.
        auxiliary: add an auxiliary class head on c4, used by the loss alone.
        pretrained, in_channels, encoder_options: see `pixalign.encoders.TimmEncoder`.
        convention: sampling convention of the resizes (`pixalign.sampling`). All but ``pixel`` also find nearest cells
            with the release's rounding.

    Raises:
        InputError: an unknown encoding or queries, or a negative train_points.
    """

    takes_refine = True

    def __init__(
        self,
        encoder: str = "resnet18",
        num_classes: int = 19,
        channels: int = 256,
        encoding: str = "learnable",
        queries: str = "finest",
        local_ensemble: bool = False,
        train_points: int = 0,
        auxiliary: bool = True,
        pretrained: bool | str = False,
        in_channels: int = 3,
        encoder_options: dict[str, Any] | None = None,
        convention: str = "pixel",
    ) -> None:
        super().__init__()
        if queries not in QUERIES:
            raise InputError(f"queries {queries!r} is unknown: choose one of {', '.join(QUERIES)}")
        if train_points < 0:
            raise InputError(f"train_points is {train_points}: give a number of points, or 0 for a map of logits")
        self.queries = queries
        self.local_ensemble = local_ensemble
        self.train_points = train_points
        self.convention = check_convention(convention)
        self.encoder = TimmEncoder(encoder, pretrained, in_channels, **(encoder_options or {}))
        self.laterals = nn.ModuleList(conv_norm_act(c, channels, bias=True) for c in self.encoder.channels)
        self.encodings = nn.ModuleList(RelativeEncoding(encoding) for _ in self.laterals)
        self.first = nn.Conv2d(len(self.laterals) * (RelativeEncoding(encoding).channels + channels), 2 * channels, 1)
        self.mlp = nn.Sequential(
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(inplace=True),
            *conv_norm_act(2 * channels, channels, bias=True),
            *conv_norm_act(channels, channels, bias=True),
        )
        self.classify = nn.Conv2d(channels, num_classes, 1)
        self.auxiliary = class_head(self.encoder.channels[2], channels, num_classes) if auxiliary else None

    @property
    def about(self) -> str:
        """What `pixalign.explain` says of it."""
        said = (
            "Nothing is moved or resized: at any point, IFA reads the nearest cell of each level and where in that "
            "cell the point lies, and answers. So it can be asked at any resolution."
        )
        if self.queries == "finest" and not self.train_points:
            said += (
                " This one was trained at the centers of the finest cells alone, where its prediction asks as well: "
                "places between them are new to it."
            )
        return said

    def cell_maps(self, features: list[Tensor]) -> list[Tensor]:
        """Return the laterals' maps (N, C, h, w), finest first."""
        return [lateral(x) for lateral, x in zip(self.laterals, features)]

    def decode_heads(self, features: list[Tensor], size: Size | None, heads: bool) -> tuple[Tensor, dict[str, Any]]:
        """Return logits as `decode` does, and, with ``heads``, "auxiliaries" [logits at 1/16].

        With ``heads``, in training mode and with ``train_points`` = P, the logits are (N, K, P, 1), and "points"
        (N, P, 2) says where (x, y in [-1, 1]).
        """
        others = self._auxiliary_head(features[2]) if heads else {}
        if not (heads and self.training and self.train_points):
            return self.decode(features, size), others
        points = 2 * torch.rand(len(features[0]), self.train_points, 2, device=features[0].device) - 1
        logits = self._at_points(features, points).unsqueeze(-1)
        return logits, {"points": points, **others}

    def decode(
        self,
        features: list[Tensor],
        size: Size | None = None,
        refine: float | None = None,
        points: Tensor | None = None,
    ) -> Tensor:
        """Return logits on a grid over the image, or at points of it.

        Args:
            features: what `encode` gives.
            size: (H, W) of the grid, finer or coarser than the image; the finest map's size if neither is given.
            refine: share of the finest map's cells, 0 to 1, at whose pixels the logits are computed, the least sure
                cells of each image first; elsewhere they are resized from the cells' centers. It trades time for
                detail: 0 is ``queries`` "finest", 1 is "pixels"; None takes what ``queries`` says. Which pixels are
                computed depends on the features, so a graph cannot be exported with anything between.
            points: (N, P, 2), x then y in [-1, 1], where -1 and 1 are the image's edges.

        Returns:
            (N, K, H, W), or (N, K, P) at points.

        Raises:
            InputError: both size and points, a size below 1, points of another shape or outside [-1, 1] (these two
                are not checked in an exported or compiled graph), or refine without a size or outside [0, 1].
        """
        if refine is not None and (size is None or not 0 <= refine <= 1):
            raise InputError(f"refine is {refine:g} at size {size}: give a share of the cells, 0 to 1, with a size")
        if points is not None:
            if size is not None:
                raise InputError("size and points are both given: give one of them")
            if not torch.compiler.is_compiling():
                _check_points(points, features[0].shape[0])
            return self._at_points(features, points if points.dtype == torch.float64 else points.float())
        if size is not None and not torch.compiler.is_compiling() and min(size) < 1:
            raise InputError(f"size is {tuple(size)}: give a height and a width of 1 or more")
        if refine is None:
            refine = 1 if self.queries == "pixels" else 0
        if size is None or refine == 0:
            return self._resized(self._on_grid(features, grid_of(features[0])), size)
        if refine == 1:
            return self._on_grid(features, size)
        return self._adaptively(features, size, refine)

    def _on_grid(self, features: list[Tensor], size: Size) -> Tensor:
        """Logits (N, K, H, W) at the pixel centers of a grid of ``size``."""
        return self._answer(self._tables(features), self._everywhere(features, size))

    def _adaptively(self, features: list[Tensor], size: Size, share: float) -> Tensor:
        """Logits (N, K, H, W) on a grid of ``size``, computed in the least sure cells and resized elsewhere."""
        tables = self._tables(features)
        coarse = self._answer(tables, self._everywhere(features, grid_of(features[0])))
        logits = resize(coarse, size, self.convention)
        axes = self._axes(features, size)
        for i, (rows, columns) in enumerate(pixels_of(least_sure(coarse, share), size, self.convention)):
            if not len(rows):
                continue
            chosen = [([_pick(r, rows) for r in y], [_pick(c, columns) for c in x]) for y, x in axes]
            logits[i, :, rows, columns] = self._answer([t[i : i + 1] for t in tables], chosen)[0, :, :, 0]
        return logits

    def _everywhere(self, features: list[Tensor], size: Size) -> list[Axes]:
        """What the pixel centers of a grid of ``size`` read in each level, as views (1, H, W)."""

        def down(x: Tensor) -> Tensor:
            return x.view(1, -1, 1).expand(1, *size)

        def across(x: Tensor) -> Tensor:
            return x.view(1, 1, -1).expand(1, *size)

        return [([r.each(down) for r in y], [c.each(across) for c in x]) for y, x in self._axes(features, size)]

    def _axes(self, features: list[Tensor], size: Size) -> list[Axes]:
        """What the pixel centers of a grid of ``size`` read along each axis, (H,) and (W,), in each level."""
        axes = []
        for x in features:
            (height, width), device = x.shape[-2:], x.device
            rows = [r._replace(cell=r.cell * width) for r in self._grid_reads(size[0], height, device)]
            axes.append((rows, self._grid_reads(size[1], width, device)))
        return axes

    def _at_points(self, features: list[Tensor], points: Tensor) -> Tensor:
        """Logits (N, K, P) at points (N, P, 2)."""
        x, y = points.unsqueeze(-2).unbind(-1)  # (N, P, 1)
        axes = []
        for level in features:
            height, width = level.shape[-2:]
            axes.append(([r._replace(cell=r.cell * width) for r in self._reads(y, height)], self._reads(x, width)))
        return self._answer(self._tables(features), axes).squeeze(-1)

    def _grid_reads(self, out: int, size: int, device: torch.device) -> list[Read]:
        """What ``out`` pixel centers (out,) read along an axis of ``size`` cells: one each, or two with an ensemble."""
        if self.local_ensemble:
            return self._reads(cell_centers(out, device), size)
        return [Read(*nearest_grid_cells(out, size, device, self.convention))]

    def _reads(self, position: Tensor, size: int) -> list[Read]:
        """The same for positions in [-1, 1] of any shape."""
        if self.local_ensemble:
            return [Read(*values) for values in zip(*linear_cells(position, size))]
        return [Read(*nearest_cells(position, size))]

    def _first_parts(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The first layer's weights on the positions (2C, levels * E), and on each level's features (2C, C)."""
        weights = self.first.weight.flatten(1).unflatten(1, (len(self.laterals), -1))  # (2C, levels, E + C)
        split = weights.shape[-1] - self.first.out_channels // 2
        return weights[..., :split].flatten(1), weights[..., split:].unbind(1)

    def _tables(self, features: list[Tensor]) -> list[Tensor]:
        """The first layer's part for each cell of each level: (N, h * w, 2C)."""
        parts = zip(self.laterals, features, self._first_parts()[1])
        return [F.linear(lateral(x).flatten(2).transpose(1, 2), weight) for lateral, x, weight in parts]

    def _answer(self, tables: list[Tensor], axes: list[Axes]) -> Tensor:
        """Logits (N, K, H, W) of queries (B, H, W), given by the rows and the columns that they read in each level."""
        on_position = self._first_parts()[0]
        logits = []
        for strip in self._strips(axes[0][0][0].cell, tables[0].shape[0]):
            levels = [_meet(rows, columns, strip) for rows, columns in axes]
            codes = [_encode(reads, encoding) for reads, encoding in zip(levels, self.encodings)]
            hidden = F.linear(torch.cat(codes, dim=-1).to(on_position.dtype), on_position, self.first.bias)
            for reads, table in zip(levels, tables):
                for read in reads:
                    hidden = _look_up(table, read).add_(hidden)  # (N, H, W, 2C)
            logits.append(self.classify(self.mlp(hidden.permute(0, 3, 1, 2))))
        return torch.cat(logits, dim=2).contiguous()  # few channels: resizing them is faster so

    def _strips(self, queries: Tensor, images: int) -> list[slice]:
        """Rows of queries (B, H, W) that are answered at a time."""
        if self.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return [slice(None)]
        height, width = queries.shape[1:]
        rows = max(1, _STRIP.get(queries.device.type, 2**17) // (images * width))
        return [slice(start, start + rows) for start in range(0, height, rows)]


def least_sure(logits: Tensor, share: float) -> Tensor:
    """Choose the cells in which logits are least sure of a class, the same number in each image.

    A cell is as sure as the weakest of its quarters, to which the logits are resized: by how much the best class leads
    the next one, in logits. So a border that runs between two cells counts in both (our choice; on drawn streets and
    CamVid it finds more of what full decoding changes than the lead at the cell's center).

    Args:
        logits: (N, K, h, w).
        share: of the cells, above 0, rounded to a whole number of them, at least one.

    Returns:
        (N, h, w) bool.
    """
    height, width = logits.shape[-2:]
    quarters = resize(logits.detach(), (2 * height, 2 * width))
    best, which = quarters.max(1, keepdim=True)
    lead = best - quarters.scatter(1, which, -torch.inf).amax(1, keepdim=True)
    lead = -F.max_pool2d(-lead, 2).flatten(1)  # (N, h * w)
    chosen = lead.topk(max(1, round(share * height * width)), largest=False).indices
    return torch.zeros_like(lead, dtype=torch.bool).scatter(1, chosen, True).view(-1, height, width)


def pixels_of(cells: Tensor, size: Size, convention: str = "pixel") -> list[tuple[Tensor, Tensor]]:
    """Rows and columns, int64 (P,) each, of the pixels of a grid of ``size`` that are nearest to chosen cells.

    Args:
        cells: (N, h, w) bool.
        size: (H, W).
        convention: of the nearest cell (`pixalign.sampling.nearest_grid_cells`).

    Returns:
        For each image; P may differ, and be 0 where the grid is coarser than the cells.
    """
    height, width = cells.shape[-2:]
    rows, _ = nearest_grid_cells(size[0], height, cells.device, convention)
    columns, _ = nearest_grid_cells(size[1], width, cells.device, convention)
    pixels = []
    widths = columns.bincount(minlength=width)  # of the cells, in pixels
    left = widths.cumsum(0) - widths  # their first pixel
    for chosen in cells:
        row, cell = chosen[rows].nonzero(as_tuple=True)
        lengths = widths[cell]
        skip = (left[cell] - lengths.cumsum(0) + lengths).repeat_interleave(lengths)
        pixels.append((row.repeat_interleave(lengths), torch.arange(len(skip), device=cells.device) + skip))
    return pixels


def _pick(read: Read, places: Tensor) -> Read:
    """What is read at some places (P,) along an axis, for queries (1, P, 1)."""
    return read.each(lambda x: x[places].view(1, -1, 1))


def _meet(rows: list[Read], columns: list[Read], strip: slice) -> list[Read]:
    """What is read in a map where each of the rows meets each of the columns, for a strip of queries."""
    reads = []
    for row, column in product(rows, columns):
        cell = row.cell[:, strip] + column.cell[:, strip]
        offset = torch.stack((row.offset[:, strip], column.offset[:, strip]), dim=-1)
        share = None
        if row.share is not None and column.share is not None:
            share = row.share[:, strip] * column.share[:, strip]
        reads.append(Read(cell, offset, share))
    return reads


def _encode(reads: list[Read], encoding: nn.Module) -> Tensor:
    """The encoded position (B, H, W, E) of each query, averaged over what it reads."""
    codes = [encoding(r.offset) if r.share is None else encoding(r.offset) * r.share.unsqueeze(-1) for r in reads]
    total: Tensor = sum(codes[1:], codes[0])
    return total


def _look_up(table: Tensor, read: Read) -> Tensor:
    """The rows of each image's table (N, cells, D) that are read, times their share: a new tensor (N, H, W, D)."""
    first = torch.arange(table.shape[0], device=table.device).view(-1, 1, 1) * table.shape[1]
    cell = read.cell + first  # (N, H, W)
    found: Tensor = table.flatten(0, 1).index_select(0, cell.flatten()).unflatten(0, cell.shape)
    return found if read.share is None else found * read.share.unsqueeze(-1).to(found.dtype)


def _check_points(points: Tensor, images: int) -> None:
    if points.dim() != 3 or points.shape[0] != images or points.shape[1] < 1 or points.shape[2] != 2:
        raise InputError(
            f"points have shape {tuple(points.shape)}: give ({images}, P, 2), P points x, y for each image"
        )
    if not points.is_floating_point() or not bool((points.abs() <= 1).all()):
        raise InputError(
            f"points are {points.dtype} from {points.min():g} to {points.max():g}: give floats from -1 to 1, "
            "the image's edges"
        )
