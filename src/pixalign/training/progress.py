"""What a person sees while a run goes on: a bar on a terminal, a line per epoch elsewhere."""

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TimeElapsedColumn, TimeRemainingColumn

from pixalign.progress import bars


class TrainingProgress:
    """Progress over ``total`` steps of which ``done`` are done: loss, images/s, time left and the last mIoU.

    It is seen while its ``bar`` is entered, a context.
    """

    def __init__(self, total: int, done: int, per_epoch: int, console: Console, show: bool = True) -> None:
        self.per_epoch, self.console, self.show = per_epoch, console, show
        self.bar = bars(
            console,
            "epoch {task.fields[epoch]}",
            BarColumn(),
            "{task.fields[speed]}{task.fields[miou]}",
            TimeElapsedColumn(),
            "left",
            TimeRemainingColumn(elapsed_when_finished=False),
            show=show,
            keep=True,
        )
        epochs = f"{done // per_epoch}/{total // per_epoch}"
        self.task = self.bar.add_task("", total=total, completed=done, epoch=epochs, speed="starting", miou="")
        self.total, self.loss, self.rate, self.last = total, 0.0, 0.0, time.perf_counter()

    def steps(self, done: int, losses: Sequence[float], images: int) -> None:
        """Show that ``done`` steps are done, the last of them with these losses on ``images`` images each.

        Loss and rate are smoothed over about twenty steps.
        """
        now = time.perf_counter()
        rate, self.last = len(losses) * images / max(now - self.last, 1e-9), now
        for loss in losses:
            first = not self.rate
            self.loss = loss if first else 0.95 * self.loss + 0.05 * loss
            self.rate = rate if first else 0.95 * self.rate + 0.05 * rate
        epochs = f"{-(-done // self.per_epoch)}/{self.total // self.per_epoch}"
        self.bar.update(
            self.task, completed=done, epoch=epochs, speed=f"loss {self.loss:.3f}  {self.rate:.1f} images/s"
        )

    def epoch(self, line: dict[str, Any], speed: float) -> str:
        """Show a line of metrics.jsonl and the images per second; return what there is to say about it."""
        scores = "".join(
            f"  {split} mIoU {100 * r['miou']:.1f}" for split, r in line.get("val", {}).items() if r["miou"]
        )
        if scores:
            self.bar.update(self.task, miou=scores)
        text = (
            f"epoch {line['epoch']}/{self.total // self.per_epoch}  loss {line['loss']:.3f}  "
            f"{speed:.1f} images/s{scores}"
        )
        if self.show and (scores or not self.console.is_terminal):
            self.console.print(text, highlight=False)
        self.last = time.perf_counter()
        return text
