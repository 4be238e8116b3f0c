"""Memory of large tensors on a CPU, kept for the next one."""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # of mallopt(3)
_LARGE = 32 << 20  # glibc's own thresholds rise to this, and to twice as much free memory on top
_SETTLED = {_MMAP_THRESHOLD: _LARGE, _TRIM_THRESHOLD: 2 * _LARGE, _MMAP_MAX: 65_536}
_KEEPING = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0}
_OPTIONS = ("mmap_threshold", "mmap_max", "trim_threshold", "top_pad")  # that a user may have set for the process
_lock = threading.Lock()
_inside = 0
_before = 0


@contextmanager
def reused_memory() -> Iterator[bool]:
    """Within the block, let the C library keep what is freed; yield whether it does.

    By default glibc maps every block above 32 MiB on its own, and the system clears its pages on first touch, for each
    large tensor anew: a quarter of the time of training, and of a network on images of 2 megapixels, goes there
    (benchmarks/memory.md). Up to 2 GiB of freed memory stay with the process until the end of the block. Blocks may be
    nested and overlap in threads; what they hold beyond 32 MiB more than before goes back with the last one.

    glibc moves its thresholds with the sizes that a process frees, until it is told any of them: so what it would come
    to by itself, 32 MiB and 64 MiB, is set for good when the last block ends. A process whose thresholds the user has
    set (``MALLOC_MMAP_THRESHOLD_``, ``MALLOC_TRIM_THRESHOLD_``, ``MALLOC_MMAP_MAX_``, ``MALLOC_TOP_PAD_``, or the same
    in ``GLIBC_TUNABLES``) is left alone, as is one without glibc; a GPU's tensors are not concerned.
    """
    library = ctypes.CDLL(None) if os.name == "posix" else None
    if library is None or not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim") or _set_by_user():
        yield False
        return
    _enter(library, 1)
    try:
        yield True
    finally:
        _enter(library, -1)


def _enter(library: ctypes.CDLL, step: int) -> None:
    global _inside, _before
    with _lock:
        first, _inside = not _inside, _inside + step
        if first:
            _before = _resident()
        if first or not _inside:
            for option, value in (_KEEPING if _inside else _SETTLED).items():
                library.mallopt(option, value)
        if not _inside and (not _before or _resident() - _before > _LARGE):
            library.malloc_trim(0)


def _set_by_user() -> bool:
    """Whether the environment sets what the block would."""
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return any(f"MALLOC_{name.upper()}_" in os.environ or f"glibc.malloc.{name}=" in tunables for name in _OPTIONS)


def _resident() -> int:
    """Bytes of memory that the process holds; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
