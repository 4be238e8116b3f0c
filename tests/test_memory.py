import ctypes
import json
import platform
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not Path("/proc/self/statm").exists(), reason="needs glibc on Linux"
)
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


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with reused_memory() as keeps:
        assert not keeps
