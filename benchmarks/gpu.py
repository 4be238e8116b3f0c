"""What a GPU makes of the networks: where DDSM's time goes, and what each way of running brings.

For each network and size: PyTorch as it is, `pixalign.fuse`, the same compiled, the same as a CUDA graph, and for
DDSM the same with the Triton kernel of `pixalign.sampling_triton`, all under AMP in float16, from a normalized image on
the GPU to logits at its size. Rounds are interleaved and every call waits for the GPU; the median counts. Memory is the
most that a call takes above what is held before it; a graph holds its own all the time, so that none shows. The error
is the largest difference from the float32 logits over the largest of these.

    python benchmarks/gpu.py [--size 512x1024 ...] [--rounds 30] [--encoder resnet18] [network ...]

Needs a GPU with CUDA; ends with a line that says so where there is none.
"""

import argparse
import copy
import statistics
import sys
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from pixalign import create_model, fuse
from pixalign.aligners import dynamic_dual
from pixalign.benchmarking import by_turns
from pixalign.cli.models import parse_size
from pixalign.runtime import open_runtime
from pixalign.sampling import dynamic_sampling
from pixalign.text import first_line

NETWORKS = ("ddsm", "sfnet")
SIZES = ("512x1024", "1024x2048")
CLASSES, WARM_UP, SEED = 19, 3, 0


def variants(model: nn.Module, name: str) -> dict[str, Callable[[Tensor], Tensor]]:
    """The ways to run a network; what cannot be made is left out with a line that says why."""
    ready = partial(open_runtime, device="cuda", precision="fp16")
    made: dict[str, Callable[[Tensor], Tensor]] = {"PyTorch": ready(copy.deepcopy(model)).run}
    made["fused"] = ready(fuse(model)).run
    made["fused, compiled"] = ready(fuse(model, compile=True)).run
    made["fused, CUDA graph"] = ready(fuse(model), "cuda_graphs").run
    if name == "ddsm":
        try:
            sampling = by_triton()
        except ImportError as error:
            print(f"no Triton: {first_line(error)}", file=sys.stderr)
            return made
        for graphs in (False, True):
            run = ready(fuse(model), "cuda_graphs" if graphs else "torch").run
            made["fused, Triton" + ", CUDA graph" * graphs] = partial(with_sampling, run, sampling)
    return made


def by_triton() -> Callable[..., tuple[Tensor, None]]:
    """The kernel in place of `pixalign.sampling.dynamic_sampling`, whose affinity the network does not use."""
    from pixalign.sampling_triton import dynamic_sampling as kernel

    def sampling(query: Tensor, keys: Tensor, values: Tensor, offsets: Tensor, *_: Any, **__: Any) -> Any:
        return kernel(query, keys, values, offsets), None

    return sampling


def with_sampling(run: Callable[[Tensor], Tensor], sampling: Callable[..., Any], image: Tensor) -> Tensor:
    with patch.object(dynamic_dual, "dynamic_sampling", sampling):
        return run(image)


def waiting(run: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    found = run(image)
    torch.cuda.synchronize()
    return found


def memory(run: Callable[[Tensor], Tensor], image: Tensor) -> int:
    """Bytes that a call takes at most above what is held before it."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    waiting(run, image)
    return torch.cuda.max_memory_allocated() - before


def table(model: nn.Module, name: str, size: tuple[int, int], rounds: int) -> None:
    """Print the table of one network at one size."""
    generator = torch.Generator().manual_seed(SEED)
    image = torch.randn(1, 3, *size, generator=generator).to("cuda", memory_format=torch.channels_last)
    with torch.inference_mode():
        exact = copy.deepcopy(model)(image)
    runs, errors = {}, {}
    for variant, run in variants(model, name).items():
        try:
            for _ in range(WARM_UP):
                found = waiting(run, image)
        except Exception as error:  # each way has its own
            print(f"{name} {size[0]}x{size[1]} {variant}: {first_line(error)}", file=sys.stderr)
            continue
        runs[variant] = run
        errors[variant] = float((found.float() - exact).abs().max() / exact.abs().max())
    peaks = {variant: memory(run, image) for variant, run in runs.items()}
    times = by_turns({variant: partial(waiting, run, image) for variant, run in runs.items()}, rounds)
    first = next(iter(times.values()))
    print(f"\n### {name}, {size[0]} x {size[1]}\n\n| | ms | times as fast | MiB | error |\n|---|---:|---:|---:|---:|")
    for variant, taken in times.items():
        speed = statistics.median(base / own for base, own in zip(first, taken))
        figures = f"{1e3 * statistics.median(taken):.2f} | {speed:.2f} | {peaks[variant] / 2**20:.0f}"
        print(f"| {variant} | {figures} | {errors[variant]:.1e} |")


def profiled(model: nn.Module, size: tuple[int, int]) -> None:
    """Print which operations take DDSM's time, and which share of it is dynamic sampling."""

    def marked(*arguments: Any, **named: Any) -> Any:
        with record_function("dynamic sampling"):
            return dynamic_sampling(*arguments, **named)

    run = open_runtime(fuse(model), device="cuda", precision="fp16").run
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(SEED)).to("cuda")
    for _ in range(WARM_UP):
        waiting(run, image)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        with_sampling(partial(waiting, run), marked, image)
    print(f"\n### Where ddsm's time goes, fused, {size[0]} x {size[1]}\n")
    print(found.key_averages().table(sort_by="self_device_time_total", row_limit=12, max_name_column_width=60))
    kernels = [e for e in found.key_averages() if e.device_type == DeviceType.CUDA and not e.is_user_annotation]
    whole = sum(event.self_device_time_total for event in kernels)
    calls = [e for e in found.key_averages() if e.key == "dynamic sampling" and e.device_type == DeviceType.CPU]
    sampled = sum(event.device_time_total for event in calls)
    print(f"dynamic sampling: {100 * sampled / max(whole, 1):.0f} % of {whole / 1e3:.2f} ms on the GPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--size", nargs="+", default=SIZES, help="heights and widths, such as 512x1024")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--encoder", default="resnet18")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py needs a GPU with CUDA, and PyTorch finds none here")
    print(f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, torch {torch.__version__}, AMP in float16")
    sizes = [parse_size(size) for size in arguments.size]
    for name in arguments.networks:
        torch.manual_seed(SEED)
        model = create_model(name, encoder=arguments.encoder, num_classes=CLASSES).eval().to("cuda")
        if name == "ddsm":
            profiled(model, sizes[0])
        for size in sizes:
            table(model, name, size, arguments.rounds)
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
