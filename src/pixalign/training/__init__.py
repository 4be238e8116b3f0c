"""Training: `pixalign.training.loop.train` runs one configuration to its end."""

from pixalign.training.config import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainConfig

__all__ = ["DataConfig", "LossConfig", "ModelConfig", "OptimConfig", "TrainConfig"]
