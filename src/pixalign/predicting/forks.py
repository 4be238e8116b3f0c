"""A process that was forked after threads had computed has none of them, and waits for them for ever: named instead."""

import os
from pathlib import Path

import torch

from pixalign.errors import InputError

_REMEDY = (
    "make the Predictor in the process that uses it (gunicorn without --preload, or in post_fork; "
    "multiprocessing with 'spawn'), see docs/deploying.md"
)
_computed = False  # with threads, in this process
_inherited = False  # this process was forked from one that had


def _forked() -> None:
    global _inherited
    _inherited = _inherited or _computed


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def check_threads() -> None:
    """Say that PyTorch is about to compute, in threads where it has more than one.

    Raises:
        InputError: this process was forked after that had been said in its parent, so that GNU's OpenMP would wait for
            threads that are not there. Others' OpenMP makes new ones; one thread (``torch.set_num_threads(1)``) works.
    """
    global _computed
    if torch.get_num_threads() == 1:
        return
    if _inherited and _has_gnu_openmp():
        raise InputError(
            f"process {os.getpid()} was forked after a Predictor had computed in threads, which a fork leaves behind: "
            f"{_REMEDY}; or call torch.set_num_threads(1) in it"
        )
    _computed = True


def check_process(made_in: int) -> None:
    """Raise InputError unless an exported network was opened in this process: the threads of its back-end stay there.

    Args:
        made_in: the id of the process that opened it.
    """
    if made_in != os.getpid():
        raise InputError(
            f"process {os.getpid()} was forked from {made_in}, where the exported model was opened and its threads "
            f"are: {_REMEDY}"
        )


def _has_gnu_openmp() -> bool:
    try:
        return "libgomp" in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
