"""Batches for training: order a function of (seed, epoch), augmentation of (seed, epoch, index).

Nothing depends on what was drawn before, so a resumed run skips indices instead of replaying samples, and the number of
workers does not change a batch.
"""

import ast
import hashlib
import multiprocessing
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from pixalign.errors import InputError
from pixalign.text import first_line


@dataclass(eq=False)
class AugmentedPairs(Dataset):
    """Pairs under a random transform; the key (round, index) decides what is drawn.

    Args:
        pairs: the training split.
        transform: callable (image (C, H, W) uint8, mask (H, W) uint8, focus) -> the same kinds.
        seed: of the run.
        presence: (N, K) bool, which classes image i holds, for class-uniform sampling; None where there is none.
        uniform: probability that a sample is drawn for a class: a class uniformly, an image that holds it, and a crop
            centered on one of its pixels (class-uniform sampling: Zhu et al., CVPR 2019, arXiv 1812.01593, section 3.2;
            BiAlignNet's recipe has it for half of the crops. A pixel in place of the centroid of a tile is our choice).
        mix: other pairs of the same classes.
        mix_ratio: probability that a sample comes from ``mix``.
    """

    pairs: Any
    transform: Callable[..., tuple[Tensor, Tensor]]
    seed: int
    presence: np.ndarray | None = None
    uniform: float = 0.0
    mix: Any = None
    mix_ratio: float = 0.0

    def __post_init__(self) -> None:
        there = np.zeros((0, 0), bool) if self.presence is None else self.presence
        self.holders = [holders for holders in map(np.flatnonzero, there.T) if len(holders)]
        self.holder_classes = np.flatnonzero(there.any(0)).tolist()

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        turn, index = key
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(_hash(self.seed, turn, index))
            image, mask, focus = self._draw(index)
            return self.transform(torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(mask), focus)

    def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int] | None]:
        """Choose the pair, and the pixel that its crop is centered on, if any."""
        if self.mix is not None and torch.rand(()).item() < self.mix_ratio:
            return *self.mix[int(torch.randint(len(self.mix), ()))], None
        if not self.holders or torch.rand(()).item() >= self.uniform:
            return *self.pairs[index], None
        drawn = int(torch.randint(len(self.holders), ()))
        holders = self.holders[drawn]
        image, mask = self.pairs[int(holders[int(torch.randint(len(holders), ()))])]
        places = np.flatnonzero(mask == self.holder_classes[drawn])
        row, column = divmod(int(places[int(torch.randint(len(places), ()))]), mask.shape[1])
        return image, mask, (row, column)


