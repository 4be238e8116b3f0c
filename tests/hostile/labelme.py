"""Labelme files, also of the programs that write its format in their own way, and wrong ones."""

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from hostile.case import BACKGROUND, Case, Pair, Reading, corners, kind, put


def labelme(case: Case, pair: Pair, names: list[str], image: str, shapes: str = "") -> dict[str, Any]:
    """The content of a Labelme file."""
    listed = []
    for shape in pair.shapes:
        how = shapes or case.dice.choice(["polygon", "polygon", "mask"])
        points = corners(case, shape)
        if len(points) == 4 and not shapes and case.dice.random() < 0.5:
            how, points = "rectangle", [points[0], points[2]]
            if case.dice.random() < 0.5:
                points = [[points[0][0], points[1][1]], [points[1][0], points[0][1]]]  # the other two corners
        item: dict[str, Any] = {
            "label": names[shape.label],
            "points": points,
            "group_id": None,
            "shape_type": how,
            "flags": {},
        }
        if how == "mask":
            ys, xs = np.nonzero(shape.inside)
            top, left = int(ys.min()), int(xs.min())
            crop = shape.inside[top : ys.max() + 1, left : xs.max() + 1]
            buffer = io.BytesIO()
            Image.fromarray(crop).save(buffer, "PNG")
            item["mask"] = base64.b64encode(buffer.getvalue()).decode()
            item["points"] = [[left, top], [int(xs.max()), int(ys.max())]]
        listed.append(item)
    if case.dice.random() < 0.3:
        listed.append(
            {"label": names[1], "points": [[1, 1], [9, 9]], "shape_type": "line", "flags": {}, "group_id": None}
        )
    height, width = pair.ids.shape
    return {
        "version": "5.4.1", "flags": {}, "shapes": listed, "imagePath": image, "imageData": None,
        "imageHeight": height, "imageWidth": width,
    }  # fmt: skip


def labelme_folder(
    case: Case,
    change: Callable[[dict[str, Any], Pair], None] = lambda content, pair: None,
    encoding: str = "utf-8",
    names: list[str] | None = None,
    shapes: str = "",
) -> None:
    """Write pictures and Labelme files beside them, in split folders or in masks/."""
    place = str(case.pick("place", ["beside", "beside", "masks", "split"]))
    names = names or case.names(4, BACKGROUND)
    case.classes = names
    for i, (stem, pair) in enumerate(case.scenes(4, count=6)):
        split = ("train" if i < 4 else "val") if place == "split" else ""
        folder = case.root / {"masks": "images", "split": split}.get(place, "")
        suffix = case.dice.choice([".png", ".jpg"])
        case.write_image(pair, folder / (stem + suffix))
        case.expect(folder / (stem + suffix), pair, split)
        content = labelme(case, pair, names, case.dice.choice(["", "..\\images\\"]) + stem + suffix, shapes)
        change(content, pair)
        file = (case.root / "masks" if place == "masks" else folder) / f"{stem}.json"
        put(file, json.dumps(content, ensure_ascii=False).encode(encoding))


@kind(must_read=True)
def labelme_files(case: Case) -> None:
    labelme_folder(case, encoding=str(case.pick("encoding", ["utf-8", "utf-8-sig"])))


@kind
def labelme_encodings(case: Case) -> None:
    """Files in the encodings of other systems: right or refused."""
    names = [BACKGROUND, "圆盘", "盒子", "car"]
    labelme_folder(
        case, encoding=str(case.pick("encoding", ["gbk", "utf-16", "utf-16-le", "gb18030", "utf-32"])), names=names
    )


@kind(must_read=True)
def labelme_of_others(case: Case) -> None:
    """Labels that are numbers, sizes that are missing or have a decimal point, X-AnyLabeling's kinds of shapes."""
    form = str(
        case.pick(
            "form", ["int labels", "no size", "null size", "float size", "rotation", "no shape type", "extra keys"]
        )
    )

    def change(content: dict[str, Any], pair: Pair) -> None:
        if form == "no size":
            del content["imageHeight"], content["imageWidth"]
        elif form == "null size":
            content["imageHeight"] = content["imageWidth"] = None
        elif form == "float size":
            content["imageHeight"], content["imageWidth"] = float(content["imageHeight"]), float(content["imageWidth"])
        for shape in content["shapes"]:
            if form == "int labels":
                shape["label"] = int(shape["label"])
            elif form == "rotation" and shape["shape_type"] == "polygon" and len(shape["points"]) == 4:
                shape |= {"shape_type": "rotation", "direction": 0.3}
            elif form == "no shape type" and shape["shape_type"] == "polygon":
                del shape["shape_type"]
            elif form == "extra keys":
                shape |= {"score": 0.5, "difficult": False, "attributes": {}, "kie_linking": [], "description": None}

    names = [BACKGROUND, "1", "2", "7"] if form == "int labels" else None
    labelme_folder(case, change, names=names, shapes="polygon" if form == "rotation" else "")


@kind
def labelme_wrong(case: Case) -> None:
    """Sizes that are not the picture's, labels that differ by a space, shapes without meaning."""
    form = str(case.pick("form", ["swapped size", "other size", "no label", "cuboid", "no points", "cut json", "list"]))

    def change(content: dict[str, Any], pair: Pair) -> None:
        if form == "swapped size":
            content["imageHeight"], content["imageWidth"] = content["imageWidth"], content["imageHeight"]
        elif form == "other size":
            content["imageHeight"] *= 2
        elif form == "no label":
            content["shapes"][0]["label"] = None
        elif form == "cuboid":
            content["shapes"][0]["shape_type"] = "cuboid"
        elif form == "no points":
            content["shapes"][0] |= {"points": [], "shape_type": "rectangle"}

    labelme_folder(case, change)
    files = sorted(case.root.rglob("*.json"))
    if form in ("cut json", "list"):
        file = case.dice.choice(files)
        file.write_bytes(file.read_bytes()[:-9] if form == "cut json" else b"[1, 2]")
    case.must_refuse()


@kind
def labelme_labels_alike(case: Case) -> None:
    """Labels that differ by a space, by case or by Unicode form alone: two classes, one, or refused, but said so."""
    form = str(case.pick("form", ["space", "case", "nfd"]))
    names = [BACKGROUND, "pré", "car", "tree"]
    spell = {"space": lambda n: n + " ", "case": str.upper, "nfd": lambda n: n.replace("é", "e\u0301")}[form]

    def change(content: dict[str, Any], pair: Pair) -> None:
        if pair is not next(iter(case.pairs.values())):
            for shape in content["shapes"]:
                if shape["label"] == names[1]:
                    shape["label"] = spell(names[1])

    labelme_folder(case, change, names=names)
    if form == "case":  # may be two classes
        other = {n: i for i, n in enumerate([*names, names[1].upper()])}
        first = next(iter(case.pairs))
        case.classes = [*other]
        case.readings = [
            Reading("two classes", ids=lambda p, pair: np.where((pair.ids == 1) & (p != first), 4, pair.ids)),
            Reading("one class"),
        ]
