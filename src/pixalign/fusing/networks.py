"""The networks at inference: the same logits with fewer and smaller maps.

Each class is that of `pixalign.models` with another decoder; where `quick` says no, it is the network's own. `fits` and
`prepare` are as in `pixalign.fusing.rewrites`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixalign.aligners.dual_flow import SLOPE
from pixalign.blocks import LevelFusion, PyramidPooling, RelativeEncoding
from pixalign.fusing.aligners import (
    LEAKY,
    MergedOffsets,
    QuickDualFlow,
    each_image,
    empty_map,
    flow_taps,
    has_gated_flow,
    has_offsets,
    linear_flow,
)
from pixalign.fusing.checks import are_nothing, convolves, followed_by_nothing, leaky, pixelwise
from pixalign.fusing.convolution import (
    Act,
    Convolution,
    convolve,
    is_norm,
    pointwise,
    quick,
    scale_and_shift,
    summed,
)
from pixalign.fusing.rewrites import rewrites
from pixalign.fusing.rows import add_convolved_resize, as_map, as_rows, strips, warped
from pixalign.models.alignseg import AlignedContext, AlignSeg, RefinementBlock
from pixalign.models.bialignnet import CELL, BiAlignNet
from pixalign.models.ifa import IFA, least_sure, pixels_of
from pixalign.sampling import Size, grid_of, nearest_grid_cells, pool_to_bins, resize, warp

RELU: Act = ("relu", ())

_KEPT = 4096  # positions for which IFA keeps the first layer's part
_KEPT_NUMBERS = 2**24  # of these parts, level by level, for the pixels of a size: 64 MB
_AT_ONCE = 4096  # pixels that IFA refines at a time


@rewrites(LevelFusion)
class QuickLevelFusion(LevelFusion):
    """The convolution is taken apart by its inputs, and the concatenation is never made; of few channels it is.

    What a coarser map adds is computed at that map's size (`add_convolved_resize`).
    """

    def fits(self) -> bool:
        return followed_by_nothing(self, 3, RELU)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return each_image(self._fused, *maps) if quick(maps[0]) else super().forward(maps)

    def _fused(self, *maps: Tensor) -> Tensor:
        first, grid = maps[0], grid_of(maps[0])
        if not summed(first):
            first = first.contiguous(memory_format=torch.channels_last)  # of two layouts, a concatenation takes longer
            return super().forward([first, *maps[1:]])
        convolution: Any = self[0]
        weights = convolution.weight.split([x.shape[1] for x in maps], dim=1)
        out = convolve(first, weights[0], convolution.bias, padding=(1, 1))
        for x, weight in zip(maps[1:], weights[1:]):
            if grid_of(x) == grid:
                out = convolve(x, weight, padding=(1, 1), onto=out)
        out = out.float().contiguous(memory_format=torch.channels_last)
        for x, weight in zip(maps, weights):
            if grid_of(x) != grid:
                add_convolved_resize(out, x, weight, self.convention)
        return out.relu_()


@rewrites(PyramidPooling)
class QuickPyramidPooling(PyramidPooling):
    """A 1x1 commutes with a resize: the bottleneck's part of each pooled map is computed on its few bins."""

    def fits(self) -> bool:
        return followed_by_nothing(self.bottleneck, 1, RELU)

    def forward(self, x: Tensor) -> Tensor:
        if not quick(x):
            return super().forward(x)
        bottleneck: Any = self.bottleneck[0]
        planes = x.contiguous()  # once for all bins
        pooled = [branch(pool_to_bins(planes, bins)) for bins, branch in zip(self.bins, self.branches)]
        *on_pooled, on_x = bottleneck.weight.split([*(p.shape[1] for p in pooled), x.shape[1]], dim=1)
        out = convolve(x, on_x, bottleneck.bias)
        for p, weight in zip(pooled, on_pooled):
            out += resize(convolve(p, weight), grid_of(x), self.convention)
        return out.relu_()


