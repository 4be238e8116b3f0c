"""A tiny model with random norm statistics."""

import pytest
import torch

from pixalign import create_model


@pytest.fixture(scope="session")
def make_model():
    def make(seed: int = 0, **options):
        torch.manual_seed(seed)
        model = create_model(
            "sfnet_lite",
            encoder="resnet18",
            num_classes=3,
            channels=16,
            encoder_options={"channels": (8, 16, 32, 64)},
            **options,
        )
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif name.endswith("running_mean"):
                tensor.normal_(0, 0.5)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def model(make_model):
    return make_model()
