"""What each rewrite of `pixalign.optimize` brings alone and all together: time and memory of the published networks.

The baseline computes the layers in the order that the papers publish: maps are resized before the 1x1 convolutions that
read them (AlignSeg), every query's features and encoded positions are laid side by side (IFA), all nine positions are
gathered at once (DDSM); in evaluation and inference mode, float32, contiguous. Each variant's logits are compared with
the baseline's before anything is timed. Rounds are interleaved; the smallest of a variant's times counts, CPU time of
the process with one thread, wall time with more.

    OMP_NUM_THREADS=1 python benchmarks/rewrites.py [--size 512 1024] [--rounds 5] [network ...]

Prints one table per network. "alone" is the speed-up against the variant with channels last and folded norms, on which
the further rewrites build. Memory is the most that tensors take at once above weights and logits.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from pixalign import create_model, optimize
from pixalign.aligners import dynamic_dual
from pixalign.aligners.dual_flow import Offsets
from pixalign.models.ifa import IFA
from pixalign.optimization import aligners, networks
from pixalign.sampling import nearest_grid_cells, resize, sampling_grid

NETWORKS = ("sfnet", "sfnet_lite", "bialignnet", "alignseg", "ifa", "ddsm")
# the quick forms of each network that can stand alone
ALONE = {
    "sfnet": (("AlignedFPN",), ("Flow",), ("PyramidPooling",)),
    "sfnet_lite": (("SFNetLite",), ("GatedDualFlow",), ("PyramidPooling",)),
    "bialignnet": (("BiAlignNet",), ("PyramidPooling",)),
    "alignseg": (("DualFlow",), ("RefinementBlock",), ("AlignedContext",)),
    "ifa": (("IFA",),),
    "ddsm": (("AlignedFPN",), ("DynamicDual", "SpatialSampling"), ("PyramidPooling",)),
}


def published_offsets(self: Offsets, low: Tensor, high: Tensor) -> Tensor:
    both = torch.cat((low, resize(high, (low.shape[-2], low.shape[-1]), self.convention)), dim=1)
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


def published_sampling(self: Any, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    size = (low.shape[-2], low.shape[-1])
    high = high + dynamic_dual.position_embedding(high, size)
    low = low + dynamic_dual.position_embedding(low, size)
    up = resize(high, size, self.convention)
    weight = torch.cat((self.key_low.weight, self.key_high.weight), dim=1)
    keys, values = F.conv2d(torch.cat((low, up), dim=1), weight, self.key_low.bias), self.value(up)
    offsets = dynamic_dual._neighbourhood(self.make_flow(keys), self.grid)
    sampled, affinity = gathered(self.query(low) * self.scale, keys, values, offsets)
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
        stack.enter_context(patch.object(dynamic_dual.SpatialSampling, "_sample", published_sampling))
        yield


def optimized(model: nn.Module, forms: tuple[str, ...], precision: str = "fp32") -> nn.Module:
    """``optimize`` with the quick forms of these classes only."""
    with ExitStack() as stack:
        for known in (aligners.QUICK, networks.QUICK):
            kept = {source: quick for source, quick in known.items() if source.__name__ in forms}
            stack.enter_context(patch.dict(known, kept, clear=True))
        return optimize(model, precision)


def randomised(model: nn.Module) -> nn.Module:
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


def measure(name: str, size: tuple[int, int], rounds: int) -> None:
    torch.manual_seed(0)
    model = randomised(create_model(name))
    image = torch.randn(1, 3, *size)
    last = image.contiguous(memory_format=torch.channels_last)
    in_order = create_model(name)  # norms and layout as given
    in_order.load_state_dict(model.state_dict())
    in_order.eval().to(memory_format=torch.channels_last)
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter

    def baseline() -> Tensor:
        with published():
            return model(image)

    runs: dict[str, Callable[[], Tensor]] = {"published order": baseline}
    if name in ("alignseg", "ifa", "ddsm"):
        runs["as this package has it"] = lambda: model(image)
    runs["channels last"] = lambda: in_order(last)
    variants = {"channels last, norms folded": optimized(model, ())}
    variants |= {f"the same and {' '.join(forms)}": optimized(model, forms) for forms in ALONE[name]}
    variants["all"] = optimize(model)
    variants["all, bf16"] = optimize(model, "bf16")
    for title, variant in variants.items():
        runs[title] = lambda variant=variant: variant(image)

    with torch.inference_mode():
        expected = baseline()
        errors = {title: float((run() - expected).abs().max() / expected.abs().max()) for title, run in runs.items()}
        # rounding alone moves DDSM's logits by 2e-4 at these weights: its affinities are sharp
        assert all(error < 1e-3 for title, error in errors.items() if "bf16" not in title), errors
        seconds: dict[str, float] = dict.fromkeys(runs, float("inf"))
        for _ in range(rounds):
            for title, run in runs.items():
                start = clock()
                run()
                seconds[title] = min(seconds[title], clock() - start)
        memory = {title: peak(run) for title, run in runs.items()}
        layer = largest_layer(model, image)
    print(f"\n| {name}, {size[0]} x {size[1]} | speed | alone | memory MiB | of baseline | difference |")
    print("|---|---:|---:|---:|---:|---:|")
    for title in runs:
        alone = seconds["channels last, norms folded"] / seconds[title]
        print(
            f"| {title} | {seconds['published order'] / seconds[title]:.2f} "
            f"| {f'{alone:.2f}' if title.startswith('the same') else ''} | {memory[title] / 2**20:.0f} "
            f"| {memory[title] / memory['published order']:.2f} | {errors[title]:.0e} |"
        )
    print(f"\nLargest layer's input and output: {layer / 2**20:.0f} MiB.", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--size", nargs=2, type=int, default=(512, 1024))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in arguments.networks or NETWORKS:
        measure(name, tuple(arguments.size), arguments.rounds)


if __name__ == "__main__":
    main()
