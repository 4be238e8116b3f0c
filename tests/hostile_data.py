"""Hostile data sets by the thousand: every command is right, or says in one line what is wrong.

A case is a small folder in one of the forms that tools, formats and accidents give to data (`hostile.case.KINDS`); it
knows the class of every pixel that was meant, and the picture. Each goes through ``data check``, whose report must
count what was meant, and is read pixel by pixel; a share goes through ``train``, ``evaluate`` and ``predict``, too. A
refusal is one line and status 2; of the kinds marked ``must_read`` it is a failure as well. What cannot be told, such
as whether 255 is a class, may be refused or said, as each kind spells out.

    python tests/hostile_data.py --cases 5000 --processes 2     # a table by kind, and each failure with its command
    python tests/hostile_data.py --kind coco_ids --seed 17 --keep /tmp/case
"""

import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from argparse import ArgumentParser
from collections import Counter, defaultdict
from multiprocessing import get_context
from pathlib import Path

from hostile import annotations, coco, images, labelme, layouts, masks, names, spoilt, tiff_masks
from hostile.case import KINDS, Case
from hostile.judge import Result, judge

MODULES = (
    annotations,
    coco,
    images,
    labelme,
    layouts,
    masks,
    names,
    spoilt,
    tiff_masks,
)  # whose kinds are registered by importing them
ENCODINGS = ["ascii", "cp1252", "cp437", "latin-1"]


def make_case(root: Path, kind: str, seed: int) -> Case:
    """Write the case of a kind and seed below ``root``."""
    case = Case(root / "data", kind, seed)
    case.root.mkdir(parents=True)
    if KINDS[kind].must_read:
        case.refusal = "no"
    KINDS[kind].write(case)
    if case.maybe("terminal", 0.2):
        case.encoding = str(case.pick("encoding", ENCODINGS))
    return case


def run_case(root: Path, kind: str, seed: int, full: bool = False, apart: bool = False) -> tuple[Case | None, Result]:
    """Write a case and judge it; what goes wrong in here is a failure, too."""
    try:
        case = make_case(root, kind, seed)
    except Exception:
        return None, Result(wrong=[("FUZZER", traceback.format_exc())])
    try:
        return case, judge(case, full, apart)
    except Exception:
        return case, Result(wrong=[("FUZZER", traceback.format_exc())])


def modes(seed: int, share: float) -> tuple[bool, bool]:
    """Whether the case of a seed is also trained on, and whether its check runs under an ASCII locale."""
    return (seed * 0.6180339887) % 1 < share, seed % 97 == 13


def work(arguments: tuple[str, int, float]) -> tuple[str, int, list[str], Result, float]:
    kind, seed, share = arguments
    began = time.perf_counter()
    root = Path(tempfile.mkdtemp(prefix="hostile-"))
    try:
        full, apart = modes(seed, share)
        case, result = run_case(root, kind, seed, full, apart)
        notes = (case.notes if case else []) + ["trained"] * full + ["LC_ALL=C"] * apart
        return kind, seed, notes, result, time.perf_counter() - began
    finally:
        shutil.rmtree(root, ignore_errors=True)


def strict() -> None:
    """In each process: a file that pixalign opens in the locale's encoding is an error."""
    warnings.filterwarnings("ignore", category=EncodingWarning)
    warnings.filterwarnings("error", category=EncodingWarning, module=r"pixalign\.")


def main() -> int:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="one case alone (its kind by --kind, else by the seed)")
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="of these kinds alone")
    parser.add_argument("--keep", type=Path, help="with --seed: write the case here and leave it")
    parser.add_argument("--train-share", type=float, default=0.05, help="share of cases that are trained on")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONWARNDEFAULTENCODING": "1"}
    kinds = args.kind or sorted(KINDS)
    if args.seed is not None:
        return _one(kinds[args.seed % len(kinds)], args.seed, args.keep, args.train_share)

    began = time.perf_counter()
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    spent: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    jobs = [(kinds[seed % len(kinds)], seed, args.train_share) for seed in range(args.first, args.first + args.cases)]
    with get_context("spawn").Pool(args.processes, strict, maxtasksperchild=300) as pool:
        for kind, seed, notes, result, seconds in pool.imap_unordered(work, jobs, 4):
            spent[kind] += seconds
            ends[kind].update(["cases", f"check {result.ended.get('check', 'failed')}"])
            ends[kind].update(["failures"] if result.wrong else [])
            ends[kind].update(["unguarded"] if result.unguarded else [])
            ends["all"].update(f"{step} {end}" for step, end in result.ended.items())
            for label, text in result.wrong:
                classes[label] += 1
                print(f"{label}: {kind} --seed {seed} ({', '.join(notes)}): {text}", flush=True)
                print(f"    python tests/hostile_data.py --kind {kind} --seed {seed}", flush=True)
    print(f"\n{'kind':38s}{'cases':>7s}{'ok':>7s}{'refused':>9s}{'unguarded':>11s}{'failures':>10s}{'s/case':>8s}")
    for kind in kinds:
        counts = ends[kind]
        name = kind + (" *" if KINDS[kind].must_read else "")
        share = f"{100 * counts['check refused'] / max(1, counts['cases']):.0f} %"
        print(
            f"{name:38s}{counts['cases']:7d}{counts['check ok']:7d}{share:>9s}{counts['unguarded']:11d}"
            f"{counts['failures']:10d}{spent[kind] / max(1, counts['cases']):8.2f}"
        )
    print("* must be read: a refusal is a failure")
    print("commands: " + ", ".join(f"{step} {count}" for step, count in sorted(ends["all"].items())))
    failures = sum(ends[kind]["failures"] for kind in kinds)
    print(f"failures by class: {dict(classes)}")
    print(f"{len(jobs)} cases in {(time.perf_counter() - began) / 60:.1f} minutes: {failures} fail")
    return bool(failures)


def _one(kind: str, seed: int, keep: Path | None, share: float) -> int:
    """Run one case and say all about it."""
    root = keep or Path(tempfile.mkdtemp(prefix="hostile-"))
    case, result = run_case(root, kind, seed, *modes(seed, share))
    if case:
        print(f"{kind} --seed {seed} at {case.root}: {', '.join(case.notes)}; may be refused: {case.refusal}")
    print(f"ended {result.ended}, as {result.reading or '-'}" + (", unguarded" if result.unguarded else ""))
    for label, text in result.wrong:
        print(f"{label}: {text}")
    if not keep:
        shutil.rmtree(root, ignore_errors=True)
    return bool(result.wrong)


if __name__ == "__main__":
    sys.exit(main())
