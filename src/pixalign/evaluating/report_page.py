"""The page of an evaluation's report, as HTML: figures, classes, confusions, boundary curves, images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from pixalign.metrics.boundary_iou import SHARE
from pixalign.pages import css_color, data_uri, document, swatch
from pixalign.text import number_of, percent, shown

PANELS = ("image", "label", "prediction", "errors", "enlarged 3x")

_HEAT = 30  # classes in the heat map at most
_NUMBERS = 16  # classes up to which its cells hold numbers
_LISTED = 10  # confusions in words
_CURVES = 20  # classes up to which each has a curve of its own
_BARS = 16  # of the histogram at most
_BOUNDARY = "3"  # the radius of the boundary F-score that stands in the headline and the table


@dataclass(frozen=True)
class Shown:
    """An image on the page.

    Attributes:
        index: its position in the split.
        name: its file.
        miou: its mean IoU over the classes of its label, 0 to 1.
        wrong: share of its labeled pixels that are wrong.
        mistake: the most frequent error, true class and predicted class; None without errors.
        pictures: JPEG and (width, height) for each of `PANELS`.
    """

    index: int
    name: str
    miou: float
    wrong: float
    mistake: tuple[str, str] | None
    pictures: list[tuple[bytes, tuple[int, int]]]


_STYLE = """
:root { --wrong: 190,60,20; --right: 40,110,170; --accent: #b8390e; --curve: #1c5d99; --magenta: #ff0096; }
@media (prefers-color-scheme: dark) { :root { --wrong: 235,95,45; --right: 90,160,220; --accent: #ff9a6b;
  --curve: #6ea9df; } }
h1 + p { margin-top: .5rem; }
.figures { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 1.25rem 2.75rem; margin: 1.75rem 0 0; }
.figures div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
.figures dt { color: var(--gray); font-size: .875rem; }
.figures dd { margin: 0; font-size: 2rem; line-height: 1.2; font-weight: 600; font-variant-numeric: tabular-nums; }
.lead div:first-child dd { font-size: 2.75rem; line-height: 1; }
.figures dd small { font-size: .55em; font-weight: 500; color: var(--gray); margin-left: .15em; }
.fails { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 1rem; }
.fails > div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem; }
.fails h3 { display: block; font-size: .875rem; font-weight: 500; color: var(--gray); margin-bottom: .5rem; }
.fails ol { list-style: none; margin: 0; padding: 0; }
.fails li { display: flex; gap: .75rem; justify-content: space-between; padding: .2rem 0; }
.fails li > :first-child { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.fails b, .said b { font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; }
a { color: inherit; text-decoration-color: var(--gray); text-underline-offset: .15em; }
.classes .name { min-width: 8.5rem; }
.classes .gray { white-space: nowrap; }
.classes button { all: unset; cursor: pointer; white-space: nowrap; }
.classes button:hover { color: var(--ink); }
.classes button:focus-visible { outline: 2px solid var(--ink); outline-offset: 2px; border-radius: 2px; }
.classes button::after { content: "▲"; font-size: .7em; margin-left: .35em; visibility: hidden; }
.classes th[aria-sort] button { color: var(--ink); }
.classes th[aria-sort] button::after { visibility: visible; }
.classes th[aria-sort=descending] button::after { content: "▼"; }
.meter { display: flex; align-items: center; gap: .6rem; }
.meter span { flex: 1; min-width: 2.5rem; height: .8rem; border-radius: 3px; background: var(--track); }
.meter i { display: block; height: 100%; min-width: 2px; border-radius: 3px; border: 1px solid var(--gray);
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.meter b { width: 3.8rem; font-weight: 400; text-align: right; white-space: nowrap; }
.map { margin-top: 1.25rem; display: grid; grid-template-columns: minmax(0, 1fr) 21rem; gap: 1.5rem 2.5rem;
  align-items: start; }
.heat { width: auto; border-collapse: separate; border-spacing: 2px; }
.heat th { padding: 0 .5rem 0 0; border: 0; color: var(--ink); font-size: .875rem; white-space: nowrap; }
.heat tbody th { text-align: right; max-width: 9rem; overflow: hidden; text-overflow: ellipsis; }
.heat thead th { padding: 0 0 .4rem; vertical-align: bottom; }
.heat thead span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 8rem; overflow: hidden;
  text-overflow: ellipsis; margin: 0 auto; display: block; line-height: 1.2; }
.heat td { width: var(--cell); min-width: var(--cell); height: 2.2rem; padding: 0; border: 0; border-radius: 3px;
  text-align: center; font-size: .8rem; cursor: default; print-color-adjust: exact; -webkit-print-color-adjust: exact;
  background: rgba(var(--wrong), var(--a, .03)); }
.heat .right { background: rgba(var(--right), var(--a)); }
.heat .none { background: repeating-linear-gradient(135deg, var(--track) 0 3px, transparent 3px 6px); }
.heat td.at { outline: 2px solid var(--ink); }
.heat.many td { height: var(--cell); border-radius: 1px; }
.heat.many { border-spacing: 1px; }
.heat.many th { font-size: .75rem; line-height: 1; }
.readout { min-height: 1.5em; margin-top: .75rem; }
.said b { text-align: right; }
.said { list-style: none; padding: 0; margin: .25rem 0 0; }
.said li { display: grid; grid-template-columns: 4rem 1fr; gap: .75rem; padding: .3rem 0;
  border-bottom: 1px solid var(--line); }
.charts { margin-top: 1.25rem; display: grid; gap: 1.5rem 2.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
.charts figure { max-width: 32rem; }
.charts figcaption { color: var(--ink); margin: 0 0 .5rem; font-size: 1rem; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--ink);
  font-variant-numeric: tabular-nums; }
svg .soft { fill: var(--gray); } svg .strong { font-weight: 600; }
.photo { border-top: 1px solid var(--line); padding: 1rem 0 1.25rem; break-inside: avoid; scroll-margin-top: 1rem; }
.photo header { display: flex; flex-wrap: wrap; gap: .1rem 1.25rem; align-items: baseline; margin-bottom: .6rem; }
.photo header span { min-width: 0; overflow-wrap: anywhere; }
.photo h4 { margin: 0; font-size: 1rem; font-weight: 600; overflow-wrap: anywhere; }
.panels { display: grid; grid-template-columns: repeat(5, minmax(0, 1fr)); gap: .75rem; }
.panels figcaption { margin-top: .25rem; font-size: .8rem; }
.classes-key { margin: 2.25rem 0 .6rem; }
h3.block { display: block; margin: 2rem 0 .75rem; }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px; vertical-align: -.05rem;
  margin-right: .4rem; }
.outline { background: #fff; border: 2px solid #1c1c1e; outline: 1px solid var(--line); height: .55rem;
  border-width: 2px 0; border-radius: 0; vertical-align: .05rem; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; font-size: .875rem;
  color: var(--gray); }
footer li { margin: .2rem 0; }
@media (max-width: 900px) { .classes th:last-child, .classes td:last-child { display: none; }
  .fails { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .map { grid-template-columns: minmax(0, 1fr); } .panels { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
@media (max-width: 560px) { .fails { grid-template-columns: minmax(0, 1fr); } .figures { gap: 1rem 1.75rem; }
  .figures dd { font-size: 1.6rem; } .panels { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .6rem; }
  .panels figure:last-child { grid-column: 1 / -1; }
  .classes .minor, .classes td:nth-last-child(2) { display: none; } .classes .name { min-width: 7rem; }
  .classes th:nth-child(n+3) { text-align: right; } .classes button { white-space: normal; }
  .classes th:first-child, .classes td:first-child { padding-left: 0; } .classes .swatch { margin-right: .35rem; }
  .readout { min-height: 3em; }
  .quantiles .figures { margin-top: 0; }
  .meter b { width: auto; margin-left: auto; } td:nth-child(n+3) .meter span { display: none; }
  .classes th, .classes td { padding-left: .3rem; padding-right: .3rem; font-size: .875rem; }
  .classes th:not([aria-sort]) button::after { display: none; }
  .heat { table-layout: fixed; width: 100%; } .heat:not(.many) td { width: auto; min-width: 0; height: 1.6rem;
  font-size: .68rem; } .heat:not(.many) tbody th, .heat:not(.many) thead th:first-child { width: 5.2rem; }
  .heat th { font-size: .78rem; padding-right: .3rem; } .heat.many { table-layout: auto; } }
@media print { .panels { grid-template-columns: repeat(5, minmax(0, 1fr)); } .readout { display: none; } }
"""

_SCRIPT = """
for (const table of document.querySelectorAll("table.classes")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  table.tHead.addEventListener("click", event => {
    const head = event.target.closest("button")?.parentElement;
    if (!head) return;
    const rising = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "descending"
      : head.dataset.first === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const key = head.dataset.key, sign = rising ? 1 : -1;
    const value = row => row.dataset[key] === "" ? null : Number(row.dataset[key]);
    body.append(...[...body.rows].sort((a, b) => {
      const x = value(a), y = value(b);
      return x === null || y === null ? (x === null) - (y === null) : sign * (x - y);
    }));
  });
}
const heat = document.querySelector("table.heat"), readout = document.querySelector(".readout");
if (heat) {
  const read = event => {
    const cell = event.target.closest("td");
    if (!cell) return;
    heat.querySelector(".at")?.classList.remove("at");
    cell.classList.add("at");
    const truth = cell.parentElement.cells[0].title, called = heat.tHead.rows[0].cells[cell.cellIndex].title;
    const pixels = Number(cell.dataset.n), all = Number(cell.parentElement.dataset.n);
    const share = (100 * pixels / all).toFixed(2);
    const numbers = [pixels, all].map(n => n.toLocaleString("en")).join(" of ");
    readout.textContent = all === 0 ? `${truth} has no pixel in the labels.`
      : `${share} % of ${truth} is called ${called}: ${numbers} pixels.`;
  };
  heat.addEventListener("pointerover", read);
  heat.addEventListener("click", read);
}
document.addEventListener("keydown", event => {
  if (event.key === "Escape") for (const box of document.querySelectorAll(".zoom input:checked")) box.checked = false;
});
"""


def page(
    result: Mapping[str, Any],
    colors: Sequence[Sequence[int]],
    model: str,
    about: str,
    scores: Sequence[float],
    worst: Sequence[Shown],
    best: Sequence[Shown],
) -> str:
    """The whole report as one page of HTML.

    Args:
        result: what `pixalign.evaluating.evaluate` gave.
        colors: an RGB triple (0 to 255) per class.
        model, about: the model's name, and what it is.
        scores: mIoU (0 to 1) of every image with labels.
        worst, best: the images to show, in this order.
    """
    parts = [
        _header(result, model, about),
        _fails_section(result, colors, worst),
        _classes_section(result, colors),
        _confusion_section(result, colors),
        _boundary_section(result, colors),
        _images_section(result, colors, scores, worst, best),
        _footer(result),
    ]
    return document(f"{shown(model)} on {shown(result['data'])}", "\n".join(filter(None, parts)), _STYLE, _SCRIPT)


def confusions(result: Mapping[str, Any]) -> list[tuple[float, int, int]]:
    """(share, true class, predicted class) of all errors, the largest share of the true class's pixels first."""
    matrix = np.array(result["confusion"], np.int64)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")
    return [
        (float(shares.flat[at]), *divmod(int(at), len(matrix))) for at in order[: np.count_nonzero(shares)].tolist()
    ]


# Sections ------------------------------------------------------------------------------------------------------------


def _header(result: Mapping[str, Any], model: str, about: str) -> str:
    boundary = result.get("boundary", {})
    figures = [
        ("mIoU", result["miou"]),
        ("pixel accuracy", result["pixel_accuracy"]),
        ("class accuracy", result["class_accuracy"]),
        (f"boundary F, {_BOUNDARY} px", boundary.get("mean", {}).get(_BOUNDARY)),
        ("boundary IoU", next(iter(boundary.get("iou", {}).get("mean", {}).values()), None)),
    ]
    tiles = "".join(
        f"<div><dt>{name}</dt><dd>{100 * value:.1f}<small>%</small></dd></div>"
        for name, value in figures
        if value is not None
    )
    what = f"<p class=gray>{_text(about)}</p>" if about else ""
    measured = (
        f"Measured on {_text(result['data'])}: {number_of(result['images'], 'image')}, {result['pixels']:,} labeled "
        f"pixels, {number_of(len(result['iou']), 'class', 'es')}; {_text(result['mode'])}"
    )
    texts = f"<h1>{_text(model)}</h1>{what}<p class=gray>{measured}</p>"
    return f"<header>{texts}<dl class='figures lead'>{tiles}</dl></header>"


def _fails_section(result: Mapping[str, Any], colors: Sequence[Sequence[int]], worst: Sequence[Shown]) -> str:
    """Four short lists that say at a glance where the model fails."""
    names = list(result["iou"])
    matrix = np.array(result["confusion"], np.int64)
    missed = matrix.sum(1) - matrix.diagonal()
    wrong = int(missed.sum())
    if not wrong:
        return "<section><h2>Where it fails</h2><p>Nowhere: every labeled pixel is right.</p></section>"

    def of_class(label: int, figure: str) -> str:
        return f"<li><span>{swatch(colors[label])}{_text(names[label])}</span><b>{figure}</b></li>"

    present = [i for i, name in enumerate(names) if result["iou"][name] is not None]
    weakest = sorted(present, key=lambda i: result["iou"][names[i]])[:4]
    most = [i for i in np.argsort(-missed, kind="stable").tolist() if missed[i]][:4]
    lists = [
        ("Classes of the lowest IoU", [of_class(i, _percent(result["iou"][names[i]])) for i in weakest]),
        (
            "Confusions, true → called",
            [
                f"<li><span>{_text(names[true])} → {_text(names[called])}</span><b>{_percent(share)}</b></li>"
                for share, true, called in confusions(result)[:4]
            ],
        ),
        ("Wrong pixels, by true class", [of_class(i, _percent(missed[i] / wrong)) for i in most]),
        (
            "Images of the lowest mIoU",
            [
                f"<li><a href='#image-{i.index}'>{_text(Path(i.name).stem)}</a><b>{_percent(i.miou)}</b></li>"
                for i in worst[:4]
            ],
        ),
    ]
    boxes = "".join(f"<div><h3>{title}</h3><ol>{''.join(items)}</ol></div>" for title, items in lists if items)
    return f"<section><h2>Where it fails</h2><div class=fails>{boxes}</div></section>"


def _classes_section(result: Mapping[str, Any], colors: Sequence[Sequence[int]]) -> str:
    names = list(result["iou"])
    pixels = result["class_pixels"]
    shares = {name: pixels[name] / result["pixels"] for name in names}
    widest = max(shares.values())
    boundary = result.get("boundary", {}).get("by_class", {}).get(_BOUNDARY, {})
    taken = {true: (share, called) for share, true, called in reversed(confusions(result))}
    measures = [("iou", "IoU", result["iou"]), ("accuracy", "accuracy", result["accuracy"])]
    measures += [("boundary", f"boundary F, {_BOUNDARY} px", boundary)] if boundary else []
    rows = []
    order = sorted(range(len(names)), key=lambda i: (result["iou"][names[i]] is None, result["iou"][names[i]] or 0, i))
    for i in order:
        name = names[i]
        keys = f" data-id={i} data-share={shares[name]:.6g}"
        cells = ""
        for key, _, values in measures:
            value = values.get(name)
            keys += f" data-{key}='{'' if value is None else f'{value:.6g}'}'"
            cells += _meter(value, "absent" if value is None else _percent(value), colors[i])
        cells += _meter(shares[name] / widest, percent(shares[name]), colors[i])
        most = f"{_text(names[taken[i][1]])} <span class=gray>{_percent(taken[i][0])}</span>" if i in taken else ""
        rows.append(f"<tr{keys}><td class=name>{swatch(colors[i])}{_text(name)}{cells}<td class=minor>{most}</tr>")
    head = "<th data-key=id data-first=ascending><button>class</button>"
    for key, title, _ in measures:
        sort = " aria-sort=ascending" if key == "iou" else ""
        head += f"<th data-key={key} data-first=ascending{sort}><button>{title}</button>"
    head += "<th class=minor data-key=share data-first=descending><button>share of pixels</button>"
    return (
        f"<section><h2>Classes</h2><div class=scroll><table class=classes><thead><tr>{head}<th class=minor>mistaken "
        f"for</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _meter(value: float | None, text: str, color: Sequence[int]) -> str:
    """A cell with a bar and its figure."""
    bar = f"<i style='width:{100 * value:.2f}%;background:{css_color(color)}'></i>" if value else ""
    return f"<td><div class=meter><span>{bar}</span><b{' class=gray' if value is None else ''}>{text}</b></div>"


def _confusion_section(result: Mapping[str, Any], colors: Sequence[Sequence[int]]) -> str:
    names = list(result["iou"])
    matrix = np.array(result["confusion"], np.int64)
    missed = matrix - np.diag(matrix.diagonal())
    weight = missed.sum(0) + missed.sum(1)
    kept = sorted(np.argsort(-weight, kind="stable")[:_HEAT].tolist())
    listed = confusions(result)
    total = matrix.sum(1)
    head = "".join(f"<th title='{_text(names[i])}'><span>{_text(names[i])}</span>" for i in kept)
    body = ""
    for true in kept:
        cells = ""
        for called in kept:
            pixels = int(matrix[true, called])
            share = pixels / max(1, int(total[true]))
            strength = 0.6 * share if true == called else 0.85 * share**0.5
            kind = " class=none" if not total[true] else " class=right" if true == called else ""
            number = f"{100 * share:.0f}" if share >= 0.005 and len(kept) <= _NUMBERS else ""
            cells += f"<td{kind} data-n={pixels}{f' style=--a:{strength:.2f}' if share >= 0.0005 else ''}>{number}"
        body += f"<tr data-n={int(total[true])}><th title='{_text(names[true])}'>{_text(names[true])}{cells}</tr>"
    said = "".join(
        f"<li><b>{_percent(share)}</b><span>of {_text(names[true])} is called {_text(names[called])}</span></li>"
        for share, true, called in listed[:_LISTED]
    )
    many, cell = " many" * (len(kept) > _NUMBERS), min(52, 600 // len(kept))
    few = "" if len(kept) == len(names) else f" The {_HEAT} of {len(names)} classes with most wrong pixels are shown."
    table = f"<thead><tr><th>{head}</tr></thead><tbody>{body}</tbody>"
    return (
        "<section><h2>What is called what</h2><p class=gray>Rows are the true classes, columns what the model called "
        f"them, in percent of the true class's pixels. Blue is right, red is wrong.{few}</p><div class=map><div>"
        f"<div class=scroll><table class='heat{many}' style='--cell:{cell}px'>{table}</table></div>"
        "<p class='readout gray' aria-live=polite>Point at a cell, or tap it, for its numbers.</p></div>"
        f"<div><h3>Largest confusions</h3><ul class=said>{said or '<li><b>none</b></li>'}</ul></div></div></section>"
    )


def _boundary_section(result: Mapping[str, Any], colors: Sequence[Sequence[int]]) -> str:
    boundary = result.get("boundary", {})
    charts = [
        ("Boundary F-score by radius", boundary, "pixels between predicted and true border"),
        ("IoU near borders, by width", boundary.get("trimap"), "pixels on each side of a true border"),
    ]
    drawn = "".join(
        f"<figure><figcaption>{title}</figcaption>{_curves(measure, list(result['iou']), colors, below)}</figure>"
        for title, measure, below in charts
        if measure and any(value is not None for value in measure["mean"].values())
    )
    if not drawn:
        return ""
    lines = "; thin lines are single classes" if len(result["iou"]) <= _CURVES else ""
    return (
        "<section><h2>Borders</h2><p class=gray>How well borders between classes are placed. The thick line is the "
        f"mean over the classes{lines}.</p><div class=charts>{drawn}</div></section>"
    )


def _curves(measure: Mapping[str, Any], names: Sequence[str], colors: Sequence[Sequence[int]], below: str) -> str:
    """Mean and classes of a measure against a number of pixels, as an SVG."""
    mean = {float(at): value for at, value in measure["mean"].items() if value is not None}
    left, right, top, bottom = 46, 306, 12, 222
    furthest = max(mean)

    def point(at: float, value: float) -> str:
        return f"{left + (right - left) * at / furthest:.1f} {bottom - (bottom - top) * value:.1f}"

    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        height = bottom - (bottom - top) * tick
        parts.append(f"<path d='M{left} {height}H{right}' stroke='var(--line)' />")
        label = f"{100 * tick:.0f}{' %' * (tick == 1)}"
        parts.append(f"<text x={left - 8} y={height + 4} text-anchor=end class=soft>{label}</text>")
    for at in mean:
        x = point(at, 0).split()[0]
        parts.append(f"<text x={x} y={bottom + 18} text-anchor=middle class=soft>{at:g}</text>")
    parts.append(f"<text x={(left + right) / 2} y={bottom + 38} text-anchor=middle class=soft>{below}</text>")
    ends = [(mean[furthest], "mean", "strong")]
    if len(names) <= _CURVES:
        lines = {}
        for i, name in enumerate(names):
            values = {at: measure["by_class"][f"{at:g}"].get(name) for at in mean}
            if all(value is not None for value in values.values()):
                lines[i] = values
                path = "L".join(point(at, value) for at, value in values.items())
                title = f"{_text(name)}: " + ", ".join(f"{at:g} px {_percent(v)}" for at, v in values.items())
                parts.append(
                    f"<path d='M{path}' fill=none stroke-width=1.5 "
                    f"style='stroke:color-mix(in srgb,{css_color(colors[i])} 70%,var(--gray))'>"
                    f"<title>{title}</title></path>"
                )
        if len(lines) > 1:
            extreme = sorted(lines, key=lambda i: lines[i][furthest])
            ends += [(lines[i][furthest], names[i], "soft") for i in (extreme[0], extreme[-1])]
    path = "L".join(point(at, value) for at, value in mean.items())
    parts.append(f"<path d='M{path}' fill=none stroke='var(--curve)' stroke-width=3 stroke-linejoin=round />")
    for at, value in mean.items():
        x, y = point(at, value).split()
        parts.append(
            f"<circle cx={x} cy={y} r=4 fill='var(--curve)'><title>{at:g} px: {_percent(value)}</title></circle>"
        )
    height = 0.0
    for value, name, kind in sorted(ends, key=lambda end: -end[0]):
        height = max(height + 15, bottom - (bottom - top) * value + 4)
        label = f"{_text(shown(name, 10))} {_percent(value)}"
        parts.append(f"<text x={right + 10} y={height:.1f} class={kind}>{label}</text>")
    spoken = ", ".join(f"{at:g} px {_percent(value)}" for at, value in mean.items())
    return f"<svg viewBox='0 0 440 {bottom + 46}' role=img aria-label='mean: {spoken}'>{''.join(parts)}</svg>"


def _images_section(
    result: Mapping[str, Any],
    colors: Sequence[Sequence[int]],
    scores: Sequence[float],
    worst: Sequence[Shown],
    best: Sequence[Shown],
) -> str:
    left_out = result["images"] - len(scores)
    note = f" {number_of(left_out, 'image')} without a labeled pixel left out." if left_out else ""
    parts = [
        "<section><h2>Images</h2><p class=gray>An image's mIoU is the mean over the classes that its label holds."
        f"{note}</p>"
    ]
    if len(scores) > 2:
        low, middle = np.quantile(scores, 0.1), np.median(scores)
        parts.append(
            f"<div class=charts><figure><figcaption>Images by their mIoU</figcaption>{_histogram(scores)}</figure>"
            f"<div class=quantiles><dl class=figures><div><dt>half of the images reach</dt><dd>{100 * middle:.1f}"
            f"<small>%</small></dd></div><div><dt>the lowest tenth stays below</dt><dd>{100 * low:.1f}<small>%</small>"
            "</dd></div></dl></div></div>"
        )
    legend = "".join(
        f"<li>{swatch(color)}{_text(name)}</li>"
        for (name, iou), color in zip(result["iou"].items(), colors)
        if iou is not None
    )
    keys = (
        "<li><span class=key style='background:var(--magenta)'></span>wrong</li>"
        "<li><span class=key style='background:#8a8a90'></span>no label</li>"
        "<li><span class='key outline'></span>true border, in the enlargement</li>"
    )
    parts.append(f"<ul class='legend classes-key'>{legend}</ul><ul class=legend>{keys}</ul>")
    for title, group in (("worst", worst), ("best", best)):
        if group:
            heading = f"The {len(group)} {title}" if len(group) > 1 else f"The {title}" if best else "The image"
            parts.append(f"<h3 class=block>{heading}</h3>" + "".join(map(_photo, group)))
    return "".join(parts) + "</section>"


def _photo(image: Shown) -> str:
    figures = ""
    for panel, (encoded, (width, height)) in zip(PANELS, image.pictures):
        picture = (
            f"<img alt='{panel} of {_text(image.name)}' width={width} height={height} decoding=async "
            f"src='{data_uri(encoded, 'jpeg')}'>"
        )
        figures += (
            f"<figure><label class=zoom><input type=checkbox aria-label='enlarge {panel}'>{picture}</label>"
            f"<figcaption>{panel}</figcaption></figure>"
        )
    mistake = f", most often {_text(image.mistake[0])} called {_text(image.mistake[1])}" if image.mistake else ""
    return (
        f"<article class=photo id=image-{image.index}><header><h4>{_text(image.name)}</h4><span>mIoU "
        f"{_percent(image.miou)}</span><span class=gray>{_percent(image.wrong)} of its pixels wrong{mistake}</span>"
        f"</header><div class=panels>{figures}</div></article>"
    )


def _histogram(scores: Sequence[float]) -> str:
    """Images by their mIoU, in steps of 1 to 10 %, as an SVG."""
    lowest, highest = 100 * min(scores), 100 * max(scores)
    width = next(w for w in (1, 2, 5, 10) if highest // w - lowest // w < _BARS)
    first, last = (int(min(end, 100 - width) // width) for end in (lowest, highest))
    edges = width * np.arange(first, last + 2)
    counts = np.histogram(100 * np.array(scores), bins=edges)[0].tolist()
    left, right, top, bottom = 8, 452, 22, 190
    step = min((right - left) / len(counts), 60)
    right = round(left + step * len(counts))
    parts = []
    for i, (low, count) in enumerate(zip(edges.tolist(), counts)):
        x, height = left + i * step, (bottom - top) * count / max(counts)
        if count:
            parts.append(
                f"<rect x={x + 1.5:.1f} y={bottom - height:.1f} width={step - 3:.1f} height={height:.1f} rx=2 "
                f"fill='var(--curve)'><title>{low} to {low + width} %: {number_of(count, 'image')}</title></rect>"
                f"<text x={x + step / 2:.1f} y={bottom - height - 6:.1f} text-anchor=middle>{count}</text>"
            )
    parts.append(f"<path d='M{left} {bottom + 0.5}H{right}' stroke='var(--gray)' />")
    for i, edge in enumerate(edges.tolist()):
        if edge % (width if len(counts) <= 8 else 5 if width == 1 else 10) == 0:
            x = left + i * step
            parts.append(f"<text x={x:.1f} y={bottom + 18} text-anchor=middle class=soft>{edge} %</text>")
    spoken = ", ".join(f"{low} to {low + width} %: {count}" for low, count in zip(edges.tolist(), counts))
    return f"<svg viewBox='-14 0 484 {bottom + 26}' role=img aria-label='{spoken}'>{''.join(parts)}</svg>"


def _footer(result: Mapping[str, Any]) -> str:
    absent, boundary = ", ".join(_text(name) for name in result["absent"]), result.get("boundary", {})
    lines = [
        "Pixels are counted at the labels' own size over the whole split; pixels without a label count nowhere.",
        "IoU of a class: pixels that label and prediction share, over those that either has. Accuracy: over the "
        "label's. mIoU and class accuracy are means over the classes.",
        f"Not in the labels of this split, and left out of the means: {absent}." if absent else "",
        "Boundary F: the harmonic mean of two shares: of the predicted border pixels that have a true one within the "
        "radius, and of the true ones that have a predicted one."
        if "boundary" in result
        else "",
        "Boundary IoU: IoU of the bands that lie inside each class along its borders, "
        f"{100 * SHARE:g} % of the image's diagonal wide. IoU near borders: over the pixels within the width of a "
        "border between two classes of the label (trimap)."
        if "iou" in boundary and "trimap" in boundary
        else "",
        f"Fingerprint of the data: <code>{_text(result['fingerprint'])}</code>.",
    ]
    return f"<footer><ul>{''.join(f'<li>{line}</li>' for line in lines if line)}</ul></footer>"


def _text(text: str) -> str:
    return escape(shown(text))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
