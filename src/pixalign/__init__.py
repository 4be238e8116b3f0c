"""pixalign: semantic segmentation by feature alignment.

The public names are imported on first use, so that ``import pixalign`` stays instant and loads neither torch nor timm.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "InputError": "pixalign.errors",
    "Mode": "pixalign.predicting",
    "Predictor": "pixalign.predicting",
    "Result": "pixalign.predicting",
    "compare": "pixalign.comparing",
    "create_model": "pixalign.models",
    "evaluate": "pixalign.evaluating",
    "explain": "pixalign.explaining",
    "export": "pixalign.exporting",
    "list_encoders": "pixalign.encoders",
    "list_models": "pixalign.models",
    "load": "pixalign.weights",
    "fuse": "pixalign.fusing",
    "push_to_hub": "pixalign.weights",
    "reused_memory": "pixalign.memory",
    "save": "pixalign.weights",
    "train": "pixalign.training",
}

__all__ = [
    "InputError",
    "Mode",
    "Predictor",
    "Result",
    "__version__",
    "compare",
    "create_model",
    "evaluate",
    "explain",
    "export",
    "fuse",
    "list_encoders",
    "list_models",
    "load",
    "push_to_hub",
    "reused_memory",
    "save",
    "train",
]

if TYPE_CHECKING:
    from pixalign.comparing import compare
    from pixalign.encoders import list_encoders
    from pixalign.errors import InputError
    from pixalign.evaluating import evaluate
    from pixalign.explaining import explain
    from pixalign.exporting import export
    from pixalign.fusing import fuse
    from pixalign.memory import reused_memory
    from pixalign.models import create_model, list_models
    from pixalign.predicting import Mode, Predictor, Result
    from pixalign.training import train
    from pixalign.weights import load, push_to_hub, save


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'pixalign' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
