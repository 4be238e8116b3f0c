"""What `pixalign.reused_memory` is worth: the same work with it and without, by turns in one process.

A training step (forward, losses, backward, update, as `pixalign train` makes it) on random images, and fused
networks on random images of several sizes. Prints a table in Markdown: median times, the median ratio within a round,
and pages of 4 KiB that the system handed out per call.

    python benchmarks/memory.py [--threads 2] [--rounds 7]
"""

import argparse
import contextlib
import resource
import statistics
import time
from collections.abc import Callable

import torch

import pixalign
from pixalign.benchmarking.measure import processor_name
from pixalign.losses import total_loss

BATCH, CROP = 8, (288, 384)
SIZES = ((360, 480), (512, 1024), (1024, 2048))
MODELS = ("default", "default-fast")


def training_step(name: str, **losses: float) -> Callable[[], None]:
    torch.manual_seed(0)
    model = pixalign.load(name).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    images = torch.randn(BATCH, 3, *CROP).contiguous(memory_format=torch.channels_last)
    masks = torch.randint(0, 11, (BATCH, *CROP))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            outputs = model(images, heads=True)
        total_loss(outputs, masks, **losses)[0].backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def inference(name: str, size: tuple[int, int]) -> Callable[[], None]:
    model, image = pixalign.fuse(pixalign.load(name)), torch.randn(1, 3, *size)

    def run() -> None:
        with torch.inference_mode():
            model(image)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work = {}
    for name in MODELS:
        step = f"`{name}`, training step, {BATCH} x {CROP[0]} x {CROP[1]}, bf16"
        work[step] = training_step(name)
        work[f"{step}, with Dice"] = training_step(name, dice=1.0)
        for height, width in SIZES:
            work[f"`{name}`, fused, {height} x {width}, fp32"] = inference(name, (height, width))
    print(f"{processor_name()}, {arguments.threads} threads, torch {torch.__version__}, {arguments.rounds} rounds\n")
    print("| work | by default, ms | reused, ms | ratio | pages by default | reused |\n|---|---:|---:|---:|---:|---:|")
    for title, call in work.items():
        times: dict[bool, list[float]] = {False: [], True: []}
        pages: dict[bool, list[int]] = {False: [], True: []}
        for _ in range(arguments.rounds):
            for reused in times:
                with pixalign.reused_memory() if reused else contextlib.nullcontext():
                    for _ in range(3):  # until the blocks lie as they will
                        call()
                    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
                    call()
                    times[reused].append(time.perf_counter() - started)
                    pages[reused].append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        plain, kept = (1e3 * statistics.median(times[reused]) for reused in (False, True))
        ratio = statistics.median(a / b for a, b in zip(times[False], times[True]))
        faults = " | ".join(f"{statistics.median(pages[reused]):,.0f}" for reused in (False, True))
        print(f"| {title} | {plain:.0f} | {kept:.0f} | {ratio:.2f} | {faults} |", flush=True)


if __name__ == "__main__":
    main()
