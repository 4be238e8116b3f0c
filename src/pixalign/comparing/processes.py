"""Locks and processes of trainings, on POSIX and on Windows."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def locked(file: Path) -> IO[bytes] | None:
    """Open ``file`` and lock it; None if another process has it locked. Closing it, or the process's end, frees it.

    Raises:
        OSError: the file cannot be written.
    """
    lock = file.open("ab")
    try:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            _lock_on_windows(lock)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _lock_on_windows(lock: IO[bytes]) -> None:
    import msvcrt

    lock.seek(0)
    try:
        msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        raise BlockingIOError(error.errno, error.strerror) from error


def start(
    command: Sequence[str], output: IO[bytes], environment: Mapping[str, str], lock: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a process that Ctrl-C on the terminal does not reach.

    On POSIX the lock goes along, so that it is held for as long as the process lives, even if this one is killed.
    """
    apart: dict[str, Any] = {"start_new_session": True, "pass_fds": (lock.fileno(),)}
    if fcntl is None:
        apart = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment, **apart
    )


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Pass on Ctrl-C."""
    process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process at once, with those that it has started where the system can."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