@rewrites(BiAlignNet)
class QuickBiAlignNet(BiAlignNet):
    """Both alignments read one convolution on each map; the warped maps lie side by side from the start.

    Logits of sides that eight divides are not resized to their own size.
    """

    def fits(self) -> bool:
        gated = has_gated_flow(self.align_context, "coarse") and has_gated_flow(self.align_spatial, "fine")
        return gated and convolves(self.classify, 1, True)

    def prepare(self) -> None:
        on_coarse, on_fine = zip(*(flow_taps(a) for a in (self.align_context, self.align_spatial)))
        gate_coarse, gate_fine = self.align_context.make_gate, self.align_spatial.make_gate
        none = gate_coarse.weight.new_zeros(sum(len(x) for x in on_coarse))
        assert gate_coarse.bias is not None
        assert gate_fine.bias is not None
        self.on_coarse = nn.Buffer(torch.cat((*on_coarse, gate_coarse.weight)), persistent=False)  # (36 + 2, C, 1, 1)
        self.on_fine = nn.Buffer(torch.cat((*on_fine, gate_fine.weight)), persistent=False)
        self.on_coarse_bias = nn.Buffer(torch.cat((none, gate_coarse.bias)), persistent=False)
        self.on_fine_bias = nn.Buffer(torch.cat((none, gate_fine.bias)), persistent=False)

    def decode_heads(self, features: list[Tensor], size: Size | None, heads: bool) -> tuple[Tensor, dict[str, Any]]:
        *_, c5, spatial = features
        if not quick(spatial):
            return super().decode_heads(features, size, heads)
        context = self.pool(c5)
        both = each_image(self._aligned, spatial, context)  # (N, 2C, H/8, W/8)
        fused = self.fuse(both)
        logits = each_image(self._pixels, fused)
        logits = logits if size == grid_of(logits) else self._resized(logits, size)
        return logits, self._heads(features, both[:, context.shape[1] :]) if heads else {}

    def _aligned(self, spatial: Tensor, context: Tensor) -> Tensor:
        """The warped context and spatial map of one image."""
        size, channels = grid_of(spatial), context.shape[1]
        taps_coarse, gate_coarse = convolve(context, self.on_coarse, self.on_coarse_bias).split((36, 2), dim=1)
        taps_fine, gate_fine = convolve(spatial, self.on_fine, self.on_fine_bias).split((36, 2), dim=1)
        gates = resize(gate_coarse.float().sigmoid(), size, self.convention), gate_fine.float().sigmoid()
        flows = (linear_flow(taps_fine, taps_coarse, self.convention) * torch.cat(gates, dim=1)).split(2, dim=1)
        moved = [warped(x, flow, self.convention) for x, flow in zip((context, spatial), flows)]
        out = empty_map(size, 2 * channels, context)
        for strip in strips(size, 2 * channels):
            for half, part in zip(out.chunk(2, dim=1), moved):
                half[:, :, strip] = part(strip)
        return out

    def _pixels(self, fused: Tensor) -> Tensor:
        """``pixel_shuffle(classify(fused))`` of one image, channels last: runs of 8 K numbers are copied."""
        classes, (height, width) = self.classify.weight.shape[0] // CELL**2, grid_of(fused)
        weight = self.classify.weight.unflatten(0, (classes, -1)).transpose(0, 1).flatten(0, 1)  # cell by cell
        assert self.classify.bias is not None
        bias = self.classify.bias.unflatten(0, (classes, -1)).T.flatten()
        out = empty_map((CELL * height, CELL * width), classes, fused)
        runs = out.permute(0, 2, 3, 1).view(height, CELL, width, CELL * classes)
        for strip in strips((height, width), len(weight)):
            cells = convolve(fused[:, :, strip], weight, bias)[0].permute(1, 2, 0)  # (strip, w, 64 K)
            runs[strip] = cells.unflatten(2, (CELL, -1)).transpose(1, 2)
        return out


