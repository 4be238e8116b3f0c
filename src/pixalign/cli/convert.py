"""Turn a checkpoint released by a method's authors into a pixalign model."""

from typing import Any

_SHOWN = 12

HELP = "convert an authors' checkpoint into a model folder"


def add_arguments(parser: Any) -> None:
    parser.add_argument("file", metavar="FILE", help="the authors' checkpoint, .pth or .safetensors")
    parser.add_argument(
        "--as", dest="kind", required=True, help="what it is, such as bialignnet-dfnet2; a wrong one lists all"
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="folder for the converted model")


def run(args: Any) -> int:
    from pixalign.weights.convert import convert

    report = convert(args.file, args.kind, args.out)
    print(f"matched: {len(report.matched)} tensors")
    for title, names in (("unused", report.unused), ("missing", report.missing)):
        listed = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        print(f"{title}: {listed or 'none'}")
    print(f"written: {args.out}")
    return 0
