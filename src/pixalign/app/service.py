"""What the page and its API do, without a page: pictures in, results out, within limits, every error a sentence."""

import csv
import importlib.util
import io
import re
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixalign.app.models import Models, watched, within
from pixalign.app.picking import Picked, pick
from pixalign.data.images import ID_MAP, read_image
from pixalign.errors import InputError
from pixalign.files import replacing
from pixalign.predicting import Mode, Predictor, Result
from pixalign.predicting.inference import PLAIN
from pixalign.runtime import EXPORTED, is_exported, open_runtime
from pixalign.text import first_line

BACKENDS = {
    "pytorch": "PyTorch",
    "fused": "PyTorch, fused",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
}
_FILES = {backend: suffix for suffix, backend in EXPORTED.items()}
_KEPT = 4  # networks in memory
_WHOLE, _TILED = 4_000_000, Mode(1024, 0.2)  # above so many pixels in tiles, which keeps the memory near 1 GB
_EXPORT_SECONDS = 600


@dataclass(frozen=True)
class Limits:
    """What one request may ask for: bytes of a file, pixels of an image, seconds of work, files of a batch."""

    upload: int = 20_000_000
    pixels: int = 16_000_000
    seconds: float = 60.0
    files: int = 100


@dataclass
class Comparison:
    """Two results of one image.

    Attributes:
        first, second: the results.
        differs: (H, W) bool, where the classes differ; None if the two networks know different classes.
    """

    first: Result
    second: Result
    differs: np.ndarray | None

    @property
    def share(self) -> float | None:
        """Share of the pixels (0 to 1) at which the classes differ."""
        return None if self.differs is None else float(self.differs.mean())


