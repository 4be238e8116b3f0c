"""Table, plot and page, from figures that are made up."""

import csv
import io
import random
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from pixalign.comparing import plot
from pixalign.comparing.page import headlines, write_page
from pixalign.comparing.plot import draw_plot
from pixalign.comparing.table import notes, order, result_table, write_tables
from pixalign.text import points

CLASSES = ["road", "car", "absent"]


def figures(methods=("bilinear", "flow", "ifa"), seeds=(0,), splits=("val", "dusk")):
    """Results as `compare` returns them: the n-th method gains n - 1 points, within half a point, at 10 n ms."""
    dice = random.Random(0)
    results = {
        "baseline": methods[0],
        "level": 0.95,
        "splits": {s: {"data": f"streets/{s}", "images": 101, "fingerprint": "f" * 16} for s in splits},
        "classes": CLASSES,
        "training": {"name": "streets/train", "pairs": 305, "fingerprint": "e" * 16, "classes": CLASSES},
        "recipe": {"epochs": 30, "model": {"encoder": "resnet18"}},
        "latency": {
            "machine": {"processor": "a processor", "cores": 2, "threads": 1, "device": "cpu", "torch": "2.9"},
            "size": [360, 480],
            "rounds": 30,
        },
        "methods": {},
        "unfinished": [],
        "out": "runs/x",
        "command": "pixalign compare --config x.yaml",
        "versions": {"torch": ["2.9"]},
    }
    for place, name in enumerate(methods):
        gained = 0.01 * (place - 1)
        cost = {"parameters": 11_700_000, "operations": 19e9, "latency": 0.01 * (place + 1), "ratio": place + 1.0}
        method = {"seeds": list(seeds), "changes": {"model": {"name": name}}, "cost": cost, "splits": {}}
        for split in splits:
            own = {str(seed): 0.5 + gained + 0.001 * seed for seed in seeds}
            spread = {"mean": 0.5 + gained, "deviation": 0.002 if len(seeds) > 1 else None, "seeds": own}
            gain = {
                "difference": gained, "low": gained - 0.005, "high": gained + 0.005,
                "seeds": {str(seed): gained + dice.gauss(0, 0.002) for seed in seeds},
            }  # fmt: skip
            measures = ("miou", "boundary_f_1", "boundary_f_3")
            method["splits"][split] = {
                **dict.fromkeys(measures, spread),
                "iou": {"road": 0.9, "car": 0.4, "absent": None},
                "gain": {**dict.fromkeys(measures, gain), "iou": {"road": 0.02, "car": -0.01, "absent": None}}
                if place
                else None,
            }
        results["methods"][name] = method
    return results


def shown(results, width=160):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(result_table(results, width))
    return console.export_text()


def test_the_baseline_comes_first_and_the_best_of_the_others_next():
    assert order(figures(), "val") == ["bilinear", "ifa", "flow"]


def test_the_table_shows_gains_with_intervals_for_each_split():
    text = shown(figures())
    assert text.index("val (101)") < text.index("dusk (101)")
    assert len(re.findall(r"ifa +51.0 +\+1\.0 \[\+0\.5, \+1\.5\]", text)) == 2
    assert "× 3.00" in text


def test_on_80_columns_costs_are_a_table_of_their_own_and_nothing_is_cut():
    names = ("bilinear", "gated_dual_flow", "ifa")
    text = shown(figures(names), 80)
    assert "Costs" in text
    assert "…" not in text
    assert len(re.findall(r"gated_dual_flow +50.0 +0\.0 \[−0\.5, \+0\.5\]", text)) == 2


