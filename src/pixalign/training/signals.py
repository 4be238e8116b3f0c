"""Signals that ask a run to save its state and end."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Ctrl-C; Slurm, Kubernetes and docker; Slurm before the time limit; Ctrl-Break, by which Windows passes on Ctrl-C
_NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGBREAK")
_ONCE_MORE = 1.0  # seconds: a terminal sends Ctrl-C to every process, and a launcher passes it on


@contextmanager
def stop_on_signals() -> Iterator[list[int]]:
    """Yield a list that gets the number of each signal that asks for the end, so that a loop can stop between steps.

    Another Ctrl-C, more than a second after the first, raises KeyboardInterrupt at once. The handlers before are set
    again at the end. In another thread than the main one, which gets no signals, the list stays empty.
    """
    stop: list[int] = []
    first: dict[int, float] = {}  # when each came first

    def note(number: int, frame: Any) -> None:
        since = time.monotonic() - first.setdefault(number, time.monotonic())
        if number == signal.SIGINT and since > _ONCE_MORE:
            raise KeyboardInterrupt
        stop.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
