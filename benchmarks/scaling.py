"""How the time of one image grows with its pixels, from 256 x 512 to 2048 x 4096: a table, exponents, a plot.

Networks with ResNet-18 and 19 classes (random weights) and the bundled one, as they are ("eager": float32, channels
last) and by `pixalign.fuse`. At each size all variants are called by turns; the smallest time of the rounds counts,
since a first call and other work on the machine only add. An exponent is the slope of the least-squares line through
the logarithms of time and pixels: 1 is linear.

    python benchmarks/scaling.py [--threads 2] [--rounds 5] [--largest 2048x4096] [--clock wall]
        [--table benchmarks/scaling.md] [--plot docs/scaling_time.png] [MODEL ...]

With ``--clock process`` times are CPU times of the process, which a busy machine disturbs less.
"""

import argparse
import sys
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pixalign
from pixalign.benchmarking import by_turns
from pixalign.benchmarking.measure import processor_name
from pixalign.benchmarking.variants import build
from pixalign.cli.models import parse_size
from pixalign.files import replacing

MODELS = ("default", *(f"{name}@resnet18" for name in ("sfnet", "bialignnet", "alignseg", "ifa", "ddsm")))
SIZES = ((256, 512), (362, 724), (512, 1024), (724, 1448), (1024, 2048), (1448, 2896), (2048, 4096))
LONG = 20.0  # seconds that all variants take at a size, after which no further round begins
COLORS = ("#1f4e8c", "#b3541e", "#3f8f6b", "#7b5ea7", "#d19a2a", "#4f86c6", "#96690c", "#6b6b70")
CLOCKS = {"wall": time.perf_counter, "process": time.process_time}

Times = dict[tuple[str, str], list[float]]  # seconds by size, of (model, "eager" or "fused")


def measure(
    networks: dict[tuple[str, str], Any], size: tuple[int, int], rounds: int, clock: Callable[[], float]
) -> list[float]:
    """Return the seconds of each network at a size, the smallest over rounds by turns."""
    image = torch.randn(1, 3, *size).contiguous(memory_format=torch.channels_last)
    calls = {" ".join(key): partial(network, image) for key, network in networks.items()}
    with torch.inference_mode():
        taken = by_turns(calls, rounds, fewest=1, enough=LONG, clock=clock)
    return [min(seconds) for seconds in taken.values()]


def exponent(sizes: list[tuple[int, int]], seconds: list[float]) -> float:
    """The slope of log(seconds) over log(pixels)."""
    return float(np.polyfit(np.log([height * width for height, width in sizes]), np.log(seconds), 1)[0])


def draw(path: Path, sizes: list[tuple[int, int]], times: Times, conditions: str) -> None:
    """Time over pixels, both logarithmic; dashed is eager, whole is fused, gray the direction of linear growth."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    pixels = np.array([height * width for height, width in sizes]) / 1e6
    figure = Figure(figsize=(8.6, 5.4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    models = list(dict.fromkeys(model for model, _ in times))
    lowest = 0.55 * min(seconds[0] for seconds in times.values())
    axes.loglog(pixels, lowest * pixels / pixels[0], color="#c9c9c4", linewidth=5, zorder=0)
    middle = len(pixels) // 2
    note = {"color": "#6b6b70", "fontsize": 9, "rotation_mode": "anchor", "ha": "center", "va": "top"}
    for model, color in zip(models, COLORS):
        for form, style in (("eager", (0, (4, 2.5))), ("fused", "-")):
            seconds = times[model, form]
            label = f"{model.removesuffix('@resnet18')}: pixels$^{{{exponent(sizes, seconds):.2f}}}$"
            whole = form == "fused"
            axes.loglog(
                pixels,
                seconds,
                color=color,
                linestyle=style,
                linewidth=1.9 if whole else 1.0,
                marker="o" if whole else None,
                markersize=4,
                label=label if whole else None,
            )
    axes.set_xticks(pixels, [f"{height}\n× {width}" for height, width in sizes], fontsize=8.5)
    axes.minorticks_off()
    axes.set_xlabel("image, height × width (spaced by pixels, logarithmic)")
    axes.set_ylabel("seconds per image, logarithmic")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.canvas.draw()
    ends = axes.transData.transform([(pixels[0], 1), (pixels[-1], pixels[-1] / pixels[0])])
    angle = float(np.degrees(np.arctan2(*(ends[1] - ends[0])[::-1])))
    axes.text(pixels[middle], 0.78 * lowest * pixels[middle] / pixels[0], "linear", rotation=angle, **note)
    axes.legend(title="fused (dashed: eager)", loc="upper left", frameon=False, fontsize=9, title_fontsize=9)
    axes.set_title(f"Time of one image over its pixels\n{conditions}", loc="left", fontsize=10)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def report(sizes: list[tuple[int, int]], times: Times, command: str, conditions: str) -> str:
    """The table as Markdown, with the exponents."""
    headings = ["network", "", *(f"{height} x {width}" for height, width in sizes), "exponent"]
    rows = [f"| {' | '.join(headings)} |", f"|---|---|{'---:|' * (len(headings) - 2)}"]
    for (model, form), seconds in times.items():
        cells = [*(f"{value:.3f}" for value in seconds), f"{exponent(sizes, seconds):.2f}"]
        rows.append(f"| {model} | {form} | {' | '.join(cells)} |")
    found = [exponent(sizes, seconds) for (_, form), seconds in times.items() if form == "fused"]
    said = f"Time grows as pixels to the power of {min(found):.2f} to {max(found):.2f} (fused; 1 is linear)."
    head = [
        "# Time over pixels",
        "",
        f"    {command}",
        "",
        f"{conditions}; {date.today()}.",
        "",
        f"Seconds per image. {said}",
        "",
    ]
    return "\n".join([*head, *rows]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--largest", default="2048x4096", metavar="HxW")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--table", type=Path, default=Path("benchmarks/scaling.md"))
    parser.add_argument("--plot", type=Path, default=Path("docs/scaling_time.png"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    height, width = parse_size(arguments.largest)
    sizes = [size for size in SIZES if size[0] * size[1] <= height * width]
    networks: dict[tuple[str, str], Any] = {}
    warm = torch.zeros(1, 3, *SIZES[0])
    for source in arguments.models or MODELS:
        network = build(source)
        networks[source, "fused"] = pixalign.fuse(network)
        networks[source, "eager"] = network.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        for network in networks.values():
            network(warm)
    found = [measure(networks, size, arguments.rounds, CLOCKS[arguments.clock]) for size in sizes]
    times: Times = {key: list(seconds) for key, seconds in zip(networks, zip(*found))}
    threads = f"{arguments.threads} thread{'s' * (arguments.threads != 1)}"
    clock = "" if arguments.clock == "wall" else ", CPU time of the process"
    conditions = f"{processor_name()}, {threads}, float32, torch {torch.__version__.split('+')[0]}{clock}"
    command = " ".join(["python benchmarks/scaling.py", *sys.argv[1:]])
    text = report(sizes, times, command, conditions)
    print(text)
    with replacing(arguments.table) as path:
        path.write_text(text, encoding="utf-8")
    draw(arguments.plot, sizes, times, conditions)


if __name__ == "__main__":
    main()
