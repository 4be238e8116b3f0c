"""The one type of every network, ours and those of other packages, and what is known about one: `NetworkConfig`."""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, cast

import torch
from torch import Tensor, nn

from pixalign.errors import InputError
from pixalign.sampling import Size, cut, fill, grid_of, resize


@dataclass(kw_only=True)
class NetworkConfig:
    """What rebuilds a network, and what is known about its weights: the content of config.json.

    Attributes:
        architecture: name for `pixalign.create_model`.
        arguments: for `pixalign.create_model`, num_classes and in_channels among them.
        timm: its version when the network was made.
        classes: names, the position is the id.
        colors: an RGB triple (0 to 255) per class.
        mean, std: of each channel, in units of 0 to 1; what a network takes is (pixel / 255 - mean) / std.
        encoder_weights: where the encoder's first weights came from.
        data: what the weights were trained on: name, images, fingerprint, terms and so on.
        metrics: figures measured on the weights, a dictionary per data set.
        license: of the weights.
        more: further keys of the file, as they are.
    """

    architecture: str = "unknown"
    arguments: dict[str, Any] = field(default_factory=dict)
    timm: str | None = None
    classes: list[str] = field(default_factory=list)
    colors: list[list[int]] = field(default_factory=list)
    mean: list[float]
    std: list[float]
    encoder_weights: dict[str, str] | None = None
    data: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    license: str | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def in_channels(self) -> int:
        """Channels of the image."""
        return len(self.mean)

    def to_json(self) -> dict[str, Any]:
        """Plain values under the keys of config.json; what is empty is left out."""
        known = {name: value for name, value in asdict(self).items() if value or name in _ALWAYS}
        more = known.pop("more", {})
        return {**known, **more}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "NetworkConfig":
        """What `to_json` gave, or a part of it that has ``mean`` and ``std``."""
        values = copy.deepcopy(values)
        own = {x.name for x in fields(cls)} - {"more"}
        more = {key: value for key, value in values.items() if key not in own}
        return cls(**{key: value for key, value in values.items() if key in own}, more=more)


_ALWAYS = ("architecture", "arguments", "classes", "colors", "mean", "std")


