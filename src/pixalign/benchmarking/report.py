"""The figures of a benchmark for people and programs: a table for the terminal, table.md, benchmark.json, a picture."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pixalign.files import replacing, write_text
from pixalign.text import markdown_table, number_of

HEADINGS = (
    "model", "back-end", "ms", "p95", "images/s", "speed", "MiB", "M params", "GFLOPs", "of peak",
)  # fmt: skip

_INK, _GRAY, _FIRST = "#1c1c1e", "#6b6b70", "#b3541e"
_COLORS = {  # a hue for each program that runs networks, darker in 8 bits
    "eager": "#a9b4c2",
    "fused": "#1f4e8c",
    "bf16": "#4f86c6",
    "compiled": "#7b5ea7",
    "onnxruntime": "#3f8f6b",
    "onnxruntime-int8": "#2a5f47",
    "openvino": "#d19a2a",
    "openvino-bf16": "#e3b95c",
    "openvino-int8": "#96690c",
}
_DPI = 150


def rows_of(result: Mapping[str, Any], size: list[int]) -> list[tuple[str, ...]]:
    """The rows of a size as text under `HEADINGS`, in the order measured; one without figures ends in its reason."""
    return [_row(row) for row in result["rows"] if row["size"] == size]


def notes(result: Mapping[str, Any]) -> list[str]:
    """What a reader has to know to judge the figures, a sentence or two each."""
    machine, batch = result["machine"], result["batch"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    first = result["rows"][0]
    said = [
        f"{machine['processor']}, {number_of(machine['threads'], 'thread')} of {machine['cores']} cores; {versions}.",
        f"ms: median of {result['rounds']} calls with {number_of(batch, 'image')} each, from the normalized image in "
        "memory to logits at its size; p95: 95th percentile. All variants of a size take turns, one call each a round.",
        f"speed: how many times that of {first['model']} on {first['backend']}, the median over rounds.",
        "MiB: memory at the peak of a call, with its result, above what the process holds before it, with the weights; "
        "measured in a process of its own, on Linux alone.",
        "GFLOPs: per image, two per multiplication and addition, of convolutions, matrix products and attention alone. "
        "of peak: GFLOPs per second as a share of what a 3 x 3 convolution of 256 channels in float32 reaches in the "
        f"same rounds ({', '.join(f'{1e-9 * peak:.0f} at {by}' for by, peak in result['peaks'].items())}); fewer bits, "
        "or rewrites that save operations, can exceed 100 %.",
        "back-ends: " + "; ".join(f"{name}: {what}" for name, what in result["backends"].items()) + ".",
    ]
    if result["random"]:
        said.append(f"Random weights, 19 classes: {', '.join(result['random'])}.")
    if any(name.endswith("int8") for name in result["backends"]):
        said.append("int8 is calibrated on drawn streets, for time and memory alone: its labels are not to be trusted.")
    return said


def result_table(result: Mapping[str, Any]) -> Any:
    """The tables and notes as something that rich prints, 80 columns wide."""
    parts: list[Any] = []
    for size in _sizes(result):
        rows = rows_of(result, size)
        widths = [max(map(len, column)) for column in zip(HEADINGS, *rows)][1:]
        parts += [Text(_title(size), style="italic"), _table(HEADINGS[1:], widths)]
        for model in dict.fromkeys(row[0] for row in rows):
            table = _table([""] * len(widths), widths)
            table.show_header = False
            for name, *cells in rows:
                if name == model:
                    table.add_row(*map(Text, cells))
            parts += [Text(model, style="bold"), table]
        parts.append(Text())
    return Group(*parts, *(Text(reason) for reason in _reasons(result)), *(Text(note) for note in notes(result)))


def _table(headings: Sequence[str], widths: Sequence[int]) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for i, (heading, width) in enumerate(zip(headings, widths)):
        made.add_column(heading, width=width, justify="right" if i else "left", no_wrap=True)
    return made


def write_report(result: Mapping[str, Any], folder: str | Path) -> None:
    """Write benchmark.json (what `benchmark` returned), table.md and benchmark.png into ``folder``.

    Raises:
        InputError: the file system refuses the write.
    """
    folder = Path(folder)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    for name, content in (("benchmark.json", text), ("table.md", _markdown(result))):
        write_text(folder / name, content)
    with replacing(folder / "benchmark.png") as path:
        _draw(result, path)


def _markdown(result: Mapping[str, Any]) -> str:
    lines = ["# Benchmark"]
    for size in _sizes(result):
        cells = [[cell.replace("|", "/") for cell in row] for row in rows_of(result, size)]
        lines += ["", f"## {_title(size)}", "", *markdown_table(HEADINGS, cells, 2)]
    lines += ["", *(f"- {said}" for said in (*_reasons(result), *notes(result)))]
    return "\n".join(lines) + "\n"


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["model"],
        row["backend"],
        "failed" if row["error"] else f"{1e3 * row['latency']:.1f}",
        _shown(row["p95"], "{:.1f}", 1e3),
        _shown(row["throughput"], "{:.2f}"),
        _shown(row["speed"], "× {:.2f}"),
        _shown(row["memory"], "{:.0f}", 2**-20),
        _shown(row["parameters"], "{:.2f}", 1e-6),
        _shown(row["operations"], "{:.1f}", 1e-9),
        _shown(row["share"], "{:.0f} %", 100),
    )


def _shown(value: float | None, form: str, factor: float = 1) -> str:
    return "–" if value is None else form.format(factor * value)


def _reasons(result: Mapping[str, Any]) -> list[str]:
    """Why rows have no figures, each once."""
    failed = [row for row in result["rows"] if row["error"]]
    return list(dict.fromkeys(f"{row['model']} on {row['backend']} failed: {row['error']}" for row in failed))


def _sizes(result: Mapping[str, Any]) -> list[list[int]]:
    return [list(size) for size in dict.fromkeys(tuple(row["size"]) for row in result["rows"])]


def _title(size: list[int]) -> str:
    return f"{size[0]} x {size[1]} (height x width)"


def _draw(result: Mapping[str, Any], path: Path) -> None:
    """Bars of speed, a group for each model, a panel for each size."""
    from matplotlib.figure import Figure

    sizes = _sizes(result)
    groups = len({row["model"] for row in result["rows"]})
    lines = len([row for row in result["rows"] if row["size"] == sizes[0]]) + groups
    figure = Figure(figsize=(2.2 + 5.6 * len(sizes), 1.6 + 0.3 * lines), dpi=_DPI, layout="constrained")
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axes, size in zip(panels, sizes):
        _panel(axes, [row for row in result["rows"] if row["size"] == size])
        axes.set_title(f"{size[0]} x {size[1]}", loc="left", fontsize=11)
    first = result["rows"][0]
    threads = number_of(result["machine"]["threads"], "thread")
    figure.supxlabel(
        f"speed, as a multiple of {first['model']} on {first['backend']} (the dashed line); longer is faster\n"
        f"{result['machine']['processor']}, {threads}, {number_of(result['batch'], 'image')} in a call",
        fontsize=9.5,
    )
    figure.savefig(path, format="png")


def _panel(axes: Any, rows: list[dict[str, Any]]) -> None:
    from matplotlib.patheffects import withStroke

    clear = [withStroke(linewidth=3, foreground="white")]  # of the dashed line
    most = max((row["speed"] for row in rows if row["speed"]), default=1.0)
    places, labels, model, y = [], [], None, 0
    for row in rows:
        if row["model"] != model:
            model = row["model"]
            at = {"transform": axes.get_yaxis_transform(), "va": "center"}
            axes.text(0.004, y, model, weight="bold", color=_INK, path_effects=clear, **at)
            y += 1
        if row["speed"]:
            axes.barh(y, row["speed"], height=0.76, color=_COLORS.get(row["backend"], _GRAY))
        text = "failed" if row["error"] else f"{1e3 * row['latency']:.1f} ms"
        if row["speed"]:
            text = f"× {row['speed']:.2f}   {text}"
        color = _GRAY if row["error"] else _INK
        at_end = (row["speed"] or 0) + 0.015 * most
        axes.text(at_end, y, text, va="center", fontsize=9, color=color, path_effects=clear)
        places.append(y)
        labels.append(row["backend"])
        y += 1
    axes.axvline(1, color=_FIRST, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.set_yticks(places, labels)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(y - 0.4, -0.6)
    axes.set_xlim(0, 1.32 * max(most, 1.0))
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
