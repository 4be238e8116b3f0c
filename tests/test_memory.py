import ctypes
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pixalign.memory import reused_memory

PAGES = (64 << 20) // 4096  # of one tensor
# In a process of its own: pages that the system hands out while 16 tensors of 64 MiB are written and freed, and what
# the process then still holds (MiB).
SCRIPT = """
import json, resource, threading
import torch
import pixalign

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() >> 20

def look(what):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(16):
        torch.ones(16 << 20)
    seen[what] = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, resident() - start

def other():
    with pixalign.reused_memory():
        inside.set()
        leave.wait(60)

seen, start = {}, resident()
look("before")
with pixalign.reused_memory() as keeps:
    look("first")  # until the blocks lie as they will
    look("inside")
    with pixalign.reused_memory():
        pass
    look("after a nested block")
    inside, leave = threading.Event(), threading.Event()
    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(60)
look("while a thread is inside")
leave.set()
thread.join()
seen["after all"] = 0, resident() - start
print(json.dumps([keeps, seen]))
"""

# In a process of its own for each kind and size: pages that the system hands out while 20 blocks of so many MiB are
# written and freed, before the blocks of `reused_memory` and after them, and what the process then holds (MiB) above
# what it held before them.
AFTERWARDS = """
import json, os, resource, threading
import numpy as np
import torch
from pixalign.memory import reused_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() >> 20

def pages(make, size):
    for _ in range(8):  # until the blocks lie as they will
        make(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        make(size)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def empty():
    with reused_memory():
        pass

def used():
    with reused_memory():
        kept = [torch.ones(12 << 20) for _ in range(3)]  # 48 MiB each
        with reused_memory():
            kept += [np.ones(4 << 20, np.float32) for _ in range(5)]
        del kept

def threaded():
    threads = [threading.Thread(target=used) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

torch.set_num_threads(1)
torch.ones(1)
kinds = {"torch": lambda size: torch.ones(size << 18), "numpy": lambda size: np.ones(size << 18, np.float32)}
for name, make in kinds.items():
    for size in (1, 4, 16, 24, 31):
        for block in (empty, used, threaded) if size == 16 else (empty,):
            if os.fork() == 0:
                before, held = pages(make, size), resident()
                block()
                held = resident() - held
                print(json.dumps([name, size, block.__name__, before, pages(make, size), held]), flush=True)
                os._exit(0)
            os.wait()
"""
needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not Path("/proc/self/statm").exists(), reason="needs glibc on Linux"
)
SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_")


@needs_glibc
def test_large_tensors_take_the_memory_of_the_ones_before_until_the_last_block_ends():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    keeps, seen = json.loads(done.stdout)
    assert keeps
    assert seen["before"][0] > 15 * PAGES, seen
    for where in ("inside", "after a nested block", "while a thread is inside"):
        pages, held = seen[where]
        assert pages < 9 * PAGES, seen  # new threads and the like move blocks about
        assert held > 60, seen
    assert seen["after all"][1] < 30, seen


@needs_glibc
def test_after_the_last_block_memory_is_reused_and_given_back_as_before_the_first():
    environment = {name: value for name, value in os.environ.items() if name not in (*SETTINGS, "GLIBC_TUNABLES")}
    done = subprocess.run(
        [sys.executable, "-c", AFTERWARDS], capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(seen) == 14
    for name, size, block, before, after, held in seen:
        assert after <= before + 3 * (size << 20) // 4096, (name, size, block, before, after)  # 3 of the 20 at most
        assert held < 40, (name, size, block, held)


@needs_glibc
@pytest.mark.parametrize(
    ("name", "value"), [*((name, "65536") for name in SETTINGS), ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=9")]
)
def test_what_the_user_has_set_is_left(name, value, monkeypatch):
    library = ctypes.CDLL(None)
    told = []
    fake = SimpleNamespace(mallopt=lambda *values: told.append(values), malloc_trim=library.malloc_trim)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: fake)
    for other in (*SETTINGS, "GLIBC_TUNABLES"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    with reused_memory() as keeps:
        assert not keeps
    assert not told
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.perturb=1")
    monkeypatch.delenv(name) if name != "GLIBC_TUNABLES" else None
    with reused_memory() as keeps:
        assert keeps
    assert told


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with reused_memory() as keeps:
        assert not keeps