class Service:
    """Networks offered to visitors.

    Args:
        models: names that `pixalign.runtime.open_runtime` takes: bundled ones, folders, Hub ids, FILE.onnx, FILE.xml.
        limits: of one request.
        allow_hub: visitors may name other models of the Hub, "owner/name".

    Raises:
        InputError: no model, or one that cannot be loaded.
    """

    def __init__(
        self, models: Sequence[str] = ("default",), limits: Limits = Limits(), allow_hub: bool = False
    ) -> None:
        if not models:
            raise InputError("--models is empty: name one or more, such as default")
        self.limits = limits
        self.allow_hub = allow_hub
        self._sources = dict(zip(_short_names(models), models))
        self._folder = tempfile.TemporaryDirectory(prefix="pixalign-app-models-")
        self._models = Models(self._open, _KEPT)
        self._worker = ThreadPoolExecutor(1, "pixalign-network")  # first come, first served; one thread's memory
        self._exporter = ThreadPoolExecutor(1, "pixalign-export")
        self._exporting = threading.Lock()
        self._exports: dict[Path, Future[Path]] = {}
        self._closing = threading.Event()
        for name in self._sources:
            self._worker.submit(self._load, (name, self.backends(name)[0])).result()

    @property
    def names(self) -> list[str]:
        """What the models are called, in the order given; the first is the default."""
        return list(self._sources)

    def backends(self, name: str) -> list[str]:
        """Keys of `BACKENDS` that a model can be run by here; the first is its default.

        A network is exported for ONNX Runtime or OpenVINO, beside other requests, when it is first asked for (that
        request gets an `InputError` that says so); an exported file has its own.
        """
        source = self._source(name)
        if is_exported(source):
            return [backend for suffix, backend in EXPORTED.items() if suffix == Path(source).suffix.lower()]
        found = ["pytorch", "fused"]
        if importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxscript"):
            found += [key for key in _FILES if importlib.util.find_spec(key)]
        return found

    def segment(self, image: str | Path, model: str = "", backend: str = "", probabilities: bool = False) -> Result:
        """Segment an image file.

        Args:
            image: the file.
            model: one of `names`; empty for the first.
            backend: one of `backends` of the model; empty for its first.
            probabilities: also return them.

        Raises:
            InputError: no such model or back-end, an image that cannot be read or is above the limits, no time left.
        """
        return self._worker.submit(self._segment, image, model, backend, probabilities).result()

    def _segment(self, image: str | Path, model: str, backend: str, probabilities: bool) -> Result:
        with self._using(self._resolve(model, backend), image) as (predictor, pixels):
            predictor.mode = _TILED if pixels.shape[0] * pixels.shape[1] > _WHOLE else PLAIN
            return predictor(pixels, probabilities)

    def compare(self, image: str | Path, first: tuple[str, str], second: tuple[str, str]) -> Comparison:
        """Segment an image file by two (model, back-end), arguments as in `segment`."""
        one, two = (self.segment(image, *which) for which in (first, second))
        return Comparison(one, two, one.ids != two.ids if one.classes == two.classes else None)

    def pick(self, image: str | Path, x: int, y: int, model: str = "", backend: str = "") -> Picked:
        """What the model says about a pixel of an image file, and where its aligners took its features from.

        The geometry is that of the network in PyTorch, whichever back-end is asked; an exported file shows none.

        Raises:
            InputError: as in `segment`; a pixel outside the image.
        """
        return self._worker.submit(self._pick, image, x, y, model, backend).result()

    def _pick(self, image: str | Path, x: int, y: int, model: str, backend: str) -> Picked:
        name, backend = self._resolve(model, backend)
        look_into = backend if is_exported(self._source(name)) else "pytorch"
        with self._using((name, look_into), image) as (predictor, pixels):
            height, width = pixels.shape[:2]
            if not (0 <= x < width and 0 <= y < height):
                raise InputError(f"pixel {x},{y} lies outside the image of {width} x {height}: choose one inside")
            predictor.mode = PLAIN
            return pick(predictor, pixels, (x, y))

    def batch(
        self,
        images: Sequence[str | Path],
        out: str | Path,
        model: str = "",
        backend: str = "",
        advance: Callable[[int], None] = lambda done: None,
    ) -> list[str]:
        """Segment image files into a zip: <stem>.png (ids), <stem>_overlay.jpg, areas.csv (percent by class).

        Each image has the time of one request, and between two images other requests get their turn.

        Args:
            images: the files.
            out: the zip, written whole or not at all.
            model, backend: as in `segment`.
            advance: called with the number of images done after each.

        Returns:
            What could not be segmented and why, one line each; the same lines are in errors.txt of the zip.

        Raises:
            InputError: no images, more than the limit, none that can be segmented, no such model.
        """
        if not images:
            raise InputError("no images: choose one or more files")
        if len(images) > self.limits.files:
            raise InputError(f"{len(images)} files are more than the {self.limits.files} of one batch: choose fewer")
        failed: list[str] = []
        table = io.StringIO()
        writer = csv.writer(table)
        stems: set[str] = set()
        with replacing(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for done, image in enumerate(images, 1):
                try:
                    result = self.segment(image, model, backend)
                except InputError as error:
                    failed.append(str(error))
                else:
                    if not stems:
                        writer.writerow(["file", "width", "height", *result.classes])
                    stem = _free(Path(image).stem, stems)
                    archive.writestr(f"{stem}.png", encoded(result.id_image(), "PNG", **ID_MAP))
                    archive.writestr(f"{stem}_overlay.jpg", encoded(result.overlay(), "JPEG", quality=90))
                    shares = [f"{100 * share:.3f}" for share in result.areas().values()]
                    writer.writerow([_cell(Path(image).name), *result.ids.shape[::-1], *shares])
                advance(done)
            if not stems:
                raise InputError(f"none of the {len(images)} files could be segmented: {failed[0]}")
            archive.writestr("areas.csv", table.getvalue(), zipfile.ZIP_DEFLATED)
            if failed:
                archive.writestr("errors.txt", "\n".join(failed) + "\n", zipfile.ZIP_DEFLATED)
        return failed

    def close(self) -> None:
        """Free the networks and remove the exports, once the work in hand is done."""
        self._closing.set()
        self._worker.shutdown(cancel_futures=True)
        self._exporter.shutdown(cancel_futures=True)
        self._models.clear()
        self._folder.cleanup()

    def _load(self, key: tuple[str, str]) -> None:
        with self._models.use(key):
            pass

    @contextmanager
    def _using(self, key: tuple[str, str], image: str | Path) -> Iterator[tuple[Predictor, np.ndarray]]:
        """The predictor of a model and back-end, for one request, and the image's pixels (H, W, C)."""
        with self._models.use(key) as predictor, within(self.limits.seconds), _about(image):
            size = Path(image).stat().st_size if Path(image).is_file() else 0
            if size > self.limits.upload:
                raise InputError(f"{size / 1e6:.1f} MB are more than the {self.limits.upload / 1e6:g} MB taken here")
            yield predictor, read_image(image, self.limits.pixels, predictor.channels)

    def _resolve(self, model: str, backend: str) -> tuple[str, str]:
        name = model or self.names[0]
        offered = self.backends(name)
        if backend and backend not in offered:
            raise InputError(f"back-end {backend!r} is not available for {name}: choose one of {', '.join(offered)}")
        return name, backend or offered[0]

    def _source(self, name: str) -> str:
        """What a visitor's name means: never a path that was not given when the service started."""
        if name in self._sources:
            return self._sources[name]
        if self.allow_hub and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) and not Path(name).exists():
            return name
        hub = ", or name one of the Hub, owner/name" if self.allow_hub else ""
        raise InputError(f"model {name!r} is not offered here: choose one of {', '.join(self.names)}{hub}")

    def _open(self, key: tuple[str, str]) -> Predictor:
        name, backend = key
        source: str | Path = self._source(name)
        if backend in _FILES and not is_exported(source):
            source = self._exported(name, backend)
        return watched(Predictor(open_runtime(source, "fused") if backend == "fused" else source))

    def _exported(self, name: str, backend: str) -> Path:
        """The file of a network for a back-end; while it is being made, InputError asks to come back."""
        source = self._source(name)
        path = Path(self._folder.name, f"{re.sub(r'[^A-Za-z0-9]+', '_', source).strip('_')}{_FILES[backend]}")
        with self._exporting:
            if path not in self._exports:
                self._exports[path] = self._exporter.submit(self._export, source, path)
            future = self._exports[path]
            if future.done() and future.exception():
                del self._exports[path]  # the next one who asks tries again
        if not future.done():
            raise InputError(f"{BACKENDS[backend]}: {name} is being exported for it: try again in a minute")
        return future.result()

    def _export(self, source: str, path: Path) -> Path:
        """Export a network by a process of its own, which gives all its memory back."""
        command = [sys.executable, "-m", "pixalign", "export", source, "--out", str(path)]
        backend = BACKENDS[EXPORTED[path.suffix]]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
        ) as process:
            end = time.monotonic() + _EXPORT_SECONDS
            while True:
                try:
                    _, errors = process.communicate(timeout=0.5)
                    break
                except subprocess.TimeoutExpired as error:
                    if self._closing.is_set() or time.monotonic() > end:
                        process.kill()
                        raise InputError(f"{backend}: the export took too long: choose PyTorch") from error
        if process.returncode:
            reason = errors.strip().splitlines()[-1:] or ["no reason given"]
            raise InputError(f"{backend} cannot run this model ({reason[0].removeprefix('pixalign: error: ')})")
        return path


