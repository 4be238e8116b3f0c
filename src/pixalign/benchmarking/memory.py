"""The memory of one call, measured in a process of its own: ``python -m pixalign.benchmarking.memory JSON``."""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pixalign.limits import SMALLEST


def memory_of(source: str, backend: str, threads: int, batch: int, size: tuple[int, int]) -> int | None:
    """Return the bytes by which resident memory peaks, during one call, above what the process holds before it.

    The call's result counts, the image does not, weights do not. A new process loads the variant and warms it up, gives
    free memory back to the system, resets the peak that Linux keeps (proc(5), clear_refs), and calls once. PyTorch is
    warmed up at the size itself, so that compilation does not count; ONNX Runtime and OpenVINO, which keep their
    working memory from call to call, at 32 x 32. Memory that a back-end has set aside without using it is not seen.

    Args:
        source, backend, threads: as of `pixalign.benchmarking.variants.prepare`.
        batch, size: of the image.

    Returns:
        None where it cannot be measured: on systems other than Linux, or if the process fails.
    """
    if not sys.platform.startswith("linux"):
        return None
    asked = {"source": source, "backend": backend, "threads": threads, "batch": batch, "size": size}
    command = [sys.executable, "-m", "pixalign.benchmarking.memory", json.dumps(asked)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=environment)
    try:
        return int(done.stdout.strip().splitlines()[-1]) if done.returncode == 0 else None
    except (ValueError, IndexError):
        return None


def _measure(asked: dict[str, Any]) -> int:
    import torch

    from pixalign.benchmarking.variants import images_for, prepare

    torch.set_num_threads(asked["threads"])
    runtime = prepare(asked["source"], asked["backend"], asked["threads"])
    size = tuple(asked["size"])
    images = images_for(runtime, asked["batch"], size)
    warm_up = images if runtime.network is not None else images_for(runtime, asked["batch"], (SMALLEST, SMALLEST))
    for _ in range(2):
        runtime.run(warm_up)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc
        libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = _kilobytes("VmRSS")
    runtime.run(images)
    return 1024 * max(0, _kilobytes("VmHWM") - before)


def _kilobytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1])


if __name__ == "__main__":
    print(_measure(json.loads(sys.argv[1])))
