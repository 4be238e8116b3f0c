"""Training: `train(config)` runs one configuration to its end."""

from typing import TYPE_CHECKING, Any

from pixalign.training.config import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainConfig

if TYPE_CHECKING:
    from pixalign.training.loop import train

__all__ = ["DataConfig", "LossConfig", "ModelConfig", "OptimConfig", "TrainConfig", "train"]


def __getattr__(name: str) -> Any:
    if name == "train":  # which imports torch
        from pixalign.training.loop import train

        return train
    raise AttributeError(f"module 'pixalign.training' has no attribute {name!r}")
