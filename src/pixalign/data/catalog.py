"""What is known of each data set before it is opened: classes, splits, protocol, folders and terms."""

from dataclasses import dataclass, field
from typing import Any

from pixalign.data.formats.layout import SPLITS as FOLDER_SPLITS
from pixalign.data.sets import ade20k, camvid, cityscapes, pascal_context, streets


@dataclass(frozen=True)
class Entry:
    """A data set of `pixalign.data.DATASETS`.

    Attributes:
        splits: what ``data.train``, ``data.val`` and ``--data.split`` may be.
        protocol: what the labels are.
        folders: what ``data.root`` must hold.
        terms: the terms of use, or where to read them.
        classes, colors: names and RGB triples (0 to 255); empty where the data tells them.
    """

    splits: tuple[str, ...]
    protocol: str
    folders: str
    terms: str
    classes: list[str] = field(default_factory=list)
    colors: list[list[int]] = field(default_factory=list)


def _public(data: Any, protocol: str, folders: str, terms: str) -> Entry:
    """The entry of a data set whose module names splits, classes and colors."""
    return Entry(tuple(data.SPLITS), protocol, folders, terms, data.CLASSES, data.COLORS)


_VOC = "JPEGImages/, ImageSets/, and SegmentationClassContext/*.png or trainval/*.mat with labels.txt"
_CONTEXT_TERMS = "https://cs.stanford.edu/~roozbeh/pascal-context/"
_CAMVID = "701_StillsRaw_full/*.png, LabeledApproved_full/*_L.png"
_CAMVID_TERMS = "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/"

CATALOG: dict[str, Entry] = {
    "folder": Entry(
        FOLDER_SPLITS,
        "yours: classes.yaml, or the ids in the masks",
        "images/ and masks/, divided or not; or COCO or Labelme files",
        "yours",
    ),
    "hub": Entry(
        ("train", "val", "test"),
        "the data set's; 255 ignored",
        "instead of DIR a Hub id such as owner/name; or a folder of save_to_disk or of parquet files",
        "the data set's own",
    ),
    "camvid": _public(
        camvid,
        "A: 32 classes merged into 11, void ignored",
        f"train/, trainannot/ and so on; or {_CAMVID}",
        _CAMVID_TERMS,
    ),
    "camvid-b": _public(camvid, "B: 11 exact classes, 21 ignored; not comparable with A", _CAMVID, _CAMVID_TERMS),
    "cityscapes": _public(
        cityscapes,
        "34 label ids to 19, the others ignored",
        "leftImg8bit/SPLIT/CITY/*.png, gtFine/SPLIT/CITY/*_labelIds.png (gtCoarse for train_extra)",
        "not commercial: https://www.cityscapes-dataset.com/license/",
    ),
    "ade20k": _public(
        ade20k,
        "1 to 150; 0 (other) ignored",
        "images/ and annotations/, each with training/ and validation/ (ADEChallengeData2016)",
        "https://groups.csail.mit.edu/vision/datasets/ADE20K/terms/",
    ),
    "pascal_context": _public(pascal_context, "59 of 459 classes, the others ignored", _VOC, _CONTEXT_TERMS),
    "pascal_context_60": Entry(
        pascal_context.SPLITS,
        "the 59 and background; not comparable with 59",
        _VOC,
        _CONTEXT_TERMS,
        pascal_context.CLASSES_60,
        pascal_context.COLORS_60,
    ),
    "streets": _public(
        streets,
        "CamVid's 11 classes, drawn, exact at any size",
        "nothing: the streets are drawn",
        "Apache-2.0, as the package",
    ),
}
