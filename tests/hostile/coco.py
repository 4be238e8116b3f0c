"""COCO files as their exporters write them, with ids, paths and sizes of every spelling, and wrong ones."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hostile.case import BACKGROUND, VOID, Case, Pair, Reading, corners, kind, put


def runs_of(inside: np.ndarray) -> list[int]:
    """Lengths of alternating runs outside and inside, down the columns."""
    flat = np.concatenate([[0], inside.T.ravel().astype(np.int8), [2]])
    ends = np.flatnonzero(np.diff(flat))
    lengths = np.diff(np.concatenate([[0], ends])).tolist()
    return lengths if sum(lengths) == inside.size else [*lengths, inside.size - sum(lengths)]


def compressed_runs(runs: Sequence[int]) -> str:
    """COCO's text of run lengths: groups of 5 bits, from the fourth on the difference from the last but one."""
    text = ""
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        while True:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | 32 if more else bits) + 48)
            if not more:
                break
    return text


def coco(case: Case, pairs: list[tuple[str, Pair]], names: list[str], form: str = "") -> dict[str, Any]:
    """The content of a COCO file of images by file name; categories count from 1, after the background."""
    step = int(case.pick("category step", [1, 1, 3]))
    content: dict[str, Any] = {
        "info": {"description": "x"},
        "licenses": [],
        "images": [],
        "annotations": [],
        "categories": [{"id": 1 + step * i, "name": name, "supercategory": ""} for i, name in enumerate(names[1:])],
    }
    shape_form = form or str(case.pick("shapes", ["polygons", "polygons", "runs", "compressed", "mixed", "two parts"]))
    first = int(case.pick("first id", [0, 1, 100]))
    for i, (name, pair) in enumerate(pairs):
        height, width = pair.ids.shape
        content["images"].append({"id": first + i, "file_name": name, "height": height, "width": width})
        for shape in pair.shapes:
            how = case.dice.choice(["polygons", "runs", "compressed"]) if shape_form == "mixed" else shape_form
            ys, xs = np.nonzero(shape.inside)
            box = [int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1]
            segmentation: Any
            if how == "polygons":
                segmentation = [[v for corner in corners(case, shape) for v in corner]]
            elif how == "two parts":  # of one object: the left and the right half
                middle = (int(xs.min()) + int(xs.max()) + 1) // 2
                rectangles = _rectangles(shape.inside, middle)
                segmentation = [[a, c, b, c, b, d, a, d] for a, b, c, d in rectangles]
            else:
                runs = runs_of(shape.inside)
                segmentation = {"size": [height, width], "counts": runs if how == "runs" else compressed_runs(runs)}
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": first + i,
                    "category_id": 1 + step * (shape.label - 1),
                    "iscrowd": 0,
                    "area": int(shape.inside.sum()),
                    "bbox": box,
                    "segmentation": segmentation,
                }
            )
    case.dice.shuffle(content["annotations"])
    case.classes = names
    return content


def _rectangles(inside: np.ndarray, middle: int) -> list[tuple[int, int, int, int]]:
    """Rectangles (x0, x1, y0, y1) that cover an area, cut at a column and in every row where its width changes."""
    found = []
    for a, b in ((0, middle), (middle, inside.shape[1])):
        part = inside.copy()
        part[:, :a] = part[:, b:] = False
        rows = [(int(r.min()), int(r.max()) + 1) if len(r := np.flatnonzero(row)) else None for row in part]
        start = 0
        for y in range(1, len(rows) + 1):
            if y == len(rows) or rows[y] != rows[start]:
                if span := rows[start]:
                    found.append((*span, start, y))
                start = y
    return found


PLACES = {  # file name below the root -> folder of its images
    "annotations.json": "images",
    "annotations/instances_default.json": "images",
    "result.json": "images",
    "labels.json": "data",
    "_annotations.coco.json": "",
    "annotations/instances_all.json": "images",
    "coco.json": "images",
    "instances_default.json": "images",
}
KNOWN = (
    "annotations.json",
    "annotations/instances_default.json",
    "result.json",
    "labels.json",
    "_annotations.coco.json",
)


def one_file(
    case: Case, change: Callable[[dict[str, Any]], None] = lambda content: None, form: str = "", place: str = ""
) -> None:
    """Write images and one COCO file, where a tool would have it."""
    place = place or str(case.pick("file", KNOWN))
    folder = case.root / PLACES[place]
    names = case.names(4, BACKGROUND)
    pairs = [(f"{stem}{case.dice.choice(['.png', '.jpg'])}", pair) for stem, pair in case.scenes(4)]
    for name, pair in pairs:
        case.write_image(pair, folder / name)
        case.expect(folder / name, pair)
    content = coco(case, pairs, names, form)
    change(content)
    put(case.root / place, json.dumps(content, ensure_ascii=case.maybe("escaped")))


