"""Losses that stay on the device until several are read at once: reading one waits for it, and for all processes."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

_MOST, _SECONDS = 20, 1.0  # steps between two readings at most, and about how long they take


class Pending:
    """The losses of the last steps, and what the processes tell each other when these are read.

    Args:
        gather: stacks the rows (1, n) of all processes to (processes, n), in each of them.
    """

    def __init__(self, gather: Callable[[Tensor], Tensor]) -> None:
        self.gather = gather
        self.losses: list[Tensor] = []
        self.interval = 1
        self.read_at = time.perf_counter()

    def add(self, loss: Tensor) -> None:
        """Keep the loss of a step."""
        self.losses.append(loss.detach())

    def is_due(self) -> bool:
        """Whether enough steps have gone by, the same in every process."""
        return len(self.losses) >= self.interval

    def read(self, stop: int, save: bool) -> tuple[list[float], int, bool]:
        """Return what is the same in every process, and begin anew.

        Args:
            stop: number of the signal that asks this process to end; 0: none.
            save: whether this process wants the state to be saved.

        Returns:
            The steps' losses, each the mean over the processes; the highest ``stop`` of them; the first one's ``save``.
        """
        now = time.perf_counter()
        steps = max(1, min(_MOST, int(_SECONDS * len(self.losses) / max(now - self.read_at, 1e-9))))
        row = torch.stack([*self.losses, *self.losses[0].new_tensor([stop, save, steps])])
        rows = self.gather(row[None]).tolist()
        values = [sum(each) / len(rows) for each in zip(*(row[:-3] for row in rows))]
        self.losses, self.interval, self.read_at = [], int(rows[0][-1]), now
        return values, int(max(row[-3] for row in rows)), bool(rows[0][-2])
