"""Progress for people: bars on a terminal; elsewhere nothing, or lines."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} images/s" if task.speed else "")


def bars(console: Console, *columns: str | ProgressColumn, show: bool = True, keep: bool = False) -> Progress:
    """Bars to add tasks to, as a context; nothing where the console is no terminal.

    Args:
        console: where they are drawn.
        columns: what each shows; by default its description, a bar, what is done, and the time left.
        show: False draws nothing on a terminal either.
        keep: whether they stay when all is done.
    """
    usual = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    disable = not (show and console.is_terminal)
    return Progress(*(columns or usual), console=console, transient=not keep, disable=disable)


@contextmanager
def counted(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that adds a count to one bar of ``total``."""
    with bars(console) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def images_done(total: int, show: bool) -> Iterator[Callable[[], None]]:
    """Yield a function to be called after each of ``total`` images: a bar, or a line for every tenth.

    Without ``show`` nothing is printed.
    """
    console = Console()
    if not show or total == 0:
        yield lambda: None
        return
    if console.is_terminal:
        columns = (BarColumn(), MofNCompleteColumn(), _Rate(), TextColumn("left"), TimeRemainingColumn())
        with bars(console, *columns, keep=True) as bar:
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
