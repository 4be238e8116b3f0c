"""Annotations of YOLO, Supervisely and Label Studio, and annotations beside masks."""

import base64
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hostile.case import BACKGROUND, Case, Pair, Reading, corners, foreign, kind, put
from hostile.labelme import labelme

# YOLO -----------------------------------------------------------------------------------------------------------------


def yolo_lines(case: Case, pair: Pair) -> str:
    height, width = pair.ids.shape
    lines = []
    for shape in pair.shapes:
        points = [v for x, y in corners(case, shape) for v in (x / width, y / height)]
        lines.append(f"{shape.label - 1} " + " ".join(f"{v:.6f}" for v in points))
    return "\n".join(lines) + case.dice.choice(["\n", ""])


def yolo_folder(case: Case, form: str, change: Callable[[str, int], str | None] = lambda text, i: text) -> None:
    names = case.names(4, BACKGROUND)
    case.classes = names
    pairs = case.scenes(4, count=6)
    for i, (stem, pair) in enumerate(pairs):
        split = "train" if i < 4 else "val"
        spelled = "valid" if split == "val" and form == "roboflow" else split
        images, labels = {
            "roboflow": (f"{spelled}/images", f"{spelled}/labels"),
            "undivided": ("images", "labels"),
        }.get(form, (f"images/{split}", f"labels/{split}"))
        image = case.root / images / f"{stem}.jpg"
        case.write_image(pair, image)
        text = change(yolo_lines(case, pair), i)
        if text is not None:
            put(case.root / labels / f"{stem}.txt", foreign(case, text))
        case.expect(image, pair, "" if form == "undivided" else split)
    style = str(case.pick("names", ["list", "dictionary", "lines"]))
    quoted = [json.dumps(name, ensure_ascii=False) for name in names[1:]]
    listing = {
        "list": f"names: [{', '.join(quoted)}]\n",
        "dictionary": "names:\n" + "".join(f"  {i}: {name}\n" for i, name in enumerate(quoted)),
        "lines": "names:\n" + "".join(f"- {name}\n" for name in quoted),
    }[style]
    paths = {
        "roboflow": "train: ../train/images\nval: ../valid/images\n",
        "undivided": "path: .\ntrain: images\nval: images\n",
    }.get(form, "path: ../datasets/x\ntrain: images/train\nval: images/val\n")
    file = str(case.pick("file", ["data.yaml", "dataset.yaml"] if form == "ultralytics" else ["data.yaml"]))
    put(case.root / file, foreign(case, f"{paths}nc: {len(names) - 1}\n{listing}"))


@kind(must_read=True)
def yolo_polygons(case: Case) -> None:
    yolo_folder(case, str(case.pick("form", ["ultralytics", "roboflow"])))


@kind
def yolo_undivided(case: Case) -> None:
    """One folder for all, which data.yaml names for both splits: divided by name, or both and said so."""
    yolo_folder(case, "undivided")
    case.readings.append(Reading("both, said so", warning="two splits", twice=True))


@kind
def yolo_wrong(case: Case) -> None:
    """Boxes where polygons belong, classes that no list names, values that are no numbers or outside the picture."""
    form = str(
        case.pick(
            "form", ["boxes", "unknown class", "words", "odd count", "pixels", "negative class", "empty", "missing"]
        )
    )

    def change(text: str, i: int) -> str | None:
        if form == "boxes":
            return "0 0.5 0.5 0.2 0.3\n1 0.2 0.2 0.1 0.1\n"
        if i:
            return text
        if form == "missing":
            return None
        return {
            "unknown class": "9 0.1 0.1 0.4 0.1 0.4 0.5\n",
            "words": "disc 0.1 0.1 0.4 0.1 0.4 0.5\n",
            "odd count": "0 0.1 0.1 0.4 0.1 0.4 0.5 0.2\n",
            "pixels": "0 3 3 17 3 17 20\n",
            "negative class": "-1 0.1 0.1 0.4 0.1 0.4 0.5\n",
            "empty": "",
        }[form]

    yolo_folder(case, "ultralytics", change)
    if form in ("empty", "missing"):  # YOLO's way to say that the picture holds no object
        first = next(iter(case.pairs.values()))
        first.ids[:] = 0
        case.refusal = "no" if form == "empty" else "may"
    else:
        case.must_refuse()
        if form == "boxes":  # whose inside is not known to the pixel
            case.readings = []


