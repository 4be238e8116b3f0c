"""What a sheet says about a network: sections of pictures, each with a sentence in plain words."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from PIL import Image

from pixalign.aligners.geometry import Gate, Mixing, Points
from pixalign.explaining import pictures as draw
from pixalign.explaining.colors import feature_colors, flow_colors, flow_wheel, heat
from pixalign.explaining.evidence import (
    Alignment,
    Evidence,
    Move,
    cells,
    feature_steps,
    gates,
    laterals,
    moves,
    places,
)
from pixalign.explaining.pictures import Scene, View, gray_with, painted_errors, painted_ids, with_borders
from pixalign.pages.sheet import Panel, Section, bar_key, wheel_key
from pixalign.predicting.result import Result, draw_overlay
from pixalign.sampling import Size

_DIRECTIONS = (
    "to the right", "to the lower right", "below", "to the lower left",
    "to the left", "to the upper left", "above", "to the upper right",
)  # fmt: skip


def one_network(evidence: Evidence, scene: Scene) -> list[Section]:
    """The sections of one network's sheet."""
    sections = [_answer(evidence, scene)]
    sections += _alignment(evidence, scene)
    sections += _features(evidence, scene)
    sections.append(_boundary(evidence, scene))
    return sections


def several_networks(evidences: Sequence[Evidence], scene: Scene) -> list[Section]:
    """The sections of the sheet that compares several networks at one place."""
    view, window, result = scene.whole, scene.window, evidences[0].result
    differ = np.any([e.result.ids != result.ids for e in evidences[1:]], axis=0)
    apart = scene.paint(gray_with(scene.image, differ), view)
    place = [
        _marked_image(scene, "Frame: the window."),
        Panel("Where they disagree", apart, "Orange: they do not all give the same class."),
        Panel("The window", scene.photo(window, False)),
    ]
    if scene.label is not None:
        place.append(Panel("Its label", scene.paint(painted_ids(scene.label, result.colors), window)))
    answers, wrong = [], []
    for evidence in evidences:
        ids = evidence.result.ids
        shown = scene.paint(painted_ids(ids, evidence.result.colors), window)
        if scene.label is not None:
            shown = with_borders(shown, scene.label, window, 1.0)
            errors = scene.paint(painted_errors(scene.image, ids, scene.label), window)
            wrong.append(Panel(f"Errors of {evidence.name}", errors, _right(ids, scene, False)))
        answers.append(Panel(evidence.name, shown, _right(ids, scene, True)))
    legend = _legend([e.result.ids for e in evidences], scene, result)
    sections = [Section("The place", "", place, legend)]
    black, magenta = "Black: the borders of the label.", "Magenta: not the label's class; hatched: without a label."
    if wrong and len(wrong) <= 2:
        return [*sections, Section("The window, side by side", f"{black} {magenta}", answers + wrong)]
    sections.append(Section("The window, side by side", black if wrong else "", answers))
    return [*sections, Section("Where each is wrong", magenta, wrong)] if wrong else sections


def words(displacement: np.ndarray) -> str:
    """A displacement (dx, dy) in words: "3.4 px to the left"."""
    length = float(np.hypot(*displacement))
    if length < 0.05:
        return "its own place"
    turn = np.arctan2(displacement[1], displacement[0]) / (2 * np.pi) % 1
    return f"{_pixels(length)} {_DIRECTIONS[round(8 * float(turn)) % 8]}"


def _pixels(length: float) -> str:
    return f"{length:.0f} px" if length >= 99.5 else f"{length:.1f} px"


def _marked_image(scene: Scene, caption: str) -> Panel:
    view = scene.whole
    return Panel("Image", draw.mark(draw.draw_frame(scene.photo(view), view, scene.window), view, scene.pixel), caption)


def _answer(evidence: Evidence, scene: Scene) -> Section:
    view, result = scene.whole, evidence.result
    panels = [
        _marked_image(scene, "Ring: the marked pixel; frame: the window that is enlarged below."),
        Panel("Prediction", scene.paint(np.asarray(result.overlay(0.6)), view, smooth=True)),
    ]
    if scene.label is None:
        panels.append(_lead(evidence, scene, view))
    else:
        overlay = np.asarray(draw_overlay(result.image, scene.label, result.colors, 0.6))
        errors = scene.paint(painted_errors(scene.image, result.ids, scene.label), view)
        share = _share(result.ids, scene.label)
        panels.append(Panel("Label", scene.paint(overlay, view, smooth=True)))
        panels.append(Panel("Errors", errors, f"Magenta: wrong. {share} of the labeled pixels are right."))
    return Section("What the network answers", "", panels, _legend([result.ids], scene, result))


