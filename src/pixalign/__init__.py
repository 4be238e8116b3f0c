"""pixalign: semantic segmentation by feature alignment.

The public names are imported on first use, so that ``import pixalign`` stays instant and loads neither torch nor timm.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Aligner": "pixalign.aligners",
    "DataConfig": "pixalign.training",
    "InputError": "pixalign.errors",
    "LossConfig": "pixalign.training",
    "Mode": "pixalign.predicting",
    "ModelConfig": "pixalign.training",
    "NetworkConfig": "pixalign.models.network",
    "OptimConfig": "pixalign.training",
    "Predictor": "pixalign.predicting",
    "Result": "pixalign.predicting",
    "Runtime": "pixalign.runtime",
    "SegmentationNetwork": "pixalign.models.network",
    "TrainConfig": "pixalign.training",
    "aligner": "pixalign.aligners",
    "benchmark": "pixalign.benchmarking",
    "check_data": "pixalign.checking",
    "choose_settings": "pixalign.training.chosen",
    "compare": "pixalign.comparing",
    "create_model": "pixalign.models",
    "draw_scene": "pixalign.data.sets.streets",
    "evaluate": "pixalign.evaluating",
    "explain": "pixalign.explaining",
    "export": "pixalign.exporting",
    "fuse": "pixalign.fusing",
    "list_encoders": "pixalign.encoders",
    "list_models": "pixalign.models",
    "load": "pixalign.weights",
    "open_data": "pixalign.data",
    "open_runtime": "pixalign.runtime",
    "predict_files": "pixalign.predicting",
    "push_to_hub": "pixalign.weights",
    "reused_memory": "pixalign.memory",
    "save": "pixalign.weights",
    "train": "pixalign.training.loop",
}

__all__ = [
    "Aligner",
    "DataConfig",
    "InputError",
    "LossConfig",
    "Mode",
    "ModelConfig",
    "NetworkConfig",
    "OptimConfig",
    "Predictor",
    "Result",
    "Runtime",
    "SegmentationNetwork",
    "TrainConfig",
    "__version__",
    "aligner",
    "benchmark",
    "check_data",
    "choose_settings",
    "compare",
    "create_model",
    "draw_scene",
    "evaluate",
    "explain",
    "export",
    "fuse",
    "list_encoders",
    "list_models",
    "load",
    "open_data",
    "open_runtime",
    "predict_files",
    "push_to_hub",
    "reused_memory",
    "save",
    "train",
]

if TYPE_CHECKING:
    from pixalign.aligners import Aligner, aligner
    from pixalign.benchmarking import benchmark
    from pixalign.checking import check_data
    from pixalign.comparing import compare
    from pixalign.data import open_data
    from pixalign.data.sets.streets import draw_scene
    from pixalign.encoders import list_encoders
    from pixalign.errors import InputError
    from pixalign.evaluating import evaluate
    from pixalign.explaining import explain
    from pixalign.exporting import export
    from pixalign.fusing import fuse
    from pixalign.memory import reused_memory
    from pixalign.models import create_model, list_models
    from pixalign.models.network import NetworkConfig, SegmentationNetwork
    from pixalign.predicting import Mode, Predictor, Result, predict_files
    from pixalign.runtime import Runtime, open_runtime
    from pixalign.training import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainConfig
    from pixalign.training.chosen import choose_settings
    from pixalign.training.loop import train
    from pixalign.weights import load, push_to_hub, save


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'pixalign' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
