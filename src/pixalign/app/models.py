"""Networks that many requests share: each loaded once, the least recently used freed, a time limit that holds."""

import gc
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from pixalign.errors import InputError
from pixalign.predicting import Predictor

_end: ContextVar[tuple[float, float] | None] = ContextVar("end", default=None)  # when, and the limit in seconds


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Within the context, `watched` networks stop once it has lasted so long."""
    token = _end.set((time.monotonic() + seconds, seconds))
    try:
        yield
    finally:
        _end.reset(token)


def check_time(*called: Any) -> None:
    """Raise InputError if the time of `within` is over; as a hook, it is told what is called."""
    limit = _end.get()
    if limit is not None and time.monotonic() > limit[0]:
        raise InputError(
            f"stopped after {limit[1]:g} s, the time that this server gives to one request: take a smaller image or a "
            "faster model"
        )


def watched(predictor: Predictor) -> Predictor:
    """Have a predictor's network look at the clock: before each of its modules, or each call of an exported file.

    So a request ends within one layer of its limit, and the network is free for the next one: PyTorch itself cannot
    be interrupted in the midst of a layer, nor ONNX Runtime and OpenVINO in the midst of a call.
    """
    if predictor.network is None:
        run = predictor.runtime.run

        def run_in_time(images: Tensor) -> Tensor:
            check_time()
            return run(images)

        predictor.runtime = replace(predictor.runtime, run=run_in_time)
        return predictor
    for module in predictor.network.modules():
        module.register_forward_pre_hook(check_time)
    return predictor


@dataclass
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    predictor: Predictor | None = None


class Models:
    """Predictors by key. Each is used by one thread at a time; of all, only those used last stay in memory.

    Args:
        open_predictor: makes the predictor of a key; its errors go to whoever asked, and the next one tries again.
        kept: how many stay.
    """

    def __init__(self, open_predictor: Callable[[Any], Predictor], kept: int) -> None:
        self._open = open_predictor
        self._kept = kept
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def use(self, key: Hashable) -> Iterator[Predictor]:
        """Yield the predictor of a key, loaded if it is not there, for this thread alone."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            freed = [self._entries.popitem(last=False) for _ in range(len(self._entries) - self._kept)]
        if freed:
            del freed
            gc.collect()
        with entry.lock:
            if entry.predictor is None:
                entry.predictor = self._open(key)
            yield entry.predictor

    def clear(self) -> None:
        """Free all that no thread is using."""
        with self._lock:
            self._entries.clear()
        gc.collect()
