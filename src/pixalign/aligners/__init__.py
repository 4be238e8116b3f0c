"""Alignment operators: how a coarse map joins a finer one. One file each, registered by the decorator in it.

An aligner (`Aligner`) is built as ``create_aligner(name, channels, convention)`` and called as ``forward(fine,
coarse)``: ``fine`` (N, C, H, W) is the finer level, ``coarse`` (N, C, h, w) the coarser one, the result (N, C, H, W)
the two merged on the fine grid. ``geometry(fine, coarse)`` returns what forward itself uses, as the typed parts of
`pixalign.aligners.geometry`.
"""

from importlib import import_module
from pkgutil import iter_modules

from pixalign.aligners.base import ALIGNERS, Aligner, aligner, create_aligner

__all__ = ["ALIGNERS", "Aligner", "aligner", "create_aligner"]

for _module in iter_modules(__path__):  # each registers its aligner
    import_module(f"{__name__}.{_module.name}")
