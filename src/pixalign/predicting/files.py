"""Many images into a folder of results: safe to interrupt, to repeat, and against one broken file among thousands."""

import copy
import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np

from pixalign.data.images import FURTHER_SUFFIXES, MAX_PIXELS, left_out, read_image
from pixalign.errors import InputError
from pixalign.files import write_text
from pixalign.memory import reused_memory
from pixalign.predicting.inference import AUTOMATIC_TILE, LARGE
from pixalign.predicting.predictor import Predictor
from pixalign.predicting.result import Result, output_paths
from pixalign.progress import images_done
from pixalign.runtime import open_runtime

RECORD = "pixalign.json"


@dataclass
class Summary:
    """What `predict_files` did.

    Attributes:
        predicted: images predicted now.
        skipped: images whose results were there already.
        failed: what cannot be read, and why, one line each.
        left_out: what of the images predicted now was not read (`pixalign.data.images.left_out`) -> images.
        areas: share of the pixels predicted now (0 to 1) by class, largest first; empty if there are none.
    """

    predicted: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    areas: dict[str, float] = field(default_factory=dict)


def plan(images: Mapping[Path, Path], out: str | Path) -> dict[Path, Path]:
    """Return each image's output without suffix: ``out``, the image's path below what was given, its stem.

    An image of a less usual kind (such as AVIF) beside another of its stem keeps its suffix in the output's name.

    Args:
        images: what `pixalign.data.images.find_images` found. Images inside ``out``, results of an earlier run, are
            left out.
        out: the folder for the results.

    Raises:
        InputError: two images would be written to one place, a result would overwrite an image, nothing is left.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file: name a folder for the results")
    inside = out.resolve()
    taken: dict[Path, Path] = {}
    alike = Counter(relative.with_suffix("") for relative in images.values())
    for image, relative in images.items():
        plain = relative.with_suffix("")
        target = out / (relative if alike[plain] > 1 and image.suffix.lower() in FURTHER_SUFFIXES else plain)
        if image.resolve() in {path.resolve() for path in output_paths(target.parent, target.name, True)}:
            raise InputError(
                f"{image}: its result would overwrite it: choose another folder than {out} for the results"
            )
        if image.resolve().is_relative_to(inside):
            continue
        if target in taken:
            raise InputError(
                f"{taken[target]} and {image} would both be written to {target}.png: "
                "name a folder above both, or run them with two output folders"
            )
        taken[target] = image
    if not taken:
        raise InputError(f"{out}: all images given lie in the folder for the results: choose another folder for these")
    return {image: target for target, image in taken.items()}


def predict_files(
    predictor: Predictor,
    targets: Mapping[Path, Path],
    out: str | Path,
    *,
    probabilities: bool = False,
    max_pixels: int = MAX_PIXELS,
    force: bool = False,
    verbose: bool = False,
) -> Summary:
    """Predict ``targets`` (see `plan`) into ``out``; what is done and newer than its image is skipped.

    ``out/pixalign.json`` records the model and the options. Where they have changed, everything is predicted again. On
    a CPU the network is first rewritten by `pixalign.fuse`, which changes its logits by rounding alone; one that
    cannot be is used as it is, with a warning. The next image is decoded, and the last result drawn and written, while
    the network runs; an image above 16 megapixels is saved before the next one is decoded.

    Args:
        predictor: the model.
        targets: image to output path without suffix.
        out: folder of the record.
        probabilities: also write them.
        max_pixels: larger images are refused.
        force: predict again what is done.
        verbose: print progress, and a note if results of another model are replaced or a large image is cut into tiles.

    Raises:
        InputError: a result cannot be written (disk full). All files written so far are whole.
    """
    since = _claim(Path(out), _identity(predictor), verbose)
    summary = Summary()
    pixels: Counter[str] = Counter()
    waiting = [
        (image, target)
        for image, target in targets.items()
        if force or not _is_done(image, output_paths(target.parent, target.name, probabilities), since)
    ]
    summary.skipped = len(targets) - len(waiting)
    if waiting:
        predictor = _rewritten(predictor, verbose)

    with (
        ExitStack() as memory,
        images_done(len(waiting), verbose) as advance,
        closing(_decoded([image for image, _ in waiting], max_pixels, predictor.channels)) as pictures,
        ThreadPoolExecutor(1) as writer,
    ):
        memory.enter_context(reused_memory())
        writing: Future | None = None
        noted = not verbose
        for (image, target), picture in zip(waiting, pictures):
            try:
                if isinstance(picture, InputError):
                    raise picture
                large = _is_large(picture)
                if large:
                    memory.close()  # what tiles leave behind would add to the peak of a large image
                if large and predictor.mode.tile is None and not noted:
                    print(f"{image}: larger than 16 megapixels: predicted in tiles of {AUTOMATIC_TILE} (see --tile)")
                    noted = True
                result = predictor(picture, probabilities)
                summary.left_out.update(left_out(image, predictor.channels))
            except InputError as error:
                line = str(error).removeprefix("image: ").removeprefix(f"{image}: ")
                summary.failed.append(f"{image}: {line}")
                advance()
                continue
            if writing is not None:
                pixels.update(writing.result())
            writing = writer.submit(_write, result, target)
            summary.predicted += 1
            advance()
            if large:
                wait([writing])
        if writing is not None:
            pixels.update(writing.result())
    total = sum(pixels.values())
    summary.areas = {name: count / total for name, count in pixels.most_common()}
    return summary


def _decoded(images: Sequence[Path], max_pixels: int, channels: int) -> Generator[np.ndarray | InputError, None, None]:
    """Pictures, or what is wrong with one; meanwhile the next is decoded, but not beside one above 16 megapixels."""
    with ThreadPoolExecutor(1) as reader:
        upcoming: Future | None = None
        for image, following in zip_longest(images, images[1:]):
            current, upcoming = upcoming or reader.submit(read_image, image, max_pixels, channels), None
            try:
                picture = current.result()
            except InputError as error:
                yield error
                continue
            if following is not None and not _is_large(picture):
                upcoming = reader.submit(read_image, following, max_pixels, channels)
            yield picture


def _is_large(picture: np.ndarray) -> bool:
    return picture.shape[0] * picture.shape[1] > LARGE


def _rewritten(predictor: Predictor, verbose: bool) -> Predictor:
    """The predictor with its network fused where it runs on a CPU; as it is, with a warning, where that fails."""
    runtime = predictor.runtime
    if runtime.backend != "torch" or runtime.device.type != "cpu" or runtime.precision == "fp16":
        return predictor
    from pixalign.fusing import FusingError  # every network, and timm: exported files do without them

    quick = copy.copy(predictor)
    try:
        quick.runtime = open_runtime(runtime.network or runtime, "fused", "cpu", runtime.precision)
    except FusingError as error:
        line = f"the network is used as it is, which is slower: {error}"
        print(line) if verbose else warnings.warn(line, stacklevel=3)
        return predictor
    return quick


def _write(result: Result, target: Path) -> dict[str, int]:
    """Write a result; return the pixels of each class."""
    result.save(target.parent, target.name)
    return {name: round(share * result.ids.size) for name, share in result.areas().items()}


def _identity(predictor: Predictor) -> dict[str, object]:
    """What decides the results: a hash over the network, its weights and its classes, and the options."""
    digest = hashlib.sha256()
    known = asdict(predictor.config)
    known = {key: known[key] for key in ("architecture", "arguments", "classes", "colors", "mean", "std")}
    digest.update(json.dumps(known, sort_keys=True).encode())
    digest.update(predictor.runtime.fingerprint().encode())
    options = {"precision": predictor.runtime.precision, "mode": asdict(predictor.mode)}
    return {"model": f"sha256:{digest.hexdigest()}", "options": json.loads(json.dumps(options))}  # as read back


def _claim(out: Path, identity: dict[str, object], verbose: bool) -> int:
    """Record ``identity`` in ``out`` unless it is there; return from what file time (ns) on results are its own."""
    record = out / RECORD
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = None
    except (OSError, ValueError):
        known = {}
    if known != identity:
        if known is not None and verbose:
            print(f"{out}: the model or its options have changed since the last run: all images are predicted again")
        write_text(record, json.dumps(identity, indent=1) + "\n")
    return record.stat().st_mtime_ns


def _is_done(image: Path, outputs: list[Path], since: int) -> bool:
    """Whether all outputs are there, newer than the image and than the record of the model."""
    try:
        newest_cause = max(image.stat().st_mtime_ns, since)
        return all(path.stat().st_mtime_ns >= newest_cause for path in outputs)
    except OSError:
        return False
