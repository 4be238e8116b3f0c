"""Folders as annotation tools and other toolkits write them, each with the classes and splits that it tells."""

import numpy as np
from PIL import Image

from hostile.case import VOID, Case, Pair, Reading, foreign, kind, put, save
from hostile.files import write_png
from hostile.masks import some_palette

VOC_COLORS = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)], np.uint8)


def ids_png(pair: Pair, path) -> None:
    save(Image.fromarray(pair.ids), path)


@kind(must_read=True)
def voc_of_cvat(case: Case) -> None:
    """CVAT's "Segmentation mask 1.1": JPEGImages, SegmentationClass in colors, labelmap.txt, lists."""
    names = case.names(4, "background")
    colors = np.vstack([[(0, 0, 0)], some_palette(case, 3)]).astype(np.uint8)
    case.classes = names
    lists = str(case.pick("lists", ["default", "train and val", "none", "train, val, trainval"]))
    objects = case.maybe("SegmentationObject")
    pairs = case.scenes(4, count=6)
    for i, (stem, pair) in enumerate(pairs):
        image = case.root / "JPEGImages" / f"{stem}{case.dice.choice(['.jpg', '.png'])}"
        case.write_image(pair, image)
        save(Image.fromarray(colors[pair.ids]), case.root / "SegmentationClass" / f"{stem}.png")
        if objects:
            save(Image.fromarray(colors[pair.ids][::-1]), case.root / "SegmentationObject" / f"{stem}.png")
        case.expect(image, pair, ("train" if i < 4 else "val") if "train" in lists else "")
    stems = [stem for stem, _ in pairs]
    folder = case.root / "ImageSets" / "Segmentation"
    if lists == "default":
        put(folder / "default.txt", "\n".join(stems) + "\n")
    elif lists != "none":
        put(folder / "train.txt", foreign(case, "\n".join(stems[:4]) + "\n"))
        put(folder / "val.txt", "\n".join(stems[4:]))
        if "trainval" in lists:
            put(folder / "trainval.txt", "\n".join(stems))
    lines = [f"{name}:{','.join(map(str, color))}::" for name, color in zip(names, colors.tolist())]
    put(case.root / "labelmap.txt", foreign(case, "# label:color_rgb:parts:actions\n" + "\n".join(lines) + "\n"))
    if any(":" in name or "#" in name for name in names):
        case.refusal = "may"  # which that file cannot say


@kind(must_read=True)
def voc_of_palettes(case: Case) -> None:
    """Pascal VOC itself: palettes, 255 along the borders, and images that only detection uses."""
    unlisted = case.maybe("images without masks")
    palette = np.zeros((256, 3), np.uint8)
    palette[:5], palette[255] = VOC_COLORS, (224, 224, 192)
    base = case.root / str(case.pick("base", ["", "", "VOC2012"]))
    if base != case.root:
        case.refusal = "may"
    pairs = case.scenes(4, void=True, count=7)
    for i, (stem, pair) in enumerate(pairs):
        image = base / "JPEGImages" / f"{stem}.jpg"
        case.write_image(pair, image)
        if i == 6 and unlisted:
            continue
        write_png(base / "SegmentationClass" / f"{stem}.png", pair.ids, palette=palette)
        case.expect(image, pair, "train" if i < 4 else "val")
    stems = [stem for stem, _ in pairs][: 6 if unlisted else 7]
    put(base / "ImageSets" / "Segmentation" / "train.txt", "\n".join(stems[:4]) + "\n")
    put(base / "ImageSets" / "Segmentation" / "val.txt", "\n".join(stems[4:]) + "\n")


