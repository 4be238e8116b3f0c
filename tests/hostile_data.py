"""Seeded hostile data sets, and what each command makes of them.

A case is a folder of a few images and masks of three classes, some of them spoilt: by size, mode, bit depth, damage,
suffix, header, name or kind of file; and a place for the results that may be unusable. Each case goes through ``data
check``, one epoch of ``train``, ``evaluate`` and ``predict`` by the command line. A command may succeed, or say in one
line what is wrong and return 2 (``predict`` 1, with a line for each image that failed). Anything else is a failure: a
traceback, more time than `LIMIT`, or a count that is not that of the masks written.

    python tests/hostile_data.py --cases 2000 --processes 2

runs many cases and prints how each command ended.
"""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import zlib
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

CLASSES = 3
LIMIT = 60.0  # seconds for one command on one core; the slowest take a few
STEPS = ("check", "train", "evaluate", "predict")
UNICODE = "Straße 雨 ☂ e\u0301 🚲"


class Case:
    """A folder to be made: ``root`` with images/ and masks/, and the expected masks of the pairs that are sound."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.dice = root, random.Random(seed)
        self.noise = np.random.default_rng(seed)
        self.out = root / "out"
        self.expected: dict[str, np.ndarray] | None = {}  # None: the right answer is an error
        self.what: list[str] = []

    def side(self) -> int:
        """A side of an image in pixels: mostly small, seldom 1 or large."""
        return self.dice.choice([1, 2, 7, 31, 32, 33, 48, 64, 65, 97, 130, self.dice.randint(1, 300)])

    def picture(self, height: int, width: int) -> np.ndarray:
        return self.noise.integers(0, 256, (height, width, 3), dtype=np.uint8)

    def mask(self, height: int, width: int) -> np.ndarray:
        ids = self.noise.integers(0, CLASSES, (-(-height // 8), -(-width // 8)), dtype=np.uint8)
        ids = ids.repeat(8, 0).repeat(8, 1)[:height, :width].copy()
        ids[: height // 6] = 255
        return ids

    def fail(self) -> None:
        self.expected = None

    def image_path(self, stem: str, suffix: str = ".png") -> Path:
        return self.root / "images" / (stem + suffix)

    def mask_path(self, stem: str) -> Path:
        return self.root / "masks" / f"{stem}.png"

    def add(self, stem: str, height: int | None = None, width: int | None = None, suffix: str = ".png") -> Path:
        """Write a sound pair and expect it; return the image's path."""
        height, width = height or self.side(), width or self.side()
        ids = self.mask(height, width)
        path = self.image_path(stem, suffix)
        save(Image.fromarray(self.picture(height, width)), path)
        save(Image.fromarray(ids), self.mask_path(stem))
        if self.expected is not None:
            self.expected[stem] = ids
        return path


