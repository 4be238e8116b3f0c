"""What each rewrite of `pixalign.fuse` brings alone and all together: time and memory of the published networks.

The baseline computes the layers in the order that the papers publish: maps are resized before the 1x1 convolutions that
read them (AlignSeg), every query's features and encoded positions are laid side by side (IFA), all nine positions are
gathered at once (DDSM); in evaluation and inference mode, float32, contiguous. Each variant's logits are compared with
the baseline's before anything is timed. Calls are by turns, and speeds are the median over rounds of the ratio within a
round: of CPU times of the process with one thread, of wall times with more.

    python benchmarks/rewrites.py --size 1024x2048 --threads 2                       # the whole, some minutes
    python benchmarks/rewrites.py --alone --threads 1 [--rounds 5] [network ...]     # each rewrite alone as well
    python benchmarks/rewrites.py --size 1024x2048 --backends openvino-bf16,openvino-int8 sfnet bialignnet
    python benchmarks/rewrites.py --threads 1 --channels 16,24,32,48,64,96           # sums of rows by width

Prints one table per network. "alone" is the speed-up against the variant with channels last and folded norms, on which
the further rewrites build. Memory is the most that tensors take at once above weights and logits. ``--backends`` names
back-ends of `pixalign benchmark` that join in; the best of all is named below the table. ``--channels`` times each
aligner alone, fused with sums of rows and with the operators that sample.
"""

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from pixalign import create_model, fuse, reused_memory
from pixalign.aligners import create_aligner, dynamic_dual
from pixalign.aligners.dual_flow import Offsets
from pixalign.benchmarking import BACKENDS, by_turns
from pixalign.benchmarking.measure import processor_name
from pixalign.benchmarking.variants import prepare, source_for
from pixalign.cli.models import parse_size
from pixalign.fusing.rewrites import REWRITES
from pixalign.models.ifa import IFA
from pixalign.sampling import nearest_grid_cells, resize, sampling_grid

NETWORKS = ("sfnet", "sfnet_lite", "bialignnet", "alignseg", "ifa", "ddsm")
BASELINE, FOLDED = "published order", "channels last, norms folded"
WIDTHS = ("bilinear", "flow", "gated_flow", "gated_dual_flow", "dual_flow", "dysample")
WIDTH_SIZES = ((128, 256), (64, 128))
ENOUGH = 40.0  # seconds of a network's rounds, after which none is begun but the second
PAUSE = 0.1  # seconds after each call where there are several threads, which go on waiting busily for a while
# the quick forms of each network that can stand alone
ALONE = {
    "sfnet": (("LevelFusion",), ("Flow",), ("PyramidPooling",)),
    "sfnet_lite": (("LevelFusion",), ("GatedDualFlow",), ("PyramidPooling",)),
    "bialignnet": (("BiAlignNet",), ("PyramidPooling",)),
    "alignseg": (("DualFlow",), ("RefinementBlock",), ("AlignedContext",)),
    "ifa": (("IFA",),),
    "ddsm": (("LevelFusion",), ("DynamicDual", "SpatialSampling"), ("PyramidPooling",)),
}


def published_offsets(self: Offsets, fine: Tensor, coarse: Tensor) -> Tensor:
    both = torch.cat((fine, resize(coarse, (fine.shape[-2], fine.shape[-1]), self.convention)), dim=1)
    return self.make_flow(self.act(self.norm(self.reduce(both))))


def published_grid(self: IFA, features: list[Tensor], size: tuple[int, int]) -> Tensor:
    parts = []
    for x, lateral, encoding in zip(features, self.laterals, self.encodings):
        rows, dy = nearest_grid_cells(size[0], x.shape[-2], x.device, self.convention)
        columns, dx = nearest_grid_cells(size[1], x.shape[-1], x.device, self.convention)
        code = encoding(torch.stack(torch.meshgrid(dy, dx, indexing="ij"), dim=-1)).permute(2, 0, 1)
        read = lateral(x)[:, :, rows][:, :, :, columns]
        parts += [code.expand(len(x), -1, -1, -1), read]
    return self.classify(self.mlp(self.first(torch.cat(parts, dim=1))))


