"""Data sets of the Hugging Face Hub or in its formats: an image column and a mask column (the extra ``datasets``).

``data.root`` is a repository id (``owner/name``, or ``owner/name:configuration``), a folder written by
``save_to_disk``, or a folder of parquet files. ``val`` also finds the splits validation, valid and dev.

The mask column is the one that ``data.mask_template`` names; else the only image column whose name holds one of
`MASK_WORDS`; else the only column that is a list of lists of integers. The image column is called image, or is the only
other one of images. A mask is a picture of mode 1, L, P or I, or lists (H, W) of integers: class ids, 255 ignored.

The classes are those of the mask column's ClassLabel; else of ``id2label.json`` in the folder or repository
(``{"0": "road", ...}``, ids from 0 without a gap); else the ids found in the masks of all splits, named class_0 and so
on, for which every mask is decoded once.

Nothing of a repository is executed: loading scripts are refused by the library.
"""

import functools
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixalign.data.mask_values import is_stretched
from pixalign.data.samples import Samples, in_threads
from pixalign.errors import InputError, naming
from pixalign.palette import IGNORE, default_classes
from pixalign.text import first_line

MASK_WORDS = ("mask", "label", "annotation", "segmentation", "target")

_SPLITS = {"val": ("val", "validation", "valid", "dev")}


def hub(root: str | Path, split: str, mask_template: str = "", channels: int = 3) -> Samples:
    """Return a split of a Hugging Face data set: train, val, test, or any other name of a split.

    Args:
        root, mask_template: see this module's text.
        split: the name.
        channels: of the images, 3 (RGB) or 1 (gray).

    Raises:
        InputError: the extra is not installed, no such data set, split or column, or classes that cannot be told.
    """
    splits = _load(str(root))
    name = next((known for known in _SPLITS.get(split, (split,)) if known in splits), None)
    if name is None:
        raise InputError(f"{root}: has no split {split!r}: choose one of {', '.join(splits)}")
    rows = splits[name]
    image, mask = _columns(str(root), rows.features, mask_template)
    classes = _names_of(rows.features[mask]) or _listed(str(root))
    if not classes:
        contents = tuple(part._fingerprint for part in splits.values())  # which has no public name
        classes = default_classes(_count(str(root), mask, contents))
    title = f"{root}/{split}"
    return Samples(_Rows(rows, image, mask, title), classes, name=title, channels=channels)


@dataclass
class _Rows:
    """Rows as pairs of image and mask; a row that cannot be decoded is an `InputError`."""

    rows: Any
    image: str
    mask: str
    name: str

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        try:
            row = self.rows[index]
        except IndexError:
            raise
        except Exception as error:  # damaged files make the decoders raise almost anything
            reason = first_line(error)
            raise InputError(f"{self.name}, sample {index}: cannot be decoded ({reason}): remove it") from error
        return row[self.image], row[self.mask]


def _load(root: str) -> dict[str, Any]:
    """The splits of a data set by name."""
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            "data.name is hub, which needs the package datasets: pip install 'pixalign[datasets]'"
        ) from error
    folder = Path(root)
    name, _, configuration = root.partition(":")
    with naming(root):
        try:
            if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
                found = datasets.load_from_disk(root)
            elif folder.is_dir():
                found = datasets.load_dataset(root)
            elif root.startswith((".", "/", "~")) or name.count("/") > 1:
                raise InputError("no such folder: data.root is a folder or a repository id, such as owner/name")
            else:
                found = datasets.load_dataset(name, configuration or None)
        except InputError:
            raise
        except Exception as error:  # the library's errors come in many classes
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"cannot be opened as a data set of the Hugging Face Hub ({reason})") from error
    if isinstance(found, datasets.Dataset):
        return {str(found.split or "train"): found}
    return {str(split): rows for split, rows in found.items()}


