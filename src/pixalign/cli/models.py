"""List the networks and the aligners that fit the frame `aligned_fpn`, with what they cost and where they come from."""

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pixalign.cli.forms import is_number, joined, numbers

HELP = "list the networks and aligners, their cost and their papers"

_CHANNELS = 144  # a width that every aligner takes: a square for dynamic_dual


def add_arguments(parser: Any) -> None:
    parser.add_argument("--size", default="512x1024", metavar="HxW", help="size of the image that GFLOPs are for")
    parser.add_argument("--encoder", default="resnet18", help="timm model name (`pixalign encoders` lists them)")


def rewritten(arguments: Sequence[str]) -> list[str]:
    """The arguments with a size of several words as one."""
    return joined(arguments, {"--size": is_number})


def run(args: Any) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pixalign.aligners import ALIGNERS, create_aligner
    from pixalign.models import MODELS, create_model, list_models
    from pixalign.models.cost import cost

    console = Console(highlight=False)
    height, width = parse_size(args.size)
    levels = [(-(-height // stride), -(-width // stride)) for stride in (4, 8, 16, 32)]

    def table(title: str, caption: str) -> Table:
        made = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
        made.add_column("name", no_wrap=True)
        for heading in ("parameters, M", "GFLOPs"):
            made.add_column(heading, justify="right")
        made.add_column("what it is")
        return made

    def add_row(to: Table, name: str, parameters: int, operations: int, built: Any) -> None:
        what = Text((sys.modules[built.__module__].__doc__ or "").split("\n")[0])
        to.add_row(name, f"{parameters / 1e6:.2f}", f"{operations / 1e9:.1f}", what)

    networks = table(
        f"networks: encoder {args.encoder}, 19 classes, {height} x {width}",
        "two operations per multiplication and addition, of convolutions, matrix products and attention alone",
    )
    for name in list_models():
        preset = getattr(MODELS[name], "keywords", {})  # the frame with an aligner: the aligner is what it is
        built = ALIGNERS[preset["aligner"]] if preset else MODELS[name]
        add_row(networks, name, *cost(create_model(name, encoder=args.encoder), (1, 3, height, width)), built)

    console.print(networks)

    aligners = table(
        f"aligners: what the three of an aligned_fpn of {_CHANNELS} channels add, {height} x {width}",
        "aligned_fpn takes any: --model.name aligned_fpn --model.options.aligner NAME",
    )
    for name in sorted(ALIGNERS):
        sizes = [[(1, _CHANNELS, *level) for level in pair] for pair in pairwise(levels)]
        each = [cost(create_aligner(name, _CHANNELS), *pair) for pair in sizes]
        parameters, operations = (sum(values) for values in zip(*each))
        add_row(aligners, name, parameters, operations, ALIGNERS[name])

    console.print(aligners)
    return 0


def parse_size(text: str) -> tuple[int, int]:
    """(H, W) from HxW, both 32 or more."""
    from pixalign.errors import InputError
    from pixalign.limits import SMALLEST

    sides = numbers(text)
    if len(sides) != 2 or not all(side.isdecimal() and int(side) >= SMALLEST for side in sides):
        raise InputError(
            f"--size {text!r} cannot be read: give HEIGHTxWIDTH in pixels, from {SMALLEST}x{SMALLEST} up, "
            "as in 512x1024"
        )
    return int(sides[0]), int(sides[1])