def _alignment(evidence: Evidence, scene: Scene) -> list[Section]:
    if evidence.cell_maps:
        return [_cells_and_answers(evidence, scene)]
    if not evidence.alignments:
        return []
    about = " ".join(filter(None, dict.fromkeys(a.module.about for a in evidence.alignments)))
    moved = [(a, move) for a in evidence.alignments for move in moves(a, scene.covered)]
    sampled = [(a, part) for a in evidence.alignments for part in a.parts(Points)]
    mixed = [(a, part) for a in evidence.alignments for part in a.parts(Mixing)]
    sections = []
    if moved:
        sections.append(_fields(evidence, scene, moved, about))
    if sampled:
        sections.append(_points(sampled, scene))
    elif moved:
        sections.append(_true_fields(scene, moved))
    if grids := cells(evidence):
        sections.append(
            Section("What the marked pixel reads", about, [Panel("Nearest cells", draw_cells(grids, scene)[0], _CELLS)])
        )
    if mixed:
        sections.append(_channels(mixed, scene))
    return sections


def _fields(evidence: Evidence, scene: Scene, moved: list[tuple[Alignment, Move]], about: str) -> Section:
    """Displacement fields in the colors of the wheel, with the gates if there are any."""
    panels: list[Panel] = []
    gated = any(a.parts(Gate) for a in evidence.alignments)
    order = moved if gated else sorted(moved, key=lambda pair: pair[1].what)
    for _, pairs in groupby(order, key=lambda pair: id(pair[0])):
        for alignment, move in pairs:
            panels.append(_field(alignment, move, scene, evidence.result.ids))
        panels += [_gate(gate, name, values, scene, evidence) for gate, name, values in gates(alignment)]
    text = f"{about} Color: the direction to that place; strength of color: the distance; arrows: both, sparsely."
    return Section("Where features are fetched from", text.lstrip(), panels)


def _field(alignment: Alignment, move: Move, scene: Scene, ids: np.ndarray) -> Panel:
    view = scene.whole
    length = np.hypot(*move.pixels)
    largest = max(float(np.percentile(length, 98)), 0.05)
    picture = with_borders(scene.paint(flow_colors(move.pixels, largest), view), ids, view, 0.4)
    picture = draw.mark(draw.draw_field(picture, view, move.pixels, scene.covered, largest), view, scene.pixel)
    here = move.pixels[:, *scene.cell(move.pixels.shape[1:])]
    origin = "it stays in place" if np.hypot(*here) < 0.05 else f"from {words(here)}"
    caption = f"At the ring: {origin}. Mean over the image: {words(move.pixels.mean((1, 2)))}, "
    caption += f"median length {_pixels(float(np.median(length)))}."
    key = wheel_key(Image.fromarray(flow_wheel(256)), _pixels(largest))
    return Panel(_title(alignment, move.what, scene), picture, caption, key)


def _gate(gate: Gate, name: str, values: np.ndarray, scene: Scene, evidence: Evidence) -> Panel:
    view = scene.whole
    picture = with_borders(scene.paint(heat(values), view), evidence.result.ids, view, 0.4)
    here = values[scene.cell(values.shape)]
    if gate.scales == "maps":
        title, meaning = "Gate", f"1: all from the coarse map, 0: all from the fine one. At the ring {here:.2f}."
    else:
        title, meaning = f"Its gate, {name}", f"Share of the way that is gone, {name}. At the ring {here:.2f}."
    picture = draw.mark(picture, view, scene.pixel)
    return Panel(title, picture, f"{meaning} Mean {values.mean():.2f}.", _bar("0", "1"))


def _true_fields(scene: Scene, moved: list[tuple[Alignment, Move]]) -> Section:
    panels = []
    for alignment, move in moved if len(moved) <= 4 else [pair for pair in moved if pair[1].what == "coarse"]:
        starts, ends = draw.cells_in(scene.window, move.pixels, scene.covered)
        view = draw.around(scene.window, ends, scene.size)
        picture = scene.pale(view)
        if view.width > 1.5 * scene.window.width:
            picture = draw.draw_frame(picture, view, scene.window)
        panels.append(Panel(_title(alignment, move.what, scene), draw.draw_arrows(picture, view, starts, ends)))
    if len(panels) < 3:
        panels.insert(0, Panel("The window", scene.photo(scene.window)))
    text = (
        "Arrows from pixels of the window (dots) to the places that their features are fetched from, true to scale; "
        "where they lead out of the window, more of the image is shown."
    )
    return Section("The same for the window", text, panels)


