"""List the timm models that may serve as encoder."""

from typing import Any

HELP = "list the encoders, all of timm, by name or pattern"


def add_arguments(parser: Any) -> None:
    parser.add_argument("pattern", nargs="?", default="*", help="shell pattern such as 'resnet*' (default: all)")


def run(args: Any) -> int:
    from pixalign.encoders import list_encoders
    from pixalign.errors import InputError

    names = list_encoders(args.pattern)
    if not names:
        raise InputError(
            f"no encoder matches {args.pattern!r}: try a wider pattern such as '*{args.pattern.strip('*')}*'"
        )
    print("\n".join(names))
    return 0
