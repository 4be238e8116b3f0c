"""Look at every pair of a split: what its image and its mask are."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pixalign.checking.notes import Note, on_image, on_sizes, on_turns, refused, warning
from pixalign.data.formats.labelme import read_labelme
from pixalign.data.masks import read_values, value_counts
from pixalign.data.pairs import Pairs
from pixalign.data.samples import in_threads
from pixalign.errors import InputError
from pixalign.palette import IGNORE

KEPT_VALUES = 4096  # of which a check keeps count

Progress = Callable[[str, int, int], None]


@dataclass
class _Seen:
    """What one pair turned out to be; counts are of 256 ids, of which 255 is no label."""

    notes: list[Note] = field(default_factory=list)
    size: tuple[int, int] | None = None
    digest: bytes = b""
    mask_digest: bytes = b""
    counts: np.ndarray | None = None
    unknown: dict[str, int] = field(default_factory=dict)


@dataclass
class Tally:
    """How often a value occurs: in files, in pixels, and the first pair that has it."""

    files: int = 0
    pixels: int = 0
    first: tuple[str, int] = ("", -1)


@dataclass
class Looked:
    """A split, and what its pairs turned out to be.

    The last three are known once the classes are: labeled pixels by class (K,) int64, pairs in which the class occurs
    (K,) int64, and pixels without a label, or with a value that means no class.
    """

    name: str
    pairs: Pairs
    counts: np.ndarray  # (N, 256) int32: pixels by id, of which 255 is no label
    sound: np.ndarray  # (N,) bool: readable, of one size, nothing unknown
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (height, width) of the readable images
    digests: list[tuple[bytes, bytes]] = field(default_factory=list)
    notes: list[tuple[int, Note]] = field(default_factory=list)
    unknown: dict[str, Tally] = field(default_factory=dict)
    strange: list[tuple[int, list[str], int]] = field(default_factory=list)  # pair, values that mean no class, pixels
    unlisted: int = 0  # pixels of further such values
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    images: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    unlabeled: int = 0

    def shares(self) -> list[float]:
        """Share of the labeled pixels by class, 0 to 1."""
        return (self.pixels / max(1, int(self.pixels.sum()))).tolist()

    def labeled(self) -> float:
        """Share of the pixels that have a label, 0 to 1."""
        labeled = int(self.pixels.sum())
        return labeled / max(1, labeled + self.unlabeled)


def scan_split(name: str, pairs: Pairs, raw: bool, progress: Progress) -> Looked:
    """Read all pairs of a split; ``raw`` takes the masks' values for ids, whatever the classes."""
    total = len(pairs)
    split = Looked(name, pairs, np.zeros((total, 256), np.int32), np.zeros(total, bool))
    progress(name, 0, total)
    for index, seen in enumerate(in_threads(lambda i: _look(pairs, i, raw), total, os.cpu_count())):
        split.notes += [(index, note) for note in seen.notes]
        split.digests.append((seen.digest, seen.mask_digest))
        if seen.size:
            split.sizes[seen.size] += 1
        if seen.counts is not None:
            split.counts[index] = seen.counts
        if seen.unknown:
            split.strange.append((index, [*seen.unknown][:4], sum(seen.unknown.values())))
        for value, count in seen.unknown.items():
            if value not in split.unknown and len(split.unknown) >= KEPT_VALUES:
                split.unlisted += count
                continue
            tally = split.unknown.setdefault(value, Tally(first=(name, index)))
            tally.files += 1
            tally.pixels += count
        failed = any(note.severity == "error" for note in seen.notes)
        split.sound[index] = not failed and (raw or not seen.unknown)
        progress(name, index + 1, total)
    return split


def _look(pairs: Pairs, index: int, raw: bool) -> _Seen:
    seen, path, mask = _Seen(), pairs.images[index], pairs.masks[index]
    mask_size = None
    try:
        image = pairs.read_image(index)
    except InputError as error:
        seen.notes.append(refused(str(error), path, "image"))
    else:
        seen.size, seen.digest = image.shape[:2], _digest(image)
        seen.notes += on_image(path, image, pairs.channels)
    try:
        ids, seen.unknown = _raw_mask(pairs, index) if raw else mask_of(pairs, index)
    except InputError as error:
        seen.notes.append(refused(str(error), mask, "mask"))
    else:
        mask_size, seen.mask_digest = ids.shape, _digest(ids)
        seen.counts = np.bincount(ids.ravel(), minlength=256)
        if seen.counts[IGNORE] == ids.size and not seen.unknown:
            seen.notes.append(warning("unlabeled"))
    if seen.size and mask_size:
        if seen.size != mask_size:
            seen.notes.append(on_sizes(seen.size, mask_size, path))
        seen.notes += on_turns(path, None if pairs.drawings or mask.suffix.lower() in (".json", ".mat") else mask)
    return seen


def _digest(pixels: np.ndarray) -> bytes:
    """16 bytes that pixels of the same values and shape have in common."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16, salt=b"%d" % pixels.shape[1]).digest()


def mask_of(pairs: Pairs, index: int) -> tuple[np.ndarray, dict[str, int]]:
    """As `Pairs.read_mask`, but colors that the classes know nothing of are unknown values, too."""
    try:
        return pairs.read_mask(index)
    except InputError:
        if pairs.drawings or pairs.labels.mask_colors or pairs.masks[index].suffix.lower() == ".json":
            raise
        ids, unknown = _raw_mask(pairs, index)
        if not unknown or (ids != IGNORE).any():
            raise
        return ids, unknown


def _raw_mask(pairs: Pairs, index: int) -> tuple[np.ndarray, dict[str, int]]:
    """A mask's own values (H, W) uint8, and those that do not fit into it: colors, ids above 255, labels as text."""
    if pairs.drawings:
        return pairs.drawing(index).draw([])
    path = pairs.masks[index]
    if path.suffix.lower() == ".json":
        return read_labelme(path).draw([])
    values = read_values(path, gray_as_ids=True)
    large = (values > IGNORE) | (values.dtype == np.uint32)
    return np.where(large, IGNORE, values).astype(np.uint8), value_counts(values[large])
