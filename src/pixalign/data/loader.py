"""Batches for training: order a function of (seed, epoch), augmentation of (seed, epoch, index).

Nothing depends on what was drawn before, so a resumed run skips indices instead of replaying samples, and the number of
workers does not change a batch.
"""

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler


class AugmentedPairs(Dataset):
    """Pairs under a random transform; the key (epoch, index) decides what is drawn.

    Args:
        pairs: the training split.
        transform: callable (image (C, H, W) uint8, mask (H, W) uint8, focus) -> the same kinds.
        seed: of the run.
        presence: (N, K) bool, which classes image i holds, for class-uniform sampling; None where there is none.
        uniform: probability that a sample is drawn for a class: a class uniformly, an image that holds it, and a crop
            centred on one of its pixels (class-uniform sampling: Zhu et al., CVPR 2019, arXiv 1812.01593, section 3.2;
            BiAlignNet's recipe has it for half of the crops. A pixel in place of the centroid of a tile is our choice).
        mix: other pairs of the same classes.
        mix_ratio: probability that a sample comes from ``mix``.
    """

    def __init__(
        self,
        pairs: Any,
        transform: Callable[..., tuple[Tensor, Tensor]],
        seed: int,
        presence: np.ndarray | None = None,
        uniform: float = 0.0,
        mix: Any = None,
        mix_ratio: float = 0.0,
    ) -> None:
        self.pairs, self.transform, self.seed = pairs, transform, seed
        self.uniform, self.mix, self.mix_ratio = uniform, mix, mix_ratio
        self.holders = [] if presence is None else [h for h in map(np.flatnonzero, presence.T) if len(h)]
        self.holder_classes = [] if presence is None else np.flatnonzero(presence.any(0)).tolist()

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        epoch, index = key
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(_hash(self.seed, epoch, index))
            image, mask, focus = self._draw(index)
            return self.transform(torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(mask), focus)

    def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int] | None]:
        """Choose the pair, and the pixel that its crop is centred on, if any."""
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


class EpochBatches(Sampler):
    """Batches of keys (epoch, index) from ``start`` on, for one of ``world`` processes, over all epochs.

    An epoch has as many batches as fill whole updates of ``accumulate`` batches in every process, one update at least;
    its order is a permutation drawn from (seed, epoch), the remainder is left for other epochs, and a set smaller than
    one update is repeated to fill it.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        epochs: int,
        accumulate: int = 1,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.count, self.batch_size, self.seed, self.epochs = count, batch_size, seed, epochs
        self.start, self.rank, self.world = start, rank, world
        self.per_epoch = accumulate * max(1, count // (batch_size * world * accumulate))

    def __len__(self) -> int:
        return self.epochs * self.per_epoch - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for epoch in range(self.start // self.per_epoch, self.epochs):
            generator = torch.Generator().manual_seed(_hash(self.seed, epoch))
            order = torch.randperm(self.count, generator=generator).tolist()
            first = self.start % self.per_epoch if epoch == self.start // self.per_epoch else 0
            for batch in range(first, self.per_epoch):
                offset = (batch * self.world + self.rank) * self.batch_size
                yield [(epoch, order[(offset + i) % self.count]) for i in range(self.batch_size)]


def training_loader(dataset: AugmentedPairs, batches: EpochBatches, workers: int) -> DataLoader:
    """Load ``batches`` with ``workers`` processes (0: in this one), at most one for each processor.

    Images are (B, C, h, w), masks (B, h, w), both uint8.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(workers, processors)
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if workers else None,
        generator=torch.Generator(),  # its own, so that starting to load draws nothing from the global one
        worker_init_fn=_give_way,
    )


def _give_way(worker: int) -> None:
    """One thread per worker, at a lower priority: on a CPU, loading fills the gaps that training leaves.

    Ctrl-C reaches every process of a terminal, and SIGTERM every one of a Slurm job; what it means is decided by the
    training process alone, which needs its batches until it has saved.
    """
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(10)


def _hash(*values: int) -> int:
    """A 63-bit number from integers, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(values).encode()).digest()[:8], "little") >> 1
