"""A folder of JPEG files from disk to id maps and overlays on disk, beside the network's own time.

Draws streets into a temporary folder and predicts them with `pixalign.predicting.predict_files`, the heart of `pixalign
predict`: decoding, normalizing, the network, argmax, drawing, encoding and writing. The network's own time is that of
`pixalign.fuse`'s copy, float32, from normalized images in memory to logits at their size, on the same images, one
after another, with the same threads and, as `predict_files` has it, `pixalign.reused_memory`. Rounds are by turns; the
ratio is the median over rounds, times are medians. What happens once for a folder, reading the weights and fusing,
is printed beside the ratio and not part of it.

    python benchmarks/end_to_end.py [--size 1024x2048 --size 360x480] [--images 12] [--rounds 5] [--threads 2] [MODEL]

MODEL, one or more, is what `pixalign benchmark` takes.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import pixalign
from pixalign.benchmarking import by_turns
from pixalign.benchmarking.measure import processor_name
from pixalign.benchmarking.variants import build
from pixalign.cli.models import parse_size
from pixalign.data.images import find_images, read_image
from pixalign.data.sets.streets import draw_scene
from pixalign.data.transforms import normalize
from pixalign.predicting import Predictor, predict_files
from pixalign.predicting.files import plan

MODELS = ("default", "sfnet@resnet18")
SIZES = ("1024x2048", "360x480")
SCENES, QUALITY = 4, 92


def draw(folder: Path, size: tuple[int, int], count: int) -> None:
    """Write ``count`` streets; a few scenes come again and again, mirrored or moved."""
    folder.mkdir()
    scenes = [draw_scene(seed, size)[0] for seed in range(min(SCENES, count))]
    for i in range(count):
        turns, seed = divmod(i, len(scenes))
        scene = np.roll(scenes[seed][:, :: 1 - 2 * (turns % 2)], 37 * turns, axis=1)
        Image.fromarray(scene).save(folder / f"{i:03}.jpg", quality=QUALITY)


def measure(source: str, folder: Path, out: Path, rounds: int) -> None:
    started = time.perf_counter()
    network = pixalign.fuse(build(source))
    ready = time.perf_counter() - started
    predictor = Predictor(network, "cpu")
    targets = plan(find_images([folder]), out)
    config = predictor.config
    pixels = [torch.from_numpy(read_image(path)).permute(2, 0, 1)[None] for path in list(targets)[:SCENES]]
    images = [normalize(x, config.mean, config.std) for x in pixels]

    def own() -> None:
        with torch.inference_mode(), pixalign.reused_memory():
            for i in range(len(targets)):
                network(images[i % len(images)])

    def whole() -> None:
        summary = predict_files(predictor, targets, out, force=True)
        assert summary.predicted == len(targets), summary.failed

    calls = {"own": own, "whole": whole}
    for call in calls.values():
        call()
    times = by_turns(calls, rounds)
    ratio = statistics.median(b / a for a, b in zip(times["own"], times["whole"]))
    own_ms, whole_ms = (1e3 * statistics.median(times[name]) / len(targets) for name in calls)
    height, width = images[0].shape[-2:]
    print(
        f"| {source} | {height} x {width} | {own_ms:.1f} | {whole_ms:.1f} | {whole_ms - own_ms:.1f} | {ratio:.2f} "
        f"| {ready:.2f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--size", action="append", metavar="HxW")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"{processor_name()}, {arguments.threads} threads, torch {torch.__version__}, {arguments.images} JPEG files of "
        f"quality {QUALITY}, {arguments.rounds} rounds\n"
    )
    print("| model | size | network alone, ms | folder, ms per image | difference | ratio | made ready once, s |")
    print("|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as temporary:
        for size in arguments.size or SIZES:
            folder = Path(temporary, size)
            draw(folder, parse_size(size), arguments.images)
            for source in arguments.models or MODELS:
                measure(source, folder, Path(temporary, "out", size), arguments.rounds)


if __name__ == "__main__":
    main()
