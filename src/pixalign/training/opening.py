"""The data of a run, opened and looked at: by its name, or as a program gives it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from pixalign.checking import check_splits, write_report
from pixalign.data import Pairs, open_data
from pixalign.data.folder import describe
from pixalign.data.samples import Data, Samples, cached
from pixalign.data.transforms import TrainingTransform
from pixalign.errors import InputError
from pixalign.progress import bars, counted
from pixalign.training.config import DataConfig, TrainConfig
from pixalign.training.run_folder import Log

_CACHE_LIMIT = 2 << 30


def open_all(config: TrainConfig, log: Log, check: bool) -> tuple[Data, list[Data], Data | None]:
    """Open the training split, those of val, and the data to mix in, if any; look at every pair of files first."""
    data = config.data
    opened = [
        open_data(data.name, data.root, split, data.mask_template, config.model.in_channels, data.groups)
        for split in (data.train, *data.val)
    ]
    if data.name == "folder":
        log(f"data: {describe(data.root, data.mask_template, data.groups)}")
    mix = open_data(data.mix, data.mix_root, "train") if data.mix else None
    if mix is not None and list(mix.classes) != list(opened[0].classes):
        raise InputError(f"data.mix {data.mix!r}: its classes {mix.classes} are not those of {opened[0].name}")
    files = {split: pairs for split, pairs in zip((data.train, *data.val), opened) if isinstance(pairs, Pairs)}
    if check and data.check and files:
        _check(files, config, log)
    training, *validation = [_in_memory(each, data.cache, log.console) for each in opened]
    return training, validation, mix


def _check(files: Mapping[str, Pairs], config: TrainConfig, log: Log) -> None:
    """Read every pair, as ``pixalign data check`` does; with errors, leave its page in the run folder and stop."""
    with bars(log.console) as bar:
        tasks = {split: bar.add_task(f"checking {pairs.name}", total=len(pairs)) for split, pairs in files.items()}
        report = check_splits(
            files, config.data.root, lambda split, done, total: bar.update(tasks[split], completed=done)
        )
    for problem in report.of("warning"):
        log(f"warning: {problem.heading}: {problem.remedy}")
    if not report.ready:
        page = write_report(report, Path(config.out) / "check")
        raise InputError(f"{report.summary()}: fix them ({page} shows them), or set data.check to false")


def _in_memory(data: Data, cache: str, console: Console) -> Data:
    """Decode a split into memory where it fits (which also checks every file and label)."""
    size = sum(part.nbytes for part in data[0]) * len(data)
    if cache == "no" or (cache == "auto" and size > _CACHE_LIMIT):
        return data
    with counted(console, f"reading {data.name}", len(data)) as advance:
        return cached(data, advance)


def given(dataset: Any, val: Any, classes: Sequence[str] | None, config: TrainConfig) -> tuple[Data, list[Data]]:
    """Wrap the data sets that a program gives; without ``val`` a fifth of ``dataset`` is held out."""
    names = classes if classes is not None else getattr(dataset, "classes", None)
    if not names:
        raise InputError("dataset: its class names are not known: give classes=[...], or an attribute of that name")
    if val is None:
        if len(dataset) < 2:
            raise InputError(f"dataset: {len(dataset)} sample cannot be divided into train and val: give val=")
        order = np.random.default_rng(config.seed).permutation(len(dataset)).tolist()
        held = max(1, round(0.2 * len(dataset)))
        dataset, val = (torch.utils.data.Subset(dataset, sorted(part)) for part in (order[held:], order[:held]))
    channels = config.model.in_channels
    training, validation = (
        Samples(items, list(names), name=f"dataset/{split}", channels=channels)
        for items, split in ((dataset, "train"), (val, "val"))
    )
    return training, [validation]


def augmentation(data: DataConfig, channels: int) -> TrainingTransform:
    """The transform that the configuration describes."""
    return TrainingTransform(data.crop, data.scale, data.flip, data.color, data.dusk, data.blur, channels, data.turn)
