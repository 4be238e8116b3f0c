"""The ResNet of the IFA release, registered with timm: ``ifa_resnet50``.

What differs from timm's ``resnet50``: a deep stem of three 3x3 convolutions (64, 64, 128 channels), a max-pool that
rounds sizes up, and a multi-grid layer4: the 3x3 convolutions of its three blocks are dilated by 2, 2 and 4, and the
first still has stride 2. Where ceil(side / 2) of the image is even, the maps have up to one row or column more than
ceil(side / stride): 25, 13, 7 and 4 for a side of 96.
"""

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import Bottleneck, ResNet
from torch import nn

_CONFIG = {"first_conv": "conv1.0", "classifier": "fc", "input_size": (3, 224, 224), "num_classes": 1000}
default_cfgs = generate_default_cfgs({"ifa_resnet50": _CONFIG})


class _MultiGridResNet(ResNet):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_module("maxpool", nn.MaxPool2d(3, 2, 1, ceil_mode=True))
        stage: Any = self.layer4
        for block, dilation in zip(stage, (2, 2, 4), strict=True):
            block.conv2.dilation = block.conv2.padding = (dilation, dilation)


@register_model
def ifa_resnet50(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """ResNet-50 with a deep stem, a max-pool in ceil mode and a multi-grid layer4 (IFA release)."""
    stem: dict[str, Any] = {"stem_type": "deep", "stem_width": 64}
    layers = (3, 4, 6, 3)
    return build_model_with_cfg(
        _MultiGridResNet, "ifa_resnet50", pretrained, block=Bottleneck, layers=layers, **stem, **kwargs
    )
