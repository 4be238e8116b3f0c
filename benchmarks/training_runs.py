"""Tables of training runs, from their metrics.jsonl: mIoU by epoch and minutes of training, IoU per class at the end.

python benchmarks/training_runs.py runs/a [runs/b ...]
"""

import json
import sys
from pathlib import Path


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        lines, times = (
            [json.loads(line) for line in (folder / name).read_text().splitlines()]
            for name in ("metrics.jsonl", "times.jsonl")
        )
        seconds = {time["epoch"]: time["seconds"] for time in times}
        measured = [line for line in lines if "val" in line]
        splits = list(measured[-1]["val"])
        speed = sum(time["images_per_second"] for time in times) / len(times)
        minutes = times[-1]["seconds"] / 60
        print(f"\n{folder.name}: {lines[-1]['epoch']} epochs, {minutes:.0f} minutes, {speed:.1f} images/s\n")
        print(f"| epoch | minutes | {' | '.join(f'{split} mIoU' for split in splits)} |")
        print("|" + "---|" * (2 + len(splits)))
        every = max(1, len(measured) // 10)
        for line in measured[every - 1 :: every]:
            scores = " | ".join(percent(line["val"][split]["miou"]) for split in splits)
            print(f"| {line['epoch']} | {seconds[line['epoch']] / 60:.1f} | {scores} |")
        print(f"\n| class | {' | '.join(f'{split} IoU' for split in splits)} |")
        print("|" + "---|" * (1 + len(splits)))
        for name in measured[-1]["val"][splits[0]]["iou"]:
            print(f"| {name} | {' | '.join(percent(measured[-1]['val'][split]['iou'][name]) for split in splits)} |")


if __name__ == "__main__":
    main()
