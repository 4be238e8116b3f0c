"""What a sheet says about a network: sections of pictures, each with a sentence in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from pixalign.aligners.geometry import Gate, Mixing, Points, Size
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
from pixalign.explaining.pictures import View, paint, painted_errors, painted_ids, whole, with_borders
from pixalign.models.ifa import IFA
from pixalign.pages.sheet import Panel, Section, bar_key, wheel_key
from pixalign.predicting.result import draw_overlay

_DIRECTIONS = (
    "to the right", "to the lower right", "below", "to the lower left",
    "to the left", "to the upper left", "above", "to the upper right",
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """What all networks are shown on: the image (H, W, C), the label (H, W) or None, the pixel (x, y), its window."""

    image: np.ndarray
    label: np.ndarray | None
    pixel: tuple[int, int]
    window: View

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.image.shape[0], self.image.shape[1]


def one_network(evidence: Evidence, scene: Scene) -> list[Section]:
    """The sections of one network's sheet."""
    sections = [_answer(evidence, scene)]
    sections += _alignment(evidence, scene)
    sections += _features(evidence, scene)
    sections.append(_boundary(evidence, scene))
    return sections


def several_networks(evidences: Sequence[Evidence], scene: Scene) -> list[Section]:
    """The sections of the sheet that compares several networks at one place."""
    view, window, size = whole(scene.image), scene.window, scene.size
    result = evidences[0].result
    picture = paint(draw.rgb(scene.image), view, size, smooth=True)
    apart = _disagreement(scene.image, [e.result.ids for e in evidences])
    place = [
        Panel("Image", draw.mark(draw.draw_frame(picture, view, window), view, scene.pixel), "Frame: the window."),
        Panel("Where they disagree", paint(apart, view, size), "Orange: they do not all give the same class."),
        Panel("The window", paint(draw.rgb(scene.image), window, size)),
    ]
    if scene.label is not None:
        place.append(Panel("Its label", paint(painted_ids(scene.label, result.colors), window, size)))
    answers, wrong = [], []
    for evidence in evidences:
        ids = evidence.result.ids
        shown = paint(painted_ids(ids, evidence.result.colors), window, size)
        if scene.label is not None:
            shown = with_borders(shown, scene.label, window, 1.0)
            errors = paint(painted_errors(scene.image, ids, scene.label), window, size)
            wrong.append(Panel(f"Errors of {evidence.name}", errors, _right(ids, scene, False)))
        answers.append(Panel(evidence.name, shown, _right(ids, scene, True)))
    shown_ids = [scene.label] if scene.label is not None else []
    legend = _legend([*shown_ids, *(e.result.ids for e in evidences)], result.classes, result.colors)
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


def _answer(evidence: Evidence, scene: Scene) -> Section:
    view, size, result = whole(scene.image), scene.size, evidence.result
    ids = result.ids
    picture = paint(draw.rgb(scene.image), view, size, smooth=True)
    panels = [
        Panel(
            "Image",
            draw.mark(draw.draw_frame(picture, view, scene.window), view, scene.pixel),
            "Ring: the marked pixel; frame: the window that is enlarged below.",
        ),
        Panel("Prediction", paint(np.asarray(result.overlay(0.6)), view, size, smooth=True)),
    ]
    shown = [ids]
    if scene.label is None:
        panels.append(_lead(evidence, view, size))
    else:
        shown.append(scene.label)
        overlay = np.asarray(draw_overlay(result.image, scene.label, result.colors, 0.6))
        panels.append(Panel("Label", paint(overlay, view, size, smooth=True)))
        errors = paint(painted_errors(scene.image, ids, scene.label), view, size)
        panels.append(
            Panel("Errors", errors, f"Magenta: wrong. {_share(ids, scene.label)} of the labeled pixels are right.")
        )
    legend = _legend(shown, result.classes, result.colors)
    return Section("What the network answers", "", panels, legend)


def _alignment(evidence: Evidence, scene: Scene) -> list[Section]:
    if isinstance(evidence.model, IFA):
        return [_ifa(evidence, scene)]
    if not evidence.alignments:
        return []
    about = evidence.alignments[0].module.about
    moved = [(a, move) for a in evidence.alignments for move in moves(a, scene.size)]
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
        sections.append(Section("What the marked pixel reads", about, [_cells_panel(scene, grids)]))
    if mixed:
        sections.append(_channels(mixed, scene))
    return sections


