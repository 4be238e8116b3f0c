"""A run that is to end in so many minutes: a few updates and evaluated images are timed, then the epochs are fixed.

What was timed is undone, so that a run that is planned and one of the same epochs from the start are the same to the
bit; config.yaml has the epochs, and resuming plans nothing.
"""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from pixalign.errors import InputError
from pixalign.text import number_of
from pixalign.training.config import TrainConfig
from pixalign.training.state import random_state_kept

_EPOCHS = 10  # of a run whose pass over the data is too long for so many
_FEWEST = 20  # updates; fewer are no training
_EVALUATING = 0.15  # of the time at most, but for one evaluation
_SAVING = 1.0  # seconds for the state and the line of an epoch


@contextmanager
def undone(model: nn.Module, optimizer: Any, scaler: Any) -> Iterator[None]:
    """Give weights, statistics, optimizer, loss scale and random generators back the state that they had."""
    state = copy.deepcopy(model.state_dict())
    scale = copy.deepcopy(scaler.state_dict()) if scaler is not None else None
    with random_state_kept():
        try:
            yield
        finally:
            model.load_state_dict(state)
            optimizer.state.clear()
            if scale is not None:
                scaler.load_state_dict(scale)


@dataclass
class Timed:
    """What is timed.

    Attributes:
        update: loads and makes an update, and waits until it is done.
        evaluations: for each split of val a function that measures its ``share`` (i, n), every n-th image from the i-th
            on, and its images.
        processes: that divide an evaluation among them.
        longest: the highest of their numbers, so that all plan the same.
    """

    update: Callable[[], object]
    evaluations: list[tuple[Callable[..., object], int]]
    processes: int
    longest: Callable[[float], float]

    def seconds_to_update(self) -> float:
        """Seconds for an update, loading included: of about five seconds' worth, behind two that do not count."""
        self._seconds(1)
        count = min(max(round(5 / self._seconds(1)), 2), 50)
        return self._seconds(count) / count

    def seconds_to_evaluate(self) -> float:
        """Seconds for an evaluation, from those of one image and of a few (all, where there are fewer than six)."""
        total = 0.0
        for evaluate, images in self.evaluations:
            seconds, few = [], max(1, images // 3)  # every few-th image
            for step in (images, images, few):  # the first one pays for what is done once
                began = time.perf_counter()
                evaluate(share=(0, step))
                seconds.append(time.perf_counter() - began)
            more = len(range(0, images, few)) - 1
            each = max(0.0, seconds[2] - seconds[1]) / more if more else 0.0
            total += seconds[1] + each * max(images / self.processes - 1, 0)
        return self.longest(total)

    def _seconds(self, count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            self.update()
        return self.longest(time.perf_counter() - began)


def plan(config: TrainConfig, began: float, timed: Timed, a_pass: int, log: Callable[[str], None]) -> TrainConfig:
    """Return the configuration with its epochs fixed, so that ``config.minutes`` after ``began`` the run is over.

    Args:
        config: the run.
        began: `time.perf_counter` of its beginning.
        timed: what to time.
        a_pass: updates in a pass over the training split.
        log: takes a line about it.

    Raises:
        InputError: too few minutes.
    """
    log(f"timing a few updates to end in {config.minutes:g} minutes")
    update, evaluation = timed.seconds_to_update(), timed.seconds_to_evaluate()
    left = 60 * config.minutes - timed.longest(time.perf_counter() - began)
    chosen = planned(config, left, update, evaluation, a_pass)
    log(
        f"planned: {number_of(chosen.epochs, 'epoch')} of {number_of(chosen.updates_per_epoch, 'update')} "
        f"({update:.2g} s each), evaluated every {number_of(chosen.evaluate_every, 'epoch')} "
        f"({evaluation:.2g} s each time)"
    )
    return chosen


def planned(config: TrainConfig, left: float, update: float, evaluation: float, a_pass: int) -> TrainConfig:
    """Return the configuration whose run takes ``left`` seconds: epochs, updates in one, epochs between evaluations.

    Args:
        config: its minutes are what the message names.
        left: seconds from now to the end.
        update, evaluation: seconds for one.
        a_pass: updates in a pass over the training split.

    Raises:
        InputError: not enough time for 20 updates and an evaluation.
    """
    budget = 0.97 * left - evaluation - _SAVING
    if budget < _FEWEST * update:
        needed = config.minutes + (_FEWEST * update - budget) / 60
        raise InputError(
            f"minutes is {config.minutes:g}: reading the data, {_FEWEST} updates and an evaluation take "
            f"{needed:.1f} minutes on this machine: give more"
        )
    updates = config.updates_per_epoch or a_pass
    if (updates * update + _SAVING) * _EPOCHS > budget:
        updates = max(1, int((budget / _EPOCHS - _SAVING) / update))
    epoch = updates * update + _SAVING
    every = max(config.evaluate_every, -(-evaluation // (_EVALUATING * epoch)))
    epochs = max(1, int(budget / (epoch + evaluation / every)))
    return replace(config, epochs=epochs, updates_per_epoch=updates, evaluate_every=int(min(every, epochs)), minutes=0)
