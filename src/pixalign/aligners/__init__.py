"""Alignment operators: how a coarse map joins a finer one.

An aligner is built as ``Aligner(channels, convention=...)`` and called as ``forward(low, high)``: ``low`` (N, C, H, W)
is the finer level, ``high`` (N, C, h, w) the coarser one, the result (N, C, H, W) the two merged on low's grid.
``geometry(low, high)`` returns what forward itself uses (flow, gate, offsets, affinity), each on low's grid.
"""

from torch import nn

from pixalign.aligners.bilinear import Bilinear
from pixalign.aligners.flow import Flow
from pixalign.aligners.gated_dual_flow import GatedDualFlow
from pixalign.errors import InputError

ALIGNERS: dict[str, type[nn.Module]] = {
    "bilinear": Bilinear,
    "flow": Flow,
    "gated_dual_flow": GatedDualFlow,
}


def create_aligner(name: str, channels: int, convention: str = "pixel") -> nn.Module:
    """Build the aligner called ``name`` for maps of ``channels`` channels; InputError lists the names if unknown."""
    if name not in ALIGNERS:
        raise InputError(f"aligner {name!r} is unknown: choose one of {', '.join(sorted(ALIGNERS))}")
    return ALIGNERS[name](channels, convention=convention)
