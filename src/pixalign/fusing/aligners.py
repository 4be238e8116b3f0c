"""The alignment operators at inference: the same results from fewer and smaller maps.

Each class is that of `pixalign.aligners`, whose name it has, with another ``forward``; where `quick` says no (another
device, a gradient, a graph being captured), or `summed` (few channels), it is the operator's own. `fits` says whether
an operator's layers are those that the class assumes (`pixalign.fusing.checks`), `prepare` takes weights apart
once, where there are any to take apart.

- A flow that is linear in the maps (SFNet, SFNet-Lite, BiAlignNet) is the 3x3 convolution of 1x1 convolutions: both are
  multiplied into one 1x1 convolution to nine taps per channel of the flow, computed on each map at its own size.
- Where a nonlinearity lies between them (AlignSeg), both offset branches are one convolution, their norms folded.
- Maps are moved and merged strip by strip (`pixalign.fusing.rows`).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pixalign.aligners.base import Aligner
from pixalign.aligners.bilinear import Bilinear
from pixalign.aligners.dual_flow import SLOPE, DualFlow, Offsets
from pixalign.aligners.dynamic_dual import (
    ChannelSampling,
    DynamicDual,
    SpatialSampling,
    neighborhood,
    position_embedding,
)
from pixalign.aligners.dysample import DySample
from pixalign.aligners.flow import Flow
from pixalign.aligners.gated_dual_flow import GatedDualFlow
from pixalign.aligners.gated_flow import GatedFlow, GatedFlowAlignment
from pixalign.aligners.implicit import Implicit
from pixalign.fusing.checks import convolves, leaky
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
from pixalign.fusing.rows import (
    Part,
    Reads,
    Warp,
    as_map,
    as_rows,
    drawn,
    gather_taps,
    grid_reads,
    resize_axis,
    resized,
    strips,
    tap_weight,
    total,
    warped,
)
from pixalign.sampling import Size, grid_of, resize

LEAKY: Act = ("leaky_relu", (SLOPE,))


def has_linear_flow(module: Any) -> bool:
    """Whether the flow is linear in the maps, as `flow_taps` takes it."""
    down_coarse, down_fine, make_flow = module.down_coarse, module.down_fine, module.make_flow
    if not (convolves(down_coarse, 1, False) and convolves(down_fine, 1, False) and convolves(make_flow, 3, False)):
        return False
    return len(down_coarse.weight) == len(down_fine.weight) == make_flow.weight.shape[1] / 2


def has_gated_flow(module: Any, moved: str) -> bool:
    """Whether a module is a gated flow of the map called ``moved``, its gate linear before the sigmoid."""
    if type(module) is not GatedFlowAlignment or module.moved != moved or not convolves(module.make_gate, 1, True):
        return False
    return has_linear_flow(module) and len(module.make_gate.weight) == 2 and len(module.make_flow.weight) == 2


def has_offsets(module: Any) -> bool:
    """Whether a module is an offset branch of AlignSeg, as `MergedOffsets` takes it."""
    if type(module) is not Offsets or not is_norm(module.norm) or not leaky(module.act, SLOPE):
        return False
    return convolves(module.reduce, 1, False) and convolves(module.make_flow, 3, False)


def flow_taps(module: Any) -> tuple[Tensor, Tensor]:
    """Weights (9 D, C, 1, 1) that give the taps of a linear flow: on the coarse map and on the fine one."""
    down_coarse, down_fine, make_flow = (m.weight for m in (module.down_coarse, module.down_fine, module.make_flow))
    on_coarse, on_fine = tap_weight(make_flow).chunk(2, dim=1)  # (9 D, R) each
    return pointwise(on_coarse @ down_coarse.flatten(1)), pointwise(on_fine @ down_fine.flatten(1))


def linear_flow(fine_taps: Tensor, coarse_taps: Tensor, convention: str) -> Tensor:
    """The flow (1, D, H, W), float32, from the taps on the fine grid and on the coarse one."""
    return gather_taps(fine_taps.float() + resize(coarse_taps.float(), grid_of(fine_taps), convention))


def each_image(function: Any, *maps: Tensor) -> Tensor:
    """Apply ``function`` to the maps of each image (1, C, h, w), and stack what it gives."""
    if maps[0].shape[0] == 1:
        return function(*maps)
    return torch.cat([function(*one) for one in zip(*(x.split(1) for x in maps))])


def empty_map(size: Size, channels: int, like: Tensor) -> Tensor:
    """A map (1, channels, *size), channels last, not yet written."""
    return torch.empty(1, channels, *size, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def added(fine: Tensor, part: Part) -> Tensor:
    """``fine`` (1, C, H, W) and the map that ``part`` gives, added."""
    out = empty_map(grid_of(fine), fine.shape[1], fine)
    for strip in strips(grid_of(fine), fine.shape[1]):
        torch.add(fine[:, :, strip], part(strip), out=out[:, :, strip])
    return out


class ImageByImage(Aligner):
    """An aligner that sums rows: ``merge`` is its ``forward`` for one image."""

    merge: Callable[..., Tensor]

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return each_image(self.merge, fine, coarse) if summed(fine) else super().forward(fine, coarse)


@rewrites(Bilinear)
class QuickBilinear(ImageByImage, Bilinear):
    def merge(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return added(fine, resized(coarse, grid_of(fine), self.convention))


@rewrites(Flow)
class QuickFlow(ImageByImage, Flow):
    def fits(self) -> bool:
        return has_linear_flow(self) and len(self.make_flow.weight) == 2

    def prepare(self) -> None:
        self.taps_coarse, self.taps_fine = (nn.Buffer(x, persistent=False) for x in flow_taps(self))

    def merge(self, fine: Tensor, coarse: Tensor) -> Tensor:
        flow = linear_flow(convolve(fine, self.taps_fine), convolve(coarse, self.taps_coarse), self.convention)
        return added(fine, warped(coarse, flow, self.convention))


@rewrites(GatedFlow)
class QuickGatedFlow(ImageByImage, GatedFlow):
    def fits(self) -> bool:
        return has_gated_flow(self.alignment, "coarse")

    def prepare(self) -> None:
        taps_coarse, taps_fine = flow_taps(self.alignment)
        gate = self.alignment.make_gate
        assert gate.bias is not None
        self.on_coarse = nn.Buffer(torch.cat((taps_coarse, gate.weight)), persistent=False)  # (20, C, 1, 1)
        self.bias = nn.Buffer(torch.cat((gate.bias.new_zeros(len(taps_coarse)), gate.bias)), persistent=False)
        self.on_fine = nn.Buffer(taps_fine, persistent=False)

    def merge(self, fine: Tensor, coarse: Tensor) -> Tensor:
        convention = self.alignment.convention
        taps, gate = convolve(coarse, self.on_coarse, self.bias).split((18, 2), dim=1)
        flow = linear_flow(convolve(fine, self.on_fine), taps, convention)
        flow = flow * resize(gate.float().sigmoid(), grid_of(fine), convention)
        return added(fine, warped(coarse, flow, convention))


@rewrites(GatedDualFlow)
class QuickGatedDualFlow(ImageByImage, GatedDualFlow):
    def fits(self) -> bool:
        return has_linear_flow(self) and len(self.make_flow.weight) == 4

    def prepare(self) -> None:
        self.taps_coarse, self.taps_fine = (nn.Buffer(x, persistent=False) for x in flow_taps(self))

    def merge(self, fine: Tensor, coarse: Tensor) -> Tensor:
        size, channels = grid_of(fine), fine.shape[1]
        flows = linear_flow(convolve(fine, self.taps_fine), convolve(coarse, self.taps_coarse), self.convention)
        reduced_coarse = resized(self.down_coarse(coarse), size, self.convention)
        summary = empty_map(size, 4, flows)
        for strip in strips(size, channels):
            reduced, some = reduced_coarse(strip), fine[:, :, strip]
            parts = (reduced.mean(1), some.mean(1), reduced.amax(1), some.amax(1))
            torch.stack(parts, dim=1, out=summary[:, :, strip])
        gate = self.make_gate(summary).float().sigmoid()
        warped_coarse = warped(coarse, flows[:, :2], self.convention)
        warped_fine = warped(fine, flows[:, 2:], self.convention)
        out = empty_map(size, channels, fine)
        for strip in strips(size, channels):
            out[:, :, strip] = torch.lerp(warped_fine(strip), warped_coarse(strip), gate[:, :, strip])
        return out


@rewrites(DySample)
class QuickDySample(ImageByImage, DySample):
    def merge(self, fine: Tensor, coarse: Tensor) -> Tensor:
        offsets = self.offsets(fine, coarse)[0]  # (groups, 2, H, W)
        warps = [Warp(flow, grid_of(coarse), self.convention) for flow in offsets.split(1)]
        table = as_rows(coarse).unflatten(1, (self.groups, -1)).flatten(0, 1)  # (h * w * groups, C / groups)

        def moved(strip: slice) -> Tensor:
            reads = [Reads(r.row * self.groups + i, r.weight) for i, r in enumerate(w.reads(strip) for w in warps)]
            every = Reads(*(torch.stack(parts, dim=2) for parts in zip(*reads)))  # (strip, W, groups, 4)
            return as_map(total(table, every).view(-1, fine.shape[1]), len(every.row))

        return added(fine, moved)


@rewrites(Implicit)
class QuickImplicit(Implicit):
    """The norm after the sum is folded into both summands."""

    def fits(self) -> bool:
        if type(self.mix) is not nn.Sequential or not is_norm(self.mix[0]):
            return False
        return convolves(self.on_features, 1, False) and convolves(self.on_position, 1, False)

    def prepare(self) -> None:
        norm: Any = self.mix[0]
        scale, shift = scale_and_shift(norm)
        for layer in (self.on_features, self.on_position):
            layer.weight = nn.Parameter(layer.weight * scale.view(-1, 1, 1, 1), requires_grad=False)
        self.on_position.bias = nn.Parameter(shift, requires_grad=False)
        self.mix = self.mix[1:]


class MergedOffsets(nn.Module):
    """Offset branches of AlignSeg that read the same maps, as one: `flows` gives those of all.

    Their norms are folded; the 3x3 convolutions are taps.
    """

    def __init__(self, branches: list[Offsets]) -> None:
        super().__init__()
        self.convention = branches[0].convention
        scales, shifts = zip(*(scale_and_shift(branch.norm) for branch in branches))
        weights = [branch.reduce.weight * scale.view(-1, 1, 1, 1) for branch, scale in zip(branches, scales)]
        on_fine, on_coarse = torch.cat(weights).chunk(2, dim=1)
        self.on_fine = nn.Buffer(on_fine.contiguous(), persistent=False)
        self.on_coarse = nn.Buffer(on_coarse.contiguous(), persistent=False)
        self.shift = nn.Buffer(torch.cat(shifts), persistent=False)
        taps = torch.block_diag(*(tap_weight(branch.make_flow.weight) for branch in branches))
        self.taps = nn.Buffer(pointwise(taps), persistent=False)

    def flows(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Displacements (1, 2 per branch, H, W), float32, for one image."""
        reduced = convolve(coarse, self.on_coarse, self.shift)  # (1, branches * C, h, w)
        from_coarse = resized(reduced, grid_of(fine), self.convention)
        taps = empty_map(grid_of(fine), self.taps.shape[0], reduced.float()[..., :0])
        for strip in strips(grid_of(fine), reduced.shape[1]):
            hidden = convolve(fine[:, :, strip], self.on_fine, act=LEAKY, onto=from_coarse(strip).to(reduced.dtype))
            taps[:, :, strip] = convolve(hidden, self.taps)
        return gather_taps(taps)


