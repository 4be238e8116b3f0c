"""What needs a GPU is skipped where there is none; float32 means float32 here."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _gpu(monkeypatch):
    """By default, PyTorch's convolutions on a GPU round float32 to TF32, with 10 bits after the point."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device is there")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
