"""The ResNets of the releases, registered with timm: ``sfnet_resnet18``, ``sfnet_resnet50``, ``sfnet_resnet101``,
``alignseg_resnet101`` and ``ifa_resnet50``.

All have a deep stem of three 3x3 convolutions (64, 64, 128 channels). What else differs from timm's:

- SFNet: multi-dilated last stages. The second 3x3 convolution of each block (in bottlenecks the only one) is dilated by
  2 in layer3 and by 4 in layer4, with all strides kept. The released networks of ResNet-50 and ResNet-101 have no
  golden output to be held against.
- AlignSeg and IFA: a max-pool that rounds sizes up. Where ceil(side / 2) of the image is even, the maps therefore have
  up to one row or column more than ceil(side / stride): 25, 13, 7 and 4 for a side of 96. Strides lie in the 3x3
  convolutions.
- IFA: a multi-grid layer4. The 3x3 convolutions of its three blocks are dilated by 2, 2 and 4, and the first still has
  stride 2. AlignSeg's are not dilated.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

_NAMES = ("sfnet_resnet18", "sfnet_resnet50", "sfnet_resnet101", "alignseg_resnet101", "ifa_resnet50")
_CONFIG = {"first_conv": "conv1.0", "classifier": "fc", "input_size": (3, 224, 224), "num_classes": 1000}
default_cfgs = generate_default_cfgs(dict.fromkeys(_NAMES, _CONFIG))


class ReleaseResNet(ResNet):
    """timm's ResNet with two more options.

    Args:
        dilations: by the name of a stage, of the second convolution of each block; strides stay.
        ceil_pool: whether the max-pool rounds sizes up.
        arguments, options: of timm's ResNet.
    """

    def __init__(
        self,
        *arguments: Any,
        dilations: Mapping[str, Sequence[int]] | None = None,
        ceil_pool: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        if ceil_pool:
            self.add_module("maxpool", nn.MaxPool2d(3, 2, 1, ceil_mode=True))
        for stage, rates in (dilations or {}).items():
            for block, rate in zip(self.get_submodule(stage).children(), rates, strict=True):
                convolution: Any = block.conv2
                convolution.dilation = convolution.padding = (rate, rate)


@register_model
def sfnet_resnet18(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-18 with a deep stem and multi-dilated layer3 and layer4 (SFNet release)."""
    return _sfnet("sfnet_resnet18", BasicBlock, (2, 2, 2, 2), pretrained, **options)


@register_model
def sfnet_resnet50(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-50 with a deep stem and multi-dilated layer3 and layer4 (SFNet release)."""
    return _sfnet("sfnet_resnet50", Bottleneck, (3, 4, 6, 3), pretrained, **options)


@register_model
def sfnet_resnet101(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-101 with a deep stem and multi-dilated layer3 and layer4 (SFNet release)."""
    return _sfnet("sfnet_resnet101", Bottleneck, (3, 4, 23, 3), pretrained, **options)


@register_model
def alignseg_resnet101(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-101 with a deep stem and a max-pool in ceil mode (AlignSeg release)."""
    return _create("alignseg_resnet101", Bottleneck, (3, 4, 23, 3), pretrained, ceil_pool=True, **options)


@register_model
def ifa_resnet50(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-50 with a deep stem, a max-pool in ceil mode and a multi-grid layer4 (IFA release)."""
    dilations = {"layer4": (2, 2, 4)}
    return _create("ifa_resnet50", Bottleneck, (3, 4, 6, 3), pretrained, dilations=dilations, ceil_pool=True, **options)


def _sfnet(name: str, block: type[nn.Module], layers: tuple[int, ...], pretrained: bool, **options: Any) -> nn.Module:
    dilations = {"layer3": layers[2] * (2,), "layer4": layers[3] * (4,)}
    return _create(name, block, layers, pretrained, dilations=dilations, **options)


def _create(name: str, block: type[nn.Module], layers: tuple[int, ...], pretrained: bool, **options: Any) -> nn.Module:
    layout: dict[str, Any] = {"block": block, "layers": layers, "stem_type": "deep", "stem_width": 64}
    return build_model_with_cfg(ReleaseResNet, name, pretrained, **layout, **options)
