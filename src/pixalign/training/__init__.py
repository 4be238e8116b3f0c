"""Training: `train(config)` runs one configuration to its end."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixalign.training.config import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainConfig

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DataConfig", "LossConfig", "ModelConfig", "OptimConfig", "TrainConfig", "train"]


def train(
    config: TrainConfig,
    resume: bool = False,
    *,
    dataset: Any = None,
    val: Any = None,
    classes: Sequence[str] | None = None,
    transform: "Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] | None" = None,
) -> Path:
    """Train a network as configured; return the run folder. See `pixalign.training.loop.train`.

    ``dataset``, ``val``, ``classes`` and ``transform`` may be given in place of what ``config.data`` names.
    """
    from pixalign.training.loop import train as run

    return run(config, resume, dataset=dataset, val=val, classes=classes, transform=transform)
