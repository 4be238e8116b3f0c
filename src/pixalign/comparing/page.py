"""The report of a comparison as one page, ``index.html``: everything inside, no script, no network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pixalign.comparing.results import pareto_front, told_apart
from pixalign.comparing.table import HEADINGS, interval, notes, order, rows, title
from pixalign.files import write_text
from pixalign.pages import data_uri, render
from pixalign.text import points
from pixalign.training.config import flat

_MEASURES = {"miou": "mIoU", "boundary_f_3": "boundary F at 3 px"}


def write_page(results: Mapping[str, Any], folder: Path) -> Path:
    """Write index.html, with plot.png of ``folder`` inside if it is there; return its path."""
    write_text(folder / "index.html", _page(results, folder / "plot.png"))
    return folder / "index.html"


def headlines(results: Mapping[str, Any], split: str) -> tuple[str, str]:
    """Return what a split has shown, in a sentence, and what may be said of the rest, in another."""
    methods, baseline = results["methods"], results["baseline"]
    gains = {name: m["splits"][split]["gain"]["miou"] for name, m in methods.items() if m["splits"][split]["gain"]}
    if not gains:
        return "No method can be set against the baseline yet", "See what is not done below the table."
    best = max(gains, key=lambda name: gains[name]["difference"])
    apart = [name for name in gains if told_apart(gains[name])]
    worse = [name for name in apart if gains[name]["high"] < 0]
    cost = methods[best]["cost"]
    price = f" at {cost['ratio']:.2f} times its latency" if cost and cost["ratio"] else ""
    if best in apart and gains[best]["low"] > 0:
        first = f"{best} gains {interval(gains[best])} points of mIoU over {baseline}{price}"
    else:
        first = f"No method is told apart from {baseline} as better: the nearest, {best}, has "
        first += f"{interval(gains[best])}{price}"
    second = f"{len(apart)} of {len(gains)} {'is' if len(apart) == 1 else 'are'} told apart from {baseline}"
    second += f", {len(worse)} of them as worse" if worse else ""
    latency = {
        name: (m["cost"]["latency"], m["splits"][split]["miou"]["mean"]) for name, m in methods.items() if m["cost"]
    }
    front = pareto_front(latency)
    if len(latency) > 1:
        second += f". No other is both quicker and better than: {', '.join(front)}"
    return first, second + "."


def _page(results: Mapping[str, Any], plot: Path) -> str:
    training, methods, splits = results["training"], results["methods"], results["splits"]
    seeds = sorted({seed for method in methods.values() for seed in method["seeds"]})
    shared = yaml.safe_dump(results["recipe"], sort_keys=False, default_flow_style=None, allow_unicode=True)
    return render(
        "comparison",
        title=title(results),
        subtitle=f"one recipe, trained on {training['pairs']:,} images of {training['name']}, "
        f"{results['recipe'].get('epochs', 'as many as set')} epochs, "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}",
        results=results,
        headlines={split: headlines(results, split) for split in splits},
        forests=[
            _forest(results, split, measure)
            for split in splits
            for measure in _MEASURES
            if any(method["splits"][split]["gain"] for method in methods.values())
        ],
        headings=HEADINGS,
        tables={split: rows(results, split) for split in splits},
        notes=notes(results),
        plot=data_uri(plot.read_bytes(), "png") if plot.is_file() else "",
        classes={split: heat for split in splits if (heat := _classes(results, split))},
        recipe=shared,
        changes={
            name: ", ".join(f"{key}: {value}" for key, value in flat(method["changes"]).items()) or "nothing"
            for name, method in methods.items()
        },
        versions=", ".join(f"{name} {' and '.join(found)}" for name, found in results["versions"].items()),
    )


def _forest(results: Mapping[str, Any], split: str, measure: str) -> dict[str, Any]:
    """The chart of gains and their intervals, a line for each method."""
    names = [n for n in order(results, split) if results["methods"][n]["splits"][split]["gain"]]
    gains = {name: results["methods"][name]["splits"][split]["gain"][measure] for name in names}
    names.sort(key=lambda name: -gains[name]["difference"])
    ends = [v for g in gains.values() for v in (g["low"], g["high"], *g["seeds"].values())]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.06 * (high - low) or 0.01
    low, high = low - room, high + room
    left, right, top, step = 150, 500, 58, 26

    def x(value: float) -> str:
        return f"{left + (right - left) * (value - low) / (high - low):.1f}"

    drawn = []
    for row, name in enumerate(names):
        gain = gains[name]
        apart = told_apart(gain)
        seeds = gain["seeds"].items() if len(gain["seeds"]) > 1 else ()
        drawn.append(
            {
                "name": name,
                "text": interval(gain),
                "apart": apart,
                "color": "var(--gray)" if not apart else "var(--good)" if gain["low"] > 0 else "var(--error)",
                "y": top + step * (row + 0.5),
                "x": x(gain["difference"]),
                "low": x(gain["low"]),
                "high": x(gain["high"]),
                "seeds": [(x(value), f"seed {seed}: {points(value, True)}") for seed, value in seeds],
            }
        )
    return {
        "title": f"{_MEASURES[measure]} on {split}",
        "left": left,
        "top": top,
        "bottom": top + step * len(names),
        "ticks": [
            (x(tick / 100), f"{tick:+g}".replace("-", "−") if tick else "0") for tick in _ticks(100 * low, 100 * high)
        ],
        "rows": drawn,
        "spoken": "; ".join(f"{name} {interval(gains[name])}" for name in names),
    }


def _ticks(low: float, high: float) -> list[float]:
    """Round values between two others, about five."""
    step = next(s for s in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if (high - low) / s <= 7)
    return [round(i * step, 2) for i in range(int(low // step) + 1, int(high // step) + 1)]


def _classes(results: Mapping[str, Any], split: str) -> dict[str, Any] | None:
    """Gains in IoU by class and method, with the color of each; None where nothing is set against the baseline."""
    methods = {name: results["methods"][name]["splits"][split] for name in order(results, split)}
    base = methods.get(results["baseline"])
    gains = {name: figures["gain"]["iou"] for name, figures in methods.items() if figures["gain"]}
    if base is None or not gains:
        return None
    largest = max((abs(v) for gain in gains.values() for v in gain.values() if v is not None), default=0.0) or 1.0

    def color(value: float | None) -> str:
        if value is None:
            return ""
        return f"rgba({'31,120,180' if value > 0 else '200,90,30'},{0.6 * abs(value) / largest:.2f})"

    cells = {label: [(gain.get(label), color(gain.get(label))) for gain in gains.values()] for label in base["iou"]}
    return {"names": list(gains), "rows": [(label, iou, cells[label]) for label, iou in base["iou"].items()]}