@rewrites(DualFlow)
class QuickDualFlow(ImageByImage, DualFlow):
    def fits(self) -> bool:
        return has_offsets(self.offsets_coarse) and has_offsets(self.offsets_fine)

    def prepare(self) -> None:
        self.merged = MergedOffsets([self.offsets_coarse, self.offsets_fine])

    def merge(self, fine: Tensor, coarse: Tensor, then: nn.Module | None = None) -> Tensor:
        """The merged maps of one image, and ``then``, a 1x1 convolution, on them."""
        flows = self.merged.flows(fine, coarse)
        size = grid_of(fine)
        warped_coarse = warped(coarse, flows[:, :2], self.convention, size)
        warped_fine = warped(fine, flows[:, 2:], self.convention)
        out = empty_map(size, fine.shape[1], fine)
        for strip in strips(size, fine.shape[1]):
            result = warped_coarse(strip).add_(warped_fine(strip))
            out[:, :, strip] = result if then is None else then(result.to(fine.dtype))
        return out


@rewrites(SpatialSampling)
class QuickSpatialSampling(SpatialSampling):
    """Two passes over strips: the keys; then affinity and values of all positions, in one sum of rows."""

    def fits(self) -> bool:
        layers = (self.key_fine, self.value, self.key_coarse, self.query, self.project)
        if not all(convolves(layer, 1) for layer in layers) or type(self.key_fine) is not Convolution:
            return False
        channels = {side for layer in layers for side in layer.weight.shape[:2]}
        return len(channels) == 1 and self.key_coarse.bias is None and self.value.bias is not None

    def prepare(self) -> None:
        self.on_coarse = nn.Buffer(torch.cat((self.key_coarse.weight, self.value.weight)), persistent=False)
        assert self.value.bias is not None
        self.coarse_bias = nn.Buffer(torch.cat((torch.zeros_like(self.value.bias), self.value.bias)), persistent=False)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return each_image(self._draw, fine, coarse) if quick(fine) else super().forward(fine, coarse)

    def _draw(self, fine: Tensor, coarse: Tensor) -> Tensor:
        size, channels = grid_of(fine), fine.shape[1]
        code = _PlaceCode(fine) if self.position else None
        if self.position:
            coarse = coarse + position_embedding(coarse.float(), size).to(coarse.dtype)
        both = convolve(coarse, self.on_coarse, self.coarse_bias)
        key_coarse, values = (as_rows(x) for x in both.chunk(2, dim=1))
        rows, columns = (resize_axis(n, m, self.convention) for n, m in zip(size, grid_of(coarse)))

        def placed(strip: slice) -> Tensor:
            some = fine[:, :, strip]
            return some if code is None else some + code.part(strip)

        keys = empty_map(size, channels, both)
        up = empty_map(size, channels, both)
        for strip in strips(size, channels):
            corners = grid_reads(rows, columns, coarse.shape[-1], strip)
            up[:, :, strip] = drawn(values, corners)
            keys[:, :, strip] = self.key_fine(placed(strip), drawn(key_coarse, corners).to(keys.dtype))
        offsets = neighborhood(self.make_flow(keys), self.grid)[0]  # (P, 2, H, W)
        warps = [Warp(offset, size, self.convention) for offset in offsets.split(1)]
        key_rows, value_rows = as_rows(keys), as_rows(up)
        out = empty_map(size, channels, both)
        for strip in strips(size, channels):
            query = as_rows(self.query(placed(strip)))  # (strip * W, C)
            reads = [warp.reads(strip) for warp in warps]
            logits = [total(key_rows, read).mul_(query).sum(1) for read in reads]
            affinity = torch.stack(logits, dim=1).mul_(self.scale).softmax(1)  # (strip * W, P)
            row, weight = (torch.stack(parts, dim=2).flatten(0, 1) for parts in zip(*reads))  # (strip * W, P, 4)
            weight = weight * affinity.unsqueeze(-1)
            sampled = as_map(total(value_rows, Reads(row.flatten(1), weight.flatten(1))), strip.stop - strip.start)
            out[:, :, strip] = self.project(sampled.to(both.dtype))
        return out