@kind(must_read=True)
def coco_of_exporters(case: Case) -> None:
    one_file(case)


@kind
def coco_of_other_names(case: Case) -> None:
    one_file(case, place=str(case.pick("place", [place for place in PLACES if place not in KNOWN])))


@kind(must_read=True)
def coco_splits(case: Case) -> None:
    """A file per split, as COCO itself, Roboflow, FiftyOne and others lay them."""
    form = str(case.pick("form", ["coco 2017", "plain", "roboflow", "roboflow without valid", "by split"]))
    names = case.names(4, BACKGROUND)
    splits = ["train", "val"]
    if "without" in form:  # what training measures itself on
        splits, case.refusal = ["train", "test"], "may"
    pairs = case.scenes(4, count=6)
    for split, part in zip(splits, (pairs[:4], pairs[4:])):
        spelled = "valid" if split == "val" and form.startswith("roboflow") else split
        folder, file = {
            "coco 2017": (f"{split}2017", f"annotations/instances_{split}2017.json"),
            "plain": ("images", f"annotations/{split}.json"),
            "by split": (f"images/{split}", f"annotations/instances_{split}.json"),
        }.get(form, (spelled, f"{spelled}/_annotations.coco.json"))
        named = [(f"{stem}.jpg", pair) for stem, pair in part]
        for name, pair in named:
            case.write_image(pair, case.root / folder / name)
            case.expect(case.root / folder / name, pair, split)
        case.dice.seed(f"categories {case.seed}")  # both files list the same
        put(case.root / file, json.dumps(coco(case, named, names)))


@kind
def coco_splits_elsewhere(case: Case) -> None:
    """A file per split where few tools have it: right or refused, never a split for the whole."""
    form = str(
        case.pick("form", ["capitals", "files at the top", "beside the images", "train2017 alone", "default and train"])
    )
    names = case.names(4, BACKGROUND)
    pairs = case.scenes(4, count=6)
    for split, part in zip(("train", "val"), (pairs[:4], pairs[4:])):
        folder, file = {
            "capitals": (f"images/{split.title()}", f"annotations/instances_{split.title()}.json"),
            "files at the top": (split, f"{split}.json"),
            "beside the images": (split, f"{split}/annotations.json"),
            "train2017 alone": ("images", f"instances_{split}2017.json"),
        }.get(form, ("images", f"annotations/instances_{'default' if split == 'val' else split}.json"))
        named = [(f"{stem}.jpg", pair) for stem, pair in part]
        for name, pair in named:
            case.write_image(pair, case.root / folder / name)
            case.expect(case.root / folder / name, pair, split)
        case.dice.seed(f"categories {case.seed}")  # both files list the same
        put(case.root / file, json.dumps(coco(case, named, names)))
    if form == "default and train":
        for pair in case.pairs.values():
            pair.split = ""


@kind(must_read=True)
def coco_ids(case: Case) -> None:
    """Ids as numbers here and text there, or with a decimal point, of images and categories."""
    form = str(
        case.pick("form", ["image text", "image float", "category text", "category float", "all text", "listed text"])
    )
    turn: Callable[[Any], Any] = str if "text" in form else float

    def change(content: dict[str, Any]) -> None:
        if form.startswith("listed"):
            for item in (*content["images"], *content["categories"]):
                item["id"] = str(item["id"])
        for annotation in content["annotations"]:
            if form.startswith(("image", "all")):
                annotation["image_id"] = turn(annotation["image_id"])
            if form.startswith(("category", "all")):
                annotation["category_id"] = turn(annotation["category_id"])
        if form.startswith("all"):
            for item in (*content["images"], *content["categories"]):
                item["id"] = turn(item["id"])

    one_file(case, change)


@kind(must_read=True)
def coco_sizes_and_paths(case: Case) -> None:
    """Sizes with a decimal point, paths with backslashes, prefixes and the name of the folder."""
    form = str(case.pick("form", ["float size", "backslash", "prefix", "dot prefix", "text size", "both"]))

    def change(content: dict[str, Any]) -> None:
        for image in content["images"]:
            if form in ("float size", "both"):
                image["height"], image["width"] = float(image["height"]), float(image["width"])
            elif form == "text size":
                image["height"], image["width"] = str(image["height"]), str(image["width"])
            if form in ("backslash", "both"):
                image["file_name"] = "images\\" + image["file_name"]
            elif form == "prefix":
                image["file_name"] = "images/" + image["file_name"]
            elif form == "dot prefix":
                image["file_name"] = "./" + image["file_name"]

    one_file(case, change, place=str(case.pick("place", ["annotations.json", "result.json"])))
    if form == "text size":
        case.refusal = "may"


