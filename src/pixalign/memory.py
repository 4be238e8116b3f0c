"""Memory of large tensors on a CPU, kept for the next one."""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)
_DEFAULTS = {_TRIM_THRESHOLD: 128 << 10, _MMAP_MAX: 65_536}
_KEEPING = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0}
_lock = threading.Lock()
_inside = 0


@contextmanager
def reused_memory() -> Iterator[bool]:
    """Within the block, let the C library keep what is freed; yield whether it does.

    By default glibc maps every block above 32 MiB on its own, and the system clears its pages on first touch, for each
    large tensor anew: a quarter of the time of training, and of a network on images of 2 megapixels, goes there
    (benchmarks/memory.md). Up to 2 GiB of freed memory stay with the process until the end of the block. Blocks may be
    nested and overlap in threads; the defaults return with the last one. Without glibc nothing happens; a GPU's tensors
    are not concerned.
    """
    library = ctypes.CDLL(None) if os.name == "posix" else None
    if library is None or not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim"):
        yield False
        return
    _enter(library, 1)
    try:
        yield True
    finally:
        _enter(library, -1)


def _enter(library: ctypes.CDLL, step: int) -> None:
    global _inside
    with _lock:
        _inside += step
        for option, value in (_KEEPING if _inside else _DEFAULTS).items():
            library.mallopt(option, value)
        if not _inside:
            library.malloc_trim(0)
