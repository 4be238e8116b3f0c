"""What dynamic sampling costs: accumulated, with and without recomputing, beside gathering all N copies.

Prints, for N = 9 positions on one map, the memory of the tensors alive at once besides the inputs, at its largest, in
maps of C x H x W float32 numbers, and the median time relative to the gathered form, rounds interleaved; then memory
and time of the whole network, relative to SFNet's.

    python benchmarks/ddsm.py
"""

import statistics
import time
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pixalign.models import create_model
from pixalign.sampling import dynamic_sampling, sampling_grid

CHANNELS, POINTS, SIZE, ROUNDS = 144, 9, (128, 256), 7  # the finest level of a 512 x 1024 image
IMAGE = (1, 3, 256, 512)


class AliveTensors(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make, and of those alive at once at most."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for x in made if isinstance(made, tuple | list) else (made,):
            if isinstance(x, Tensor) and x.untyped_storage()._cdata not in self.known:
                storage = x.untyped_storage()
                self.known.add(storage._cdata)
                self.alive += storage.nbytes()
                weakref.finalize(storage, self.forget, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.alive)
        return made

    def forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.alive -= size


def gathered(query: Tensor, keys: Tensor, values: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """All N copies of the keys at once, then of the values: the N grids one below the other."""
    count, points, _, height, width = offsets.shape
    grid = sampling_grid(offsets.flatten(0, 1), (keys.shape[-2], keys.shape[-1]))
    grid = grid.view(count, points * height, width, 2)

    def copies(x: Tensor) -> Tensor:
        read = torch.nn.functional.grid_sample(x, grid, align_corners=False)
        return read.unflatten(2, (points, height))  # (N, C, points, H, W)

    affinity = (query.unsqueeze(2) * copies(keys)).sum(1).softmax(1)
    return (affinity.unsqueeze(1) * copies(values)).sum(2), affinity


def inputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(1, CHANNELS, *SIZE, generator=generator) for _ in range(3)]
    return [*maps, 2 * torch.randn(1, POINTS, 2, *SIZE, generator=generator)]


def peak(run: Callable[[], object]) -> float:
    """Bytes alive at once at most, of what ``run`` makes."""
    with AliveTensors() as alive:
        run()
    return alive.peak


def times(runs: list[Callable[[], object]]) -> list[float]:
    """Median seconds of each, rounds interleaved."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, kept in zip(runs, seconds):
            start = time.perf_counter()
            run()
            kept.append(time.perf_counter() - start)
    return [statistics.median(kept) for kept in seconds]


def evaluated(function: Callable[..., tuple[Tensor, Tensor]]) -> Callable[[], object]:
    arguments = inputs()

    def run() -> None:
        with torch.no_grad():
            function(*arguments)

    return run


def trained(function: Callable[..., tuple[Tensor, Tensor]]) -> Callable[[], object]:
    arguments = [x.requires_grad_() for x in inputs()]
    weight = torch.ones(1, CHANNELS, *SIZE)

    def run() -> None:
        result, _ = function(*arguments)
        torch.autograd.grad(result, arguments, weight)

    return run


def report(title: str, names: list[str], runs: list[Callable[[], object]], unit: float) -> None:
    seconds = times(runs)
    print(f"\n| {title} | memory, {'maps' if unit != 2**20 else 'MiB'} | time |\n|---|---:|---:|")
    for name, run, second in zip(names, runs, seconds):
        print(f"| {name} | {peak(run) / unit:.1f} | {second / seconds[0]:.2f} |")


def main() -> None:
    one_map = 4.0 * CHANNELS * SIZE[0] * SIZE[1]
    print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}; C {CHANNELS}, N {POINTS}, {SIZE[0]} x {SIZE[1]}"
    )
    report("evaluation", ["gathered", "accumulated"], [evaluated(gathered), evaluated(dynamic_sampling)], one_map)
    again = trained(lambda *x: dynamic_sampling(*x, recompute=True))
    forms = [trained(gathered), trained(dynamic_sampling), again]
    report("training step", ["gathered", "accumulated", "accumulated, recomputed"], forms, one_map)

    image = torch.randn(IMAGE, generator=torch.Generator().manual_seed(0))
    networks: list[tuple[str, dict[str, Any]]] = [
        ("sfnet", {}),
        ("ddsm", {}),
        ("ddsm", {"channels": 64}),
        ("ddsm", {"aligner_options": {"branches": "spatial"}}),
        ("ddsm", {"aligner_options": {"branches": "channel"}}),
    ]
    names, runs = [], []
    for name, options in networks:
        torch.manual_seed(0)
        model = create_model(name, num_classes=19, **options).eval()

        def run(model: torch.nn.Module = model) -> None:
            with torch.no_grad():
                model(image)

        names.append(f"{name} {options or ''}".strip())
        runs.append(run)
    report(f"network, evaluation, image {IMAGE[2]} x {IMAGE[3]}", names, runs, 2**20)


if __name__ == "__main__":
    main()