def _columns(root: str, features: Any, wanted: str) -> tuple[str, str]:
    """The names of the image column and the mask column."""
    import datasets

    pictures = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    listed = ", ".join(features)
    if wanted and wanted not in features:
        raise InputError(f"{root}: has no column {wanted!r}: set data.mask_template to one of {listed}")
    named = [name for name in pictures if any(word in name.lower() for word in MASK_WORDS)]
    nested = [name for name, feature in features.items() if _depth(feature) == 2]
    masks = [wanted] if wanted else named or nested
    if len(masks) != 1:
        found = f"{len(masks)} columns could be the mask ({', '.join(masks)})" if masks else "has no column of masks"
        raise InputError(f"{root}: {found}: set data.mask_template to the mask's column, one of {listed}")
    others = [name for name in pictures if name != masks[0]]
    images = ["image"] if "image" in others else others
    if len(images) != 1:
        found = f"{len(images)} columns could be the image ({', '.join(images)})" if images else "has no other images"
        raise InputError(f"{root}: {found} beside the mask {masks[0]!r}: call one column image (columns: {listed})")
    return images[0], masks[0]


def _depth(feature: Any) -> int:
    """How deep the lists of a column's feature are nested; 2 also for a two-dimensional array."""
    if type(feature).__name__ == "Array2D":
        return 2
    inner = getattr(feature, "feature", None)
    return 0 if inner is None else 1 + _depth(inner)


def _names_of(feature: Any) -> list[str]:
    """The names of the ClassLabel inside a column's feature, if there is one."""
    while (inner := getattr(feature, "feature", None)) is not None:
        feature = inner
    return list(getattr(feature, "names", None) or [])


def _listed(root: str) -> list[str]:
    """The names in id2label.json of the folder or repository; none if there is no such file."""
    file = Path(root) / "id2label.json"
    if not Path(root).is_dir():
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        with suppress(EntryNotFoundError, OSError):
            file = Path(hf_hub_download(root.partition(":")[0], file.name, repo_type="dataset"))
    if not file.is_file():
        return []
    try:
        names = {int(key): str(value) for key, value in json.loads(file.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError, OSError) as error:
        raise InputError(f'{file}: cannot be read: it must hold names by id, as in {{"0": "road"}}') from error
    if sorted(names) != list(range(len(names))):
        raise InputError(f"{file}: its ids are not 0, 1, 2 and so on without a gap: number the classes anew")
    return [names[i] for i in range(len(names))]


@functools.lru_cache(maxsize=8)
def _count(root: str, mask: str, fingerprints: tuple[str, ...]) -> int:
    """One more than the largest id in the masks of all splits; ``fingerprints`` stand for their content."""
    present: set[int] = set()

    def values(index: int) -> np.ndarray:
        labels = np.asarray(rows[index][1])
        if labels.ndim != 2 or labels.dtype.kind not in "iub":
            raise InputError(
                f"{rows.name}, sample {index}: the mask {mask!r} is {labels.dtype} {labels.shape}: class ids "
                "(H, W) are expected, not colors"
            )
        return np.unique(labels)

    for split, part in _load(root).items():
        rows = _Rows(part.select_columns([mask]), mask, mask, f"{root}/{split}")
        for found in in_threads(values, len(rows)):
            present.update(found.tolist())
    ids = sorted(present - {IGNORE})
    largest, binary = max(ids, default=-1), ids == [0]
    if is_stretched(ids) and ids[-1] - ids[-2] > 7:
        listed = ", ".join(str(value) for value in sorted(present)[:8]) + (", ..." if len(present) > 8 else "")
        raise InputError(f"{root}: the masks in {mask!r} hold {listed}, stretched: store class ids 0, 1, 2 and so on")
    if largest < 0 or binary or largest >= IGNORE:
        what = "0 and 255 alone, and 255 means no label" if 0 <= largest < IGNORE else f"ids up to {largest}"
        raise InputError(f"{root}: the masks in {mask!r} hold {what}: store class ids from 0 to 254")
    return largest + 1
