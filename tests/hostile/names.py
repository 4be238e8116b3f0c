"""Names of files and folders: Unicode forms, suffixes, case, control characters, length, bytes that are no text."""

import os
import unicodedata

import numpy as np
from PIL import Image

from hostile.case import Case, Pair, Reading, kind, save

ACCENTED = ["Straße_Köln", "Mühle", "Bäume", "Öl_1", "São", "Übung", "žluťoučký", "가각", "ギガ"]


def pair_at(case: Case, pair: Pair, image: str, mask: str) -> None:
    """Write a pair at images/``image`` and masks/``mask``."""
    path = case.root / "images" / image
    case.write_image(pair, path)
    save(Image.fromarray(pair.ids), case.root / "masks" / mask)
    case.expect(path, pair)


@kind(must_read=True)
def unicode_forms(case: Case) -> None:
    """Names of images in one Unicode form and of masks in the other, as a zip file of a Mac brings them."""
    forms = [str(case.pick("form of images", ["NFC", "NFD"])), str(case.pick("form of masks", ["NFC", "NFD"]))]
    template = case.maybe("template", 0.3)
    folder = case.maybe("folder as well", 0.3)
    for (_, pair), name in zip(case.scenes(3, void=True, count=6), case.dice.sample(ACCENTED, 6)):
        image, mask = (unicodedata.normalize(form, ("Größe/" if folder else "") + name) for form in forms)
        pair_at(case, pair, f"{image}.png", f"{mask}{'_mask' if template else ''}.png")
    if template:
        case.template = "masks/{folder}/{stem}_mask.png"


@kind
def unicode_forms_collide(case: Case) -> None:
    """Two images whose names differ by Unicode form alone, each with its mask: right or refused."""
    for (_, pair), name in zip(case.scenes(3, count=4), ("é", "e\u0301", "a", "b")):
        pair_at(case, pair, f"{name}.png", f"{name}.png")


@kind(must_read=True)
def double_suffixes(case: Case) -> None:
    """Dots within names, suffixes in capitals, other suffixes of image and mask."""
    style = str(case.pick("style", ["{}.v2", "{}.png", "a.b.{}", "{}.tar.gz", "IM.{}.x", "{}..", ".{}", "{}.jpg"]))
    image_suffix = str(case.pick("image", [".JPG", ".png", ".PNG", ".tif", ".jpeg"]))
    mask_suffix = str(case.pick("mask", [".png", ".PNG", ".Png", ".TIF", ".bmp"]))
    for stem, pair in case.scenes(3, void=True):
        name = style.format(stem)
        pair_at(case, pair, name + image_suffix, name + mask_suffix)
    if style == ".{}":  # hidden files are left out: nothing is left
        case.must_refuse()


@kind
def two_of_a_stem(case: Case) -> None:
    """Two images, or two masks, of one stem and other suffixes: refused."""
    form = str(case.pick("form", ["images", "masks", "images in capitals"]))
    pairs = case.scenes(3, count=5)
    for stem, pair in pairs:
        pair_at(case, pair, f"{stem}.png", f"{stem}.png")
    stem, pair = pairs[2]
    other = case.scene(3, height=pair.ids.shape[0], width=pair.ids.shape[1])
    if form == "masks":
        save(Image.fromarray(other.ids), case.root / "masks" / f"{stem}.{case.dice.choice(['tif', 'bmp', 'PNG'])}")
    else:
        suffix = ".PNG" if form == "images in capitals" else case.dice.choice([".jpg", ".bmp", ".tif"])
        case.write_image(other, case.root / "images" / (stem + suffix))
    case.must_refuse()


@kind
def case_of_names(case: Case) -> None:
    """Names of image and mask that differ in case: right or refused; names that differ by case alone: right."""
    form = str(case.pick("form", ["stems differ", "two that differ by case"]))
    pairs = case.scenes(3, count=5)
    for i, (stem, pair) in enumerate(pairs):
        if form == "stems differ":
            pair_at(case, pair, f"IMG_{i}.JPG", f"img_{i}.png")
        else:
            pair_at(case, pair, f"{stem}.png", f"{stem}.png")
    if form != "stems differ":
        pair = case.scene(3)
        stem = pairs[0][0]
        twin = stem.upper() if stem.upper() != stem else stem.lower() if stem.lower() != stem else f"{stem}A"
        pair_at(case, pair, f"{twin}.png", f"{twin}.png")