@dataclass(eq=False)
class EpochBatches(Sampler):
    """Batches of keys (round, index) from ``start`` on, for one of ``world`` processes, over all epochs.

    A round is a permutation of the ``count`` pairs, drawn from (seed, round). With ``updates`` the rounds follow each
    other without a gap, and an epoch ends after so many updates of ``accumulate`` batches in every process. Without, an
    epoch is one round, as many batches as fill whole updates, one at least: the remainder is left for other epochs, and
    a set smaller than one update is repeated to fill it.
    """

    count: int
    batch_size: int
    seed: int
    epochs: int
    accumulate: int = 1
    start: int = 0
    rank: int = 0
    world: int = 1
    updates: int = 0

    def __post_init__(self) -> None:
        self.endless = self.updates > 0
        batches = max(1, self.count // (self.batch_size * self.world * self.accumulate))
        self.per_epoch = self.accumulate * (self.updates or batches)

    def __len__(self) -> int:
        return self.epochs * self.per_epoch - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        drawn, order = -1, []
        for step in range(self.start, self.epochs * self.per_epoch):
            epoch, batch = divmod(step, self.per_epoch)
            keys = []
            for i in range(self.batch_size):
                place = ((step if self.endless else batch) * self.world + self.rank) * self.batch_size + i
                turn, place = divmod(place, self.count) if self.endless else (epoch, place % self.count)
                if turn != drawn:
                    generator = torch.Generator().manual_seed(_hash(self.seed, turn))
                    drawn, order = turn, torch.randperm(self.count, generator=generator).tolist()
                keys.append((turn, order[place]))
            yield keys


@dataclass(eq=False)
class Batches:
    """What a loader gives, image (B, C, h, w) and mask (B, h, w) at a time, and what stops its processes in a line.

    The processes end with the iteration, however it ends.
    """

    loader: DataLoader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        remedy = "or set data.workers to 0"
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Got pickle error")  # the line below says what to do
                batches = iter(self.loader)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            if "pickle" not in str(error):
                raise
            raise InputError(
                f"data.workers is {self.loader.num_workers}, and what the processes need cannot be sent to them "
                f"({first_line(error)}): define transform and data set with def and class in a module, {remedy}"
            ) from error
        try:
            yield from batches
        except RuntimeError as error:
            if "exited unexpectedly" not in str(error):
                raise
            raise InputError(
                f"data.workers is {self.loader.num_workers}: {first_line(error).removesuffix('.')}: see what it said "
                f"above, look at the memory that is left, {remedy}"
            ) from error
        finally:
            if self.loader.num_workers:
                batches._shutdown_workers()  # type: ignore[attr-defined]  # else they wait for the garbage collector


def training_loader(dataset: AugmentedPairs, batches: EpochBatches, workers: int) -> Batches:
    """Load ``batches`` with ``workers`` processes (0: in this one), at most one for each processor.

    Images are (B, C, h, w), masks (B, h, w), both uint8.

    Raises:
        InputError: a script that the processes would run again, or (while loading) what they cannot be sent, samples
            of several sizes.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(workers, processors)
    if workers and multiprocessing.get_start_method() != "fork":
        _check_guard()
    return Batches(
        DataLoader(
            dataset,
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=_stacked,
            pin_memory=torch.cuda.is_available(),
            prefetch_factor=4 if workers else None,
            generator=torch.Generator(),  # its own, so that starting to load draws nothing from the global one
            worker_init_fn=_give_way,
        )
    )


def _stacked(samples: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Samples as a batch; InputError if they differ in size."""
    sizes = sorted({tuple(mask.shape) for _, mask in samples})
    if len(sizes) > 1:
        shown = " and ".join(f"{height} x {width}" for height, width in (sizes[0], sizes[-1]))
        raise InputError(f"transform: gave samples of {shown} pixels (height x width) in a batch: give all one size")
    return default_collate(samples)


def _check_guard() -> None:
    """Raise InputError for a script that runs whole in each process that loads data, which would train as well."""
    script = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
    if script.suffix != ".py":
        return
    names = {node.id for node in ast.walk(ast.parse(script.read_bytes())) if isinstance(node, ast.Name)}
    if "__name__" not in names:
        raise InputError(
            f"{script}: each process that loads data imports this script, which would train again: put what trains "
            "under `if __name__ == '__main__':`, or set data.workers to 0"
        )


def _give_way(worker: int) -> None:
    """One thread per worker, at a lower priority: on a CPU, loading fills the gaps that training leaves.

    Ctrl-C reaches every process of a terminal, and SIGTERM every one of a Slurm job; what it means is decided by the
    training process alone, which needs its batches until it has saved. Another SIGTERM ends the worker: a training
    process that is at its end sends two, and waits.
    """
    told: list[int] = []

    def note(number: int, frame: Any) -> None:
        if told:
            os._exit(0)
        told.append(number)

    for name, handler in (("SIGINT", signal.SIG_IGN), ("SIGUSR1", signal.SIG_IGN), ("SIGTERM", note)):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handler)
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(10)


def _hash(*values: int) -> int:
    """A 63-bit number from integers, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(values).encode()).digest()[:8], "little") >> 1
