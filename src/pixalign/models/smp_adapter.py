"""Architectures of segmentation_models.pytorch and transformers as networks here: the usual alternatives, under the
same training, evaluation and export (extra ``peers``).

``create_model("smp/DeepLabV3Plus", encoder=...)`` takes any architecture of segmentation_models.pytorch with a timm
encoder, ``create_model("hf/segformer-b0")`` SegFormer (arXiv 2105.15203) with its own. Their layers are theirs; the
image is padded to a multiple of 32 where they refuse other sizes (our choice: replicated borders), and the logits are
cut back or resized to the image. Layers whose maps a decoder does not read take no gradient.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, cast

import timm
import torch
import torch.nn.functional as F
from timm.models import adapt_input_conv
from torch import Tensor, nn

from pixalign.encoders.packaged import packaged_weights
from pixalign.encoders.timm_encoder import normalization
from pixalign.errors import InputError
from pixalign.models.network import SegmentationNetwork
from pixalign.sampling import Size
from pixalign.text import first_line

_MULTIPLE = 32
_PROBE_SIZE = (128, 128)
_SEGFORMERS = {  # variant: (hidden sizes, depths, width of the decoder), arXiv 2105.15203, table 6
    "b0": ([32, 64, 160, 256], [2, 2, 2, 2], 256),
    "b1": ([64, 128, 320, 512], [2, 2, 2, 2], 256),
    "b2": ([64, 128, 320, 512], [3, 4, 6, 3], 768),
    "b3": ([64, 128, 320, 512], [3, 4, 18, 3], 768),
    "b4": ([64, 128, 320, 512], [3, 8, 27, 3], 768),
    "b5": ([64, 128, 320, 512], [3, 6, 40, 3], 768),
}


class SmpModel(SegmentationNetwork):
    """A network of segmentation_models.pytorch.

    Args:
        architecture: its name there, such as Unet, FPN, PSPNet or DeepLabV3Plus.
        encoder: timm model name.
        num_classes: number of classes K.
        pretrained: True loads ImageNet weights of the encoder, from an installed package that has them (see
            `pixalign.encoders.packaged`) or from timm's hub.
        in_channels: channels of the image.
        options: further arguments of the architecture.

    Raises:
        InputError: the package is not installed, it does not know the architecture, encoder or option, or the
            architecture cannot be run as an encoder and a decoder of its maps.
    """

    any_output_size = False
    has_aligners = False

    def __init__(
        self,
        architecture: str,
        encoder: str = "resnet18",
        num_classes: int = 19,
        pretrained: bool | str = False,
        in_channels: int = 3,
        **options: Any,
    ) -> None:
        super().__init__()
        smp = _package("segmentation_models_pytorch", "smp", pretrained)
        known = {name.lower(): name for name in smp.MODEL_ARCHITECTURES_MAPPING}
        if architecture.lower() not in known:
            raise InputError(f"model 'smp/{architecture}' is unknown: choose one of {', '.join(sorted(known))}")
        packaged = packaged_weights(encoder) if pretrained else None
        what = f"model 'smp/{architecture}' with encoder {encoder!r}"
        try:
            network = smp.create_model(
                architecture,
                encoder_name=f"tu-{encoder}",
                encoder_weights="imagenet" if pretrained and not packaged else None,
                in_channels=in_channels,
                classes=num_classes,
                **options,
            )
        except Exception as error:  # the package and timm raise what comes
            raise InputError(f"{what} cannot be built: {first_line(error)}") from error
        if packaged:
            body = network.encoder.model
            for name, x in body.state_dict().items():
                if x.dim() == 4 and x.shape[1] != packaged[name].shape[1]:  # the first layer, of other channels
                    packaged[name] = adapt_input_conv(in_channels, packaged[name])
            missing = body.load_state_dict(packaged, strict=False).missing_keys
            assert not missing, missing
        self.encoder, self.decoder, self.segmentation_head = network.encoder, network.decoder, network.segmentation_head
        self._normalization = normalization(encoder, in_channels)
        own = getattr(timm.get_pretrained_cfg(encoder, allow_unregistered=True), "input_size", _PROBE_SIZE)
        for size in (_PROBE_SIZE, own[-2:]):  # some take their own size alone
            try:
                self._freeze_what_is_not_read((in_channels, *size))
                break
            except Exception as error:
                failure = error
        else:
            raise InputError(f"{what} cannot be run ({first_line(failure)}): choose another") from failure

    def _freeze_what_is_not_read(self, shape: tuple[int, ...]) -> None:
        """Let the parameters that the logits do not depend on take no gradient: several processes would wait for it."""
        parameters = list(self.parameters())
        with torch.enable_grad():
            logits = self.eval()(parameters[0].new_zeros(1, *shape))
        self.train()
        if torch.is_inference_mode_enabled():
            return
        for x, gradient in zip(parameters, torch.autograd.grad(logits.sum(), parameters, allow_unused=True)):
            x.requires_grad_(gradient is not None)

    @property
    def class_layer(self) -> nn.Conv2d:
        """The last layer with weights."""
        return cast(nn.Conv2d, self.segmentation_head[0])

    def normalization(self) -> tuple[Sequence[float], Sequence[float]]:
        """That of the encoder."""
        return self._normalization

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return the encoder's maps of the padded image as the decoder takes them: the image, then finest first."""
        return list(self.encoder(_padded(image)))

    def decode_heads(self, features: list[Tensor], size: Size | None, heads: bool) -> tuple[Tensor, dict[str, Any]]:
        """Return logits of the padded image, or cut to ``size`` (the image's)."""
        logits = self.segmentation_head(self.decoder(features))
        return logits if size is None else logits[..., : size[0], : size[1]], {"auxiliaries": []} if heads else {}


