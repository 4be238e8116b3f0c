"""BiAlignNet (DFNet2) and AlignSeg (ResNet-101) as plain functions over the authors' tensors, in evaluation mode.

They show that `pixalign.sampling` in the published conventions is what these releases do: every resize and warp below
is ours. A state is {the authors' name: tensor}; the facts are those of the papers and their released code.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pixalign.sampling import resize, warp

State = dict[str, Tensor]


def bialignnet(state: State, image: Tensor) -> dict[str, Tensor]:
    """Outputs of BiAlignNet, and the two flows (N, 2, H/8, W/8) in its convention's unit."""
    convention = "bialignnet"

    def aligned(name: str, low: Tensor, high: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
        reduced = resize(conv(state, f"{name}.down_h", high), size_of(low), convention)
        flow = conv(state, f"{name}.flow_make", torch.cat((reduced, conv(state, f"{name}.down_l", low)), 1))
        gate = conv(state, f"{name}.gate.gate.0", moved).sigmoid()
        flow = flow * resize(gate, size_of(low), convention)
        return warp(moved, flow, convention), flow

    x = conv_norm_relu(state, "backbone.stage1.0", "backbone.stage1.1", image, 2)
    x = conv_norm_relu(state, "backbone.stage1.3", "backbone.stage1.4", x, 2)
    maps = {}
    for stage, blocks, stride in (
        ("stage2_1", 2, 2),
        ("stage2_2", 1, 1),
        ("stage3_1", 10, 2),
        ("stage3_2", 1, 1),
        ("stage4_1", 4, 2),
        ("stage4_2", 2, 1),
    ):
        for i in range(blocks):
            x = basic_block(state, f"backbone.{stage}.{i}", x, stride if i == 0 else 1)
        maps[stage] = x

    pooled = []
    for i, bins in enumerate((1, 2, 3, 6)):
        small = conv(state, f"ppm.stages.{i}.1", F.adaptive_avg_pool2d(x, bins))
        pooled.append(resize(norm(state, f"ppm.stages.{i}.2", small), size_of(x), convention))
    context = conv_norm_relu(state, "ppm.bottleneck.0", "ppm.bottleneck.1", torch.cat((*pooled, x), 1))  # 1/32

    spatial = image
    for layer, stride in (("conv1", 2), ("conv2", 2), ("conv3", 2), ("conv_out", 1)):
        spatial = conv_norm_relu(state, f"sp.{layer}.conv", f"sp.{layer}.bn", spatial, stride)  # 1/8 at last

    warped_context, flow_context = aligned("spatial2Context", spatial, context, context)
    warped_spatial, flow_spatial = aligned("context2Spatial", spatial, context, spatial)

    def head(name: str, features: Tensor) -> Tensor:
        features = conv_norm_relu(state, f"{name}.conv.conv", f"{name}.conv.bn", features)
        return F.pixel_shuffle(conv(state, f"{name}.conv_out", features), 8)

    def auxiliary(name: str, features: Tensor) -> Tensor:
        logits = conv(state, f"{name}.conv_out", features)
        logits = resize(logits, (16 * logits.shape[-2], 16 * logits.shape[-1]), convention)
        return resize(logits, size_of(image), convention)

    logits = head("conv_out", torch.cat((warped_context, warped_spatial), 1))
    return {
        "logits": resize(logits, size_of(image), convention),
        "edge": head("spatial_out", warped_spatial).sigmoid(),
        "aux16": auxiliary("cxt16_aux", maps["stage3_2"]),
        "aux8": auxiliary("cxt8_aux", maps["stage2_2"]),
        "flow_context": flow_context,
        "flow_spatial": flow_spatial,
    }


def alignseg(state: State, image: Tensor, convention: str) -> dict[str, Tensor]:
    """Outputs of AlignSeg at 1/4 under ``alignseg`` or ``alignseg_std``, and the last AlignFA's two offsets."""
    state = dict(state)
    for name in list(state):  # in-place activated batch norm scales by |weight| + 1e-5
        if name.endswith("running_var"):
            weight = name.replace("running_var", "weight")
            state[weight] = state[weight].abs() + 1e-5

    def abn(name: str, x: Tensor) -> Tensor:
        return F.leaky_relu(norm(state, name, x), 0.01)

    def refined(name: str, x: Tensor) -> Tensor:
        x = conv(state, f"{name}.unify", x)
        residual = abn(f"{name}.residual.1", conv(state, f"{name}.residual.0", x))
        return abn(f"{name}.norm", x + conv(state, f"{name}.residual.2", residual))

    def offset(name: str, low: Tensor, high: Tensor) -> Tensor:
        both = conv(state, f"{name}.0", torch.cat((low, high), 1))
        return conv(state, f"{name}.2", abn(f"{name}.1", both))

    def aggregated(name: str, low: Tensor, high: Tensor) -> Tensor:
        high = resize(high, size_of(low), convention)
        offsets.append(offset(f"{name}.delta_gen1", low, high))
        offsets.append(offset(f"{name}.delta_gen2", low, high))
        return warp(high, offsets[-2], convention) + warp(low, offsets[-1], convention)

    def context(x: Tensor) -> Tensor:
        grid = abn("CAM.pool.2", conv(state, "CAM.pool.1", F.adaptive_avg_pool2d(x, 3)))
        grid = abn("CAM.pool.4", conv(state, "CAM.pool.3", grid))
        local = abn("CAM.adapt.1", conv(state, "CAM.adapt.0", x))
        local = abn("CAM.adapt.3", conv(state, "CAM.adapt.2", local))
        delta = offset("CAM.delta_gen", local, resize(grid, size_of(x), convention))
        return warp(grid, delta, convention) + local

    def head(name: str, x: Tensor) -> Tensor:
        return conv(state, f"{name}.3", abn(f"{name}.1", conv(state, f"{name}.0", x)))

    x = conv_norm_relu(state, "conv1", "bn1", image, 2)
    x = conv_norm_relu(state, "conv2", "bn2", x)
    x = conv_norm_relu(state, "conv3", "bn3", x)
    x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
    maps = []
    for layer, blocks in ((1, 3), (2, 4), (3, 23), (4, 3)):
        for i in range(blocks):
            x = bottleneck(state, f"layer{layer}.{i}", x, 2 if i == 0 and layer > 1 else 1)
        maps.append(x)
    c2, c3, c4, c5 = maps

    offsets: list[Tensor] = []
    d1 = refined("RRB1a", c2)
    d2 = refined("RRB2b", aggregated("CAB2", d1, refined("RRB2a", c3)))
    d3 = refined("RRB3b", aggregated("CAB3", d2, refined("RRB3a", c4)))
    d4 = refined("RRB4b", aggregated("CAB4", d3, refined("RRB4a", c5)))
    d5 = refined("RRB5b", aggregated("CAB5", d4, refined("RRB5a", context(c5))))
    return {"logits": head("head", d5), "aux": head("dsn", d3), "offset1": offsets[-2], "offset2": offsets[-1]}


def size_of(x: Tensor) -> tuple[int, int]:
    return (x.shape[-2], x.shape[-1])


def conv(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """Convolution with "same" padding."""
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state.get(f"{name}.bias"), stride, weight.shape[-1] // 2)


def norm(state: State, name: str, x: Tensor) -> Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])


def conv_norm_relu(state: State, conv_name: str, norm_name: str, x: Tensor, stride: int = 1) -> Tensor:
    return norm(state, norm_name, conv(state, conv_name, x, stride)).relu()


def basic_block(state: State, name: str, x: Tensor, stride: int) -> Tensor:
    inside = conv_norm_relu(state, f"{name}.conv1", f"{name}.bn1", x, stride)
    inside = norm(state, f"{name}.bn2", conv(state, f"{name}.conv2", inside))
    return (inside + shortcut(state, name, x, stride)).relu()


def bottleneck(state: State, name: str, x: Tensor, stride: int) -> Tensor:
    inside = conv_norm_relu(state, f"{name}.conv1", f"{name}.bn1", x)
    inside = conv_norm_relu(state, f"{name}.conv2", f"{name}.bn2", inside, stride)
    inside = norm(state, f"{name}.bn3", conv(state, f"{name}.conv3", inside))
    return (inside + shortcut(state, name, x, stride)).relu()


def shortcut(state: State, name: str, x: Tensor, stride: int) -> Tensor:
    if f"{name}.downsample.0.weight" not in state:
        return x
    return norm(state, f"{name}.downsample.1", conv(state, f"{name}.downsample.0", x, stride))
