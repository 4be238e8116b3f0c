"""Alignment operators: how a coarse map joins a finer one.

An aligner is built as ``Aligner(channels, convention=...)`` and called as ``forward(low, high)``: ``low`` (N, C, H, W)
is the finer level, ``high`` (N, C, h, w) the coarser one, the result (N, C, H, W) the two merged on low's grid.
``geometry(low, high)`` returns what forward itself uses (flow, gate, offsets, affinity), each on low's grid.
"""

import inspect
from typing import Any

from torch import nn

from pixalign.aligners.bilinear import Bilinear
from pixalign.aligners.dual_flow import DualFlow
from pixalign.aligners.dynamic_dual import DynamicDual
from pixalign.aligners.dysample import DySample
from pixalign.aligners.flow import Flow
from pixalign.aligners.gated_dual_flow import GatedDualFlow
from pixalign.aligners.gated_flow import GatedFlow
from pixalign.aligners.implicit import Implicit
from pixalign.errors import InputError

ALIGNERS: dict[str, type[nn.Module]] = {
    "bilinear": Bilinear,
    "dual_flow": DualFlow,
    "dynamic_dual": DynamicDual,
    "dysample": DySample,
    "flow": Flow,
    "gated_dual_flow": GatedDualFlow,
    "gated_flow": GatedFlow,
    "implicit": Implicit,
}


def create_aligner(name: str, channels: int, convention: str = "pixel", **options: Any) -> nn.Module:
    """Build the aligner called ``name`` for maps of ``channels`` channels; ``options`` are its own further arguments.

    Raises:
        InputError: an unknown name or option (the known ones are listed), or a value that the aligner refuses.
    """
    if name not in ALIGNERS:
        raise InputError(f"aligner {name!r} is unknown: choose one of {', '.join(sorted(ALIGNERS))}")
    allowed = [p for p in inspect.signature(ALIGNERS[name]).parameters if p not in ("channels", "convention")]
    for option in options:
        if option not in allowed:
            known = f"choose from {', '.join(allowed)}" if allowed else "it has none"
            raise InputError(f"aligner_options: {name} has no option {option!r}: {known}")
    return ALIGNERS[name](channels, convention=convention, **options)
