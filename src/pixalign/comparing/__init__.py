"""Comparison: several methods under one recipe, each with several seeds, as one table with paired intervals."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from pixalign.comparing.config import Comparison, Run, expand, read_comparison
from pixalign.comparing.measure import evaluate_run, measure_costs
from pixalign.comparing.page import write_page
from pixalign.comparing.plot import draw_plot
from pixalign.comparing.results import LEVEL, Measured, gains, summarize
from pixalign.comparing.runs import check_alike, check_data, known_of, state_of, train_missing
from pixalign.comparing.table import result_table, write_tables
from pixalign.data import open_data
from pixalign.errors import InputError
from pixalign.files import write_text
from pixalign.predicting import pick_device
from pixalign.progress import bars

__all__ = ["Comparison", "compare", "result_table"]


def compare(
    config: Comparison | str | Path,
    root: str = "",
    out: str = "",
    only: Sequence[str] = (),
    jobs: int | None = None,
    report_only: bool = False,
    console: Console | None = None,
) -> dict[str, Any]:
    """Train what a comparison lacks, measure what is done, and write the report.

    The report is written into ``out`` of the comparison: table.md, table.csv, results.json, plot.png and index.html.
    Runs that are done are neither trained nor measured again; runs that were begun are resumed.

    Args:
        config: a comparison, or its YAML file.
        root: in place of the recipe's data.root.
        out: in place of the comparison's own.
        only: methods to train; the report covers whatever is done.
        jobs: trainings at a time; None has one per GPU, or one on a CPU.
        report_only: train nothing.
        console: where progress is shown; None shows none.

    Returns:
        What results.json holds. "unfinished" lists runs without figures, with what a failed one said.

    Raises:
        InputError: an unusable comparison, runs of different data, classes or budget, or unreadable files.
    """
    source = str(config) if isinstance(config, str | Path) else "comparison"
    comparison = read_comparison(config) if isinstance(config, str | Path) else config
    if out:
        comparison = replace(comparison, out=out)
    if root:
        data = comparison.recipe.get("data", {})
        comparison = replace(comparison, recipe={**comparison.recipe, "data": {**data, "root": root}})
    runs = expand(comparison, source)
    for name in only:
        if name not in comparison.methods:
            raise InputError(f"--only {name}: is none of the methods: choose among {', '.join(comparison.methods)}")
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: must be at least 1")
    console = console or Console(quiet=True)
    check_alike(runs)
    failed: dict[Run, str] = {}
    wanted = [run for run in runs if not only or run.method in only]
    if not report_only and any(state_of(run) != "done" for run in wanted):
        check_data(runs)
        failed = train_missing(wanted, console, jobs)
        check_alike(runs)
    results = _measure(comparison, runs, console)
    results["unfinished"] = [
        {"method": run.method, "seed": run.seed, "state": "failed" if run in failed else state_of(run)}
        | ({"reason": failed[run]} if run in failed else {})
        for run in runs
        if run in failed or state_of(run) != "done"
    ]
    results["out"] = comparison.out
    results["command"] = shlex.join(["pixalign", "compare", "--config", source]) + (" --root DIR" if root else "")
    results["versions"] = _versions([run for run in runs if state_of(run) == "done"])
    folder = Path(comparison.out)
    write_text(folder / "results.json", json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    write_tables(results, folder)
    draw_plot(results, folder / "plot.png")
    write_page(results, folder)
    return results


def _measure(comparison: Comparison, runs: Sequence[Run], console: Console) -> dict[str, Any]:
    """All figures of the runs that are done, as results.json holds them."""
    done = [run for run in runs if state_of(run) == "done"]
    if not done:
        raise InputError(f"{comparison.out}: no run of the comparison is done yet: train without --report-only")
    data, channels = done[0].config.data, done[0].config.model.in_channels
    device = pick_device(done[0].config.device)
    splits = {
        split: open_data(data.name, data.root, split, data.mask_template, channels, data.groups)
        for split in comparison.splits
    }
    first = next(iter(splits.values()))
    figures: dict[str, dict[str, dict[int, Measured]]] = {split: {} for split in splits}
    with bars(console) as bar:
        task = bar.add_task("", total=len(done) * sum(len(pairs) for pairs in splits.values()))
        for run in done:
            for split, pairs in splits.items():
                bar.update(task, description=f"measuring {run} on {split}")
                measured = evaluate_run(run, split, pairs, device, lambda count: bar.advance(task, count))
                figures[split].setdefault(run.method, {})[run.seed] = measured
        bar.update(task, description="measuring latency, by turns", completed=0)
        costs = measure_costs(
            list({run.method: run for run in runs}.values()),
            comparison.baseline,
            len(first.classes),
            first[0][0].shape[:2],
            device,
            Path(comparison.out) / "cost.json",
            lambda count, most: bar.update(task, completed=count, total=most),
        )
    methods: dict[str, Any] = {}
    for name, changes in comparison.methods.items():
        if seeds := [run.seed for run in done if run.method == name]:
            methods[name] = {"seeds": seeds, "changes": changes, "cost": costs["methods"].get(name), "splits": {}}
    for split, of_methods in figures.items():
        base = of_methods.get(comparison.baseline, {})
        for name, own in of_methods.items():
            gain = None if name == comparison.baseline else gains(own, base)
            methods[name]["splits"][split] = {**summarize(own), "gain": gain}
    return {
        "baseline": comparison.baseline,
        "level": LEVEL,
        "splits": {
            split: {"data": pairs.name, "images": len(pairs), "fingerprint": pairs.fingerprint()}
            for split, pairs in splits.items()
        },
        "classes": list(first.classes),
        "training": known_of(done[0])["data"]["train"],
        "recipe": comparison.recipe,
        "latency": {key: costs[key] for key in ("machine", "size", "rounds")},
        "methods": methods,
    }


def _versions(done: Sequence[Run]) -> dict[str, list[str]]:
    """Which versions of each package, and which devices, trained the runs."""
    found: dict[str, set[str]] = {}
    for run in done:
        for start in known_of(run)["starts"]:
            for name, version in {**start["versions"], "device": start["device"]}.items():
                found.setdefault(name, set()).add(version)
    return {name: sorted(versions) for name, versions in found.items()}