@kind(must_read=True)
def roboflow_masks(case: Case) -> None:
    """Roboflow's "Semantic Segmentation Masks": x.jpg, x_mask.png and _classes.csv in each split."""
    names = case.names(4, "background")
    if any("," in name for name in names):
        names = ["background", "road", "car", "tree"]
    case.classes = names
    splits = list(case.pick("splits", [("train", "valid"), ("train", "valid", "test"), ("train",), ("train", "test")]))  # type: ignore
    header = str(case.pick("header", ["Pixel Value, Class", "Pixel Value,Class"]))
    for i, (stem, pair) in enumerate(case.scenes(4, count=8)):
        split = splits[min(i // 3, len(splits) - 1)]
        name = f"{stem}_jpg.rf.{case.dice.getrandbits(64):016x}"
        image = case.root / split / f"{name}.jpg"
        case.write_image(pair, image)
        ids_png(pair, case.root / split / f"{name}_mask.png")
        case.expect(image, pair, "val" if split == "valid" else split)
    for split in splits:
        comma = ", " if ", " in header else ","
        rows = [f"{i}{comma}{name}" for i, name in enumerate(names)]
        put(case.root / split / "_classes.csv", foreign(case, "\n".join([header, *rows]) + "\n"))
    if "valid" not in splits:  # which training measures itself on
        case.refusal = "may"
    if case.maybe("readme", 0.3):
        put(case.root / "README.dataset.txt", "x")


@kind(must_read=True)
def mmseg_folders(case: Case) -> None:
    """mmsegmentation: img_dir and ann_dir, with splits below."""
    if case.maybe("classes.yaml"):
        case.yaml(case.names(3))
    palette = case.maybe("palette")
    for i, (stem, pair) in enumerate(case.scenes(3, void=True, count=6)):
        split = "train" if i < 4 else "val"
        image = case.root / "img_dir" / split / f"{stem}.jpg"
        case.write_image(pair, image)
        mask = case.root / "ann_dir" / split / f"{stem}.png"
        write_png(mask, pair.ids, palette=some_palette(case, 256)) if palette else ids_png(pair, mask)
        case.expect(image, pair, split)


@kind(must_read=True)
def paddle_lists(case: Case) -> None:
    """PaddleSeg: train.txt and val.txt of image and mask per line."""
    images, masks = case.pick(
        "folders", [("images", "labels"), ("JPEGImages", "Annotations"), ("images", "annotations")]
    )  # type: ignore
    separator = str(case.pick("separator", [" ", "\t"]))
    prefix = str(case.pick("prefix", ["", "./"]))
    other_stems = case.maybe("other names of masks")
    if case.maybe("labels.txt"):
        case.classes = case.names(3)
        put(case.root / "labels.txt", "\n".join(case.classes) + "\n")
    lines: dict[str, list[str]] = {"train": [], "val": []}
    for i, (stem, pair) in enumerate(case.scenes(3, void=True, count=6)):
        split = "train" if i < 4 else "val"
        name = f"{stem}_label" if other_stems else stem
        image = case.root / images / f"{stem}.jpg"
        case.write_image(pair, image)
        ids_png(pair, case.root / masks / f"{name}.png")
        case.expect(image, pair, split)
        lines[split].append(f"{prefix}{images}/{stem}.jpg{separator}{prefix}{masks}/{name}.png")
    for split, listed in lines.items():
        put(case.root / f"{split}.txt", foreign(case, "\n".join(listed) + "\n"))


@kind(must_read=True)
def names_of_folders(case: Case) -> None:
    """images and masks in any case."""
    images = str(case.pick("images", ["Images", "IMAGES", "images"]))
    masks = str(case.pick("masks", ["Masks", "MASKS", "masks"]))
    _folders(case, images, masks)


@kind
def other_names_of_folders(case: Case) -> None:
    """Pairs of folders by the names that people give them: right or refused."""
    images, masks = case.pick(
        "folders",
        [("img", "masks"), ("imgs", "labels"), ("images", "annotations"), ("images", "labels"), ("image", "mask"),
         ("image", "label"), ("JPEGImages", "masks"), ("images", "gt"), ("input", "target"), ("Img", "Lbl"),
         ("images", "SegmentationClass")],
    )  # type: ignore  # fmt: skip
    _folders(case, images, masks)


def _folders(case: Case, images: str, masks: str) -> None:
    divided = str(case.pick("divided", ["no", "below", "above"]))
    for i, (stem, pair) in enumerate(case.scenes(3, void=True, count=6)):
        split = "" if divided == "no" else "train" if i < 4 else "val"
        parts = {"no": ("", ""), "below": ("", split), "above": (split, "")}[divided]
        image = case.root / parts[0] / images / parts[1] / f"{stem}.png"
        case.write_image(pair, image)
        ids_png(pair, case.root / parts[0] / masks / parts[1] / f"{stem}.png")
        case.expect(image, pair, split)


@kind
def masks_beside_images(case: Case) -> None:
    """Image and mask in one folder, told apart by an ending: right by a template, refused without."""
    template = case.maybe("template")
    ending = str(case.pick("ending", ["_mask", ".mask", "-label", "_GT"]))
    sub = str(case.pick("folder", ["", "a", "a/b"]))
    for stem, pair in case.scenes(3, void=True):
        image = case.root / "images" / sub / f"{stem}.png"
        case.write_image(pair, image)
        ids_png(pair, image.with_name(f"{stem}{ending}.png"))
        case.expect(image, pair)
    if template:
        case.template, case.refusal = f"images/{{folder}}/{{stem}}{ending}.png", "no"


@kind(must_read=True)
def templates(case: Case) -> None:
    """Masks whose names a template tells."""
    template = str(
        case.pick(
            "template",
            ["masks/{stem}_mask.png", "gt/{name}.png", "masks/{folder}/{stem}-x.png", "masks/{folder}/{stem}/mask.png"],
        )
    )
    sub = str(case.pick("folder", ["", "a"])) if "{folder}" in template else ""
    case.template = template
    for stem, pair in case.scenes(3, void=True):
        image = case.root / "images" / sub / f"{stem}.jpg"
        case.write_image(pair, image)
        ids_png(pair, case.root / template.format(stem=stem, name=image.name, folder=sub))
        case.expect(image, pair)


@kind(must_read=True)
def list_files(case: Case) -> None:
    """images/ and masks/ divided by lists of stems or paths, with the line ends and prefixes of other systems."""
    style = str(case.pick("style", ["stem", "name", "path", "dot path", "backslash"]))
    end = str(case.pick("line end", ["\n", "\r\n"]))
    bom = case.maybe("BOM", 0.3)
    spelled = str(case.pick("val is", ["val", "valid"]))
    lines: dict[str, list[str]] = {"train": [], spelled: []}
    for i, (stem, pair) in enumerate(case.scenes(3, void=True, count=6)):
        split = "train" if i < 4 else "val"
        image = case.root / "images" / f"{stem}.png"
        case.write_image(pair, image)
        ids_png(pair, case.root / "masks" / f"{stem}.png")
        case.expect(image, pair, split)
        text = {"stem": stem, "name": image.name, "path": f"images/{image.name}", "dot path": f"./images/{image.name}"}
        lines["train" if i < 4 else spelled].append(text.get(style, f"images\\{image.name}"))
    for split, listed in lines.items():
        put(case.root / f"{split}.txt", ("\ufeff" if bom else "") + end.join(listed) + end)


@kind
def splits_that_overlap(case: Case) -> None:
    """The same picture in two splits, by name or by copy: refused, or said so."""
    form = str(case.pick("form", ["copy", "list"]))
    pairs = case.scenes(3, count=6)
    for i, (stem, pair) in enumerate(pairs):
        split = "train" if i < 4 else "val"
        where = "" if form == "list" else split
        image = case.root / "images" / where / f"{stem}.png"
        case.write_image(pair, image)
        ids_png(pair, case.root / "masks" / where / f"{stem}.png")
        case.expect(image, pair, split)
    stem, pair = pairs[0]
    if form == "copy":
        twin = case.root / "images" / "val" / "twin.png"
        case.write_image(pair, twin)
        ids_png(pair, case.root / "masks" / "val" / "twin.png")
        case.expect(twin, Pair(pair.ids, pair.picture), "val")
        pair.split = "train"
        case.must_refuse()
        case.by_check = True
    else:
        put(case.root / "train.txt", "\n".join(s for s, _ in pairs[:4]))
        put(case.root / "val.txt", "\n".join(s for s, _ in [*pairs[4:], pairs[0]]))
        case.must_refuse()
        case.by_check = True
        case.readings = [Reading("said so", warning="two splits", twice=True)]


@kind
def unlabeled_masks(case: Case) -> None:
    """Some masks, or all, hold no label but 255."""
    every = case.maybe("all of them")
    pairs = case.scenes(3, count=6)
    for i, (stem, pair) in enumerate(pairs):
        if every or i == 0:
            pair.ids[:] = VOID
        image = case.root / "images" / f"{stem}.png"
        case.write_image(pair, image)
        ids_png(pair, case.root / "masks" / f"{stem}.png")
        case.expect(image, pair)
    if case.maybe("classes.yaml"):
        case.yaml(case.names(3))
    if every:
        case.must_refuse()
        case.by_check = True


@kind
def other_names_of_splits(case: Case) -> None:
    """Splits under the names that people give them: right, or refused; never all of one split, nor any left out."""
    first, second = case.pick(
        "splits",
        [
            ("training", "validation"),
            ("Train", "Val"),
            ("TRAIN", "VALID"),
            ("train", "eval"),
            ("train", "dev"),
            ("train", "test"),
            ("train", "validation"),
            ("training", "testing"),
        ],
    )  # type: ignore
    above = case.maybe("above")
    for i, (stem, pair) in enumerate(case.scenes(3, void=True, count=6)):
        split = first if i < 4 else second
        image = case.root / (f"{split}/images" if above else f"images/{split}") / f"{stem}.png"
        case.write_image(pair, image)
        ids_png(pair, case.root / (f"{split}/masks" if above else f"masks/{split}") / f"{stem}.png")
        case.expect(image, pair)
    case.readings.append(
        Reading("one split alone, said so", warning="no val|no train|split", absent=frozenset(case.pairs))
    )


@kind
def folder_within(case: Case) -> None:
    """The data one folder below what is named, as archives unpack: right or refused."""
    base = case.root / str(case.pick("base", ["dataset", "export-2026-01-01", "data/data"]))
    for stem, pair in case.scenes(3, void=True):
        image = base / "images" / f"{stem}.png"
        case.write_image(pair, image)
        ids_png(pair, base / "masks" / f"{stem}.png")
        case.expect(image, pair)


@kind
def several_layouts_at_once(case: Case) -> None:
    """images/ and masks/ beside what another tool left in the same folder: the masks, or refused."""
    form = str(
        case.pick(
            "form", ["yolo", "coco", "classes.csv", "labelmap", "voc lists", "labels folder", "annotations folder"]
        )
    )
    names = case.names(3)
    case.yaml(names)
    pairs = case.scenes(3, count=5)
    for stem, pair in pairs:
        image = case.root / "images" / f"{stem}.png"
        case.write_image(pair, image)
        ids_png(pair, case.root / "masks" / f"{stem}.png")
        case.expect(image, pair)
        if form == "yolo":
            put(case.root / "labels" / f"{stem}.txt", "0 0.1 0.1 0.9 0.1 0.9 0.9\n")
        elif form in ("labels folder", "annotations folder"):
            save(Image.fromarray(pair.ids[::-1]), case.root / form.split()[0] / f"{stem}.png")
    if form == "yolo":
        put(case.root / "data.yaml", "train: images\nval: images\nnames: [a, b]\n")
    elif form == "coco":
        put(case.root / "result.json", '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}]}')
    elif form == "classes.csv":
        put(case.root / "_classes.csv", "Pixel Value, Class\n0, x\n1, y\n2, z\n")
    elif form == "labelmap":
        put(case.root / "labelmap.txt", "# label:color_rgb:parts:actions\nx:0,0,0::\ny:1,1,1::\n")
    elif form == "voc lists":
        put(case.root / "ImageSets" / "Segmentation" / "train.txt", "\n".join(stem for stem, _ in pairs[:2]))


@kind
def text_files_in_other_encodings(case: Case) -> None:
    """classes.yaml, lists and tools' lists of classes as GBK, Latin-1 or UTF-16: right or refused."""
    encoding = str(case.pick("encoding", ["gbk", "latin-1", "utf-16", "utf-16-le", "utf-8-sig", "cp1251"]))
    form = str(case.pick("form", ["classes.yaml", "train.txt", "labelmap.txt", "_classes.csv"]))
    word = {"gbk": "圆盘", "cp1251": "класс"}.get(encoding, "Straße")
    case.classes = names = ["background", word, f"{word} 2"]
    for i, (stem, pair) in enumerate(case.scenes(3, count=6)):
        name = f"{word}_{stem}"
        split = ("train" if i < 4 else "val") if form in ("train.txt", "_classes.csv") else ""
        images, masks = {"labelmap.txt": ("JPEGImages", "SegmentationClass"), "_classes.csv": (split, split)}.get(
            form, ("images", "masks")
        )
        image = case.root / images / f"{name}.jpg"
        case.write_image(pair, image)
        mask = case.root / masks / f"{name}{'_mask' if form == '_classes.csv' else ''}.png"
        if form == "labelmap.txt":
            save(Image.fromarray(VOC_COLORS[pair.ids]), mask)
        else:
            ids_png(pair, mask)
        case.expect(image, pair, split)
    stems = [path.rpartition("/")[2][:-4] for path in case.pairs]
    texts = {
        "classes.yaml": {"classes.yaml": "".join(f"- {name}\n" for name in names)},
        "train.txt": {"train.txt": "\n".join(stems[:4]) + "\n", "val.txt": "\n".join(stems[4:]) + "\n"},
        "labelmap.txt": {
            "labelmap.txt": "# label:color_rgb:parts:actions\n"
            + "".join(f"{n}:{','.join(map(str, c))}::\n" for n, c in zip(names, VOC_COLORS.tolist()))
        },
        "_classes.csv": {
            f"{split}/_classes.csv": "Pixel Value, Class\n" + "".join(f"{i}, {n}\n" for i, n in enumerate(names))
            for split in ("train", "val")
        },
    }[form]
    for file, text in texts.items():
        put(case.root / file, text.encode(encoding))
    if form == "train.txt":
        case.classes = None
    if encoding == "utf-8-sig":
        case.refusal = "no"


@kind
def lists_as_found(case: Case) -> None:
    """Lists with empty lines, comments, doubles, missing images, absolute paths or columns: right or refused."""
    form = str(
        case.pick(
            "form",
            ["empty lines", "twice", "missing", "absolute", "comma", "all in one", "some", "empty", "upper suffix"],
        )
    )
    lines: dict[str, list[str]] = {"train": [], "val": []}
    for i, (stem, pair) in enumerate(case.scenes(3, void=True, count=6)):
        split = "train" if i < 4 else "val"
        image = case.root / "images" / f"{stem}.png"
        case.write_image(pair, image)
        ids_png(pair, case.root / "masks" / f"{stem}.png")
        if form == "some" and i == 1:
            continue  # neither listed nor expected
        case.expect(image, pair, split)
        text = {
            "absolute": str(image),
            "comma": f"images/{stem}.png,masks/{stem}.png",
            "upper suffix": f"{stem}.PNG",
        }.get(form, stem)
        lines[split] += [text] + [""] * (form == "empty lines") + [text] * (form == "twice")
    if form == "missing":
        lines["train"].append("gone")
        case.must_refuse()
    elif form == "empty":
        lines["val"] = []
        case.must_refuse()
    elif form == "all in one":
        lines = {"train": lines["train"] + lines["val"]}
        case.readings = [Reading("said so", warning="no val|split", twice=True)]
    for split, listed in lines.items():
        put(case.root / f"{split}.txt", "\n".join(listed) + "\n")
