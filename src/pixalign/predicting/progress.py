"""Progress over images: a bar on a terminal, a line for every tenth elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} images/s" if task.speed else "")


@contextmanager
def show_progress(total: int, show: bool) -> Iterator[Callable[[], None]]:
    """Yield a function to be called after each of ``total`` images; without ``show`` nothing is printed."""
    console = Console()
    if not show or total == 0:
        yield lambda: None
        return
    if console.is_terminal:
        columns = (BarColumn(), MofNCompleteColumn(), _Rate(), TextColumn("left"), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("", total=total)
            yield lambda: bar.advance(task)
        return
    done, started = 0, time.perf_counter()

    def advance() -> None:
        nonlocal done
        done += 1
        if done * 10 // total > (done - 1) * 10 // total and total > 10:
            rate = done / max(time.perf_counter() - started, 1e-9)
            print(f"{done}/{total} images, {rate:.1f} images/s", flush=True)

    yield advance
