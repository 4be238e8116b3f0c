"""The report of a comparison as one page, ``index.html``: everything inside, no script, no network."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import yaml

from pixalign.comparing.config import flat
from pixalign.comparing.results import pareto_front, told_apart
from pixalign.comparing.table import HEADINGS, interval, notes, order, points, rows, title
from pixalign.files import write_text
from pixalign.pages import data_uri, document

_MEASURES = {"miou": "mIoU", "boundary_f_3": "boundary F at 3 px"}
_STYLE = """
.verdict p { margin: .3rem 0; }
.verdict small { display: block; font-size: .9rem; font-weight: 400; }
.neutral { background: var(--track); }
.figures td, .figures th { padding: .4rem .55rem; font-size: .92rem; white-space: nowrap; }
.base td { color: var(--gray); }
.forests { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1.5rem 2.5rem; }
.forests svg { display: block; width: 100%; height: auto; }
svg text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--ink); }
svg .soft { fill: var(--gray); } svg .strong { font-weight: 600; }
.plot { display: block; width: max(100%, 40rem); height: auto; border-radius: 8px; border: 1px solid var(--line); }
.heat { width: auto; min-width: min(100%, 30rem); }
.heat td, .heat th { text-align: right; padding: .3rem .5rem; white-space: nowrap; }
.heat td:first-child, .heat th:first-child { text-align: left; padding-left: 0; }
.heat thead th { vertical-align: bottom; }
.heat thead th span { writing-mode: vertical-rl; transform: rotate(180deg); }
.heat td { border-color: var(--paper); print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.notes li { margin: .3rem 0; font-size: .92rem; color: var(--gray); overflow-wrap: break-word; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 0 2.5rem; }
.columns > div { min-width: 0; }
h3.block { display: block; margin: 1.2rem 0 .5rem; }
"""


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
    training = results["training"]
    seeds = sorted({seed for method in results["methods"].values() for seed in method["seeds"]})
    name = title(results)
    subtitle = (
        f"one recipe, trained on {training['pairs']:,} images of {training['name']}, "
        f"{results['recipe'].get('epochs', 'as many as set')} epochs, "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
    )
    parts = [
        f"<header><h1>{escape(name)}</h1><p class=gray>{escape(subtitle)}</p>{_verdict(results)}</header>",
        _gains_section(results),
        _table_section(results),
        _plot_section(plot),
        _classes_section(results),
        _recipe_section(results),
        _reproduce_section(results),
    ]
    return document(name, "\n".join(part for part in parts if part), _STYLE)


def _verdict(results: Mapping[str, Any]) -> str:
    words = []
    for split in results["splits"]:
        first, second = headlines(results, split)
        where = f"{escape(split)}: " if len(results["splits"]) > 1 else ""
        words.append(f"<p>{where}{escape(first)}<small>{escape(second)}</small></p>")
    return f"<div class='verdict neutral'>{''.join(words)}</div>"


def _gains_section(results: Mapping[str, Any]) -> str:
    drawn = [
        f"<figure>{_forest(results, split, measure)}</figure>"
        for split in results["splits"]
        for measure in _MEASURES
        if any(m["splits"][split]["gain"] for m in results["methods"].values())
    ]
    if not drawn:
        return ""
    level = f"{100 * results['level']:.0f} %"
    return (
        f"<section><h2>Gains over {escape(results['baseline'])}</h2><p class=gray>Percentage points with {level} "
        "intervals; a filled point is told apart from 0; small rings are single seeds.</p>"
        f"<div class=forests>{''.join(drawn)}</div></section>"
    )


def _forest(results: Mapping[str, Any], split: str, measure: str) -> str:
    """Gains and their intervals as an SVG, a line for each method."""
    names = [n for n in order(results, split) if results["methods"][n]["splits"][split]["gain"]]
    gains = {name: results["methods"][name]["splits"][split]["gain"][measure] for name in names}
    names.sort(key=lambda name: -gains[name]["difference"])
    ends = [v for g in gains.values() for v in (g["low"], g["high"], *g["seeds"].values())]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.06 * (high - low) or 0.01
    low, high = low - room, high + room
    left, right, top, step = 150, 500, 58, 26
    bottom = top + step * len(names)

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    parts = [f"<text x=0 y=16 class=strong>{escape(f'{_MEASURES[measure]} on {split}')}</text>"]
    for tick in _ticks(100 * low, 100 * high):
        at = x(tick / 100)
        color, width = ("var(--ink)", 1.2) if tick == 0 else ("var(--line)", 1)
        parts.append(f"<path d='M{at:.1f} {top - 10}V{bottom}' stroke='{color}' stroke-width={width} />")
        label = f"{tick:+g}".replace("-", "−") if tick else "0"
        parts.append(f"<text x={at:.1f} y={top - 16} text-anchor=middle class=soft>{label}</text>")
    for row, name in enumerate(names):
        gain, y = gains[name], top + step * (row + 0.5)
        apart = told_apart(gain)
        color = "var(--gray)" if not apart else "var(--good)" if gain["low"] > 0 else "var(--error)"
        parts.append(
            f"<text x={left - 12} y={y + 4.5} text-anchor=end{' class=strong' if apart else ''}>{escape(name)}</text>"
        )
        parts.append(f"<path d='M{x(gain['low']):.1f} {y}H{x(gain['high']):.1f}' stroke='{color}' stroke-width=2 />")
        if len(gain["seeds"]) > 1:
            for seed, value in gain["seeds"].items():
                parts.append(
                    f"<circle cx={x(value):.1f} cy={y} r=3 fill=none stroke='{color}'>"
                    f"<title>seed {escape(seed)}: {points(value, True)}</title></circle>"
                )
        parts.append(
            f"<circle cx={x(gain['difference']):.1f} cy={y} r=5 stroke='{color}' stroke-width=2 "
            f"fill='{color if apart else 'var(--paper)'}'><title>{escape(name)}: {interval(gain)}</title></circle>"
        )
    spoken = "; ".join(f"{name} {interval(gains[name])}" for name in names)
    return f"<svg viewBox='0 0 520 {bottom + 6}' role=img aria-label='{escape(spoken)}'>{''.join(parts)}</svg>"


def _ticks(low: float, high: float) -> list[float]:
    """Round values between two others, about five."""
    step = next(s for s in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if (high - low) / s <= 7)
    return [round(i * step, 2) for i in range(int(low // step) + 1, int(high // step) + 1)]


def _table_section(results: Mapping[str, Any]) -> str:
    parts = []
    for split, described in results["splits"].items():
        head = "".join(f"<th{' class=number' if i else ''}>{escape(text)}" for i, text in enumerate(HEADINGS))
        body = ""
        for row in rows(results, split):
            cells = "".join(
                f"<td{' class=number' if i else ''}>{f'<strong>{escape(text)}</strong>' if bold else escape(text)}"
                for i, (text, bold) in enumerate(row)
            )
            body += f"<tr{' class=base' if row[0][0] == results['baseline'] else ''}>{cells}</tr>"
        parts.append(
            f"<h3 class=block>{escape(split)}: {described['images']} images of {escape(described['data'])}</h3>"
            f"<div class=scroll><table class=figures><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
    said = "".join(f"<li>{escape(note)}</li>" for note in notes(results))
    return f"<section><h2>Table</h2>{''.join(parts)}<ul class=notes>{said}</ul></section>"


def _plot_section(plot: Path) -> str:
    if not plot.is_file():
        return ""
    picture = f"<img class=plot alt='mIoU against latency' src='{data_uri(plot.read_bytes(), 'png')}'>"
    return f"<section><h2>Accuracy against latency</h2><div class=scroll>{picture}</div></section>"


def _classes_section(results: Mapping[str, Any]) -> str:
    """IoU gains by class and method as a heat map, a table for each split."""
    parts = []
    for split in results["splits"]:
        methods = {name: results["methods"][name]["splits"][split] for name in order(results, split)}
        base = methods.get(results["baseline"])
        gains = {name: figures["gain"]["iou"] for name, figures in methods.items() if figures["gain"]}
        if base is None or not gains:
            continue
        largest = max((abs(v) for gain in gains.values() for v in gain.values() if v is not None), default=0.0) or 1.0
        head = "".join(f"<th><span>{escape(name)}</span>" for name in gains)
        body = ""
        for label, iou in base["iou"].items():
            cells = "".join(_heat(gain.get(label), largest) for gain in gains.values())
            body += f"<tr><td>{escape(label)}<td class=gray>{'absent' if iou is None else points(iou)}{cells}</tr>"
        parts.append(
            f"<h3 class=block>{escape(split)}</h3><div class=scroll><table class=heat><thead><tr><th>class"
            f"<th>{escape(results['baseline'])}<br>IoU %{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
    if not parts:
        return ""
    return (
        "<section><h2>Gains by class</h2><p class=gray>Percentage points of IoU over the baseline, means over seeds. "
        f"Single classes have no interval: look for rows and columns of one color.</p>{''.join(parts)}</section>"
    )


def _heat(value: float | None, largest: float) -> str:
    if value is None:
        return "<td class=gray>–"
    strength = 0.6 * abs(value) / largest
    color = "31,120,180" if value > 0 else "200,90,30"
    return f"<td style='background:rgba({color},{strength:.2f})'>{points(value, True)}"


def _recipe_section(results: Mapping[str, Any]) -> str:
    shared = yaml.safe_dump(results["recipe"], sort_keys=False, default_flow_style=None, allow_unicode=True)
    changes = "".join(
        f"<tr><td class=name>{escape(name)}<td><code>"
        + escape(", ".join(f"{key}: {value}" for key, value in flat(method["changes"]).items()) or "nothing")
        + "</code></tr>"
        for name, method in results["methods"].items()
    )
    return (
        "<section><h2>What was compared</h2><div class=columns>"
        f"<div><h3 class=block>The recipe of all</h3><pre>{escape(shared)}</pre></div>"
        "<div><h3 class=block>What each method sets</h3><div class=scroll>"
        f"<table><tbody>{changes}</tbody></table></div></div></div></section>"
    )


def _reproduce_section(results: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {' and '.join(found)}" for name, found in results["versions"].items())
    data = "".join(
        f"<li>{escape(s['data'])}: {s['images']} images, fingerprint <code>{escape(s['fingerprint'])}</code></li>"
        for s in ({**results["training"], "data": results["training"]["name"], "images": results["training"]["pairs"]},
                  *results["splits"].values())
    )  # fmt: skip
    return (
        f"<section><h2>To do it again</h2><pre>{escape(results['command'])}</pre>"
        f"<ul><li>Trained with {escape(versions)}</li>{data}</ul></section>"
    )
