"""The ResNets of the SFNet release, registered with timm: ``sfnet_resnet18``, ``sfnet_resnet50``, ``sfnet_resnet101``.

The released networks of ResNet-50 and ResNet-101 have no golden output to be held against.

What differs from timm's ``resnet18``: a deep stem of three 3x3 convolutions (64, 64, 128 channels), and multi-dilated
last stages: the second 3x3 convolution of each block (in bottlenecks the only one) is dilated by 2 in layer3 and by 4
in layer4, with all strides kept.
"""

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

_CONFIG = {"first_conv": "conv1.0", "classifier": "fc", "input_size": (3, 224, 224), "num_classes": 1000}
default_cfgs = generate_default_cfgs(dict.fromkeys(("sfnet_resnet18", "sfnet_resnet50", "sfnet_resnet101"), _CONFIG))


def _create(
    variant: str, block: type[nn.Module], layers: tuple[int, ...], pretrained: bool, **kwargs: Any
) -> nn.Module:
    stem: dict[str, Any] = {"stem_type": "deep", "stem_width": 64}
    return build_model_with_cfg(_DilatedResNet, variant, pretrained, block=block, layers=layers, **stem, **kwargs)


class _DilatedResNet(ResNet):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stages: tuple[tuple[Any, int], ...] = ((self.layer3, 2), (self.layer4, 4))
        for stage, dilation in stages:
            for block in stage:
                block.conv2.dilation = block.conv2.padding = (dilation, dilation)


@register_model
def sfnet_resnet18(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """ResNet-18 with a deep stem and multi-dilated layer3 and layer4 (SFNet release)."""
    return _create("sfnet_resnet18", BasicBlock, (2, 2, 2, 2), pretrained, **kwargs)


@register_model
def sfnet_resnet50(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """ResNet-50 with a deep stem and multi-dilated layer3 and layer4 (SFNet release)."""
    return _create("sfnet_resnet50", Bottleneck, (3, 4, 6, 3), pretrained, **kwargs)


@register_model
def sfnet_resnet101(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """ResNet-101 with a deep stem and multi-dilated layer3 and layer4 (SFNet release)."""
    return _create("sfnet_resnet101", Bottleneck, (3, 4, 23, 3), pretrained, **kwargs)
