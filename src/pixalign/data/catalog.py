"""What is known of each data set before it is opened: classes, splits, protocol, folders and terms."""

from dataclasses import dataclass, field

from pixalign.data.formats.layout import SPLITS as FOLDER_SPLITS
from pixalign.data.sets.ade20k import CLASSES as ADE20K_CLASSES
from pixalign.data.sets.ade20k import COLORS as ADE20K_COLORS
from pixalign.data.sets.ade20k import SPLITS as ADE20K_SPLITS
from pixalign.data.sets.camvid import CLASSES as CAMVID_CLASSES
from pixalign.data.sets.camvid import COLORS as CAMVID_COLORS
from pixalign.data.sets.camvid import SPLITS as CAMVID_SPLITS
from pixalign.data.sets.cityscapes import CLASSES as CITYSCAPES_CLASSES
from pixalign.data.sets.cityscapes import COLORS as CITYSCAPES_COLORS
from pixalign.data.sets.cityscapes import SPLITS as CITYSCAPES_SPLITS
from pixalign.data.sets.pascal_context import CLASSES as CONTEXT_CLASSES
from pixalign.data.sets.pascal_context import CLASSES_60, COLORS_60
from pixalign.data.sets.pascal_context import COLORS as CONTEXT_COLORS
from pixalign.data.sets.pascal_context import SPLITS as CONTEXT_SPLITS
from pixalign.data.sets.streets import SPLITS as STREETS_SPLITS


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


_VOC = "JPEGImages/, ImageSets/, and SegmentationClassContext/*.png or trainval/*.mat with labels.txt"
_CAMVID_TERMS = "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/"
_CONTEXT_TERMS = "https://cs.stanford.edu/~roozbeh/pascal-context/"

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
    "camvid": Entry(
        CAMVID_SPLITS,
        "A: 32 classes merged into 11, void ignored",
        "train/, trainannot/ and so on; or 701_StillsRaw_full/*.png, LabeledApproved_full/*_L.png",
        _CAMVID_TERMS,
        CAMVID_CLASSES,
        CAMVID_COLORS,
    ),
    "camvid-b": Entry(
        CAMVID_SPLITS,
        "B: 11 exact classes, 21 ignored; not comparable with A",
        "701_StillsRaw_full/*.png, LabeledApproved_full/*_L.png",
        _CAMVID_TERMS,
        CAMVID_CLASSES,
        CAMVID_COLORS,
    ),
    "cityscapes": Entry(
        CITYSCAPES_SPLITS,
        "34 label ids to 19, the others ignored",
        "leftImg8bit/SPLIT/CITY/*.png, gtFine/SPLIT/CITY/*_labelIds.png (gtCoarse for train_extra)",
        "not commercial: https://www.cityscapes-dataset.com/license/",
        CITYSCAPES_CLASSES,
        CITYSCAPES_COLORS,
    ),
    "ade20k": Entry(
        ADE20K_SPLITS,
        "1 to 150; 0 (other) ignored",
        "images/ and annotations/, each with training/ and validation/ (ADEChallengeData2016)",
        "https://groups.csail.mit.edu/vision/datasets/ADE20K/terms/",
        ADE20K_CLASSES,
        ADE20K_COLORS,
    ),
    "pascal_context": Entry(
        CONTEXT_SPLITS,
        "59 of 459 classes, the others ignored",
        _VOC,
        _CONTEXT_TERMS,
        CONTEXT_CLASSES,
        CONTEXT_COLORS,
    ),
    "pascal_context_60": Entry(
        CONTEXT_SPLITS,
        "the 59 and background; not comparable with 59",
        _VOC,
        _CONTEXT_TERMS,
        CLASSES_60,
        COLORS_60,
    ),
    "streets": Entry(
        tuple(STREETS_SPLITS),
        "CamVid's 11 classes, drawn, exact at any size",
        "nothing: the streets are drawn",
        "Apache-2.0, as the package",
        CAMVID_CLASSES,
        CAMVID_COLORS,
    ),
}
