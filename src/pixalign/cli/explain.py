"""Show what networks do with an image: where features are fetched from, gates, sampled points, boundaries."""

from collections.abc import Sequence
from typing import Any

from pixalign.cli.forms import is_number, joined, numbers

HELP = "draw how models align features on an image, side by side"


def add_arguments(parser: Any) -> None:
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUTS",
        help="models, if any (bundled names, folders, files, Hub ids; without: default), and last the image",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the sheets, one PNG per model")
    parser.add_argument("--label", metavar="MASK", help="the true classes, as ids or in the model's colors")
    parser.add_argument("--pixel", metavar="X,Y", help="the pixel to look at (default: the least certain class border)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where the networks run")


def rewritten(arguments: Sequence[str]) -> list[str]:
    """The arguments with a pixel of two words as one."""
    return joined(arguments, {"--pixel": is_number})


def run(args: Any) -> int:
    from pathlib import Path

    from pixalign.errors import InputError

    if Path(args.out).is_file():
        raise InputError(f"{args.out}: is a file: name a folder for the sheets")
    pixel = _pixel(args.pixel) if args.pixel else None
    *models, image = args.inputs
    if not Path(image).is_file():
        raise InputError(f"{image}: no such image (the last argument is the image, those before it are models)")

    from pixalign.explaining import explain

    explanation = explain(models or ["default"], image, args.label, pixel, args.device)
    for path in explanation.save(args.out):
        print(path)
    for note in explanation.notes:
        print(note)
    return 0


def _pixel(text: str) -> tuple[int, int]:
    from pixalign.errors import InputError

    place = numbers(text)
    if len(place) != 2 or not all(part.isdecimal() for part in place):
        raise InputError(f"--pixel is {text!r}: give x and y in whole pixels, such as 120,80")
    return int(place[0]), int(place[1])
