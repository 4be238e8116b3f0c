"""The configuration of a training run: dataclasses, read from YAML and dotted overrides. Imports no torch."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, Literal

import yaml

from pixalign.errors import InputError
from pixalign.files import write_text
from pixalign.text import encodable
from pixalign.training.values import (
    BelowOne,
    Count,
    Name,
    Positive,
    Probability,
    Seed,
    Share,
    Side,
    Weight,
    Whole,
    check_values,
)


@dataclass
class ModelConfig:
    """Which network.

    Args:
        name: network, one of `pixalign models`.
        encoder: timm model, one of `pixalign encoders`.
        pretrained: true for ImageNet weights of the encoder (from an installed package, else timm's hub), or the path
            of a .safetensors file of them.
        in_channels: channels of the images: 3 for color, 1 for gray, more for multi-band TIFF.
        options: further arguments of the network, such as {aligner: flow, channels: 64}.
    """

    name: Name = "sfnet"
    encoder: Name = "resnet18"
    pretrained: bool | str = False
    in_channels: Count = 3
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.pretrained, str):
            self.pretrained = path_text(self.pretrained)


@dataclass
class DataConfig:
    """Which data, and its augmentation.

    Args:
        name: folder for any folder of images/ and masks/, streets (drawn street scenes, which need no root), or another
            one that `pixalign data list` names.
        root: where the data is; with hub also a repository id.
        mask_template: path of an image's mask below root, such as masks/{stem}_mask.png; empty pairs equal stems. With
            hub the name of the mask column.
        groups: which images of a folder that is not divided belong together, and so go to train or to val as a whole: a
            regular expression whose part in parentheses names the group, such as '(patient\\d+)', or none; empty tells
            it by the usual forms of names.
        train: split to train on.
        val: splits to evaluate; the first one decides which weights are the best.
        crop: height and width of a training crop, pixels.
        scale: lowest and highest factor of the random resize before the crop.
        flip: probability of a horizontal flip.
        turn: probability of a turn by a quarter or a half, for images that have no upper side, such as those of a
            microscope.
        color: strength of the photometric augmentation, 0 (none) to 1 (strong). Gray images stay gray.
        dusk: probability of low light: dark, with clouds of light and shade and sensor noise.
        blur: probability of a gaussian blur.
        class_uniform: share of the crops that are centered on a class drawn uniformly, which shows rare classes more
            often.
        mix: name of another data set of the same classes, such as streets, to draw a part of the samples from.
        mix_root: where that data set is.
        mix_ratio: share of the samples that come from it.
        check: look at every pair of all splits before the first step, and stop if training would go wrong.
        workers: processes that load and augment; 0 does it in the training process.
        cache: keep the decoded images in memory; auto does so up to 2 GiB.
    """

    name: Name = "folder"
    root: str = ""
    mask_template: str = ""
    groups: str = ""
    train: Name = "train"
    val: list[Name] = field(default_factory=lambda: ["val"])
    crop: tuple[Side, Side] = (360, 480)
    scale: tuple[Positive, Positive] = (0.5, 2.0)
    flip: Share = 0.5
    turn: Share = 0.0
    color: Share = 0.5
    dusk: Share = 0.0
    blur: Share = 0.1
    class_uniform: Share = 0.0
    mix: str = ""
    mix_root: str = ""
    mix_ratio: Share = 0.0
    check: bool = True
    workers: Whole = 2
    cache: Literal["auto", "yes", "no"] = "auto"

    def __post_init__(self) -> None:
        self.root, self.mix_root = path_text(self.root), path_text(self.mix_root)


@dataclass
class LossConfig:
    """What is minimized.

    Args:
        name: cross_entropy, or ohem (its hardest pixels).
        class_weights: none, median (median frequency) or enet (1 / ln(1.02 + share)).
        adjust: share (0 to 1) of the class weights that is taken back after training, from the logits of the models
            that are evaluated and saved: weights teach rare classes early, but then see them everywhere.
        auxiliary: weight of each auxiliary head's loss.
        dice: weight of the Dice loss, added.
        lovasz: weight of the Lovasz-softmax loss, added.
        edge: weight of the edge head's loss, added (bialignnet; the paper: 25).
        edge_guided: weight of OHEM at the borders that the edge head sees, added (bialignnet; the paper: 1).
        distill: weight of the distance to the teacher's probabilities, added; needs teacher.
        threshold: OHEM keeps pixels whose class has a lower probability than this.
        min_kept: OHEM keeps at least so many pixels of a batch.
    """

    name: Literal["cross_entropy", "ohem"] = "cross_entropy"
    class_weights: Literal["none", "median", "enet"] = "none"
    adjust: Share = 0.0
    auxiliary: Weight = 0.4
    dice: Weight = 0.0
    lovasz: Weight = 0.0
    edge: Weight = 0.0
    edge_guided: Weight = 0.0
    distill: Weight = 0.0
    threshold: Probability = 0.7
    min_kept: Whole = 100_000


@dataclass
class OptimConfig:
    """How it is minimized.

    Args:
        name: adamw or sgd (Nesterov momentum).
        lr: highest learning rate.
        lr_parts: multiples of lr for parts of the network, by the beginning of their parameters' names, such as
            {encoder: 0.1, classify: 10}; the longest beginning wins.
        weight_decay: decay of weights; norms and biases have none.
        momentum: of sgd.
        schedule: poly (power 0.9) or cosine, both down to zero.
        warmup: share of all steps during which the learning rate rises linearly.
        clip: largest norm of the gradient; 0 does not clip.
    """

    name: Literal["adamw", "sgd"] = "adamw"
    lr: Positive = 1e-3
    lr_parts: dict[str, Weight] = field(default_factory=dict)
    weight_decay: Weight = 0.01
    momentum: BelowOne = 0.9
    schedule: Literal["poly", "cosine"] = "poly"
    warmup: BelowOne = 0.02
    clip: Weight = 0.0


@dataclass
class TrainConfig:
    """A training run. In paths, here and in the parts, ~ is the home folder.

    Args:
        model: which network.
        data: which data, and its augmentation.
        loss: what is minimized.
        optim: how it is minimized.
        init: model to start from (a bundled name, a folder, a file or a Hub id). Tensors that do not fit are
            initialized anew and listed. With model left at its defaults, its network is taken too.
        teacher: trained model of the same classes (as for init) whose probabilities the network also learns; set
            together with loss.distill.
        freeze: parts of the network that stay as they are, by the beginning of their parameters' names, separated by
            commas, such as encoder.
        epochs: passes over the training split, or parts of the run of updates_per_epoch each. An epoch ends with a line
            in metrics.jsonl, with evaluation and pictures where they are due, and with saving the state.
        updates_per_epoch: updates of the weights that make an epoch, for sets so small or large that a pass over them
            is too few or too many; 0 is one pass.
        minutes: end after about so many minutes: epochs (and the updates in one, where a pass takes too long) are
            planned by a few updates that are timed and undone before the first; 0 plans nothing.
        batch_size: images per step and process.
        accumulate: batches per optimizer step.
        precision: fp32, bf16 or fp16 (autocast); auto is bf16 where the device computes it itself, else fp32.
        channels_last: keep convolutions in channels-last layout.
        compile: compile the network with torch.compile.
        ema: decay of the moving average of the weights, which is what is evaluated and saved; 0 has none.
        seed: of initial weights, order and augmentation.
        evaluate_every: epochs between evaluations (the last epoch is always evaluated).
        pictures_every: epochs between sheets of sample predictions; 0 draws none.
        state_minutes: minutes after which the state is saved within an epoch (it is after each epoch).
        trackers: tensorboard, wandb, mlflow, trackio: any of them, through Accelerate.
        out: run folder.
        device: cpu or cuda; auto takes what Accelerate finds.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    init: str = ""
    teacher: str = ""
    freeze: str = ""
    epochs: Count = 100
    updates_per_epoch: Whole = 0
    minutes: Weight = 0.0
    batch_size: Count = 8
    accumulate: Count = 1
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    compile: bool = False
    ema: BelowOne = 0.999
    seed: Seed = 0
    evaluate_every: Count = 5
    pictures_every: Whole = 20
    state_minutes: Positive = 10.0
    trackers: list[Literal["tensorboard", "wandb", "mlflow", "trackio"]] = field(default_factory=list)
    out: str = "runs/train"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        self.init, self.teacher, self.out = map(path_text, (self.init, self.teacher, self.out))

    def check(self) -> None:
        """Raise InputError naming the key, for a value out of range or two that do not go together."""
        check_values(self)
        data = self.data
        for key, ok, remedy in (
            ("out", self.out.strip(), "the name of a folder"),
            ("data.val", len(set(data.val)) == len(data.val) > 0, "one split or more, each once"),
            ("data.scale", data.scale[0] <= data.scale[1], "the lowest factor, then the highest"),
            ("data.mix", bool(data.mix) == (data.mix_ratio > 0), "set together with data.mix_ratio"),
            ("teacher", bool(self.teacher) == (self.loss.distill > 0), "set together with loss.distill"),
        ):
            if not ok:
                raise InputError(f"{key} is {reduce(getattr, key.split('.'), self)!r}: it must be {remedy}")


def path_text(path: str | os.PathLike[str]) -> str:
    """A path as the system takes it: ~ is the home folder, and names from YAML are in the file system's encoding."""
    return os.fsdecode(os.path.expanduser(path).encode("utf-8", "surrogateescape"))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level with dotted keys; tuples become lists, and an empty mapping nothing."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return result


def write_config(config: TrainConfig, path: str | Path) -> None:
    """Write the configuration as YAML that reproduces the run."""
    # by way of JSON: tuples become lists, and numbers of other types plain ones
    plain = json.loads(encodable(json.dumps(asdict(config), default=_plain, ensure_ascii=False)))
    write_text(path, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def _plain(value: Any) -> str | int | float:
    """A path as text, a number of NumPy as a number."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value.item()
