"""The table of a comparison, for a terminal, as Markdown and as CSV; and the notes that say what it is based on."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pixalign.comparing.results import RADII, told_apart
from pixalign.files import replacing, write_text
from pixalign.text import markdown_table, number_of, points

Cell = tuple[str, bool]  # text, and whether it is bold

HEADINGS = (
    "method", "mIoU", "gain in mIoU", "F 1 px", "F 3 px", "gain in F 3 px",
    "params, M", "GFLOPs", "ms", "ratio",
)  # fmt: skip
_COSTS = 4  # of the headings, the last ones
_WIDE = 120
_MEASURES = ("miou", *(f"boundary_f_{radius}" for radius in RADII))


def rows(results: Mapping[str, Any], split: str) -> list[list[Cell]]:
    """Return the rows of a split under `HEADINGS`: the baseline, then the others from the highest mIoU down."""
    return [_row(results, name, split) for name in order(results, split)]


def order(results: Mapping[str, Any], split: str) -> list[str]:
    """The methods as a table of a split lists them: the baseline, then the others from the highest mIoU down."""
    methods = results["methods"]
    return sorted(methods, key=lambda m: (m != results["baseline"], -methods[m]["splits"][split]["miou"]["mean"]))


def notes(results: Mapping[str, Any]) -> list[str]:
    """Return what a reader has to know to judge the table, a sentence or two each."""
    methods, baseline = results["methods"], results["baseline"]
    counts = {name: len(method["seeds"]) for name, method in methods.items()}
    compared = [name for name in methods if any(s["gain"] for s in methods[name]["splits"].values())]
    most = max(counts.values())
    said = ["mIoU and the boundary F-score, within 1 and 3 pixels, in percent."]
    if compared:
        said.append(
            f"Gains are over {baseline}, in percentage points, with {100 * results['level']:.0f} % intervals: a paired "
            f"bootstrap over blocks of about ten consecutive images{'' if most == 1 else ' and over seeds'}. Bold: the "
            "interval leaves out 0. It is not widened for the number of methods: of many that gain nothing, about one "
            "in twenty is bold."
        )
        if most == 1:
            said.append(
                "One seed per method: the intervals cover the images alone. Another seed moves the figures too, by how "
                "much is not known from these runs."
            )
    else:
        said.append(f"No gains: {baseline}, which they would be over, has no finished run in common with another.")
    if most > 1:
        if len(set(counts.values())) == 1:
            said.append(f"{most} seeds per method: mean ± sample standard deviation; the intervals cover both.")
        else:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            said.append(
                f"Seeds done: {listed}. Mean ± sample standard deviation; gains use the seeds that both methods have, "
                "and with one such seed their interval covers the images alone."
            )
    latency = results["latency"]
    machine = latency["machine"]
    height, width = latency["size"]
    where = machine["processor"] if machine["device"] == "cpu" else machine["device"]
    threads = f", {machine['threads']} thread{'s' * (machine['threads'] != 1)}" if machine["device"] == "cpu" else ""
    said.append(
        f"ms: latency for one image of {width} x {height}, fp32, {where}{threads}, torch {machine['torch']}; the "
        f"networks take turns, medians of {latency['rounds']} rounds; the ratio is to {baseline}. GFLOPs count a "
        "multiplication and an addition as two."
    )
    waiting = [run for run in results["unfinished"] if run["state"] != "failed"]
    if waiting:
        states = dict.fromkeys(run["state"] for run in waiting)
        said.append("Not in the table: " + "; ".join(_unfinished(waiting, state) for state in states) + ".")
    said += [
        f"Failed: {run['method']}, seed {run['seed']}: {run['reason']}."
        for run in results["unfinished"]
        if run["state"] == "failed"
    ]
    return said


def result_table(results: Mapping[str, Any], width: int = _WIDE) -> Any:
    """Return the table and its notes as something that rich prints; below some 120 columns of ``width``, costs are a
    table of their own."""
    apart = width < _WIDE
    shown = _table(title(results), HEADINGS[:-_COSTS] if apart else HEADINGS)
    for split, described in results["splits"].items():
        if len(results["splits"]) > 1:
            shown.add_row(Text(f"{split} ({described['images']})", style="italic"))
        for row in rows(results, split):
            shown.add_row(*_cells(row[:-_COSTS] if apart else row))
        shown.add_section()
    tables = [shown]
    if apart:
        tables.append(_table("Costs", (HEADINGS[0], *HEADINGS[-_COSTS:])))
        for row in rows(results, next(iter(results["splits"]))):
            tables[1].add_row(*_cells([row[0], *row[-_COSTS:]]))
    return Group(*tables, *(Text(note) for note in notes(results)))


def _table(heading: str, headings: Sequence[str]) -> Table:
    made = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    made.add_column(headings[0], no_wrap=True)
    for heading in headings[1:]:
        made.add_column(heading, justify="right")
    return made


def _cells(row: Sequence[Cell]) -> list[Text]:
    return [Text(text, style="bold" if bold else "") for text, bold in row]


def write_tables(results: Mapping[str, Any], folder: Path) -> None:
    """Write table.md and table.csv (shares from 0 to 1, seconds) into ``folder``."""
    lines = [f"# {title(results)}"]
    for split, described in results["splits"].items():
        lines += ["", f"## {split}: {described['images']} images of {described['data']}", ""]
        cells = [[f"**{text}**" if bold else text for text, bold in row] for row in rows(results, split)]
        lines += markdown_table(HEADINGS, cells)
    lines += ["", *(f"- {note}" for note in notes(results))]
    write_text(folder / "table.md", "\n".join(lines) + "\n")
    plain = [_plain(results, name, split) for split in results["splits"] for name in order(results, split)]
    with replacing(folder / "table.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(plain[0]))
        writer.writeheader()
        writer.writerows(plain)


def interval(gain: Mapping[str, Any]) -> str:
    """A gain with its interval, in percentage points."""
    return f"{points(gain['difference'], True)} [{points(gain['low'], True)}, {points(gain['high'], True)}]"


def _row(results: Mapping[str, Any], name: str, split: str) -> list[Cell]:
    method = results["methods"][name]
    figures, cost = method["splits"][split], method["cost"]

    def gained(measure: str) -> Cell:
        if name == results["baseline"]:
            return "baseline", False
        if not figures["gain"]:
            return "–", False
        return interval(figures["gain"][measure]), told_apart(figures["gain"][measure])

    return [
        (name, False),
        (_spread(figures["miou"]), False),
        gained("miou"),
        *((_spread(figures[f"boundary_f_{radius}"]), False) for radius in RADII),
        gained("boundary_f_3"),
        (f"{cost['parameters'] / 1e6:.2f}" if cost else "–", False),
        (f"{cost['operations'] / 1e9:.1f}" if cost else "–", False),
        (f"{1e3 * cost['latency']:.1f}" if cost else "–", False),
        (f"× {cost['ratio']:.2f}" if cost and cost["ratio"] else "–", False),
    ]


def _spread(figure: Mapping[str, Any]) -> str:
    deviation = "" if figure["deviation"] is None else f" ± {points(figure['deviation'])}"
    return points(figure["mean"]) + deviation


def _plain(results: Mapping[str, Any], name: str, split: str) -> dict[str, Any]:
    """A row of table.csv."""
    method = results["methods"][name]
    figures, cost = method["splits"][split], method["cost"] or {}
    row = {"split": split, "method": name, "seeds": len(method["seeds"])}
    for m in _MEASURES:
        row |= {m: _digits(figures[m]["mean"]), f"{m}_deviation": _digits(figures[m]["deviation"])}
    for m in _MEASURES:
        gain = figures["gain"][m] if figures["gain"] else {}
        row |= {f"{m}_gain": _digits(gain.get("difference"))}
        row |= {f"{m}_gain_{end}": _digits(gain.get(end)) for end in ("low", "high")}
    row |= {"parameters": cost.get("parameters"), "operations": cost.get("operations")}
    return row | {"latency": _digits(cost.get("latency")), "latency_ratio": cost.get("ratio")}


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def title(results: Mapping[str, Any]) -> str:
    """What to call a comparison."""
    count = len(results["methods"])
    return f"{number_of(count, 'method')} on {', '.join(s['data'] for s in results['splits'].values())}"


def _unfinished(runs: list[dict[str, Any]], state: str) -> str:
    """Such as "not run yet: flow (seeds 0, 1), dysample (seed 0)"."""
    seeds: dict[str, list[int]] = {}
    for run in runs:
        if run["state"] == state:
            seeds.setdefault(run["method"], []).append(run["seed"])
    listed = (f"{name} (seed{'s' * (len(s) > 1)} {', '.join(map(str, s))})" for name, s in seeds.items())
    return f"{'begun, not done' if state == 'begun' else state}: {', '.join(listed)}"
