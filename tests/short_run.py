"""A training run of seconds, for tests of what happens around the steps."""

from dataclasses import replace

from pixalign.training.config import DataConfig, ModelConfig, OptimConfig, TrainConfig


def short_run(root, out, **changes):
    """The configuration of a run of four epochs of batches of four on a folder, with ``changes``."""
    config = TrainConfig(
        model=ModelConfig("sfnet", "test_resnet", options={"channels": 16}),
        data=DataConfig(root=str(root), crop=(32, 32), workers=0, check=False),
        optim=OptimConfig(lr=3e-3),
        epochs=4,
        batch_size=4,
        precision="fp32",
        ema=0.9,
        evaluate_every=1,
        pictures_every=0,
        out=str(out),
        device="cpu",
    )
    return replace(config, **changes)
