"""Networks, back-ends and sizes measured in one run, by turns."""

import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from pixalign.benchmarking.memory import memory_of
from pixalign.benchmarking.variants import (
    BACKENDS,
    DEFAULT,
    build,
    images_for,
    is_architecture,
    prepare,
    source_for,
)
from pixalign.errors import InputError
from pixalign.limits import SMALLEST
from pixalign.models.cost import cost
from pixalign.models.network import SegmentationNetwork
from pixalign.runtime import EXPORTED, Runtime, is_exported
from pixalign.text import first_line

_WARM_UP = 2  # calls
_PAUSE = 0.1  # seconds after a call with several threads, which go on waiting busily for a while
_CHANNELS, _SIDE = 256, 128  # of the convolution that stands for the machine's peak
_PEAK = "the convolution"
_PACKAGES = ("torch", "onnxruntime", "openvino", "timm", "torchvision", "segmentation-models-pytorch", "transformers")


def benchmark(
    models: Sequence[str | Path],
    sizes: Sequence[tuple[int, int]] = ((512, 1024),),
    backends: Sequence[str] = DEFAULT,
    threads: int | None = None,
    rounds: int = 20,
    batch: int = 1,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure what networks cost on this machine's CPU.

    All variants (a network on a back-end) of one size are called by turns: in each round each has one batch, in an
    order that moves on from round to round, so that whatever else the machine does meets all of them. Before that each
    is warmed up. A convolution of 3 x 3 with 256 channels takes part; what it reaches is the machine's peak.

    Args:
        models: what `pixalign.load` takes, FILE.onnx, FILE.xml, or ARCHITECTURE@ENCODER, built with random weights
            (`pixalign.benchmarking.variants.build`).
        sizes: heights and widths of the images, in pixels, from 32 up.
        backends: names of `BACKENDS`. Exported files are measured with their own alone.
        threads: for every back-end; None takes what PyTorch has.
        rounds: timed calls of each variant, 2 or more.
        batch: images in a call.
        progress: called with a line that says what is being done.

    Returns:
        "machine" (processor, cores, threads, system, and versions of packages), "rounds", "batch", "random" (the models
        without trained weights), "backends" (name: what it is), "peaks" (HxW: operations per second of the convolution)
        and "rows", by size, model, back-end: "model", "backend", "size" (height, width), "error" (None, or why there
        are no figures), "latency" and "p95" (median and 95th percentile, seconds per call), "throughput" (images per
        second, from the mean time), "speed" (how many times the first row's of this size; the median over rounds),
        "memory" (bytes at the peak of a call, see `pixalign.benchmarking.memory.memory_of`), "parameters",
        "operations" (per image, `pixalign.models.cost`), "share" (of the convolution's operations per second, median
        over rounds) and "times" (seconds, by round). What is not known is None.

    Raises:
        InputError: a model, back-end, size or count that cannot be used. A back-end that is missing or fails is a row.
    """
    sources = list(dict.fromkeys(str(model) for model in models))
    backends, sizes = list(dict.fromkeys(backends)), list(dict.fromkeys((h, w) for h, w in sizes))
    _check(sources, sizes, backends, threads, rounds, batch)
    before = torch.get_num_threads()
    threads = threads or before
    try:
        with tempfile.TemporaryDirectory(prefix="pixalign-") as folder:
            torch.set_num_threads(threads)
            progress("loading the models")
            networks = {source: None if is_exported(source) else build(source) for source in sources}
            variants = [
                variant
                for source, network in networks.items()
                for variant in _variants(source, network, backends, threads, Path(folder), progress)
            ]
            rows, peaks = [], {}
            for size in sizes:
                found, peaks[_by(size)] = _measure(variants, networks, size, threads, rounds, batch, progress)
                rows += found
    finally:
        torch.set_num_threads(before)
    return {
        "machine": _machine(threads),
        "rounds": rounds,
        "batch": batch,
        "random": [source for source in sources if is_architecture(source)],
        "backends": {name: BACKENDS[name] for name in dict.fromkeys(row["backend"] for row in rows)},
        "peaks": peaks,
        "rows": rows,
    }


def by_turns(
    calls: Mapping[str, Callable[[], Any]],
    rounds: int,
    pause: float = 0.0,
    advance: Callable[[int], None] = lambda done: None,
    fewest: int = 0,
    enough: float = math.inf,
    clock: Callable[[], float] | None = None,
) -> dict[str, list[float]]:
    """Return the seconds that each call takes, by round; in each round each is called once, and another begins.

    Args:
        calls: by name, warmed up.
        rounds: how many.
        pause: seconds to wait after each call.
        advance: called with the rounds done.
        fewest, enough: after so many rounds, none is begun once so many seconds have passed.
        clock: what is read before and after a call, in seconds; None is ``time.perf_counter``.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    names, began, clock = list(calls), time.perf_counter(), clock or time.perf_counter
    for done in range(rounds):
        if done >= fewest and time.perf_counter() - began > enough:
            break
        turn = done % max(1, len(names))
        for name in names[turn:] + names[:turn]:
            started = clock()
            calls[name]()
            times[name].append(clock() - started)
            time.sleep(pause)
        advance(done + 1)
    return times


def _check(
    sources: list[str], sizes: list[tuple[int, int]], backends: list[str], threads: int | None, rounds: int, batch: int
) -> None:
    for what, given in (("model", sources), ("size", sizes), ("back-end", backends)):
        if not given:
            raise InputError(f"no {what} to measure: name one or more")
    for name in backends:
        if name not in BACKENDS:
            raise InputError(f"back-end {name!r} is unknown: choose from {', '.join(BACKENDS)}")
    for height, width in sizes:
        if min(height, width) < SMALLEST:
            raise InputError(f"size {height} x {width} is too small: give {SMALLEST} x {SMALLEST} or more")
    for what, value, least in (("threads", threads, 1), ("rounds", rounds, 2), ("batch", batch, 1)):
        if value is not None and value < least:
            raise InputError(f"{what} is {value}: give {least} or more")


@dataclass
class _Variant:
    """A network on a back-end, or why it is not available; ``source`` makes it again in another process."""

    model: str
    backend: str
    source: str
    runtime: Runtime | None = None
    error: str | None = None


def _variants(
    source: str,
    network: SegmentationNetwork | None,
    backends: list[str],
    threads: int,
    folder: Path,
    progress: Callable[[str], None],
) -> list[_Variant]:
    if network is None:  # an exported file that is broken is bad input
        backend = EXPORTED.get(Path(source).suffix.lower(), "")
        return [_Variant(source, backend, source, prepare(source, backend, threads))]
    made = []
    for backend in backends:
        progress(f"{source}: making it ready for {backend}")
        variant = _Variant(source, backend, source)
        made.append(variant)
        try:
            variant.source = source_for(source, backend, network, folder)
            variant.runtime = prepare(variant.source, backend, threads, network)
        except Exception as error:  # each back-end has its own
            variant.error = first_line(error)
    return made


def _measure(
    variants: list[_Variant],
    networks: Mapping[str, SegmentationNetwork | None],
    size: tuple[int, int],
    threads: int,
    rounds: int,
    batch: int,
    progress: Callable[[str], None],
) -> tuple[list[dict[str, Any]], float]:
    """The rows of one size, and what the convolution reaches, operations per second."""
    errors = {i: variant.error for i, variant in enumerate(variants)}
    calls: dict[str, Callable[[], Any]] = {}
    for i, variant in enumerate(variants):
        if variant.runtime is None:
            continue
        progress(f"{_by(size)}: warming up {variant.model} on {variant.backend}")
        runtime, images = variant.runtime, images_for(variant.runtime, batch, size)
        try:
            for _ in range(_WARM_UP):
                runtime.run(images)
        except Exception as error:  # each back-end has its own
            errors[i] = first_line(error)
            continue
        calls[str(i)] = partial(runtime.run, images)
    calls[_PEAK], operations = _convolution()
    calls[_PEAK]()
    pause = _PAUSE if threads > 1 else 0.0
    times = by_turns(
        calls, rounds, pause, lambda done: progress(f"{_by(size)}: round {done} of {rounds}, {len(calls) - 1} variants")
    )
    speeds = [operations / taken for taken in times[_PEAK]]
    rows = []
    for i, variant in enumerate(variants):
        row: dict[str, Any] = {"model": variant.model, "backend": variant.backend, "size": list(size)}
        row["error"] = errors[i]
        row |= _figures(times.get(str(i)), times.get("0"), _costs(networks[variant.model], size), speeds, batch)
        row["memory"] = None
        if errors[i] is None:
            progress(f"{_by(size)}: memory of {variant.model} on {variant.backend}")
            row["memory"] = memory_of(variant.source, variant.backend, threads, batch, size)
        rows.append(row)
    return rows, statistics.median(speeds)


def _figures(
    taken: list[float] | None,
    first: list[float] | None,
    costs: tuple[int | None, int | None],
    peaks: list[float],
    batch: int,
) -> dict[str, Any]:
    parameters, operations = costs
    figures: dict[str, Any] = dict.fromkeys(("latency", "p95", "throughput", "speed", "share", "times"))
    figures |= {"parameters": parameters, "operations": operations}
    if taken is None:
        return figures
    figures |= {
        "latency": statistics.median(taken),
        "p95": float(np.percentile(taken, 95)),
        "throughput": batch / statistics.mean(taken),
        "times": taken,
    }
    if first is not None:
        figures["speed"] = statistics.median(base / own for base, own in zip(first, taken))
    if operations is not None:
        figures["share"] = statistics.median(batch * operations / own / peak for own, peak in zip(taken, peaks))
    return figures


def _costs(network: SegmentationNetwork | None, size: tuple[int, int]) -> tuple[int | None, int | None]:
    if network is None:
        return None, None
    try:
        return cost(network, (1, network.config.in_channels, *size))
    except Exception:  # a network of another package that computes with values cannot be counted without any
        return sum(x.numel() for x in network.parameters()), None


def _convolution() -> tuple[Callable[[], Any], int]:
    """A large convolution, float32, channels last, and its operations."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, _CHANNELS, _SIDE, _SIDE, generator=generator).to(memory_format=torch.channels_last)
    weight = torch.randn(_CHANNELS, _CHANNELS, 3, 3, generator=generator).to(memory_format=torch.channels_last)

    def run() -> Any:
        with torch.inference_mode():
            return F.conv2d(image, weight, padding=1)

    return run, 2 * 9 * _CHANNELS**2 * _SIDE**2


def processor_name() -> str:
    """What the processor calls itself."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    return next(named, platform.processor() or platform.machine())


def _machine(threads: int) -> dict[str, Any]:
    versions = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": threads,
        "system": platform.system(),
        "versions": versions,
    }


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
