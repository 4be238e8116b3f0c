"""Measures of a split, on exact integer counts, and intervals of their differences."""

from pixalign.metrics.boundary import BoundaryFScore
from pixalign.metrics.boundary_iou import BandIoU
from pixalign.metrics.confusion import Confusion, Counts, summary

__all__ = ["BandIoU", "BoundaryFScore", "Confusion", "Counts", "summary"]
