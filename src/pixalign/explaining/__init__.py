"""Alignment made visible: what an aligner does on one image, as a sheet of pictures with captions."""

from pixalign.explaining.explanation import Explanation, explain

__all__ = ["Explanation", "explain"]