def _points(sampled: list[tuple[Alignment, Points]], scene: Scene) -> Section:
    """Sampled points of the marked pixel at each level."""
    panels = []
    for alignment, points in sampled:
        picture, count, share, origin = draw_points(points, alignment, scene)
        caption = f"Most ({share:.0f}%) from {origin}. On average over the image the strongest point has "
        if points.affinity is None:
            caption = f"{count} groups of channels, each with a place of its own."
        else:
            caption += f"{100 * places(points, scene.covered)[1].max(0).mean():.0f}%."
        panels.append(Panel(_title(alignment, "coarse", scene), picture, caption))
    text = "Lines go from the marked pixel's cell to "
    if sampled[0][1].affinity is None:
        text += "where each group of channels is read; number: share in percent."
    else:
        text += (
            "the places where it reads the coarse map; area and number: the affinity, its share of the sum in percent."
        )
    return Section("What the marked pixel reads", text, panels)


def draw_points(points: Points, alignment: Alignment, scene: Scene) -> tuple[Image.Image, int, float, str]:
    """Draw the points that the marked pixel's cell samples.

    Returns:
        The picture, the number of points, the largest share in percent, and in words where that point lies.
    """
    offsets, shares = (x[..., *scene.cell(alignment.grid)] for x in places(points, scene.covered))  # (P, 2) and (P,)
    start = scene.center(alignment.grid)
    ends = start + offsets
    margin = 0.15 * np.ptp(ends, axis=0)
    view = draw.window(scene.image, scene.pixel, 0.08, 32)
    view = draw.around(view, np.concatenate((ends - margin, ends + margin)), scene.size)
    picture = draw.draw_points(scene.pale(view), view, start, ends, shares)
    best = int(shares.argmax())
    return picture, len(ends), 100 * shares[best], words(offsets[best])


def _channels(mixed: list[tuple[Alignment, Mixing]], scene: Scene) -> Section:
    panels = []
    for alignment, mixing in mixed:
        weights = mixing.weights[0].float().cpu().numpy()
        largest = float(np.percentile(weights, 99.8))
        picture = Image.fromarray(heat(weights**0.5, 0.0, largest**0.5)).resize((864, 864), Image.Resampling.NEAREST)
        own = float(np.diag(weights).mean())
        used = int((weights.max(0) > 0.05).sum())
        caption = f"A channel takes {100 * own:.0f}% from its own place on average; {used} of {len(weights)} are read."
        panels.append(Panel(_title(alignment, "coarse", scene), picture, caption, _bar("0", f"{largest:.2f}")))
    text = (
        "Row: a channel of the result; column: the coarse channel that it draws from; color: the affinity. "
        f"{mixed[0][1].about}"
    )
    return Section("Which channels are mixed", text, panels)


def _cells_and_answers(evidence: Evidence, scene: Scene) -> Section:
    """Nearest cells at all levels, and the answer at three densities of points."""
    panels = [Panel("Nearest cells", draw_cells(cells(evidence), scene)[0], _CELLS)]
    width = scene.window.size[0]
    for zoom in (1, 2, 4):
        ids = _ids_at(evidence, scene, zoom)
        size = (width, round(len(ids) * width / ids.shape[1]))
        picture = Image.fromarray(painted_ids(ids, evidence.result.colors)).resize(size, Image.Resampling.NEAREST)
        each = "each pixel" if zoom == 1 else f"{zoom} × {zoom} points per pixel"
        caption = f"Asked at {ids.shape[1]} × {ids.shape[0]} points: {each} of the window."
        panels.append(Panel(f"Its answer at {zoom}×", picture, caption))
    return Section("What the marked pixel reads, and answers between the pixels", evidence.model.about, panels)


_CELLS = "Squares: the nearest cell at each level; lines: from its center to the marked pixel."


def draw_cells(grids: list[Size], scene: Scene) -> tuple[Image.Image, list[str]]:
    """Draw the cells of grids (h, w) that hold the marked pixel; return the picture and the resolution of each map."""
    read = []
    for grid in grids:
        (row, column), height, width = scene.cell(grid), scene.covered[0] / grid[0], scene.covered[1] / grid[1]
        box = (column * width, row * height, (column + 1) * width, (row + 1) * height)
        read.append((scene.stride(grid), box))
    x, y = scene.pixel[0] + 0.5, scene.pixel[1] + 0.5
    corners = np.array([corner for _, box in read for corner in (box[:2], box[2:])])
    view = draw.around(View(x, y, 0, 0), corners, scene.size)
    return draw.draw_cells(scene.pale(view), view, (x, y), read), [name for name, _ in read]


