"""Arguments of the commands that apply a network to images: labeled data, device, mode of prediction."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pixalign.cli.forms import is_number, joined, numbers
from pixalign.errors import InputError

if TYPE_CHECKING:
    from pixalign.predicting import Mode

_TTA = (0.75, 1.0, 1.25)


def add_data_arguments(parser: Any) -> None:
    parser.add_argument(
        "--data.name", default="folder", help="folder for any folder of images/ and masks/, or what `data list` names"
    )
    parser.add_argument("--data.root", default="", help="where the data is")
    parser.add_argument("--data.mask_template", default="", help="an image's mask, such as masks/{stem}_mask.png")
    parser.add_argument("--data.groups", default="", help="as in training: which images of a folder belong together")


def add_device_arguments(parser: Any) -> None:
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where the network runs")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="of the network")


def add_mode_arguments(parser: Any) -> None:
    parser.add_argument(
        "--tile",
        type=int | None,
        help="side of tiles in pixels; 0: always whole images (default: 1024 above 16 megapixels, else 0)",
    )
    parser.add_argument("--overlap", type=float | None, help="share of a tile that neighbors share (default: a third)")
    parser.add_argument("--scales", default="", metavar="LIST", help="average over these scales, such as 0.75,1,1.25")
    parser.add_argument("--flip", action="store_true", help="average over the mirror image too")
    parser.add_argument("--tta", action="store_true", help="the same as --scales 0.75,1,1.25 --flip")
    parser.add_argument(
        "--output-size", default="", metavar="HxW", help="size of the prediction (default: the image's)"
    )
    parser.add_argument(
        "--refine",
        type=float | None,
        metavar="SHARE",
        help="ifa: decode at every pixel in this share of the cells, where it is least sure, such as 0.1",
    )


def mode_in_words(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command with a mode; scales and sizes of several words are one."""
    return joined(arguments, {"--scales": is_number, "--output-size": is_number})


def mode_of(args: Any) -> "Mode":
    """Return the mode that the arguments describe; InputError for one that makes no sense."""
    from pixalign.predicting import Mode

    overlap = Mode.overlap if args.overlap is None else args.overlap
    try:
        scales = [float(part) for part in numbers(args.scales)] if args.scales else _TTA if args.tta else [1.0]
    except ValueError as error:
        raise InputError(f"--scales {args.scales}: give numbers with commas between, such as 0.75,1,1.25") from error
    try:
        height, width = numbers(args.output_size) if args.output_size else (0, 0)
        size = (int(height), int(width)) if args.output_size else None
    except ValueError as error:
        raise InputError(f"--output-size {args.output_size}: give height x width, such as 720x960") from error
    return Mode(args.tile, overlap, scales, args.flip or args.tta, size, args.refine)