@rewrites(RefinementBlock)
class QuickRefinementBlock(RefinementBlock):
    """The sum with the residual and its norm are done by the residual's last convolution, in place."""

    def fits(self) -> bool:
        if type(self.residual) is not nn.Sequential or not is_norm(self.norm) or not leaky(self.act, SLOPE):
            return False
        layers = [m for m in self.residual if type(m) is Convolution]
        if len(layers) != 2 or not are_nothing(m for m in self.residual if m not in layers):
            return False
        return convolves(layers[1], 3, False) and convolves(self.unify, 1)

    def prepare(self) -> None:
        first, last = (m for m in self.residual if isinstance(m, Convolution))
        scale, shift = scale_and_shift(self.norm)
        self.first = first
        self.scale = nn.Buffer(scale.view(1, -1, 1, 1), persistent=False)
        self.shift = nn.Buffer(shift, persistent=False)
        self.last = nn.Buffer(last.weight * scale.view(-1, 1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.refine(self.unify(x)) if quick(x) else super().forward(x)

    def refine(self, x: Tensor) -> Tensor:
        """What follows ``unify``; x is overwritten."""
        inner = self.first(x)
        return convolve(inner, self.last, self.shift, padding=(1, 1), act=LEAKY, onto=x.mul_(self.scale.to(x.dtype)))


@rewrites(AlignedContext)
class QuickAlignedContext(AlignedContext):
    def fits(self) -> bool:
        return has_offsets(self.offsets)

    def prepare(self) -> None:
        self.merged = MergedOffsets([self.offsets])

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        if not quick(fine):
            return super().forward(fine, coarse)
        grid, local = self.grid(coarse), self.local(fine)
        return local + warp(grid, each_image(self.merged.flows, local, grid), self.convention)


@rewrites(AlignSeg)
class QuickAlignSeg(AlignSeg):
    """What AlignFA merges goes through the first 1x1 of the refinement strip by strip; maps are freed once read."""

    def fits(self) -> bool:
        quick_aligners = all(type(m) is QuickDualFlow for m in self.aligners)
        return quick_aligners and all(type(m) is QuickRefinementBlock for m in self.refine)

    def decode_heads(self, features: list[Tensor], size: Size | None, heads: bool) -> tuple[Tensor, dict[str, Any]]:
        if heads or not quick(features[0]):
            return super().decode_heads(features, size, heads)
        maps = [*features]
        del features  # with it goes the encoder's list, where the caller has kept none
        if len(maps[0]) == 1:
            return self._resized(self._logits(maps), size), {}
        logits = torch.cat([self._logits(list(one)) for one in zip(*(x.split(1) for x in maps))])
        return self._resized(logits, size), {}

    def _logits(self, maps: list[Tensor]) -> Tensor:
        """Logits (1, K, H/4, W/4) of one image's maps, finest first; the list is emptied."""
        maps.append(self.context(maps[3], pool_to_bins(maps[3], 3)))
        fused = self.laterals[0](maps.pop(0))
        steps: Any = zip(self.laterals[1:], self.aligners, self.refine)
        for lateral, aligner, refine in steps:
            fused = aligner.merge(fused, lateral(maps.pop(0)), refine.unify)  # (1, C, H/4, W/4)
            fused = refine.refine(fused)
        return self.classify(self.head(fused)).contiguous()


class Places(NamedTuple):
    """Where the queries of a grid (H, W) lie.

    Attributes:
        rows: (H, W, rows to add) int32, in the table of the coarser levels' maps and ``codes``.
        codes: (P, 2C), the first layer's part for each of the P positions that occur; none if they are many.
        offsets: if they are many, the offsets (H,) and (W,) in the cells of each level.
    """

    rows: Tensor
    codes: Tensor
    offsets: list[tuple[Tensor, Tensor]]


class PixelPlaces(NamedTuple):
    """Where the pixels of a grid (H, W) lie: what a pixel reads is the sum of its row's and its column's numbers.

    Attributes:
        along_height: (H, reads) int32: the finest map's cell, rows of the table of the coarser levels' maps, and one
            row of ``codes`` for each level if there are any.
        along_width: (W, reads) int32.
        codes: (P, 2C), the first layer's part for each of the positions that occur in a level's cells, level by level;
            none if they are many.
        offsets: if they are many, the offsets (H,) and (W,) in the cells of each level.
    """

    along_height: Tensor
    along_width: Tensor
    codes: Tensor
    offsets: list[tuple[Tensor, Tensor]]


@rewrites(IFA)
class QuickIFA(IFA):
    """Maps of logits: one sum of rows for all look-ups; the finest level's part is added to it in place.

    Which rows a query reads is kept for the last size, and so is what lies on the position alone where it repeats: a
    query's position in the cells of all levels takes few values where the maps' sizes divide each other.

    Adaptive decoding shares the coarser levels' parts with the map, and computes the finest level's for the chosen
    cells alone. A pixel to refine adds up one row of each level, and one for its position in each level's cells.
    """

    def fits(self) -> bool:
        norm, act, *rest = self.mlp
        layers = [m for m in rest if type(m) is Convolution]
        if not is_norm(norm) or type(act) is not nn.ReLU or not are_nothing(m for m in rest if m not in layers):
            return False
        plain = all(convolves(m, 1, act=RELU) for m in layers) and convolves(self.classify, 1)
        own = type(self.mlp) is nn.Sequential and all(type(m) is RelativeEncoding for m in self.encodings)
        return plain and own and convolves(self.first, 1, True) and all(map(pixelwise, self.laterals))

    def prepare(self) -> None:
        norm: Any = self.mlp[0]
        scale, shift = scale_and_shift(norm)
        assert self.first.bias is not None
        self.first.weight = nn.Parameter(self.first.weight * scale.view(-1, 1, 1, 1), requires_grad=False)
        self.first.bias = nn.Parameter(self.first.bias * scale + shift, requires_grad=False)
        self.mlp[0] = nn.Identity()
        on_position, on_features = self._first_parts()
        self.on_position = nn.Buffer(on_position, persistent=False)
        self.on_features = nn.Buffer(pointwise(torch.cat(on_features)), persistent=False)
        self.rest = self.mlp[2:]
        self.kept: tuple[tuple[Size, ...], Places] | None = None
        self.kept_pixels: tuple[tuple[Size, ...], PixelPlaces] | None = None

    def _on_grid(self, features: list[Tensor], size: Size) -> Tensor:
        if self.local_ensemble or size != grid_of(features[0]) or not quick(features[0]):
            return super()._on_grid(features, size)
        return each_image(lambda *maps: self._grid_logits(maps, self._coarser(maps)), *features)

    def _adaptively(self, features: list[Tensor], size: Size, share: float) -> Tensor:
        if self.local_ensemble or not quick(features[0]):
            return super()._adaptively(features, size, share)
        places = self._pixel_places(features, size)
        return each_image(lambda *maps: self._refined(maps, size, share, places), *features)

    def _refined(self, features: tuple[Tensor, ...], size: Size, share: float, places: PixelPlaces) -> Tensor:
        """Logits (1, K, *size) of one image, resized but for the pixels of the least sure cells."""
        coarser = self._coarser(features)
        coarse = self._grid_logits(features, coarser)
        logits = resize(coarse, size, self.convention)
        cells = least_sure(coarse, share)
        ((rows, columns),) = pixels_of(cells, size, self.convention)
        chosen = as_map(as_rows(features[0])[cells.flatten()], 1).to(features[0].dtype)
        finest = convolve(self.laterals[0](chosen), self.on_features.chunk(len(features))[0], self.first.bias)
        table = torch.cat([coarser, as_rows(finest)])
        which = (cells.flatten().cumsum(0) + (len(coarser) - 1)).int()  # row of a chosen cell
        levels = len(features)
        flat = logits[0].flatten(1)
        for y, x in zip(rows.split(_AT_ONCE), columns.split(_AT_ONCE)):
            read = places.along_height.index_select(0, y).add_(places.along_width.index_select(0, x))
            read[:, 0] = which.index_select(0, read[:, 0])
            hidden = F.embedding_bag(read[:, :levels].contiguous(), table, mode="sum")  # (P, 2C)
            if places.offsets:
                offsets = [torch.stack((down[y], across[x]), dim=-1) for down, across in places.offsets]
                hidden += self._on_offsets(offsets)
            else:
                hidden += F.embedding_bag(read[:, levels:].contiguous(), places.codes, mode="sum")
            flat.index_copy_(1, y * size[1] + x, self._row_logits(hidden.relu_()).T.to(flat.dtype))
        return logits

    def _row_logits(self, hidden: Tensor) -> Tensor:
        """Logits (P, K) of the first layer's outputs (P, 2C): faster here than 1x1 convolutions of a map of one row."""
        layers: Any = [m for m in self.rest if isinstance(m, Convolution)]
        for layer in layers:
            hidden = F.linear(hidden.to(layer.weight.dtype), layer.weight.flatten(1), layer.bias).relu_()
        last: Any = self.classify
        return F.linear(hidden.to(last.weight.dtype), last.weight.flatten(1), last.bias)

    def _coarser(self, features: Sequence[Tensor]) -> Tensor:
        """The first layer's part (cells, 2C) for the cells of all levels but the finest, of one image."""
        weights = self.on_features.chunk(len(features))
        maps = (convolve(lateral(x), w) for lateral, x, w in list(zip(self.laterals, features, weights))[1:])
        return torch.cat([as_rows(x) for x in maps])

    def _grid_logits(self, features: Sequence[Tensor], coarser: Tensor) -> Tensor:
        """Logits (1, K, H, W) of one image at the centers of the finest map's cells."""
        places = self._places(tuple(grid_of(x) for x in features))
        on_finest = self.on_features.chunk(len(features))[0]
        table = torch.cat([coarser, places.codes])
        logits = []
        for strip in strips(grid_of(features[0]), table.shape[1]):
            hidden = F.embedding_bag(places.rows[strip].flatten(0, 1), table, mode="sum")  # (strip * W, 2C)
            if places.offsets:
                hidden += self._on_position([(y[strip], x) for y, x in places.offsets])
            z = self.laterals[0](features[0][:, :, strip])
            onto = as_map(hidden, strip.stop - strip.start).to(z.dtype)
            logits.append(self.classify(self.rest(convolve(z, on_finest, self.first.bias, act=RELU, onto=onto))))
        return torch.cat(logits, dim=2).contiguous()

    def _on_position(self, offsets: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The first layer's part (H * W, 2C) for the offsets (H,) and (W,) in the cells of each level."""
        return self._on_offsets([torch.cartesian_prod(y, x) for y, x in offsets])

    def _on_offsets(self, offsets: list[Tensor]) -> Tensor:
        """The same (P, 2C) for offsets (P, 2) in the cells of each level."""
        codes = [encoding(d) for encoding, d in zip(self.encodings, offsets)]
        with torch.autocast("cpu", enabled=False):  # what is kept serves every precision
            return torch.cat(codes, dim=-1) @ self.on_position.T

    def _pixel_places(self, features: list[Tensor], size: Size) -> PixelPlaces:
        sizes, kept = (size, *(grid_of(x) for x in features)), self.kept_pixels  # read once: threads may replace it
        if kept is None or kept[0] != sizes:
            kept = self.kept_pixels = (sizes, self._find_pixel_places(features, size))
        return kept[1]

    def _find_pixel_places(self, features: list[Tensor], size: Size) -> PixelPlaces:
        axes = [(row, column) for (row,), (column,) in self._axes(features, size)]
        few = [[torch.unique(read.offset, return_inverse=True) for read in level] for level in axes]
        counts = [len(y) * len(x) for (y, _), (x, _) in few]
        along, codes, offsets = [], [self.on_position.new_empty(0, len(self.on_position))], []
        start = 0
        if sum(counts) * len(self.on_position) <= _KEPT_NUMBERS:
            parts = self.on_position.chunk(len(features), dim=1)
            for encoding, part, ((y, which_y), (x, which_x)), count in zip(self.encodings, parts, few, counts):
                codes.append(encoding(torch.cartesian_prod(y, x)) @ part.T)
                along.append((which_y * len(x) + start, which_x))
                start += count
        else:
            offsets = [(row.offset, column.offset) for row, column in axes]
        reads = [(axes[0][0].cell, axes[0][1].cell)]
        start = 0
        for (row, column), x in zip(axes[1:], features[1:]):
            reads.append((row.cell + start, column.cell))
            start += x.shape[-2] * x.shape[-1]
        height, width = (torch.stack(axis, dim=-1).int() for axis in zip(*reads, *along))
        return PixelPlaces(height, width, torch.cat(codes), offsets)

    def _places(self, sizes: tuple[Size, ...]) -> Places:
        kept = self.kept  # read once: threads may replace it
        if kept is None or kept[0] != sizes:
            kept = self.kept = (sizes, self._find_places(sizes))
        return kept[1]

    def _find_places(self, sizes: tuple[Size, ...]) -> Places:
        device = self.on_position.device
        y, x = (
            [nearest_grid_cells(out, size, device, self.convention) for size in along]
            for out, along in zip(sizes[0], zip(*sizes))
        )
        read, before = [], 0
        for (row, _), (column, _), (height, width) in list(zip(y, x, sizes))[1:]:
            read.append(row.unsqueeze(1) * width + column + before)
            before += height * width
        offsets = [torch.stack([offset for _, offset in axis]) for axis in (y, x)]  # (levels, H), (levels, W)
        (few_y, which_y), (few_x, which_x) = (torch.unique(o, dim=1, return_inverse=True) for o in offsets)
        codes = self.on_position.new_empty(0, len(self.on_position))
        if few_y.shape[1] * few_x.shape[1] <= _KEPT:
            codes = self._on_position([*zip(few_y, few_x)])
            read.append(which_y.unsqueeze(1) * few_x.shape[1] + which_x + before)
            offsets = []
        return Places(torch.stack(read, dim=-1).int(), codes, [*zip(*offsets)])