def _features(evidence: Evidence, scene: Scene) -> list[Section]:
    view = draw.window(scene.image, scene.pixel, 0.45, 288)
    same = "Like features have like colors (their three principal components)."
    if not evidence.alignments:
        panels = []
        for x in laterals(evidence):
            colors = scene.paint(feature_colors([x[0].float().cpu().numpy()])[0], scene.whole)
            panels.append(Panel(f"Map at {scene.stride(x.shape[-2:])}", colors))
        heading, text = "The maps that it reads", f"{same} Each map has colors of its own."
        if not evidence.cell_maps:
            heading, none = "Features", "This network has no aligner of pixalign, so there is no geometry to show; "
            text = f"{none}these are its encoder's maps. {text}"
        return [Section(heading, text, panels)] if panels else []
    panels = []
    last = evidence.alignments[-1]
    alignments = [last] if last.module.merges else evidence.alignments
    for alignment in alignments:
        for steps in feature_steps(alignment):
            painted = feature_colors([x[0].float().cpu().numpy() for _, x in steps])
            for (title, _), picture in zip(steps, painted):
                panels.append(Panel(title[0].upper() + title[1:], scene.paint(picture, view)))
    where = "around the window" if len(alignments) > 1 else f"around the window, at {_levels(alignments[0], scene)}"
    if not last.geometry:
        return [Section("Features, merged", f"{last.module.about} {same} Shown {where}.".lstrip(), panels)]
    return [Section("Features before and after", f"{same} Before and after share their colors. Shown {where}.", panels)]


def _boundary(evidence: Evidence, scene: Scene) -> Section:
    window, result = scene.window, evidence.result
    prediction = scene.paint(painted_ids(result.ids, result.colors), window)
    panels, text = [Panel("Image", scene.photo(window, False))], "The window, pixel by pixel."
    if scene.label is None:
        panels += [Panel("Prediction", prediction), _lead(evidence, scene, window)]
    else:
        panels += [
            Panel("Label", scene.paint(painted_ids(scene.label, result.colors), window)),
            Panel("Prediction", with_borders(prediction, scene.label, window, 1.0), _right(result.ids, scene, True)),
            Panel("Errors", scene.paint(painted_errors(scene.image, result.ids, scene.label), window)),
        ]
        text += " Black in the prediction: the borders of the label."
    return Section("The boundary", text, panels)


def _lead(evidence: Evidence, scene: Scene, view: View) -> Panel:
    caption = "Lead of the likeliest class over the next one, in probability: dark is undecided."
    return Panel("Certainty", scene.paint(heat(leads(evidence)), view), caption, _bar("0", "1"))


def leads(evidence: Evidence) -> np.ndarray:
    """How far (H, W), 0 to 1, the probability of the likeliest class leads over that of the next one."""
    shares = evidence.result.probabilities
    assert shares is not None
    if len(shares) == 1:
        return np.ones(shares.shape[1:], np.float32)
    second, first = np.partition(shares, -2, axis=0)[-2:]
    return first - second


def _ids_at(evidence: Evidence, scene: Scene, zoom: int) -> np.ndarray:
    """The classes that the network gives at ``zoom`` x ``zoom`` points for each pixel of the window."""
    model: Any = evidence.model
    window, features = scene.window, evidence.features
    columns, rows = round(window.width) * zoom, round(window.height) * zoom
    x = (window.left + (torch.arange(columns) + 0.5) / zoom) / scene.covered[1] * 2 - 1
    y = (window.top + (torch.arange(rows) + 0.5) / zoom) / scene.covered[0] * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1)[None].to(features[0].device)
    with torch.inference_mode():
        logits = model.decode(features, points=grid)
    return logits[0].argmax(0).view(rows, columns).to(torch.uint8).cpu().numpy()


def _title(alignment: Alignment, what: str, scene: Scene) -> str:
    if what == "fine":
        return f"Fine map at {scene.stride(alignment.grid)}"
    return f"Coarse map, {_levels(alignment, scene)}"


def _levels(alignment: Alignment, scene: Scene) -> str:
    return f"{scene.stride(alignment.source)}\u00a0→\u00a0{scene.stride(alignment.grid)}"


def _legend(shown: list[np.ndarray], scene: Scene, result: Result) -> list[tuple[str, Sequence[int]]]:
    """Names and colors of the classes that occur, also in the label, and of no label."""
    found = np.unique(np.stack(shown if scene.label is None else [*shown, scene.label]))
    none = ("no label", (255, 255, 255))
    return [(result.classes[i], result.colors[i]) if i < len(result.classes) else none for i in found.tolist()]


def _share(ids: np.ndarray, label: np.ndarray) -> str:
    labeled = label != 255
    return f"{(ids == label)[labeled].mean():.1%}" if labeled.any() else "none"


def _right(ids: np.ndarray, scene: Scene, in_window: bool) -> str:
    if scene.label is None:
        return ""
    if not in_window:
        return f"{_share(ids, scene.label)} of the whole image right."
    window = scene.window
    part = np.s_[int(window.top) : int(window.top + window.height), int(window.left) : int(window.left + window.width)]
    return f"{_share(ids[part], scene.label[part])} of the window right."


def _bar(low: str, high: str) -> Image.Image:
    return bar_key(Image.fromarray(heat(np.linspace(1, 0, 72)[:, None].repeat(14, 1))), low, high)
