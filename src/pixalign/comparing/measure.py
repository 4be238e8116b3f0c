"""What a finished run is worth and what its network costs, each measured once and kept in files."""

import hashlib
import json
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pixalign.benchmarking.measure import by_turns, processor_name
from pixalign.comparing.config import Run
from pixalign.comparing.results import Measured, read_measured
from pixalign.data.samples import Data
from pixalign.errors import InputError, naming
from pixalign.evaluating import evaluate, write_result
from pixalign.files import write_text
from pixalign.models import create_model
from pixalign.models.cost import cost
from pixalign.models.network import SegmentationNetwork
from pixalign.runtime import open_runtime
from pixalign.weights import WEIGHTS, check_classes, load

_ROUNDS, _FEWEST, _ENOUGH = 30, 5, 60.0  # rounds at most and at least, and seconds after which no other is begun


def evaluate_run(
    run: Run, split: str, pairs: Data, device: torch.device, advance: Callable[[int], None] = lambda count: None
) -> Measured:
    """Return what `pixalign.evaluating.evaluate` finds for the weights in ``last``, with boundaries.

    It is kept in ``eval/SPLIT`` of the run folder (metrics.json, classes.csv and images.csv), and measured again when
    the weights or the data have changed.

    Raises:
        InputError: weights or data that cannot be read, or that have other classes.
    """
    folder, last = run.folder / "eval" / split.replace("/", "_"), run.folder / "last"
    metrics, images = folder / "metrics.json", folder / "images.csv"
    made_from = {
        "weights": hashlib.sha256((last / WEIGHTS).read_bytes()).hexdigest()[:16],
        "fingerprint": pairs.fingerprint(),
    }
    kept = _read(metrics)
    if "boundary" in kept and images.is_file() and made_from.items() <= kept.items():
        advance(len(pairs))
        return read_measured(kept, images)
    model = load(last, device=device)
    with naming(f"{last}, measured on {pairs.name}"):
        check_classes(model.config.classes, pairs.classes)
    runtime = open_runtime(model, device=device)
    result = evaluate(runtime, pairs, boundary=True, per_image=images, advance=advance)
    write_result({**result, **made_from}, folder)
    return read_measured(_read(metrics), images)


def measure_costs(
    runs: Sequence[Run],
    baseline: str,
    classes: int,
    size: tuple[int, int],
    device: torch.device,
    file: Path,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Return what each method's network costs for one image, from ``file`` if that was measured on the same machine.

    Latencies are measured by turns: in each round every network sees the image once, so that whatever else the machine
    does meets all of them. A network's latency is the median over the rounds, after a warm-up; its ratio is the median
    of its time over the baseline's in the same round.

    Args:
        runs: one run of each method.
        baseline: the method that ratios are to.
        classes: number of classes.
        size: height and width of the image.
        device: where to measure.
        file: JSON file that the figures are kept in.
        advance: called with the rounds done and the most there will be.

    Returns:
        "machine" (processor, threads, device, torch), "size", "rounds", and "methods": name -> "parameters",
        "operations" (per image, multiplications and additions), "latency" (seconds), "ratio" (None where the
        baseline's network cannot be built). A method whose network cannot be built is left out.
    """
    networks, described = {}, {}
    for run in runs:
        model = run.config.model
        arguments = {"encoder": model.encoder, "in_channels": model.in_channels, **model.options}
        try:
            networks[run.method] = create_model(model.name, num_classes=classes, pretrained=False, **arguments)
        except (InputError, TypeError):
            continue  # its training says why
        described[run.method] = {"name": model.name, "classes": classes, **arguments}
    machine = _machine(device)
    settings = {"machine": machine, "size": list(size), "baseline": baseline, "networks": described}
    kept = _read(file)
    if all(kept.get(key) == value for key, value in settings.items()):
        return kept
    shape = (1, runs[0].config.model.in_channels, *size)
    costs = {name: cost(network, shape) for name, network in networks.items()}
    times = time_by_turns(networks, shape, device, advance)
    base = times.get(baseline)
    result = {
        **settings,
        "rounds": max((len(taken) for taken in times.values()), default=0),
        "methods": {
            name: {
                "parameters": costs[name][0],
                "operations": costs[name][1],
                "latency": statistics.median(taken),
                "ratio": statistics.median(own / of_base for own, of_base in zip(taken, base)) if base else None,
            }
            for name, taken in times.items()
        },
    }
    write_text(file, json.dumps(result, indent=1) + "\n")
    return result


def time_by_turns(
    networks: Mapping[str, SegmentationNetwork],
    shape: tuple[int, ...],
    device: torch.device,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, list[float]]:
    """Return the seconds that each network takes for one call, round by round; the networks stay as they are."""
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device)
    image = image.contiguous(memory_format=torch.channels_last)
    placed = {name: open_runtime(network, device=device) for name, network in networks.items()}

    def call(name: str) -> None:
        placed[name].run(image)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    calls = {name: partial(call, name) for name in placed}
    for warm_up in 2 * list(calls.values()):
        warm_up()
    rounds = _ROUNDS if calls else 0
    return by_turns(calls, rounds, advance=lambda done: advance(done, _ROUNDS), fewest=_FEWEST, enough=_ENOUGH)


def _machine(device: torch.device) -> dict[str, Any]:
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
    }


def _read(file: Path) -> dict[str, Any]:
    """A JSON file's content; nothing if it is missing or damaged, so that it is made again."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