# Others ---------------------------------------------------------------------------------------------------------------


@kind
def supervisely(case: Case) -> None:
    """A project of Supervisely: bitmaps in JSON beside the images."""
    names = case.names(4, BACKGROUND)
    case.classes = names
    put(
        case.root / "meta.json",
        json.dumps({"classes": [{"title": n, "shape": "bitmap", "color": "#ff0000"} for n in names[1:]], "tags": []}),
    )
    deep = case.maybe("below a data set")
    base = case.root / "ds0" if deep else case.root
    for stem, pair in case.scenes(4):
        image = base / "img" / f"{stem}.jpg"
        case.write_image(pair, image)
        case.expect(image, pair)
        objects = []
        for shape in pair.shapes:
            ys, xs = np.nonzero(shape.inside)
            crop = shape.inside[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
            buffer = io.BytesIO()
            Image.fromarray(crop).save(buffer, "PNG")
            data = base64.b64encode(zlib.compress(buffer.getvalue())).decode()
            objects.append(
                {"classTitle": names[shape.label], "geometryType": "bitmap", "tags": [],
                 "bitmap": {"data": data, "origin": [int(xs.min()), int(ys.min())]}}
            )  # fmt: skip
        height, width = pair.ids.shape
        content = {"description": "", "size": {"height": height, "width": width}, "tags": [], "objects": objects}
        put(base / "ann" / f"{stem}.jpg.json", json.dumps(content))


@kind
def label_studio(case: Case) -> None:
    """Label Studio's own JSON of polygons in percent, and its brush masks, one PNG per label."""
    form = str(case.pick("form", ["json", "brush png"]))
    names = case.names(4, BACKGROUND)
    case.classes = names
    tasks = []
    for i, (stem, pair) in enumerate(case.scenes(4)):
        image = case.root / "images" / f"{stem}.png"
        case.write_image(pair, image)
        case.expect(image, pair)
        height, width = pair.ids.shape
        results = [
            {
                "type": "polygonlabels",
                "original_width": width,
                "original_height": height,
                "value": {
                    "points": [[100 * x / width, 100 * y / height] for x, y in shape.corners],
                    "polygonlabels": [names[shape.label]],
                },
            }
            for shape in pair.shapes
        ]
        tasks.append({"id": i, "data": {"image": f"/data/upload/1/{stem}.png"}, "annotations": [{"result": results}]})
        if form == "brush png":
            for label in range(1, 4):
                file = f"task-{i}-annotation-{i}-by-1-tag-{names[label].split()[0].strip(':')}-0.png"
                put(case.root / "masks" / file, _png((pair.ids == label).astype(np.uint8) * 255))
    if form == "json":
        put(case.root / "project-1-at-2026-01-01.json", json.dumps(tasks))


def _png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


@kind
def annotations_beside_masks(case: Case) -> None:
    """Masks and a COCO or Labelme file that says something else: the masks, or refused."""
    form = str(case.pick("form", ["coco", "labelme"]))
    names = case.names(3)
    case.yaml(names)
    for stem, pair in case.scenes():
        image = case.root / "images" / f"{stem}.png"
        case.write_image(pair, image)
        put(case.root / "masks" / f"{stem}.png", _png(pair.ids))
        case.expect(image, pair)
        if form == "labelme":
            content = labelme(case, pair, ["", names[2], names[1]], image.name, "polygon")
            put(Path(f"{image.with_suffix('')}.json"), json.dumps(content))
    if form == "coco":
        put(
            case.root / "annotations.json",
            json.dumps({"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}]}),
        )
