import ctypes
import platform
import threading

import pytest
import torch

import pixalign
from pixalign.memory import reused_memory

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


def page_faults(tensors: int) -> int:
    """Pages that the system handed out while ``tensors`` of 64 MiB were written and freed, one after the other."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(tensors):
        torch.ones(16 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@glibc
def test_a_large_tensor_takes_the_memory_of_the_one_before():
    pages = (64 << 20) // 4096
    with reused_memory() as keeps:
        assert keeps
        page_faults(12)  # until the blocks lie as they will
        assert page_faults(8) < pages / 2
    assert page_faults(8) > 7 * pages  # the default is back, and the memory with the system


@glibc
def test_blocks_may_nest_and_overlap():
    inside, leave = threading.Event(), threading.Event()

    def other():
        with reused_memory():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with pixalign.reused_memory():
        with reused_memory():
            pass
        thread.start()
        inside.wait(10)
    page_faults(12)
    kept = page_faults(4)
    leave.set()
    thread.join()
    pages = (64 << 20) // 4096
    assert kept < pages
    assert page_faults(4) > 3 * pages


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with reused_memory() as keeps:
        assert not keeps