def _fields(evidence: Evidence, scene: Scene, moved: list[tuple[Alignment, Move]], about: str) -> Section:
    """Displacement fields in the colors of the wheel, with the gates if there are any."""
    panels: list[Panel] = []
    gated = any(gates(a) for a in evidence.alignments)
    order = moved if gated else sorted(moved, key=lambda pair: pair[1].what)
    done: list[int] = []
    for index, (alignment, move) in enumerate(order):
        panels.append(_field(alignment, move, scene, evidence.result.ids))
        last = index + 1 == len(order) or order[index + 1][0] is not alignment
        if last and id(alignment) not in done:
            done.append(id(alignment))
            panels += [_gate(gate, name, values, scene, evidence) for gate, name, values in gates(alignment)]
    text = f"{about} Color: the direction to that place; strength of color: the distance; arrows: both, sparsely."
    return Section("Where features are fetched from", text.lstrip(), panels)


def _field(alignment: Alignment, move: Move, scene: Scene, ids: np.ndarray) -> Panel:
    view, size = whole(scene.image), scene.size
    length = np.hypot(*move.pixels)
    largest = max(float(np.percentile(length, 98)), 0.05)
    picture = paint(flow_colors(move.pixels, largest), view, size)
    picture = with_borders(picture, ids, view, 0.4)
    picture = draw.draw_field(picture, view, move.pixels, size, largest)
    picture = draw.mark(picture, view, scene.pixel)
    here = move.pixels[:, *_cell(scene, move.pixels.shape[1:])]
    origin = "it stays in place" if np.hypot(*here) < 0.05 else f"from {words(here)}"
    caption = f"At the ring: {origin}. Mean over the image: {words(move.pixels.mean((1, 2)))}, "
    caption += f"median length {_pixels(float(np.median(length)))}."
    key = wheel_key(Image.fromarray(flow_wheel(256)), _pixels(largest))
    return Panel(_title(alignment, move.what, scene), picture, caption, key)


def _gate(gate: Gate, name: str, values: np.ndarray, scene: Scene, evidence: Evidence) -> Panel:
    view = whole(scene.image)
    picture = with_borders(paint(heat(values), view, scene.size), evidence.result.ids, view, 0.4)
    here = values[_cell(scene, values.shape)]
    if gate.scales == "maps":
        title, meaning = "Gate", f"1: all from the coarse map, 0: all from the fine one. At the ring {here:.2f}."
    else:
        title, meaning = f"Its gate, {name}", f"Share of the way that is gone, {name}. At the ring {here:.2f}."
    picture = draw.mark(picture, view, scene.pixel)
    return Panel(title, picture, f"{meaning} Mean {values.mean():.2f}.", _bar("0", "1"))


def _true_fields(scene: Scene, moved: list[tuple[Alignment, Move]]) -> Section:
    shown = moved if len(moved) <= 4 else [pair for pair in moved if pair[1].what == "coarse"]
    panels = []
    for alignment, move in shown:
        starts, ends = draw.cells_in(scene.window, move.pixels, scene.size)
        view = draw.around(scene.window, ends, scene.size)
        picture = _pale(paint(draw.rgb(scene.image), view, scene.size, smooth=True))
        if view.width > 1.5 * scene.window.width:
            picture = draw.draw_frame(picture, view, scene.window)
        picture = draw.draw_arrows(picture, view, starts, ends)
        panels.append(Panel(_title(alignment, move.what, scene), picture))
    if len(panels) < 3:
        panels.insert(0, Panel("The window", paint(draw.rgb(scene.image), scene.window, scene.size, smooth=True)))
    text = (
        "Arrows from pixels of the window (dots) to the places that their features are fetched from, true to scale; "
        "where they lead out of the window, more of the image is shown."
    )
    return Section("The same for the window", text, panels)


def _points(sampled: list[tuple[Alignment, Points]], scene: Scene) -> Section:
    """Sampled points of the marked pixel at each level."""
    panels = []
    for alignment, points in sampled:
        offsets, shares = places(points, scene.size)
        cell = _cell(scene, alignment.grid)
        start = _center(cell, alignment.grid, scene.size)
        ends = np.array(start) + offsets[:, :, *cell]
        margin = 0.15 * np.ptp(ends, axis=0)
        roomy = np.concatenate((ends - margin, ends + margin))
        view = draw.around(draw.window(scene.image, scene.pixel, 0.08, 32), roomy, scene.size)
        picture = _pale(paint(draw.rgb(scene.image), view, scene.size, smooth=True))
        picture = draw.draw_points(picture, view, start, ends, shares[:, *cell])
        best = int(shares[:, *cell].argmax())
        caption = f"Most ({100 * shares[best, *cell]:.0f}%) from {words(offsets[best, :, *cell])}. "
        caption += f"On average over the image the strongest point has {100 * shares.max(0).mean():.0f}%."
        if points.affinity is None:
            caption = f"{len(ends)} groups of channels, each with a place of its own."
        panels.append(Panel(_title(alignment, "coarse", scene), picture, caption))
    if sampled[0][1].affinity is None:
        text = (
            "Lines go from the marked pixel's cell to where each group of channels is read; number: share in percent."
        )
    else:
        text = (
            "Lines go from the marked pixel's cell to the places where it reads the coarse map; area and number: the "
            "affinity, its share of the sum in percent."
        )
    return Section("What the marked pixel reads", text, panels)


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


