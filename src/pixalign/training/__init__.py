"""Training: `train(config)` runs one configuration to its end."""

from pathlib import Path
from typing import Any

from pixalign.training.config import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainConfig

__all__ = ["DataConfig", "LossConfig", "ModelConfig", "OptimConfig", "TrainConfig", "train"]


def train(config: TrainConfig, resume: bool = False, **given: Any) -> Path:
    """Train a network as configured; return the run folder. See `pixalign.training.loop.train`.

    ``dataset``, ``val``, ``classes`` and ``transform`` may be given in place of what ``config.data`` names.
    """
    from pixalign.training.loop import train as run

    return run(config, resume, **given)