def save(image: Image.Image, path: Path, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


# What may be wrong (or only unusual) with an image --------------------------------------------------------------------


def unusual_mode(case: Case) -> None:
    path = case.add("mode")
    image = Image.open(path).convert("RGB")
    mode = case.dice.choice(["1", "L", "LA", "P", "RGBA", "I;16"])
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    image.save(path)


def other_format(case: Case) -> None:
    path = case.add("format")
    image = Image.open(path).convert("RGB")
    path.unlink()
    suffix = case.dice.choice([".jpg", ".JPEG", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".PNG"])
    save(image if suffix != ".gif" else image.quantize(16), case.image_path("format", suffix))


def cmyk(case: Case) -> None:
    path = case.add("cmyk")
    image = Image.open(path).convert("CMYK")
    path.unlink()
    save(image, case.image_path("cmyk", ".jpg"))


def floating_point(case: Case) -> None:
    path = case.add("float")
    image = Image.fromarray(np.asarray(Image.open(path).convert("F")))
    path.unlink()
    save(image, case.image_path("float", ".tiff"))
    case.fail()


def wrong_suffix(case: Case) -> None:
    path = case.add("suffix")
    save(Image.open(path).convert("RGB"), path.with_suffix(".webp"), lossless=True)
    path.with_suffix(".webp").rename(path)  # a WebP named .png is read for what it is


def text_as_image(case: Case) -> None:
    case.add("text").write_text("not an image\n" * case.dice.randint(1, 50))
    case.fail()


def empty_image(case: Case) -> None:
    case.add("empty").write_bytes(b"")
    case.fail()


def truncated_image(case: Case) -> None:
    path = case.add("cut", 64, 64)
    path.write_bytes(path.read_bytes()[: case.dice.randint(1, path.stat().st_size - 200)])
    case.fail()


def flipped_bytes(case: Case) -> None:
    path = case.add("flipped", 48, 64)
    data = bytearray(path.read_bytes())
    for _ in range(case.dice.randint(1, 40)):
        data[case.dice.randrange(len(data))] ^= 1 << case.dice.randrange(8)
    path.write_bytes(data)
    case.what.append("may still be read")


def random_bytes(case: Case) -> None:
    case.add("bytes").write_bytes(case.noise.bytes(case.dice.randint(1, 5000)))
    case.fail()


def huge_header(case: Case) -> None:
    path = case.add("huge")
    side = case.dice.choice([40_000, 2**20, 2**31 - 1])

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    case.fail()


def large_image(case: Case) -> None:
    case.add("large", case.dice.randint(300, 900), case.dice.randint(300, 900))


def very_large_image(case: Case) -> None:
    sides = [case.dice.choice([1, 40, 64]), 3000]
    case.dice.shuffle(sides)
    case.add("long", *sides)


def turned_by_exif(case: Case) -> None:
    path = case.add("turned", 48, 64)
    image = Image.open(path).convert("RGB")
    exif = image.getexif()
    exif[0x0112] = case.dice.choice([1, 3, 2, 9, 0])
    image.save(path, exif=exif)


def several_frames(case: Case) -> None:
    path = case.add("frames", 40, 56)
    frame = Image.open(path).convert("P")
    path.unlink()
    save(frame, case.image_path("frames", ".gif"), save_all=True, append_images=[frame.rotate(180)])


# What may be wrong with a mask ----------------------------------------------------------------------------------------


def value_outside(case: Case) -> None:
    case.add("outside", 48, 64)
    ids = np.array(Image.open(case.mask_path("outside")))
    ids[-1, -1] = case.dice.choice([CLASSES, 7, 200, 254])
    Image.fromarray(ids).save(case.mask_path("outside"))
    case.fail()


def mask_of_another_size(case: Case) -> None:
    case.add("sizes", 48, 64)
    save(Image.fromarray(case.mask(64, 48)), case.mask_path("sizes"))
    case.fail()


def mask_missing(case: Case) -> None:
    case.add("alone")
    case.mask_path("alone").unlink()
    case.fail()


def mask_16_bit(case: Case) -> None:
    case.add("deep", 48, 64)
    Image.fromarray(np.array(Image.open(case.mask_path("deep"))).astype(np.uint16)).save(case.mask_path("deep"))


def mask_in_palette(case: Case) -> None:
    case.add("palette", 48, 64)
    image = Image.open(case.mask_path("palette"))
    paletted = Image.new("P", image.size)
    paletted.putdata(np.asarray(image).ravel().tolist())
    paletted.putpalette([v for i in range(256) for v in (i, 255 - i, (7 * i) % 256)])
    paletted.save(case.mask_path("palette"))


def mask_without_labels(case: Case) -> None:
    case.add("void", 40, 40)
    ids = np.full((40, 40), 255, np.uint8)
    Image.fromarray(ids).save(case.mask_path("void"))
    if case.expected is not None:
        case.expected["void"] = ids


def lossy_mask(case: Case) -> None:
    case.add("lossy", 48, 64)
    image = Image.open(case.mask_path("lossy"))
    image.load()
    case.mask_path("lossy").unlink()
    save(image, case.mask_path("lossy").with_suffix(".jpg"))
    case.fail()


def coloured_mask(case: Case) -> None:
    case.add("coloured", 48, 64)
    Image.fromarray(case.picture(48, 64)).save(case.mask_path("coloured"))
    case.fail()


def grey_mask_as_rgb(case: Case) -> None:
    case.add("grey", 48, 64)  # where no class has colours, equal channels are ids
    Image.open(case.mask_path("grey")).convert("RGB").save(case.mask_path("grey"))


def empty_mask(case: Case) -> None:
    case.add("hollow")
    case.mask_path("hollow").write_bytes(b"")
    case.fail()


def truncated_mask(case: Case) -> None:
    case.add("torn", 64, 96)
    path = case.mask_path("torn")
    path.write_bytes(path.read_bytes()[: case.dice.randint(8, path.stat().st_size - 30)])
    case.fail()


# Names and kinds of files ---------------------------------------------------------------------------------------------


def strange_name(case: Case) -> None:
    case.add(case.dice.choice([UNICODE, "a" * 245, "two\nlines", "<script>alert(1)<&script>", "'quo\"ted", " blank ",
                               "%s{}{0}%d", "-rf", "dot.in.name", "[a-z]*?"]))  # fmt: skip


def not_utf_8(case: Case) -> None:
    name = os.fsdecode(b"latin-\xe9")
    case.add("latin")
    case.image_path("latin").rename(case.image_path(name))
    case.mask_path("latin").rename(case.mask_path(name))
    if case.expected is not None:
        case.expected[name] = case.expected.pop("latin")


def folder_named_like_an_image(case: Case) -> None:
    case.image_path("folder").mkdir(parents=True)


def link_to_nothing(case: Case) -> None:
    case.add("dangling")
    case.image_path("dangling").unlink()
    case.image_path("dangling").symlink_to("gone.png")
    case.what.append("may be left out")


def link_to_an_image(case: Case) -> None:
    path = case.add("linked")
    path.rename(case.root / "elsewhere.png")
    path.symlink_to(case.root / "elsewhere.png")


def circle_of_links(case: Case) -> None:
    (case.root / "images").mkdir(exist_ok=True, parents=True)
    (case.root / "images" / "circle").symlink_to(case.root / "images")
    (case.root / "images" / "up").symlink_to(case.root)


def link_to_itself(case: Case) -> None:
    case.add("loop")
    case.image_path("loop").unlink()
    case.image_path("loop").symlink_to(case.image_path("loop"))
    case.what.append("may be left out")


def named_pipe(case: Case) -> None:
    case.add("pipe")
    case.image_path("pipe").unlink()
    os.mkfifo(case.image_path("pipe"))
    case.what.append("may be left out")


def other_files(case: Case) -> None:
    (case.root / "images").mkdir(exist_ok=True, parents=True)
    for name in ("Thumbs.db", ".DS_Store", "notes.txt", "._a.png", "a.png.part"):
        (case.root / "images" / name).write_bytes(case.noise.bytes(100))


# The place for the results --------------------------------------------------------------------------------------------


def output_is_a_file(case: Case) -> None:
    if "no output" not in case.what:
        case.out.write_text("in the way")
        case.what.append("no output")


def output_below_a_file(case: Case) -> None:
    (case.root / "file").write_text("in the way")
    case.out = case.root / "file" / "below"
    case.what.append("no output")


def output_unwritable(case: Case) -> None:
    case.out = Path("/proc/pixalign")
    case.what.append("no output")


def output_with_a_strange_name(case: Case) -> None:
    if "no output" not in case.what:
        case.out = case.root / f"{UNICODE} \n[x]"


SPOILERS: tuple[Callable[[Case], None], ...] = (
    unusual_mode, other_format, cmyk, floating_point, wrong_suffix, text_as_image, empty_image, truncated_image,
    flipped_bytes, random_bytes, huge_header, large_image, very_large_image, turned_by_exif, several_frames,
    value_outside, mask_of_another_size, mask_missing, mask_16_bit, mask_in_palette, mask_without_labels, lossy_mask,
    coloured_mask, grey_mask_as_rgb, empty_mask, truncated_mask, strange_name, not_utf_8, folder_named_like_an_image,
    link_to_nothing, link_to_an_image, circle_of_links, link_to_itself, named_pipe, other_files, output_is_a_file,
    output_below_a_file, output_unwritable, output_with_a_strange_name,
)  # fmt: skip


def make_case(root: Path, seed: int) -> Case:
    """Write the case of a seed: the first ones spoil one thing each, later ones up to three at once."""
    case = Case(root, seed)
    for stem in ("a", "b", "c"):
        case.add(stem, case.dice.randint(32, 70), case.dice.randint(32, 70), case.dice.choice([".png", ".bmp", ".tif"]))
    spoilers = [SPOILERS[seed % len(SPOILERS)]]
    if seed >= len(SPOILERS):
        spoilers += case.dice.sample([s for s in SPOILERS if s not in spoilers], case.dice.randint(0, 2))
    for spoil in spoilers:
        spoil(case)
    case.what = [spoil.__name__ for spoil in spoilers] + case.what
    (root / "classes.yaml").write_text("".join(f"- class {i}\n" for i in range(CLASSES)))
    return case


# What the commands make of it -----------------------------------------------------------------------------------------


class TooLong(BaseException):
    """A command took more than `LIMIT`; no handler of errors may catch it."""


def command(*arguments: str) -> tuple[int, str]:
    """Run a command line in this process; return its status and what it said to stderr."""
    from pixalign.cli import main

    def stop(number: int, frame: object) -> None:
        raise TooLong

    out, err = io.StringIO(), io.StringIO()
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(arguments)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return status, err.getvalue()


def make_model(folder: Path) -> Path:
    """Save a tiny network of the cases' classes."""
    import torch

    from pixalign import create_model, save

    torch.manual_seed(0)
    options = {"channels": 8, "encoder_options": {"channels": [8, 8, 16, 16]}}
    model = create_model("aligned_fpn", encoder="resnet18", num_classes=CLASSES, aligner="flow", **options)
    model.config["classes"] = [f"class {i}" for i in range(CLASSES)]
    return save(model, folder)


def run_case(case: Case, model: Path) -> tuple[dict[str, str], list[str]]:
    """Take a case through the commands; return how each ended ("done" or "refused"), and what went wrong."""
    ended: dict[str, str] = {}
    wrong: list[str] = []
    root, out = str(case.root), case.out
    usable = "no output" not in case.what

    def step(name: str, *arguments: str, allowed: tuple[int, ...] = (0, 2)) -> int | None:
        began = time.perf_counter()
        try:
            status, said = command(*arguments)
        except TooLong:
            wrong.append(f"{name}: took more than {LIMIT:.0f} s")
            return None
        except BaseException:
            wrong.append(f"{name}: {traceback.format_exc()}")
            return None
        lines = [line for line in said.splitlines() if line.startswith("pixalign: error: ")]
        if "Traceback" in said or status not in allowed or (status == 2 and len(lines) != 1):
            wrong.append(f"{name}: status {status} after {time.perf_counter() - began:.0f} s: {said[-800:]}")
        ended[name] = {0: "done", 1: "done in part"}.get(status, "refused")
        return status

    status = step("check", "data", "check", root, "--out", str(out / "check"))
    if case.expected is None and status == 0:
        wrong.append("check: accepts data that cannot be trained on")
    trained = step(
        "train", "train", "--data.root", root, "--model.encoder", "resnet18", "--model.options",
        json.dumps({"channels": 8, "encoder_options": {"channels": [8, 8, 16, 16]}}), "--data.crop", "[32,32]",
        "--data.workers", "0", "--epochs", "1", "--batch_size", "2", "--precision", "fp32", "--pictures_every", "0",
        "--device", "cpu", "--out", str(out / "run"),
    )  # fmt: skip
    if trained == 0 and case.expected is None:
        wrong.append("train: accepts data that cannot be trained on")
    if trained == 0 and not usable:
        wrong.append("train: says that it has written where nothing can be written")

    counted, splits = Counter[str](), []
    for split in ("train", "val"):
        folder = out / split
        status = step("evaluate", "evaluate", str(model), "--data.root", root, "--data.split", split,
                      "--device", "cpu", "--out", str(folder))  # fmt: skip
        if status == 0:
            result = json.loads((folder / "metrics.json").read_text())
            counted.update(result["class_pixels"])
            splits.append(split)
    if len(splits) == 2 and case.expected is not None and "may be left out" not in case.what:
        labels = np.concatenate([ids.ravel() for ids in case.expected.values()])
        true = {f"class {i}": int((labels == i).sum()) for i in range(CLASSES)}
        if dict(counted) != true:
            wrong.append(f"evaluate: counted {dict(counted)} labelled pixels, and the masks have {true}")

    images = case.root / "images"
    step("predict", "predict", str(images), "--model", str(model), "--device", "cpu", "--out", str(out / "predicted"),
         allowed=(0, 1, 2))  # fmt: skip
    if usable and (out / "predicted").is_dir():
        for path in (out / "predicted").rglob("*.png"):
            with Image.open(path) as ids:
                if ids.mode != "P" or np.asarray(ids).max() >= CLASSES:
                    wrong.append(f"predict: {path.name} holds ids that are no class")
    left = [path for path in case.root.rglob("*") if ".tmp" in path.name or path.name.startswith(".pixalign")]
    if left:
        wrong.append(f"left half-written: {left[:3]}")
    return ended, wrong


def work(arguments: tuple[int, str]) -> tuple[int, list[str], dict[str, str], list[str]]:
    seed, model = arguments
    root = Path(tempfile.mkdtemp(prefix="hostile-"))
    try:
        (root / "data").mkdir()
        case = make_case(root / "data", seed)
        curves = "pixalign.training.loop.draw_curves"  # most of the time otherwise
        with patch(curves, lambda lines, path: None) if seed % 20 else contextlib.nullcontext():
            return seed, case.what, *run_case(case, Path(model))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def main() -> int:
    from rich.progress import track

    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    began, ends, failures = time.perf_counter(), Counter[tuple[str, str]](), 0
    with tempfile.TemporaryDirectory() as folder:
        model = str(make_model(Path(folder) / "model"))
        seeds = range(args.first, args.first + args.cases)
        with get_context("spawn").Pool(args.processes, maxtasksperchild=200) as pool:
            results = pool.imap_unordered(work, [(seed, model) for seed in seeds])
            for seed, what, ended, wrong in track(results, "cases", len(seeds), disable=not sys.stderr.isatty()):
                ends.update(ended.items())
                failures += bool(wrong)
                for line in wrong:
                    print(f"case {seed} ({', '.join(what)}): {line}", flush=True)
    for name in STEPS:
        counts = {end: count for (step, end), count in sorted(ends.items()) if step == name}
        print(f"{name}: " + ", ".join(f"{count} {end}" for end, count in counts.items()))
    print(f"{len(seeds)} cases in {(time.perf_counter() - began) / 60:.1f} minutes: {failures} failures")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