def test_bold_is_what_leaves_out_zero(tmp_path):
    write_tables(figures(), tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert "| ifa | 51.0 | **+1.0 [+0.5, +1.5]** |" in text
    assert "| flow | 50.0 | 0.0 [−0.5, +0.5] |" in text


def test_the_csv_holds_shares_of_every_measure(tmp_path):
    write_tables(figures(seeds=(0, 1)), tmp_path)
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert rows[1] == rows[1] | {
        "split": "val", "method": "ifa", "seeds": "2", "miou": "0.510000", "miou_deviation": "0.002000",
        "boundary_f_1_gain_low": "0.005000", "parameters": "11700000", "latency": "0.030000", "latency_ratio": "3.0",
    }  # fmt: skip
    assert rows[0]["miou_gain"] == ""


def test_the_notes_say_what_the_intervals_cover():
    one, several = " ".join(notes(figures())), " ".join(notes(figures(seeds=(0, 1, 2))))
    assert "One seed per method: the intervals cover the images alone" in one
    assert "3 seeds per method" in several
    assert "One seed" not in several
    assert "480 x 360, fp32, a processor, 1 thread" in one


def test_runs_without_figures_are_listed_below():
    results = figures()
    results["unfinished"] = [
        {"method": "ddsm", "seed": 0, "state": "not run yet"},
        {"method": "ddsm", "seed": 1, "state": "not run yet"},
        {"method": "flow", "seed": 1, "state": "begun"},
        {"method": "bad", "seed": 0, "state": "failed", "reason": "no such aligner"},
    ]
    said = notes(results)
    assert "Not in the table: not run yet: ddsm (seeds 0, 1); begun, not done: flow (seed 1)." in said
    assert "Failed: bad, seed 0: no such aligner." in said


def test_without_the_baseline_there_are_figures_and_no_gains():
    results = figures()
    del results["methods"]["bilinear"]
    for method in results["methods"].values():
        for split in method["splits"].values():
            split["gain"] = None
    assert "No gains: bilinear" in " ".join(notes(results))
    assert "51.0" in shown(results)
    assert headlines(results, "val")[0] == "No method can be set against the baseline yet"


@pytest.mark.parametrize(
    ("share", "signed", "text"),
    [
        (0.1234, False, "12.3"),
        (0.1234, True, "+12.3"),
        (-0.02, True, "−2.0"),
        (-0.0001, True, "0.0"),
        (None, True, "–"),
    ],
)
def test_shares_are_written_as_percent(share, signed, text):
    assert points(share, signed) == text


def test_the_headline_names_the_best_and_its_price():
    first, second = headlines(figures(), "val")
    assert first == "ifa gains +1.0 [+0.5, +1.5] points of mIoU over bilinear at 3.00 times its latency"
    assert second.startswith("1 of 2 is told apart from bilinear")
    results = figures(("bilinear", "flow"))
    assert headlines(results, "val")[0].startswith("No method is told apart from bilinear as better: the nearest, flow")


def labels_of(results, tmp_path, monkeypatch):
    """The boxes of the names in each panel of the plot, as they were drawn."""
    drawn = []
    save = Figure.savefig

    def keep(figure, *arguments, **options):
        for axes in figure.axes:
            texts = [text for text in axes.texts if text.get_text()]
            drawn.append({text.get_text(): text.get_window_extent() for text in texts})
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    assert draw_plot(results, tmp_path / "plot.png")
    return drawn


def test_the_plot_names_every_method_and_no_two_names_overlap(tmp_path, monkeypatch):
    names = ("bilinear", "flow", "gated_flow", "dual_flow", "gated_dual_flow", "dynamic_dual", "implicit", "dysample")
    results = figures(names)
    dice = random.Random(1)
    for method in results["methods"].values():
        method["cost"]["latency"] = 0.02 + 0.002 * dice.random()
        for split in method["splits"].values():
            split["miou"] = {**split["miou"], "mean": 0.5 + 0.004 * dice.random()}
    for panel in labels_of(results, tmp_path, monkeypatch):
        assert set(panel) == set(names)
        boxes = list(panel.values())
        overlaps = [plot._overlap(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
        assert max(overlaps) < 1
    assert np.asarray(Image.open(tmp_path / "plot.png")).std() > 10


def test_without_latencies_there_is_no_plot(tmp_path):
    results = figures()
    for method in results["methods"].values():
        method["cost"] = None
    (tmp_path / "plot.png").write_text("of an earlier report")
    assert not draw_plot(results, tmp_path / "plot.png")
    assert not (tmp_path / "plot.png").exists()
    write_page(results, tmp_path)
    assert "–" in shown(results)


class Reader(HTMLParser):
    """Collects what a page would load, and its words."""

    def __init__(self, text):
        super().__init__()
        self.sources, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.sources += [value for key, value in attributes if key in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_whole_and_loads_nothing(tmp_path):
    results = figures(seeds=(0, 1))
    draw_plot(results, tmp_path / "plot.png")
    page = Reader(write_page(results, tmp_path).read_text())
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert len(page.sources) == 1
    text = " ".join(page.words)
    for expected in (
        "Gains over bilinear",
        "mIoU on dusk",
        "Gains by class",
        "absent",
        "encoder: resnet18",
        "seed 1: ",
    ):
        assert expected in text
    assert "pixalign compare --config x.yaml" in text


def test_names_are_escaped(tmp_path):
    results = figures(("bilinear", "flow"))
    hostile = "<script>alert(1)</script>"
    results["recipe"]["note"] = results["training"]["name"] = hostile
    for method in results["methods"].values():
        method["changes"] = {"x": hostile}
        for split in method["splits"].values():
            split["iou"][hostile] = 0.5
            if split["gain"]:
                split["gain"]["iou"][hostile] = 0.1
    assert "<script" not in write_page(results, tmp_path).read_text()