@kind
def strange_names(case: Case) -> None:
    """Names that shells, formats, pages and terminals could take for something else."""
    candidates = [
        " blank ", "two\nlines", "tab\there", "esc\x1b[31mred", "bell\x07", "back\x08space", "cr\rname", "del\x7f",
        "<script>alert(1)<&script>", "'quo\"ted", "%s{}{0}%d", "-rf", "--out", "[a-z]*?", "a" * 240, "é" * 110,
        "🚲" * 55, "CON", "nul.aux", "~", "$HOME", "`id`", "a;b", "a&b", "a|b", "a\\b", "{stem}", "{folder}",
        "right\u202eleft",
        "zero\u200bwidth", "\ufeffbom", "line\u2028sep", "\u00a0", "#", "?",
        "a=b", "a,b", "1e5", "0x10", "null", "true", "c1\x9bcontrol", "[bold]rich[/bold]", "[/]", ":smile:",
    ]  # fmt: skip
    chosen = case.dice.sample(candidates, 5)
    case.note(f"names={chosen!r}")
    for (_, pair), name in zip(case.scenes(3, void=True, count=5), chosen):
        pair_at(case, pair, f"{name}.png", f"{name}.png")
    if case.maybe("damaged as well", 0.4):  # so that the name appears in a message
        path = case.root / next(iter(case.pairs))
        path.write_bytes(path.read_bytes()[:60])
        case.must_refuse()
    elif case.maybe("lists", 0.4):
        stems = [os.path.basename(p)[:-4] for p in case.pairs]
        (case.root / "train.txt").write_text("\n".join(stems[:3]), encoding="utf-8")
        (case.root / "val.txt").write_text("\n".join(stems[3:]), encoding="utf-8")
        for i, pair in enumerate(case.pairs.values()):
            pair.split = "train" if i < 3 else "val"
        blank = frozenset(path for path in case.pairs if not os.path.basename(path)[:-4].strip())  # as an empty line
        case.readings.append(Reading("without a blank name, said so", absent=blank, warning="split"))
    else:
        case.refusal = "no"


@kind
def bytes_as_names(case: Case) -> None:
    """Names that are no UTF-8, as from old archives: right or refused."""
    for i, (_, pair) in enumerate(case.scenes(3, count=5)):
        name = os.fsdecode([b"latin-\xe9", b"\xb2\xe2\xca\xd4", b"caf\xe9 \xff", b"ok", b"\x80\x81"][i])
        pair_at(case, pair, f"{name}.png", f"{name}.png")
    if case.maybe("damaged as well", 0.3):
        path = case.root / next(iter(case.pairs))
        path.write_bytes(path.read_bytes()[:60])
        case.must_refuse()


@kind(must_read=True)
def sub_folders(case: Case) -> None:
    """The same stem in several sub-folders, deep ones, and names of folders like those of splits or suffixes."""
    folders = case.dice.sample(["a", "b", "a.png", "x/y/z", "train_1", "masks", "images", "Größe", " c "], 4)
    case.note(f"folders={folders}")
    for i, (_, pair) in enumerate(case.scenes(3, void=True, count=8)):
        name = f"{folders[i % 4]}/im_{i // 4}.png"
        pair_at(case, pair, name, name)


@kind
def root_names(case: Case) -> None:
    """The data's own folder under a strange name."""
    name = case.dice.choice(["Straße 雨", "two\nlines", "-x", "a b", "[red]", "%s{}", os.fsdecode(b"\xe9"), "é" * 100])
    case.note(f"root={name!r}")
    case.root = case.root / name
    for stem, pair in case.scenes(3, void=True):
        pair_at(case, pair, f"{stem}.png", f"{stem}.png")
    if case.maybe("damaged as well", 0.5):
        path = case.root / next(iter(case.pairs))
        path.write_bytes(path.read_bytes()[:60])
        case.must_refuse()


@kind
def masks_of_other_images(case: Case) -> None:
    """Masks whose names are those of other images in all but a digit or an ending: none is lent to a neighbor."""
    pairs = case.scenes(3, count=5)
    for i, (_, pair) in enumerate(pairs):
        pair_at(case, pair, f"im_{i}.png", f"im_{i}.png")
    form = str(case.pick("form", ["renamed", "suffixed", "padded"]))
    old = case.root / "masks" / "im_3.png"
    old.rename(old.with_name({"renamed": "im_33.png", "suffixed": "im_3_mask.png", "padded": "im_03.png"}[form]))
    case.must_refuse()
    case.readings = [Reading("paired all the same")] if form != "renamed" else []
    assert np.prod(pairs[0][1].ids.shape)
