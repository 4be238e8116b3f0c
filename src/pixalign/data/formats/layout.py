"""What a reader of a layout returns: the splits that a folder holds, and their classes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pixalign.data.formats.annotations import BACKGROUND, Drawing
from pixalign.data.masks import Labels
from pixalign.errors import InputError
from pixalign.palette import IGNORE, default_colors

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}  # by the name of a folder or list


def split_of(name: str) -> str:
    """Return the split that the name of a folder or list means, in any case, or ""."""
    return SPLIT_OF.get(name.casefold(), "")


@dataclass
class Found:
    """What lies in a split, before any picture is opened.

    Attributes:
        images, masks: the pairs; where one file holds the annotations of all images, every mask is that file.
        lone_images: images without mask.
        lone_masks: masks without image; with annotations the listed images that are not there.
        drawings: where masks are drawn from shapes, the shapes of each image for `pixalign.data.pairs.Pairs`, or a
            function without arguments that reads them (one that can be pickled); otherwise empty.
        folders: where the images lie, and where their masks do or should (or the file of annotations). The names of the
            images below the first divide undivided data; None: the layout's ``images``, for both.
    """

    images: list[Path]
    masks: list[Path]
    lone_images: list[Path]
    lone_masks: list[Path]
    drawings: list[Drawing | Callable[[], Drawing]] = field(default_factory=list)
    folders: tuple[Path, Path] | None = None


@dataclass(frozen=True)
class Layout:
    """A folder as a tool wrote it.

    Attributes:
        name: the tool and the kind of file, as a person would say it: "Roboflow semantic masks".
        splits: of `SPLITS` those that are there, or "" alone where the data is not divided; each a function that
            returns what lies in it, or raises `pixalign.errors.InputError`.
        images: the folder of the images, for errors, and for their names where the data is divided by name.
        labels: a function that returns the classes, of all splits together; None where the masks tell them. A
            classes.yaml goes before either.
        classes_from: name of the file that ``labels`` reads, or "".
    """

    name: str
    splits: Mapping[str, Callable[[], Found]]
    images: Path
    labels: Callable[[], Labels] | None = None
    classes_from: str = ""


def drawn(names: Sequence[str], source: Path) -> Labels:
    """Return the classes of annotations: the background, then ``names`` in their order.

    More classes than a mask can tell apart are an InputError that begins with ``source``.
    """
    classes = [BACKGROUND, *(name for name in names if name != BACKGROUND)]
    if len(classes) > IGNORE:
        raise InputError(f"{source}: {len(classes)} classes with the background, and {IGNORE} are the most: merge some")
    return Labels(classes, default_colors(len(classes)))
