"""Settings from the data: what a run chooses for itself where nothing was said. The rules are in docs/settings.md.

Not a search: a look at up to 24 pairs, and rules that fit on a page (our choice; not measured yet).
"""

import math
import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import torch
from rich.console import Console

from pixalign.data import open_data
from pixalign.data.samples import Data
from pixalign.encoders.packaged import PACKAGES, source_at_hand
from pixalign.errors import InputError
from pixalign.models import MODELS
from pixalign.palette import IGNORE
from pixalign.progress import counted
from pixalign.text import number_of, percent
from pixalign.training.config import TrainConfig

_LOOKED_AT = 24  # pairs
_ENCODER = "tf_efficientnet_lite0"
_DETAIL = 24  # channels of the level at 1/2
_STEP_PIXELS = {"cpu": 9e5, "cuda": 4e6}  # of the images that an update learns from, as the encoder sees them
_IMAGE_PIXELS = {"cpu": 2.5e6, "cuda": 9e6}  # of a whole image, enlarged
_LARGEST_CROP = 512
_NO_UPPER_SIDE = 0.05  # of the labels' distributions in the upper and lower thirds: the distance below which it is so
_RARE, _VERY_RARE = 0.1, 0.02  # shares of the pixels
_SIDES = re.compile(r"(^|[^a-z])(left|right)([^a-z]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Traits:
    """What is looked at in a training split.

    Attributes:
        images: how many.
        height, width: medians, pixels.
        classes: names.
        shares: of the labeled pixels, of each class; 0 of one that was not met.
        widths: of each class, pixels: twice the area by the length of the outline, median over the images; inf of one
            that was not met.
        upper_side: distance (total variation, 0 to 1) of the classes' distribution in the upper third of all images
            from that in the lower third.
    """

    images: int
    height: int
    width: int
    classes: list[str]
    shares: list[float]
    widths: list[float]
    upper_side: float

    @property
    def narrowest(self) -> int:
        """The class of the smallest width."""
        return int(np.argmin(self.widths))

    @property
    def rarest(self) -> int:
        """The class of the smallest share that was met."""
        return min((k for k, share in enumerate(self.shares) if share), key=lambda k: self.shares[k])


def look_at(data: Data, advance: Callable[[int], None] = lambda count: None) -> Traits:
    """Return the traits of a training split, from up to 24 evenly spread pairs; ``advance`` is told of each.

    Raises:
        InputError: a pair that cannot be read, or no labeled pixel in those looked at.
    """
    count = len(data.classes)
    sizes, pixels, thirds = [], np.zeros(count), np.zeros((2, count))
    widths: list[list[float]] = [[] for _ in range(count)]
    for index in np.unique(np.linspace(0, len(data) - 1, _LOOKED_AT).round().astype(int)).tolist():
        mask = data[index][1]
        sizes.append(mask.shape)
        pixels += _histogram(mask, count)
        third = max(1, mask.shape[0] // 3)
        thirds += [_histogram(part, count) for part in (mask[:third], mask[-third:])]
        for k, width in _widths(mask, count).items():
            widths[k].append(width)
        advance(1)
    if not pixels.any():
        raise InputError(f"{data.name}: none of the {len(sizes)} masks looked at holds a label: label some pixels")
    upper, lower = thirds / np.maximum(thirds.sum(1, keepdims=True), 1)
    height, width = np.median(sizes, axis=0).astype(int).tolist()
    return Traits(
        len(data), height, width, list(data.classes), (pixels / pixels.sum()).tolist(),
        [float(np.median(each)) if each else math.inf for each in widths], float(np.abs(upper - lower).sum() / 2),
    )  # fmt: skip


def choose_settings(config: TrainConfig, given: Collection[str] = ()) -> tuple[TrainConfig, list[str]]:
    """Choose what ``given`` does not name: encoder, crops, batch, length, learning rates, loss, augmentation.

    Args:
        config: the run; of what is chosen, its values count for nothing.
        given: dotted keys, such as "data.crop", that stay as they are.

    Returns:
        The run's configuration, and what was chosen, in five lines.

    Raises:
        InputError: the data cannot be used.
    """
    config.check()
    data = config.data
    training = open_data(data.name, data.root, data.train, data.mask_template, config.model.in_channels, data.groups)
    console = Console(quiet=os.environ.get("RANK", "0") != "0")  # of several processes, the first one's
    with counted(console, f"looking at {training.name}", min(len(training), _LOOKED_AT)) as advance:
        traits = look_at(training, advance)
    return chosen(config, traits, frozenset(given), _device(config))


def chosen(config: TrainConfig, traits: Traits, given: frozenset[str], device: str) -> tuple[TrainConfig, list[str]]:
    """Return what `choose_settings` does, for a split of these traits, on "cpu" or "cuda"."""

    def unless_given(key: str, value: Any) -> Any:
        kept = any(each == key or each.startswith(f"{key}.") or key.startswith(f"{each}.") for each in given)
        return reduce(getattr, key.split("."), config) if kept or (config.init and key.startswith("model.")) else value

    ours = config.model.name in MODELS and not config.init  # else the network is as it is
    model = config.model
    if ours:
        encoder = unless_given("model.encoder", _ENCODER)
        pretrained = unless_given("model.pretrained", source_at_hand(encoder) is not None)
        options: dict[str, Any] = {} if "model.name" in given else {"channels": 64}
        if options and encoder.split(".")[0] in PACKAGES:  # which have a map at 1/2
            options["detail"] = _DETAIL
        enlarge = enlargement(traits, 2 if "detail" in options else 4, device)
        options |= {"encoder_options": {"enlarge": enlarge}} if enlarge > 1 else {}
        options = unless_given("model.options", options)
        model = replace(model, encoder=encoder, pretrained=pretrained, options=options)
    enlarge = (model.options.get("encoder_options") or {}).get("enlarge", 1.0)

    crop, batch = unless_given("data.crop", None), unless_given("batch_size", None)
    crop, batch = crops(traits, enlarge, device, crop, batch)
    turned = traits.upper_side < _NO_UPPER_SIDE
    one_sided = any(map(_SIDES.search, traits.classes))
    data = replace(
        config.data,
        crop=crop,
        scale=unless_given("data.scale", (0.6, 1.7)),
        flip=unless_given("data.flip", 0.0 if one_sided else 0.5),
        turn=unless_given("data.turn", 0.75 if turned and not one_sided else 0.0),
        color=unless_given("data.color", 0.6),
    )

    rare = traits.shares[traits.rarest] < _RARE
    few = len(traits.classes) <= 3
    weighted = traits.shares[traits.rarest] < (_VERY_RARE if few else _RARE)
    loss = replace(
        config.loss,
        class_weights=unless_given("loss.class_weights", "enet" if weighted else "none"),
        adjust=unless_given(
            "loss.adjust", (0.25 if few else 0.75) if weighted and "loss.class_weights" not in given else 0.0
        ),
        dice=unless_given("loss.dice", 0.5 if rare and few else 0.0),
    )
    optim = replace(
        config.optim,
        lr=unless_given("optim.lr", 1e-3),
        schedule=unless_given("optim.schedule", "cosine"),
        weight_decay=unless_given("optim.weight_decay", 0.02),
        lr_parts=unless_given("optim.lr_parts", {"encoder": 0.5} if ours and model.pretrained else {}),
    )

    updates = length(traits.images)
    a_pass = max(1, traits.images // (batch * config.accumulate))
    in_epoch = a_pass if 5 <= updates / a_pass <= 40 else math.ceil(updates / 20)
    in_epoch = unless_given("updates_per_epoch", in_epoch)
    epochs = max(1, round(updates / in_epoch))
    config = replace(
        config, model=model, data=data, loss=loss, optim=optim, batch_size=batch, updates_per_epoch=in_epoch,
        epochs=unless_given("epochs", epochs),
        evaluate_every=unless_given("evaluate_every", max(1, epochs // 10)),
        ema=unless_given("ema", 0.99 if updates < 1000 else 0.998),
    )  # fmt: skip
    return config, _told(config, traits, enlarge, turned)


def enlargement(traits: Traits, cell: int, device: str) -> float:
    """How much larger images go into the encoder, 1, 1.5 or 2: narrow things need it, large images cannot have it.

    Narrow is what is less than two cells of the finest map wide, of ``cell`` pixels each.
    """
    cells = traits.widths[traits.narrowest] / cell
    wanted = 1.0 if cells >= 2 else 1.5 if cells >= 1 else 2.0
    affordable = math.sqrt(_IMAGE_PIXELS[device] / (traits.height * traits.width))
    return max(each for each in (1.0, 1.5, 2.0) if each == 1 or each <= min(wanted, affordable))


def crops(
    traits: Traits, enlarge: float, device: str, crop: tuple[int, int] | None = None, batch: int | None = None
) -> tuple[tuple[int, int], int]:
    """The crop (height, width) in pixels of the data and the batch, each as given or chosen.

    Together they have the pixels of an update: 8 crops, or 4 where these would be smaller than 256 pixels; crops have
    the images' shape, sides that are multiples of 32, and are not larger than the images.
    """
    pixels = _STEP_PIXELS[device] / enlarge**2
    if crop is not None:
        return crop, batch or min(max(2, round(pixels / (crop[0] * crop[1]))), 32)
    count = batch or (8 if pixels / 8 >= 256**2 else 4)
    ratio = math.sqrt(min(max(traits.height / traits.width, 0.5), 2.0))
    side = min(math.sqrt(pixels / count), _LARGEST_CROP)
    height, width = (
        min(max(32 * round(side * factor / 32), 64), 32 * math.ceil(whole / 32))
        for factor, whole in ((ratio, traits.height), (1 / ratio, traits.width))
    )
    if batch is None:  # smaller images: more of them
        count = min(max(count, int(pixels / (height * width))), 16)
    return (height, width), count


def length(images: int) -> int:
    """Updates of a run of this many images: 100 for each square root, 600 at least."""
    return max(600, round(100 * math.sqrt(images)))


def _told(config: TrainConfig, traits: Traits, enlarge: float, turned: bool) -> list[str]:
    """Five lines about what was chosen, and why."""
    model, data, loss, optim = config.model, config.data, config.loss, config.optim
    narrow, rare = traits.narrowest, traits.rarest
    features = "ImageNet features" if model.pretrained else "random weights (model.pretrained true downloads others)"
    network = f"that of {config.init}" if config.init else model.name
    if not config.init and model.name in MODELS:
        network += f" on {model.encoder}, {features}" + ", a level at 1/2" * bool(model.options.get("detail"))
    if enlarge > 1:
        pixels = f"{traits.widths[narrow]:.0f} pixels"
        network += f"; images enlarged {enlarge:g} times ({traits.classes[narrow]} is {pixels} wide)"
    moves = [f"scaled {data.scale[0]:g} to {data.scale[1]:g}"]
    moves += ["flipped"] * (data.flip > 0) + ["turned (the labels have no upper side)" if turned else "turned"] * (
        data.turn > 0
    )
    weighted = f"{loss.class_weights} class weights" if loss.class_weights != "none" else ""
    balance = " and ".join([f"dice, weight {loss.dice:g}"] * (loss.dice > 0) + [weighted] * bool(weighted))
    share = f"{traits.classes[rare]} has {percent(traits.shares[rare])} of the pixels"
    parts = "".join(f", {part} at {factor:g} of it" for part, factor in optim.lr_parts.items())
    length = (
        f"about {config.minutes:g} minutes"
        if config.minutes
        else f"{number_of(config.epochs, 'epoch')} of {number_of(config.updates_per_epoch, 'update')}"
    )
    return [
        f"network  {network}",
        f"samples  {config.batch_size} crops of {data.crop[0]} x {data.crop[1]} at a time, from {traits.images} images "
        f"of about {traits.height} x {traits.width}; {', '.join(moves)}",
        f"loss     {loss.name.replace('_', ' ')}{f' and {balance}' if balance else ''} ({share})",
        f"steps    {optim.name}, rate {optim.lr:g}{parts}, {optim.schedule}",
        f"length   {length}",
    ]


def _device(config: TrainConfig) -> str:
    if config.device != "auto":
        return config.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _histogram(mask: np.ndarray, count: int) -> np.ndarray:
    return np.bincount(mask.ravel(), minlength=IGNORE + 1)[:count]


def _widths(mask: np.ndarray, count: int) -> dict[int, float]:
    """Twice the area of each class by the length of its outline (steps between pixels, a quarter of pi of them)."""
    down, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    outline = np.zeros(count, np.int64)
    for step, sides in ((down, (mask[1:], mask[:-1])), (right, (mask[:, 1:], mask[:, :-1]))):
        for side in sides:
            outline += _histogram(side[step], count)
    area = _histogram(mask, count)
    return {k: 2 * area[k] / max(outline[k] * math.pi / 4, 1) for k in np.flatnonzero(area).tolist()}