class SegFormer(SegmentationNetwork):
    """SegFormer of transformers, B0 to B5.

    Args:
        variant: b0 to b5.
        encoder: mit_<variant> alone.
        num_classes: number of classes K.
        pretrained: True loads the encoder's ImageNet weights (nvidia/mit-<variant>) from the Hub.
        in_channels: channels of the image.

    Raises:
        InputError: the package is not installed, the weights cannot be loaded, or another encoder is asked for.
    """

    has_aligners = False

    def __init__(
        self,
        variant: str,
        encoder: str = "resnet18",
        num_classes: int = 19,
        pretrained: bool | str = False,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        transformers = _package("transformers", "hf", pretrained)
        if variant not in _SEGFORMERS:
            raise InputError(f"model 'hf/segformer-{variant}' is unknown: choose b0 to b5")
        if encoder not in ("resnet18", f"mit_{variant}"):
            raise InputError(
                f"model 'hf/segformer-{variant}' has its own encoder, mit_{variant}: leave {encoder!r} out"
            )
        self.encoder_name = f"mit_{variant}"
        hidden, depths, width = _SEGFORMERS[variant]
        settings = transformers.SegformerConfig(
            num_channels=in_channels,
            hidden_sizes=hidden,
            depths=depths,
            decoder_hidden_size=width,
            num_labels=num_classes,
        )
        network = transformers.SegformerForSemanticSegmentation(settings)
        if pretrained:
            try:
                network.segformer = transformers.SegformerModel.from_pretrained(
                    f"nvidia/mit-{variant}", use_safetensors=True
                )
            except Exception as error:
                reason = first_line(error)
                raise InputError(f"model 'hf/segformer-{variant}': weights could not be loaded ({reason})") from error
        self.encoder, self.head = network.segformer, network.decode_head
        self._normalization = normalization("resnet18", in_channels)  # ImageNet's

    @property
    def step(self) -> int:
        """32, the stride of its coarsest map."""
        return _MULTIPLE

    @property
    def class_layer(self) -> nn.Conv2d:
        """The last layer."""
        return cast(nn.Conv2d, self.head.classifier)

    def normalization(self) -> tuple[Sequence[float], Sequence[float]]:
        """ImageNet's."""
        return self._normalization

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return the four maps at 1/4 to 1/32, finest first."""
        return list(self.encoder(image, output_hidden_states=True, return_dict=True).hidden_states)

    def decode_heads(self, features: list[Tensor], size: Size | None, heads: bool) -> tuple[Tensor, dict[str, Any]]:
        """Return logits at 1/4, or resized to ``size``."""
        return self._resized(self.head(features), size), {"auxiliaries": []} if heads else {}


def peer(name: str) -> Callable[..., SegmentationNetwork] | None:
    """Return the constructor of ``smp/...`` or ``hf/segformer-...``, or None for another name."""
    if name.startswith("smp/"):
        return partial(SmpModel, name.removeprefix("smp/"))
    if name.startswith("hf/segformer-"):
        return partial(SegFormer, name.removeprefix("hf/segformer-"))
    return None


def _padded(image: Tensor) -> Tensor:
    """Pad below and right to a multiple of 32 by repeating the border."""
    missing = [(_MULTIPLE - side % _MULTIPLE) % _MULTIPLE for side in image.shape[-2:]]
    return F.pad(image, (0, missing[1], 0, missing[0]), mode="replicate")


def _package(name: str, prefix: str, pretrained: bool | str) -> Any:
    """The package that networks of a prefix come from; InputError if it is not installed, or for a file of weights."""
    try:
        package = import_module(name)
    except ImportError as error:
        raise InputError(f"models of {prefix}/ need {name}: pip install 'pixalign[peers]'") from error
    if isinstance(pretrained, str):
        raise InputError(f"pretrained is {pretrained!r}: networks of other packages take true or false")
    return package