def _ifa(evidence: Evidence, scene: Scene) -> Section:
    """Nearest cells at all levels, and the answer at three densities of points."""
    model: Any = evidence.model
    panels = [_cells_panel(scene, cells(evidence))]
    for zoom in (1, 2, 4):
        ids = _ids_at(model, evidence.features, scene, zoom)
        picture = Image.fromarray(painted_ids(ids, evidence.result.colors))
        factor = scene.window.size[0] / picture.width
        size = (scene.window.size[0], round(picture.height * factor))
        picture = picture.resize(size, Image.Resampling.NEAREST)
        points_in = f"{ids.shape[1]} × {ids.shape[0]} points"
        caption = (
            f"Asked at {points_in}: {'each pixel' if zoom == 1 else f'{zoom} × {zoom} points per pixel'} of the window."
        )
        panels.append(Panel(f"Its answer at {zoom}×", picture, caption))
    text = (
        "Nothing is moved or resized: at any point, IFA reads the nearest cell of each level and where in that cell "
        "the point lies, and answers. So it can be asked at any resolution."
    )
    if model.queries == "finest" and not model.train_points:
        text += (
            " This one was trained at the centers of the finest cells alone, where its prediction asks as well: places "
            "between them are new to it."
        )
    return Section("What the marked pixel reads, and answers between the pixels", text, panels)


def _cells_panel(scene: Scene, grids: list[Size]) -> Panel:
    read = [_read_cell(scene, grid) for grid in grids]
    x, y = scene.pixel[0] + 0.5, scene.pixel[1] + 0.5
    corners = np.array([corner for _, box in read for corner in (box[:2], box[2:])])
    view = draw.around(View(x, y, 0, 0), corners, scene.size)
    picture = _pale(paint(draw.rgb(scene.image), view, scene.size, smooth=True))
    picture = draw.draw_cells(picture, view, (x, y), read)
    caption = "Squares: the nearest cell at each level; lines: from its center to the marked pixel."
    return Panel("Nearest cells", picture, caption)


def _features(evidence: Evidence, scene: Scene) -> list[Section]:
    view = draw.window(scene.image, scene.pixel, 0.45, 288)
    same = "Like features have like colors (their three principal components)."
    if not evidence.alignments:
        maps = laterals(evidence)
        panels = []
        for x in maps:
            colors = feature_colors([x[0].float().cpu().numpy()])[0]
            panels.append(Panel(f"Map at {_stride(x.shape[-1], scene)}", paint(colors, whole(scene.image), scene.size)))
        if isinstance(evidence.model, IFA):
            return [Section("The maps that it reads", f"{same} Each map has colors of its own.", panels)]
        text = "This network has no aligner of pixalign, so there is no geometry to show; these are its encoder's maps."
        return [Section("Features", f"{text} {same} Each map has colors of its own.", panels)] if panels else []
    panels = []
    last = evidence.alignments[-1]
    alignments = [last] if last.module.merges else evidence.alignments
    for alignment in alignments:
        for steps in feature_steps(alignment):
            painted = feature_colors([x[0].float().cpu().numpy() for _, x in steps])
            for (title, _), picture in zip(steps, painted):
                panels.append(Panel(title[0].upper() + title[1:], paint(picture, view, scene.size)))
    where = "around the window" if len(alignments) > 1 else f"around the window, at {_levels(alignments[0], scene)}"
    if not last.geometry:
        return [Section("Features, merged", f"{last.module.about} {same} Shown {where}.".lstrip(), panels)]
    return [Section("Features before and after", f"{same} Before and after share their colors. Shown {where}.", panels)]


def _boundary(evidence: Evidence, scene: Scene) -> Section:
    window, size, result = scene.window, scene.size, evidence.result
    panels = [Panel("Image", paint(draw.rgb(scene.image), window, size))]
    prediction = paint(painted_ids(result.ids, result.colors), window, size)
    if scene.label is None:
        panels += [Panel("Prediction", prediction), _lead(evidence, window, size)]
        text = "The window, pixel by pixel."
    else:
        panels += [
            Panel("Label", paint(painted_ids(scene.label, result.colors), window, size)),
            Panel("Prediction", with_borders(prediction, scene.label, window, 1.0), _right(result.ids, scene, True)),
            Panel("Errors", paint(painted_errors(scene.image, result.ids, scene.label), window, size)),
        ]
        text = "The window, pixel by pixel. Black in the prediction: the borders of the label."
    return Section("The boundary", text, panels)