@kind
def coco_wrong(case: Case) -> None:
    """Annotations that belong to nothing or say nothing: refused."""
    form = str(
        case.pick(
            "form",
            ["orphans", "one orphan", "orphans in text", "unlisted category", "wrong size", "twice the id",
             "negative runs", "short runs", "image missing", "two points", "no categories", "nan", "absolute",
             "category without name"],
        )
    )  # fmt: skip

    def change(content: dict[str, Any]) -> None:
        annotations, images = content["annotations"], content["images"]
        chosen = annotations if form == "orphans" else annotations[:1]
        if "orphan" in form:
            for annotation in chosen:
                annotation["image_id"] = annotation["image_id"] + 1000 if "text" not in form else "nothing"
        elif form == "unlisted category":
            annotations[0]["category_id"] = 77
        elif form == "wrong size":
            images[0]["height"], images[0]["width"] = images[0]["width"], images[0]["height"]
        elif form == "twice the id":
            images[1]["id"] = images[0]["id"]
        elif form == "negative runs":
            size = [images[0]["height"], images[0]["width"]]
            annotations[0] |= {
                "image_id": images[0]["id"],
                "segmentation": {"size": size, "counts": [-5, size[0] * size[1] + 5]},
            }
        elif form == "short runs":
            size = [images[0]["height"], images[0]["width"]]
            annotations[0] |= {"image_id": images[0]["id"], "segmentation": {"size": size, "counts": [5, 5]}}
        elif form == "image missing":
            images[0]["file_name"] = "gone.png"
        elif form == "two points":
            annotations[0]["segmentation"] = [[1.0, 1.0, 5.0, 5.0]]
        elif form == "no categories":
            content["categories"] = []
        elif form == "nan":
            annotations[0]["segmentation"] = [[float("nan"), 1.0, 9.0, 1.0, 9.0, 9.0]]
        elif form == "absolute":
            images[0]["file_name"] = "/data/" + images[0]["file_name"]
        else:
            del content["categories"][0]["name"]

    one_file(case, change, "polygons")
    case.must_refuse()
    if form == "two points":  # no area: as if it were not there
        case.refusal = "may"
        case.readings = [Reading("left out", ids=_not_compared, picture=None)]
    if form == "image missing":
        case.readings = []


def _not_compared(path: str, pair: Pair) -> np.ndarray:
    return np.zeros(0, np.uint8)


@kind(must_read=True)
def coco_crowds(case: Case) -> None:
    """Regions of crowds are "no label"; a category of the background, and headings, are no further classes."""
    crowd = case.maybe("crowd")
    background = case.maybe("background category")

    def change(content: dict[str, Any]) -> None:
        if background:
            content["categories"].insert(0, {"id": 0, "name": BACKGROUND, "supercategory": ""})
        for image, pair in zip(content["images"], case.pairs.values()):
            if crowd:
                inside = np.zeros(pair.ids.shape, bool)
                inside[-3:, :5] = True  # smaller than any shape, so drawn last
                pair.ids[inside] = VOID
                content["annotations"].append(
                    {"id": 1000 + image["id"], "image_id": image["id"], "category_id": content["categories"][-1]["id"],
                     "iscrowd": 1, "area": 15, "bbox": [0, pair.ids.shape[0] - 3, 5, 3],
                     "segmentation": {"size": list(pair.ids.shape), "counts": runs_of(inside)}}
                )  # fmt: skip

    one_file(case, change)


@kind(must_read=True)
def coco_with_classes_yaml(case: Case) -> None:
    """classes.yaml chooses labels and their order; without a background what is uncovered has no label."""
    order = case.pick("order", ["same", "reversed", "without background"])
    one_file(case)
    names = case.classes or []
    if order == "reversed":
        case.yaml(names[::-1])
        table = np.append(np.arange(len(names))[::-1], np.zeros(256 - len(names), int)).astype(np.uint8)
    elif order == "without background":
        case.yaml(names[1:])
        table = np.append([VOID, *range(len(names) - 1)], np.zeros(256 - len(names), int)).astype(np.uint8)
    else:
        case.yaml(names)
        table = np.arange(256).astype(np.uint8)
    table[VOID] = VOID
    for pair in case.pairs.values():
        pair.ids = table[pair.ids]
