"""What training asks of Hugging Face Accelerate: the device, one Accelerator for a run, its trackers."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState, is_initialized
from accelerate.utils import DistributedDataParallelKwargs

from pixalign.errors import InputError
from pixalign.training.config import TrainConfig

_TRACKER_PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX")}


def find_device(config: TrainConfig) -> torch.device:
    """The device of this process, before there is an Accelerator; InputError if it is CUDA and not there."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is cuda but no CUDA device is there: use auto or cpu")
    # An earlier run in this process would fix precision and device for this one, and Accelerate has no public way to
    # begin anew.
    if is_initialized():
        AcceleratorState._reset_state(reset_partial_state=PartialState().num_processes == 1)
    return PartialState(cpu=config.device == "cpu").device


def make_accelerator(config: TrainConfig) -> Accelerator:
    """The run's Accelerator; InputError for a tracker that is not installed, and for fp16 on a CPU."""
    for tracker in config.trackers:
        if not any(importlib.util.find_spec(name) for name in _TRACKER_PACKAGES.get(tracker, (tracker,))):
            raise InputError(f"trackers: {tracker} is not installed: pip install {tracker}, or leave it out")
    parallel = DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=config.loss.auxiliary == 0)
    accelerator = Accelerator(
        mixed_precision={"fp32": "no"}.get(config.precision, config.precision),
        gradient_accumulation_steps=config.accumulate,
        cpu=config.device == "cpu",
        log_with=config.trackers or None,
        project_dir=config.out,
        kwargs_handlers=[parallel],
    )
    if config.precision == "fp16" and accelerator.device.type == "cpu":
        raise InputError("precision is fp16, which needs a GPU: use bf16 or fp32")
    return accelerator


@contextmanager
def trackers_ended(accelerator: Accelerator) -> Iterator[None]:
    """Close the trackers at the end, whatever it is."""
    try:
        yield
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