def _lead(evidence: Evidence, view: View, size: tuple[int, int]) -> Panel:
    lead = leads(evidence)
    caption = "Lead of the likeliest class over the next one, in probability: dark is undecided."
    return Panel("Certainty", paint(heat(lead), view, size), caption, _bar("0", "1"))


def leads(evidence: Evidence) -> np.ndarray:
    """How far (H, W), 0 to 1, the probability of the likeliest class leads over that of the next one."""
    shares = evidence.result.probabilities
    assert shares is not None
    if len(shares) == 1:
        return np.ones(shares.shape[1:], np.float32)
    second, first = np.partition(shares, -2, axis=0)[-2:]
    return first - second


def _ids_at(model: IFA, features: list[torch.Tensor], scene: Scene, zoom: int) -> np.ndarray:
    """The classes that IFA gives at ``zoom`` x ``zoom`` points for each pixel of the window."""
    window = scene.window
    columns, rows = round(window.width) * zoom, round(window.height) * zoom
    x = (window.left + (torch.arange(columns) + 0.5) / zoom) / scene.size[1] * 2 - 1
    y = (window.top + (torch.arange(rows) + 0.5) / zoom) / scene.size[0] * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1)[None].to(features[0].device)
    with torch.inference_mode():
        logits = model.decode(features, points=grid)
    return logits[0].argmax(0).view(rows, columns).to(torch.uint8).cpu().numpy()


def _read_cell(scene: Scene, grid: tuple[int, int]) -> tuple[str, tuple[float, float, float, float]]:
    """Name and edges (pixels of the image) of the cell of a map that holds the marked pixel."""
    row, column = _cell(scene, grid)
    height, width = scene.size[0] / grid[0], scene.size[1] / grid[1]
    return _stride(grid[1], scene), (column * width, row * height, (column + 1) * width, (row + 1) * height)


def _cell(scene: Scene, grid: Sequence[int]) -> tuple[int, int]:
    """Row and column of the marked pixel's cell."""
    return (
        int((scene.pixel[1] + 0.5) * grid[0] / scene.size[0]),
        int((scene.pixel[0] + 0.5) * grid[1] / scene.size[1]),
    )


def _center(cell: tuple[int, int], grid: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
    """x, y of a cell's center in pixels of the image."""
    return (cell[1] + 0.5) * size[1] / grid[1], (cell[0] + 0.5) * size[0] / grid[0]


def _title(alignment: Alignment, what: str, scene: Scene) -> str:
    if what == "fine":
        return f"Fine map at {_stride(alignment.grid[1], scene)}"
    return f"Coarse map, {_levels(alignment, scene)}"


def _levels(alignment: Alignment, scene: Scene) -> str:
    return f"{_stride(alignment.coarse.shape[-1], scene)}\u00a0→\u00a0{_stride(alignment.grid[1], scene)}"


def _stride(cells: int, scene: Scene) -> str:
    """Resolution of a map of so many columns: 1/4, 1/8, ..."""
    return f"1/{2 ** round(float(np.log2(scene.size[1] / cells)))}"


def _legend(
    shown: Sequence[np.ndarray], classes: Sequence[str], colors: Sequence[Sequence[int]]
) -> list[tuple[str, Sequence[int]]]:
    """Names and colors of the classes that occur, and of no label."""
    found = np.unique(np.concatenate([np.unique(ids) for ids in shown]))
    return [(classes[i], colors[i]) if i < len(classes) else ("no label", (255, 255, 255)) for i in found.tolist()]


def _share(ids: np.ndarray, label: np.ndarray) -> str:
    labeled = label != 255
    return f"{(ids == label)[labeled].mean():.1%}" if labeled.any() else "none"


def _right(ids: np.ndarray, scene: Scene, in_window: bool) -> str:
    if scene.label is None:
        return ""
    if not in_window:
        return f"{_share(ids, scene.label)} of the whole image right."
    window = scene.window
    rows = slice(int(window.top), int(window.top + window.height))
    columns = slice(int(window.left), int(window.left + window.width))
    return f"{_share(ids[rows, columns], scene.label[rows, columns])} of the window right."


def _disagreement(image: np.ndarray, answers: Sequence[np.ndarray]) -> np.ndarray:
    gray = (150 + 105 * (draw.rgb(image).mean(-1, keepdims=True) / 255)).repeat(3, -1)
    gray[np.any([ids != answers[0] for ids in answers[1:]], axis=0)] = (230, 110, 0)
    return gray.astype(np.uint8)


def _pale(picture: Image.Image) -> Image.Image:
    """The picture closer to white, so that what is drawn on it stands out."""
    return Image.blend(picture, Image.new("RGB", picture.size, (225, 225, 225)), 0.3)


def _bar(low: str, high: str) -> Image.Image:
    return bar_key(Image.fromarray(heat(np.linspace(1, 0, 72)[:, None].repeat(14, 1))), low, high)
