"""Prediction on pictures: `Predictor` for one at a time from Python, `predict_files` for folders of them."""

from pixalign.predicting.files import Summary, predict_files
from pixalign.predicting.inference import Mode, predict_ids, predict_probabilities
from pixalign.predicting.predictor import Predictor
from pixalign.predicting.result import Result
from pixalign.runtime import pick_device

__all__ = [
    "Mode",
    "Predictor",
    "Result",
    "Summary",
    "pick_device",
    "predict_files",
    "predict_ids",
    "predict_probabilities",
]
