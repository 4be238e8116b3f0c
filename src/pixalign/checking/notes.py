"""What the check of a data set notes about single images and masks."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pixalign.data.images import opened, orientation, page_count, stored_kind, unused_bands
from pixalign.data.tiff import tiff_of
from pixalign.limits import SMALLEST

_NARROW = 64  # a 16-bit image should use more than so many of 256 levels
_WARNINGS = {  # title and remedy by kind
    "tiny": (
        f"Images of less than {SMALLEST} pixels on a side",
        "use larger pictures; cut-outs of objects are better labeled in the whole picture",
    ),
    "blank": ("Images of one color throughout", "see whether they are meant"),
    "narrow": (
        "Deep or multi-band images that use a small part of their range",
        "stretch the values to the full range (of 16 bits the upper 8 are used, so 12-bit data come out dark)",
    ),
    "pages": (
        "Images of several pages or frames, of which the first is used",
        "store each page as an image of its own with its mask, or its bands in a TIFF file of one page",
    ),
    "unused-bands": (
        "TIFF files with further bands, which are left out",
        "--model.in_channels {} takes all of them, such as near infrared; else there is nothing to do",
    ),
    "half-turn": (
        "Images that EXIF turns by 180 degrees or mirrors, and masks that it does not turn alike",
        "sizes do not tell which way such masks were drawn, so look at the sheet: if they do not fit, turn "
        "them, give them the same EXIF orientation, or store the images as they are without it",
    ),
    "turned": (
        "Images that a note of the camera turns (EXIF orientation)",
        "see on the sheet that their masks are turned alike",
    ),
    "unlabeled": ("Masks without any label", "label them, or remove image and mask"),
}


@dataclass
class Note:
    """Something about one pair; notes of one kind become one problem."""

    kind: str
    title: str
    remedy: str
    note: str = ""
    severity: Literal["error", "warning"] = "error"
    of_mask: bool = False


def warning(kind: str, note: str = "") -> Note:
    """Return the note of a kind that training would not stop at; the first word of ``note`` fills the remedy's gap."""
    title, remedy = _WARNINGS[kind]
    return Note(kind, title, remedy.format(note.split()[0] if note else ""), note, "warning", kind == "unlabeled")


def refused(text: str, path: Path, what: str) -> Note:
    """Return the note on an image or mask that could not be read, from the error's text."""
    reason, remedy = _parts(text.removeprefix(f"{path}: "))
    if "file is empty" in reason:
        kind, title, remedy = "empty", "Empty files (0 bytes)", "copy them again, or remove image and mask"
    elif "truncated or damaged" in reason:
        kind, title, remedy = "damaged", "Truncated or damaged files", "copy them again, or remove image and mask"
        reason = re.sub(r".*?damaged \((.*)\)", r"\1", reason)
    elif "exact labels" in reason:
        kind, title = "lossy-mask", "Masks in a lossy format, whose labels are not exact any more"
    elif what == "mask" and "transparent" in reason:
        kind, title = "transparent-mask", "Masks with transparent pixels, which have no known label"
    else:
        kind, title = f"unreadable-{what}", f"{what.capitalize()}s that cannot be used"
    return Note(kind, title, remedy or "see the file", reason, of_mask=what == "mask")


def _parts(text: str) -> tuple[str, str]:
    """What is wrong and the remedy, which the first colon outside of brackets divides."""
    depth = 0
    for i, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and text.startswith(": ", i):
            return text[:i], text[i + 2 :]
    return text, ""


def on_image(path: Path, image: np.ndarray, channels: int) -> list[Note]:
    """Return notes on an image that can be read, but may not be what it should."""
    (height, width), low, high = image.shape[:2], int(image.min()), int(image.max())
    narrow = 0 < high - low < _NARROW and (channels not in (1, 3, 4) or _is_deep(path))
    pages, bands = page_count(path), unused_bands(path) if channels in (1, 3) else 0
    found = {
        "tiny": f"{width} x {height}" if min(height, width) < SMALLEST else "",
        "blank": f"value {low}" if high == low else "",
        "narrow": f"{low} to {high} of 0 to 255 after conversion" if narrow else "",
        "pages": f"{pages} pages" if pages > 1 else "",
        "unused-bands": f"{bands} bands" if bands else "",
    }
    return [warning(kind, note) for kind, note in found.items() if note]


def on_turns(path: Path, mask: Path | None) -> list[Note]:
    """Return notes on an image that its EXIF orientation turns, unless its mask's (None: drawn) turns that alike."""
    of_image, of_mask = orientation(path), orientation(mask) if mask else 1
    if of_image == of_mask:
        return []
    note = f"orientation {of_image}" + (f", of the mask {of_mask}" if of_mask != 1 else "")
    return [warning("half-turn" if {of_image, of_mask} <= {1, 2, 3, 4} else "turned", note)]


def _is_deep(path: Path) -> bool:
    """Whether an image file stores more than 8 bits per value."""
    if tiff := tiff_of(path):
        return max(tiff.bits) > 8
    with opened(path) as image:
        return image.mode.startswith("I") or ";16" in stored_kind(image)


def on_sizes(size: tuple[int, int], mask_size: tuple[int, int], path: Path) -> Note:
    """Return the note on an image and a mask of two sizes, (height, width) each."""
    note = f"image {size[1]} x {size[0]}, mask {mask_size[1]} x {mask_size[0]}"
    if size != mask_size[::-1]:
        return Note("sizes", "Image and mask differ in size", "export both at one size, masks without smoothing", note)
    if (turn := orientation(path)) in range(5, 9):
        note += f", the image is turned by its EXIF orientation ({turn})"
    remedy = "turn the masks by 90 degrees, or store the images upright without the EXIF note and label these"
    return Note("transposed", "Image and mask differ by a quarter turn", remedy, note)
