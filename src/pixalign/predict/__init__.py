"""Prediction on pictures: `Predictor` for one at a time from Python, `predict_files` for folders of them."""

from pixalign.predict.files import Summary, predict_files
from pixalign.predict.predictor import Predictor, pick_device, predict_logits
from pixalign.predict.result import Result

__all__ = ["Predictor", "Result", "Summary", "pick_device", "predict_files", "predict_logits"]