@contextmanager
def _about(image: str | Path) -> Iterator[None]:
    """Have errors name the image by its file name alone, and nothing that only the server's owner can do."""
    name = Path(image).name
    try:
        yield
    except InputError as error:
        text = str(error).removeprefix("image: ").replace(str(image), name)
        text = text.replace(", or raise --max-pixels if there is memory for it", "")
        raise InputError(text if text.startswith(name) else f"{name}: {text}") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: {first_line(error)}") from error


def encoded(picture: Image.Image, format: str, **options: Any) -> bytes:
    """A picture as the bytes of a file."""
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def _short_names(models: Sequence[str]) -> list[str]:
    """The last two parts of each path, or all of it where two would be called the same; other names as they are."""
    short = ["/".join(Path(model).parts[-2:]) if Path(model).exists() else model for model in models]
    return [model if short.count(name) > 1 else name for model, name in zip(models, short)]


def _free(stem: str, taken: set[str]) -> str:
    """The stem, with a number if it is taken; noted in ``taken``."""
    stem = re.sub(r"[^\w. -]+", "_", stem) or "image"
    stems = (stem, *(f"{stem}_{number}" for number in range(2, len(taken) + 4)))
    free = next(each for each in stems if each.lower() not in taken and each not in ("areas", "errors"))
    taken.add(free.lower())
    return free


def _cell(text: str) -> str:
    """A text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in "=+-@" else text
