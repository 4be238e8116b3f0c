"""Networks by name: `create_model` builds one, `list_models` names them (`pixalign.models.registry`).

Every network is a `pixalign.models.network.SegmentationNetwork`. The registry is imported on first use: it imports
every network, and with them timm and torchvision, which take seconds and which an exported file does without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixalign.models.registry import MODELS, create_model, list_models

__all__ = ["MODELS", "create_model", "list_models"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("pixalign.models.registry"), name)
    raise AttributeError(f"module 'pixalign.models' has no attribute {name!r}")
