"""Locks and processes of trainings, as POSIX and as Windows have them."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from pixalign.comparing import processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def windows(monkeypatch):
    """A system without fcntl, whose msvcrt locks a file's first byte."""
    held = set()

    def locking(handle, mode, count):
        node = os.fstat(handle).st_ino
        if node in held:
            raise PermissionError(13, "Permission denied")
        held.add(node)

    monkeypatch.setattr(processes, "fcntl", None)
    monkeypatch.delattr(processes.os, "killpg")
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locking))


def test_a_lock_is_had_once(tmp_path):
    lock = processes.locked(tmp_path / "lock")
    assert processes.locked(tmp_path / "lock") is None
    lock.close()
    assert processes.locked(tmp_path / "lock") is not None


def test_a_lock_is_had_once_on_windows(windows, tmp_path):
    assert processes.locked(tmp_path / "lock") is not None
    assert processes.locked(tmp_path / "lock") is None


def test_a_file_that_cannot_be_opened_is_no_lock_of_another(tmp_path):
    with pytest.raises(OSError):
        processes.locked(tmp_path / "missing" / "lock")


def test_a_process_keeps_the_lock_when_this_one_lets_it_go(tmp_path):
    lock = processes.locked(tmp_path / "lock")
    process = processes.start(SLEEP, subprocess.DEVNULL, {}, lock)
    lock.close()
    assert processes.locked(tmp_path / "lock") is None
    processes.end(process)
    assert process.wait() < 0
    assert processes.locked(tmp_path / "lock") is not None


def test_a_process_is_started_and_ended_on_windows(windows, tmp_path):
    process = processes.start(SLEEP, subprocess.DEVNULL, {}, processes.locked(tmp_path / "lock"))
    assert process.poll() is None
    processes.end(process)
    assert process.wait() < 0
