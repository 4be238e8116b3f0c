"""Batches for training: order a function of (seed, epoch), augmentation of (seed, epoch, index).

Nothing depends on what was drawn before, so a resumed run skips indices instead of replaying samples, and the number of
workers does not change a batch.
"""

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import tv_tensors

from pixalign.data.pairs import Pairs


class AugmentedPairs(Dataset):
    """Pairs under a random transform; the key (epoch, index) decides the augmentation.

    ``transform`` takes tv_tensors (Image (C, H, W) uint8, Mask (H, W) uint8) and returns tensors of the same kinds.
    """

    def __init__(self, pairs: Pairs, transform: Callable[[Any, Any], tuple[Any, Any]], seed: int) -> None:
        self.pairs, self.transform, self.seed = pairs, transform, seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        epoch, index = key
        image, mask = self.pairs[index]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(_hash(self.seed, epoch, index))
            image, mask = self.transform(
                tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1)), tv_tensors.Mask(torch.from_numpy(mask))
            )
        return image.as_subclass(Tensor), mask.as_subclass(Tensor)


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
    """Load ``batches`` with ``workers`` processes (0: in this one); images (B, C, h, w), masks (B, h, w), uint8."""
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

    Ctrl-C reaches every process of a terminal; what it means is decided by the training process alone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(10)


def _hash(*values: int) -> int:
    """A 63-bit number from integers, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(values).encode()).digest()[:8], "little") >> 1