class SegmentationNetwork(nn.Module):
    """Base class of every network.

    A network defines ``encoder`` or `encode`, `decode_heads`, and what of the class attributes is otherwise.
    `create_model` and `load` set ``config``; a program's own network, derived from this class, sets it itself.

    Attributes:
        config: what is known about the network.
        convention: sampling convention of its resizes and warps (`pixalign.sampling`).
        any_output_size: `decode` answers at any size; otherwise at the image's alone, and its logits are resized.
        takes_refine: `decode` takes ``refine``, the share of the cells that are decoded at every pixel.
        has_aligners: features are fetched from other places, or could be: what `pixalign.explain` shows.
    """

    config: NetworkConfig
    encoder: Any
    auxiliary: Any
    convention: str = "pixel"
    any_output_size: bool = True
    takes_refine: bool = False
    has_aligners: bool = True

    def forward(self, image: Tensor, heads: bool = False) -> Any:
        """Return logits (N, K, H, W) for a normalized image (N, in_channels, H, W).

        An image is filled up to sides that are multiples of `step`, and the logits are cut back.

        With ``heads``, return a dictionary for the loss: "logits", "auxiliaries" [logits of their own size], and what
        else the network's `decode_heads` names. Then nothing is filled up, since other heads are not cut back: give
        images of such sides, as training does.
        """
        size = grid_of(image)
        if heads or self.step == 1:
            logits, others = self.decode_heads(self.encode(image), size, heads)  # no second reference to large maps
            return {"logits": logits, **others} if heads else logits
        image = fill(image, self.step)
        return cut(self.decode_heads(self.encode(image), grid_of(image), heads)[0], size)

    @property
    def step(self) -> int:
        """Sides that are multiples of it are filled exactly by the cells of every map: `TimmEncoder.step`.

        It is 1 under the published conventions: the releases' networks take an image as it is. Their resizes put the
        centers of the first and last cells upon each other at every size.
        """
        return getattr(getattr(self, "encoder", None), "step", 1) if self.convention == "pixel" else 1

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return the maps of a normalized image that `decode` takes: the encoder's, finest first."""
        maps: list[Tensor] = self.encoder(image)
        return maps

    def decode(self, features: list[Tensor], size: Size | None = None, refine: float | None = None) -> Tensor:
        """Return logits (N, K, *size); without a size, of the size that the network computes them at.

        They are those of all that the maps' cells cover, which is the image if its sides are multiples of `step`.

        Raises:
            InputError: ``refine`` for a network that does not take it.
        """
        if refine is not None:
            raise InputError(f"refine is {refine:g}: {type(self).__name__} cannot be refined: leave it out")
        return self.decode_heads(features, size, False)[0]

    def decode_heads(self, features: list[Tensor], size: Size | None, heads: bool) -> tuple[Tensor, dict[str, Any]]:
        """Return the logits as `decode` does, and, with ``heads``, what else `forward` gives then."""
        raise NotImplementedError

    @property
    def about(self) -> str:
        """What a network without aligners does in place of them, in a sentence or two; of others nothing."""
        return ""

    def cell_maps(self, features: list[Tensor]) -> list[Tensor]:
        """Return the maps of which `decode`, at any ``points`` that it is asked for, reads the nearest cells.

        They are the finest first, (N, C, h, w); there are none where a network answers on grids alone.
        """
        return []

    def normalization(self) -> tuple[Sequence[float], Sequence[float]]:
        """Mean and standard deviation per channel (0 to 1) of the images that the encoder is made for."""
        return self.encoder.mean, self.encoder.std

    @property
    def class_layer(self) -> Any:
        """The last layer, a convolution with bias: as many rows for each class, one or (before a pixel shuffle) more.

        Raises:
            InputError: there is none.
        """
        return _class_layer(self)

    @property
    def class_layers(self) -> list[nn.Module]:
        """All layers that hold a block of rows for each class, one row or several: the last ones, of every head."""
        heads: list[Any] = [head for name, head in self.named_children() if name == "auxiliary"]
        return [self.class_layer, *(head[-1] for head in heads)]

    def shift_logits(self, shift: Tensor) -> None:
        """Add a number for each class, (K,), to the network's logits, for good."""
        bias: Tensor = self.class_layer.bias
        with torch.no_grad():
            bias += shift.to(bias).repeat_interleave(len(bias) // len(shift))

    def _auxiliary_head(self, x: Tensor) -> dict[str, Any]:
        """What ``auxiliary``, a class head or None, makes of x, as a part of what `forward` gives with ``heads``."""
        return {"auxiliaries": [self.auxiliary(x)] if self.auxiliary is not None else []}

    def _resized(self, logits: Tensor, size: Size | None) -> Tensor:
        return logits if size is None else resize(logits, size, self.convention)


class OwnNetwork(SegmentationNetwork):
    """A program's own module, which gives logits (N, K, H, W) for a normalized image and has a dictionary ``config``.

    Args:
        network: it; its config needs ``mean`` and ``std`` at least.
    """

    any_output_size = False
    has_aligners = False

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.training = network, network.training
        self.config = NetworkConfig.from_json(cast(dict[str, Any], network.config))

    def encode(self, image: Tensor) -> list[Tensor]:
        """The image itself."""
        return [image]

    def decode_heads(self, features: list[Tensor], size: Size | None, heads: bool) -> tuple[Tensor, dict[str, Any]]:
        """What the module gives, at the image's size."""
        logits: Tensor = self.network(features[0])
        return logits, {"auxiliaries": []} if heads else {}

    @property
    def class_layer(self) -> Any:
        """The module's ``classify``."""
        return _class_layer(self.network)


def _class_layer(module: nn.Module) -> Any:
    layer = getattr(module, "classify", None)
    if not isinstance(getattr(layer, "bias", None), Tensor):
        raise InputError(
            f"{type(module).__name__}: has no last layer 'classify' with a bias, which is what is adjusted"
        )
    return layer


def as_network(model: nn.Module) -> SegmentationNetwork:
    """A module as a network: itself, also compiled by torch.compile, or a program's own (`OwnNetwork`).

    Raises:
        InputError: a module that does not say what it is.
    """
    inner = uncompiled(model)
    if isinstance(inner, SegmentationNetwork) and isinstance(getattr(inner, "config", None), NetworkConfig):
        return cast(SegmentationNetwork, model)  # torch's wrapper passes on what it is asked
    known = getattr(inner, "config", None)
    if isinstance(known, dict) and {"mean", "std"} <= known.keys():
        return OwnNetwork(model)
    raise InputError(f"{type(inner).__name__} has no config to describe it: make it with create_model or load")


def uncompiled(model: nn.Module) -> nn.Module:
    """What torch.compile wraps; any other module itself."""
    inner = getattr(model, "_orig_mod", model)
    return inner if isinstance(inner, nn.Module) else model
