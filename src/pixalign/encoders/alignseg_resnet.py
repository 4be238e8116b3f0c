"""The ResNet of the AlignSeg release, registered with timm: ``alignseg_resnet101``.

What differs from timm's ``resnet101``: a deep stem of three 3x3 convolutions (64, 64, 128 channels), and a max-pool
that rounds sizes up. Where ceil(side / 2) of the image is even, the maps therefore have up to one row or column more
than ceil(side / stride): 25, 13, 7 and 4 for a side of 96. Strides lie in the 3x3 convolutions; none is dilated.
"""

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import Bottleneck, ResNet
from torch import nn

_CONFIG = {"first_conv": "conv1.0", "classifier": "fc", "input_size": (3, 224, 224), "num_classes": 1000}
default_cfgs = generate_default_cfgs({"alignseg_resnet101": _CONFIG})


class _CeilPoolResNet(ResNet):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        pool: Any = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.maxpool = pool


@register_model
def alignseg_resnet101(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """ResNet-101 with a deep stem and a max-pool in ceil mode (AlignSeg release)."""
    stem: dict[str, Any] = {"stem_type": "deep", "stem_width": 64}
    layers = (3, 4, 23, 3)
    return build_model_with_cfg(
        _CeilPoolResNet, "alignseg_resnet101", pretrained, block=Bottleneck, layers=layers, **stem, **kwargs
    )
