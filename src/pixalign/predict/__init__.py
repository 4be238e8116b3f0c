"""Prediction."""

import torch

from pixalign.errors import InputError


def pick_device(device: str | None = None) -> torch.device:
    """Return the torch device for ``auto`` or None (CUDA if there) or by name; InputError if it is not there."""
    if device in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if str(device).startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device is {device} but no CUDA device is there: use auto or cpu")
    return torch.device(str(device))
