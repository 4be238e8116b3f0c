"""One table of several training runs at their last evaluation: mIoU, and the mean IoU of the rare classes, by split.

python benchmarks/compare_runs.py runs/a runs/b ... [--rare pole,sign,pedestrian,bicyclist]
"""

import json
from pathlib import Path

from jsonargparse import ArgumentParser


def percent(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{100 * sum(known) / len(known):.1f}" if known else "–"


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--rare", default="pole,sign,fence,pedestrian,bicyclist", help="class names")
    args = parser.parse_args()
    rare = args.rare.split(",")
    rows, splits = [], []
    for run in args.runs:
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        last = [line for line in lines if "val" in line][-1]
        splits = list(last["val"])
        cells = [cell for result in last["val"].values() for cell in (
            percent([result["miou"]]), percent([result["iou"][name] for name in rare]),
            *(percent([result["iou"][name]]) for name in rare),
        )]  # fmt: skip
        rows.append([run.name, str(last["epoch"]), *cells])
    titles = [
        title for split in splits for title in (f"{split} mIoU", f"{split} rare", *(f"{split} {n}" for n in rare))
    ]
    print(f"| run | epochs | {' | '.join(titles)} |")
    print(f"|---|---:|{'---:|' * len(titles)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
