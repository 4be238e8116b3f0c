"""DFNet1 and DFNet2 (Partial Order Pruning, CVPR 2019, arXiv 1903.03777), registered with timm: ``dfnet1``, ``dfnet2``.

Two 3x3 convolutions of stride 2 (32 and 64 channels, each with batch norm and ReLU), then stages of ResNet's basic
blocks, whose shortcut is a 1x1 convolution with batch norm where stride or width change. No weights are published in
timm's format.

DFNet2 halves its map in each first half of a stage; DFNet1 does in all of its stages but the last.

Our choices: the map at 1/4 is the stem's, which BiAlignNet, the user of these networks, does not read. DFNet1 has two
maps at 1/32 (256 and 512 channels): the encoder gives the last. Convolutions start as ResNet's do (He, fan-out).
"""

from collections.abc import Sequence
from typing import Any

from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, downsample_conv
from torch import Tensor, nn

from pixalign.blocks import conv_norm_act

# per stage: name, blocks, channels, stride of the first block
_DFNET1 = (("stage2", 3, 64, 2), ("stage3", 3, 128, 2), ("stage4", 3, 256, 2), ("stage5", 1, 512, 1))
_DFNET2 = (
    ("stage2_1", 2, 64, 2),
    ("stage2_2", 1, 128, 1),
    ("stage3_1", 10, 128, 2),
    ("stage3_2", 1, 256, 1),
    ("stage4_1", 4, 256, 2),
    ("stage4_2", 2, 512, 1),
)

_CONFIG = {"first_conv": "stem.0", "classifier": "head.fc", "input_size": (3, 224, 224), "num_classes": 1000}
default_cfgs = generate_default_cfgs(dict.fromkeys(("dfnet1", "dfnet2"), _CONFIG))


class DFNet(nn.Module):
    """A plain chain of basic blocks with timm's interface.

    Args:
        stages: (name, blocks, channels, stride of the first block) of each stage.
        num_classes: outputs of the classifier; 0 has none.
        in_chans: channels of the image.
        global_pool, drop_rate: of the classifier.
    """

    def __init__(
        self,
        stages: Sequence[tuple[str, int, int, int]],
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stem = nn.Sequential(*conv_norm_act(in_chans, 32, 3, 2), *conv_norm_act(32, 64, 3, 2))
        features: list[dict[str, Any]] = [{"num_chs": 64, "reduction": 4, "module": "stem"}]
        for name, blocks, channels, stride in stages:
            before = features[-1]
            self.add_module(name, _stage(before["num_chs"], channels, blocks, stride))
            last = {"num_chs": channels, "reduction": before["reduction"] * stride, "module": name}
            if last["reduction"] == before["reduction"]:
                features.pop()
            features.append(last)
        self.stages = [name for name, *_ in stages]
        self.feature_info = features
        self.num_features = self.head_hidden_size = channels
        self.head = ClassifierHead(channels, num_classes, global_pool, drop_rate)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def get_classifier(self) -> nn.Module:
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last map (N, 512, ceil(H / 32), ceil(W / 32)) of an image (N, in_chans, H, W)."""
        x = self.stem(x)
        for name in self.stages:
            x = self.get_submodule(name)(x)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        return self.head(x, pre_logits=pre_logits)

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores (N, num_classes) of an image (N, in_chans, H, W)."""
        return self.forward_head(self.forward_features(x))


@register_model
def dfnet1(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """DFNet1: 10 blocks, 64 128 256 512 channels."""
    return _create("dfnet1", _DFNET1, pretrained, **kwargs)


@register_model
def dfnet2(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """DFNet2: 20 blocks, the encoder of the released BiAlignNet."""
    return _create("dfnet2", _DFNET2, pretrained, **kwargs)


def _create(variant: str, stages: Sequence[tuple[str, int, int, int]], pretrained: bool, **kwargs: Any) -> nn.Module:
    feature_cfg = {"out_indices": (0, 1, 2, 3)}
    return build_model_with_cfg(DFNet, variant, pretrained, stages=stages, feature_cfg=feature_cfg, **kwargs)


def _stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    shortcut = downsample_conv(in_channels, out_channels, 1, stride)
    first = BasicBlock(in_channels, out_channels, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels) for _ in range(blocks - 1)))
