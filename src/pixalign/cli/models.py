"""List the networks and the aligners that fit the frame `aligned_fpn`."""

from typing import Any

HELP = "list the networks and aligners"


def add_arguments(parser: Any) -> None:
    pass


def run(args: Any) -> int:
    from pixalign.aligners import ALIGNERS
    from pixalign.models import list_models

    print("networks: ", ", ".join(list_models()))
    print("aligners: ", ", ".join(sorted(ALIGNERS)), "(aligned_fpn takes any: --model.options.aligner NAME)")
    return 0