def published_sampling(self: Any, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    size = (fine.shape[-2], fine.shape[-1])
    coarse = coarse + dynamic_dual.position_embedding(coarse, size)
    fine = fine + dynamic_dual.position_embedding(fine, size)
    up = resize(coarse, size, self.convention)
    weight = torch.cat((self.key_fine.weight, self.key_coarse.weight), dim=1)
    keys, values = F.conv2d(torch.cat((fine, up), dim=1), weight, self.key_fine.bias), self.value(up)
    offsets = dynamic_dual.neighborhood(self.make_flow(keys), self.grid)
    sampled, affinity = gathered(self.query(fine) * self.scale, keys, values, offsets)
    return sampled, offsets, affinity


def gathered(query: Tensor, keys: Tensor, values: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    count, points, _, height, width = offsets.shape
    grid = sampling_grid(offsets.flatten(0, 1), (keys.shape[-2], keys.shape[-1])).view(count, -1, width, 2)

    def copies(x: Tensor) -> Tensor:
        return F.grid_sample(x, grid, align_corners=False).unflatten(2, (points, height))  # (N, C, P, H, W)

    affinity = (query.unsqueeze(2) * copies(keys)).sum(1).softmax(1)
    return (affinity.unsqueeze(1) * copies(values)).sum(2), affinity


@contextmanager
def published() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(patch.object(Offsets, "forward", published_offsets))
        stack.enter_context(patch.object(IFA, "_on_grid", published_grid))
        stack.enter_context(patch.object(dynamic_dual.SpatialSampling, "sample", published_sampling))
        yield


def fused(model: nn.Module, forms: tuple[str, ...], precision: str = "fp32") -> nn.Module:
    """``fuse`` with the quick forms of these classes only."""
    kept = {source: quick for source, quick in REWRITES.items() if source.__name__ in forms}
    with patch.dict(REWRITES, kept, clear=True):
        return fuse(model, precision)


def randomized(model: nn.Module) -> nn.Module:
    """Seeded weights and statistics, with which flows reach beyond a pixel and every layer matters."""
    generator = torch.Generator().manual_seed(0)
    for name, x in model.state_dict().items():
        if name.endswith("running_var") or (x.dim() == 1 and name.endswith("weight")):
            x.copy_(0.5 + torch.rand(x.shape, generator=generator))
        elif x.dim() == 1:
            x.copy_(0.1 * torch.randn(x.shape, generator=generator))
        elif x.dim() > 1:
            gain = 2 if "make_flow" in name else 1
            x.copy_(torch.randn(x.shape, generator=generator) * gain / x[0].numel() ** 0.5)
    return model.eval()


def peak(run: Callable[[], Tensor]) -> int:
    """The most bytes that are allocated at once while ``run`` works, not counting its result."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
        result = run()
    events = [e for e in measured.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
    changes = [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
    made = len(changes) - 1 - changes[::-1].index(result.untyped_storage().nbytes())  # where the result was allocated
    changes[made] = 0
    return max(accumulate(changes))


def largest_layer(model: nn.Module, image: Tensor) -> float:
    """Most bytes of input and output of one layer, a module without parts."""
    found: list[float] = []

    def note(module: nn.Module, arguments: tuple[Any, ...], result: Any) -> None:
        if isinstance(result, Tensor):
            found.append(result.nbytes + sum(x.nbytes for x in arguments if isinstance(x, Tensor)))

    hooks = [m.register_forward_hook(note) for m in model.modules() if not list(m.children())]
    model(image)
    for hook in hooks:
        hook.remove()
    return max(found)


def variants_of(name: str, model: nn.Module, image: Tensor, alone: bool) -> dict[str, Callable[[], Tensor]]:
    """The calls to be compared, by title; the first is the baseline."""
    last = image.contiguous(memory_format=torch.channels_last)

    def baseline() -> Tensor:
        with published():
            return model(image)

    runs: dict[str, Callable[[], Tensor]] = {BASELINE: baseline}
    if name in ("alignseg", "ifa", "ddsm"):
        runs["as this package has it"] = lambda: model(image)
    variants: dict[str, nn.Module] = {}
    if alone:
        in_order = create_model(name)  # norms and layout as given
        in_order.load_state_dict(model.state_dict())
        in_order.eval().to(memory_format=torch.channels_last)
        runs["channels last"] = lambda: in_order(last)
        variants = {FOLDED: fused(model, ())}
        variants |= {f"the same and {' '.join(forms)}": fused(model, forms) for forms in ALONE[name]}
    variants |= {"all": fuse(model), "all, bf16": fuse(model, "bf16")}
    for title, variant in variants.items():
        runs[title] = lambda variant=variant: variant(image)  # type: ignore[misc]
    return runs


def measure(name: str, size: tuple[int, int], rounds: int, alone: bool, backends: list[str], folder: Path) -> None:
    torch.manual_seed(0)
    model = randomized(create_model(name))
    image = torch.randn(1, 3, *size)
    threads = torch.get_num_threads()
    runs = variants_of(name, model, image, alone)
    ours = list(runs)
    for backend in backends:
        runtime = prepare(source_for(name, backend, model, folder), backend, threads, copy.deepcopy(model))
        runs[backend] = lambda runtime=runtime: runtime.run(image)  # type: ignore[misc]
    with torch.inference_mode():
        expected = runs[BASELINE]()
        errors = {title: float((run() - expected).abs().max() / expected.abs().max()) for title, run in runs.items()}
        # rounding alone moves DDSM's logits by 2e-4 at these weights: its affinities are sharp
        exact = [title for title in runs if not title.endswith(("bf16", "int8"))]
        assert all(errors[title] < 1e-3 for title in exact), errors
        clock = time.process_time if threads == 1 else time.perf_counter
        pause = PAUSE if threads > 1 else 0.0
        times = by_turns(runs, rounds, pause, fewest=2, enough=ENOUGH, clock=clock)
        memory = {title: peak(runs[title]) for title in ours}
        layer = largest_layer(model, image)

    def ratio(base: str, title: str) -> float:
        return statistics.median(a / b for a, b in zip(times[base], times[title]))

    print(f"\n| {name}, {size[0]} x {size[1]} | speed |{' alone |' * alone} memory MiB | of baseline | difference |")
    print(f"|---|---:|{'---:|' * alone}---:|---:|---:|")
    for title in runs:
        cells = [f"{ratio(BASELINE, title):.2f}"]
        if alone:
            cells.append(f"{ratio(FOLDED, title):.2f}" if title.startswith("the same") else "")
        held = memory.get(title)
        cells += ["", ""] if held is None else [f"{held / 2**20:.0f}", f"{held / memory[BASELINE]:.2f}"]
        print(f"| {title} | {' | '.join(cells)} | {errors[title]:.0e} |")
    best = max(runs, key=lambda title: ratio(BASELINE, title))
    seconds = statistics.median(times[BASELINE])
    print(
        f"\nFastest: {best}, {ratio(BASELINE, best):.2f}. Baseline: {seconds:.2f} s, {len(times[best])} rounds.",
        end=" ",
    )
    print(f"Largest layer's input and output: {layer / 2**20:.0f} MiB.", flush=True)


def measure_width(aligner: str, channels: int, rounds: int) -> str:
    """Speed of sums of rows over sampling, 1/8 onto 1/4 of 512 x 1024, as a cell of a table."""
    model: Any = randomized(create_aligner(aligner, channels)).requires_grad_(False)
    quick = copy.deepcopy(model)
    quick.__class__ = REWRITES[type(model)]
    if hasattr(quick, "prepare"):
        quick.prepare()
    maps = [torch.randn(1, channels, *size).contiguous(memory_format=torch.channels_last) for size in WIDTH_SIZES]
    with torch.inference_mode(), patch("pixalign.fusing.convolution._WIDE", 0), reused_memory():
        calls = {"sampled": lambda: model(*maps), "summed": lambda: quick(*maps)}
        assert float((calls["summed"]() - calls["sampled"]()).abs().max()) < 1e-3
        times = by_turns(calls, rounds, clock=time.process_time)
    return f"{statistics.median(a / b for a, b in zip(times['sampled'], times['summed'])):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="network", help=", ".join(NETWORKS))
    parser.add_argument("--size", default="512x1024", metavar="HxW")
    parser.add_argument("--rounds", type=int, default=5, help="at most")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--alone", action="store_true", help="each rewrite alone as well")
    parser.add_argument("--backends", default="", metavar="LIST", help=f"of {', '.join(BACKENDS)}")
    parser.add_argument("--channels", default="", metavar="LIST", help="widths of aligners, nothing else is measured")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{processor_name()}, torch {torch.__version__}, {arguments.threads} threads")
    if arguments.channels:
        widths = [int(width) for width in arguments.channels.split(",")]
        print(f"\n| aligner | {' | '.join(map(str, widths))} |\n|---|{'---:|' * len(widths)}")
        for name in WIDTHS:
            cells = [measure_width(name, width, arguments.rounds) for width in widths]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
        return
    backends = [name for name in arguments.backends.split(",") if name]
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.networks or NETWORKS:
            measure(name, parse_size(arguments.size), arguments.rounds, arguments.alone, backends, Path(folder))


if __name__ == "__main__":
    main()
