"""What the pages of reports share: one look in light and dark, on paper and phones, everything inside one file."""

import base64
from collections.abc import Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfa; --card: #fff; --ink: #1c1c1e; --gray: #5f5f66; --line: #e0e0dc;
  --track: #ededea; --error: #a3201a; --error-paper: #fdeeec; --warning: #7d4b00; --warning-paper: #fff4df;
  --good: #1b6638; --good-paper: #e9f5ed; }
@media (prefers-color-scheme: dark) { :root { --paper: #151618; --card: #1d1e21; --ink: #ececee; --gray: #a9abb2;
  --line: #34363b; --track: #2a2c30; --error: #ffb4ab; --error-paper: #40191a; --warning: #ffcf8a;
  --warning-paper: #3a2b10; --good: #9bdfb1; --good-paper: #14331f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 3rem 0 1rem; }
h3 { font-size: 1rem; margin: 0; display: inline; overflow-wrap: anywhere; }
p { margin: .4rem 0; }
.gray, figcaption, th { color: var(--gray); }
.verdict { margin: 1.5rem 0 0; padding: 1rem 1.25rem; border-radius: 10px; font-size: 1.2rem; font-weight: 600; }
.good { background: var(--good-paper); color: var(--good); }
.error { background: var(--error-paper); color: var(--error); }
.warning { background: var(--warning-paper); color: var(--warning); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .75rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: middle; }
th { font-weight: 500; font-size: .875rem; }
th:first-child, td:first-child { padding-left: 0; }
.number { text-align: right; white-space: nowrap; }
.name { overflow-wrap: anywhere; min-width: 7rem; }
.swatch { display: inline-block; width: 1rem; height: 1rem; border-radius: 4px; margin-right: .6rem;
  vertical-align: -.15rem; border: 1px solid var(--gray); }
.swatch, .bar i { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.bar { min-width: 5rem; width: 28%; }
.bar span { display: block; height: .8rem; border-radius: 3px; background: var(--track); }
.bar i { display: block; height: 100%; min-width: 2px; border-radius: 3px; border: 1px solid var(--gray); }
ul { margin: .5rem 0; padding-left: 1.2rem; }
li { overflow-wrap: anywhere; }
code, pre { font: .875rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { background: var(--track); border-radius: 8px; padding: .75rem 1rem; margin: .75rem 0; overflow-x: auto;
  white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--gray); margin-top: .5rem; }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figure img { display: block; width: 100%; height: auto; border-radius: 6px; outline: 1px solid var(--line); }
figcaption { font-size: .85rem; line-height: 1.4; margin-top: .35rem; overflow-wrap: anywhere; }
.zoom { display: block; cursor: zoom-in; position: relative; }
.zoom input { position: absolute; opacity: 0; }
.zoom input:focus-visible + img { outline: 3px solid var(--ink); outline-offset: 2px; }
.zoom input:checked + img { position: fixed; inset: 0; width: 100vw; height: 100vh; max-height: none; z-index: 1;
  object-fit: contain; object-position: center; background: rgba(0, 0, 0, .88); border-radius: 0; cursor: zoom-out; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; padding: 0; margin: 0 0 1rem; list-style: none; }
@media (max-width: 560px) { main { padding: 1.5rem 1rem 3rem; } th, td { padding: .4rem .4rem; } }
@media print { html { font-size: 70%; } main { max-width: none; padding: 0; } .scroll { overflow: visible; }
  details { display: none; } }
"""


def document(title: str, body: str, style: str = "", script: str = "") -> str:
    """A whole page of HTML.

    Args:
        title: plain text, escaped here.
        body: HTML, whose texts are escaped already.
        style: CSS that is added to `STYLE`.
        script: JavaScript that runs once the page is read.
    """
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head>\n<body><main>\n{body}\n</main>"
        + (f"<script>{script}</script>" if script else "")
        + "</body></html>\n"
    )


def data_uri(encoded: bytes, kind: str) -> str:
    """The bytes of a picture as an address; ``kind`` is jpeg or png."""
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"


def css_color(color: Sequence[int]) -> str:
    """An RGB triple (0 to 255) in CSS."""
    return f"rgb({color[0]},{color[1]},{color[2]})"


def swatch(color: Sequence[int]) -> str:
    """A small square of a color, to stand before a name."""
    return f"<span class=swatch style='background:{css_color(color)}'></span>"