class _PlaceCode:
    """`position_embedding` of a map on its own grid, strip by strip: it is separable."""

    def __init__(self, x: Tensor) -> None:
        size = grid_of(x)
        half = 2 * ((x.shape[1] + 3) // 4)  # channels that code y
        self.rows = position_embedding(x[..., :1], size)[:half]
        self.columns = position_embedding(x[..., :1, :], size)[half:]
        self.width = size[1]

    def part(self, strip: slice) -> Tensor:
        rows = self.rows[:, strip].expand(-1, -1, self.width)
        return torch.cat((rows, self.columns.expand(-1, rows.shape[1], -1))).unsqueeze(0)  # (1, C, strip, W)


@rewrites(DynamicDual)
class QuickDynamicDual(DynamicDual):
    def fits(self) -> bool:
        spatial, channel = type(self.spatial), type(self.channel)
        own = spatial in (SpatialSampling, QuickSpatialSampling, type(None))
        return own and channel in (ChannelSampling, type(None))

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        if not quick(fine):
            return super().forward(fine, coarse)
        out = self.spatial(fine, coarse).add_(fine) if self.spatial is not None else fine.clone()
        if self.channel is not None:
            mixing, _, _ = self.channel.sample(fine, coarse)
            mixed = (mixing @ coarse.flatten(2)).view(coarse.shape)
            for one, coarse in zip(out.split(1), mixed.split(1)):
                _add_resized(one, coarse, self.channel.convention)
        return out


def _add_resized(out: Tensor, coarse: Tensor, convention: str) -> None:
    """Add coarse (1, C, h, w), resized, to out (1, C, H, W)."""
    part = resized(coarse.contiguous(memory_format=torch.channels_last), grid_of(out), convention)
    for strip in strips(grid_of(out), out.shape[1]):
        out[:, :, strip] += part(strip)
