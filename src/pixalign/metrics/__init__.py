"""Measures of a split, on exact integer counts, and intervals of their differences."""

from pixalign.metrics.boundary import boundary_scores, edge_counts
from pixalign.metrics.boundary_iou import band_counts, band_scores
from pixalign.metrics.confusion import confusion_matrix, summary

__all__ = ["band_counts", "band_scores", "boundary_scores", "confusion_matrix", "edge_counts", "summary"]
