"""The picture of a comparison: accuracy against latency, a panel for each split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixalign.comparing.results import pareto_front
from pixalign.files import replacing

_INK, _GRAY, _FRONT, _BASE = "#1c1c1e", "#8a8a90", "#1f4e8c", "#b3541e"
_DPI = 150
_TRIES = [
    (reach, reach * dx, reach * dy)
    for reach in (9, 14, 20, 28, 38, 50, 64)
    for dx, dy in ((1, 0), (-1, 0), (0.7, 0.8), (-0.7, 0.8), (0.7, -0.8), (-0.7, -0.8), (0, 1), (0, -1))
]  # of a label from its point, typographic points


def draw_plot(results: Mapping[str, Any], path: Path) -> bool:
    """Draw each method's mIoU against its latency as a PNG; without a measured latency draw nothing, and return False.

    Error bars are the interval of the gain, set on the baseline's figure: one that crosses the baseline's line does not
    tell the method from it. The line joins the methods that no other beats in both.
    """
    from matplotlib.figure import Figure

    latency = {n: 1e3 * method["cost"]["latency"] for n, method in results["methods"].items() if method["cost"]}
    if not latency:
        path.unlink(missing_ok=True)
        return False
    splits = list(results["splits"])
    figure = Figure(figsize=(1.2 + 5.2 * len(splits), 5.6), dpi=_DPI, layout="constrained")
    panels = figure.subplots(1, len(splits), squeeze=False)[0]
    for axes, split in zip(panels, splits):
        _panel(axes, results, split, latency)
        if max(latency.values()) > 6 * min(latency.values()):
            axes.set_xscale("log")
        axes.margins(x=0.16, y=0.12)
        axes.set_title(f"{split}: {results['splits'][split]['images']} images", loc="left", fontsize=11)
    height, width = results["latency"]["size"]
    key = ["blue: no other is both quicker and better"]
    if any(method["splits"][splits[0]]["gain"] for method in results["methods"].values()):
        key.append(
            f"bars: {100 * results['level']:.0f} % interval of the gain over {results['baseline']}, the dashed line"
        )
    figure.supxlabel("\n".join([f"latency, ms for an image of {width} x {height}", *key]), fontsize=9.5)
    panels[0].set_ylabel("mIoU %")
    figure.draw_without_rendering()
    for axes, split in zip(panels, splits):
        _label(axes, results, split, latency)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
    return True


def _panel(axes: Any, results: Mapping[str, Any], split: str, latency: Mapping[str, float]) -> None:
    places = _places(results, split, latency)
    baseline = results["methods"].get(results["baseline"])
    level = 100 * baseline["splits"][split]["miou"]["mean"] if baseline else None
    if level is not None:
        axes.axhline(level, color=_BASE, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    front = pareto_front(places)
    if len(front) > 1:
        xs, ys = zip(*(places[name] for name in front))
        axes.plot(xs, ys, color=_FRONT, linewidth=1.2, alpha=0.5, zorder=2)
    for name, (x, y) in places.items():
        color = _BASE if name == results["baseline"] else _FRONT if name in front else _GRAY
        gain = results["methods"][name]["splits"][split]["gain"]
        if gain and level is not None:
            low, high = (level + 100 * gain["miou"][end] for end in ("low", "high"))
            axes.vlines(x, low, high, color=color, linewidth=1.4, alpha=0.55, zorder=2)
        axes.plot(x, y, "o", color=color, markersize=7, markeredgecolor="white", zorder=4)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _label(axes: Any, results: Mapping[str, Any], split: str, latency: Mapping[str, float]) -> None:
    """Write the names beside the points, each where it covers least, with a thin line to a point that is not near."""
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    places = _places(results, split, latency)
    frame = axes.get_window_extent()
    scale = axes.figure.dpi / 72
    centers = dict(zip(places, axes.transData.transform(list(places.values()))))
    taken = [Bbox.from_extents(x - 5 * scale, y - 5 * scale, x + 5 * scale, y + 5 * scale) for x, y in centers.values()]
    bars = []
    for lines in axes.collections:
        for (x, low), (_, high) in (axes.transData.transform(segment) for segment in lines.get_segments()):
            bars.append(Bbox.from_extents(x - scale, low, x + scale, high))
    for name in sorted(places, key=lambda n: -places[n][1]):
        text = axes.annotate(
            name,
            places[name],
            (0, 0),
            textcoords="offset points",
            fontsize=9,
            color=_BASE if name == results["baseline"] else _INK,
            path_effects=[withStroke(linewidth=3, foreground="white", alpha=0.8)],
            zorder=5,
        )
        size = text.get_window_extent()
        best, least = None, float("inf")
        for reach, dx, dy in _TRIES:
            x, y = centers[name][0] + dx * scale, centers[name][1] + dy * scale
            left = x if dx > 0 else x - size.width if dx < 0 else x - size.width / 2
            low = y if dy > 0 else y - size.height if dy < 0 else y - size.height / 2
            box = Bbox.from_bounds(left, low, size.width, size.height)
            covered = 10 * sum(_overlap(box, other) for other in taken) + 0.4 * sum(_overlap(box, bar) for bar in bars)
            outside = 10 * (box.width * box.height - _overlap(box, frame))
            if covered + outside + reach * scale < least:
                best, least = (reach, dx, dy, box), covered + outside + reach * scale
        assert best is not None
        reach, dx, dy, box = best
        taken.append(box)
        text.set_position((dx, dy))
        text.set_horizontalalignment("left" if dx > 0 else "right" if dx < 0 else "center")
        text.set_verticalalignment("bottom" if dy > 0 else "top" if dy < 0 else "center")
        if reach >= 20:
            line = {"arrowstyle": "-", "color": _INK, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4 * scale}
            axes.annotate("", places[name], (0.9 * dx, 0.9 * dy), textcoords="offset points", arrowprops=line, zorder=3)


def _overlap(first: Any, second: Any) -> float:
    """Pixels that two boxes share."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    return max(0.0, width) * max(0.0, height)


def _places(results: Mapping[str, Any], split: str, latency: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Where each method stands: milliseconds, percent."""
    methods = results["methods"]
    return {name: (x, 100 * methods[name]["splits"][split]["miou"]["mean"]) for name, x in latency.items()}
