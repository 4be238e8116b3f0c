"""CUDA graphs: the kernels of a network recorded once for images of one shape, and then started together.

Where images are small or the GPU is fast, a network's time is that of starting its few hundred kernels one by one; a
graph starts them at once. It repeats the very addresses that were recorded, so it holds for one shape of images, and
images and result are copied in and out of memory that it keeps.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pixalign.errors import InputError
from pixalign.text import first_line

KEPT = 4  # shapes whose graphs are kept: each holds the memory of a call
_WARM_UP = 2  # calls before recording, in which libraries choose their algorithms and take their workspace


class CudaGraphs:
    """``run``, recorded for each shape of images that it is called with; the shapes of the last calls are kept.

    Args:
        run: images (N, C, H, W) on a GPU to one tensor. It may neither wait for the GPU nor copy from the CPU.
        source: what to call it in messages.
    """

    def __init__(self, run: Callable[[Tensor], Tensor], source: str) -> None:
        self.run, self.source = run, source
        self.recorded: OrderedDict[Any, Callable[[Tensor], Tensor]] = OrderedDict()
        self.lock = threading.Lock()  # a graph has one place for its images

    def __call__(self, images: Tensor) -> Tensor:
        """What ``run`` gives, in memory of its own.

        Raises:
            InputError: ``run`` cannot be recorded.
        """
        key = (images.shape, images.stride(), images.dtype)
        with self.lock:
            if key not in self.recorded:
                while len(self.recorded) >= KEPT:
                    self.recorded.popitem(last=False)
                self.recorded[key] = record(self.run, images, self.source)
            self.recorded.move_to_end(key)
            return self.recorded[key](images)


def record(run: Callable[[Tensor], Tensor], images: Tensor, source: str) -> Callable[[Tensor], Tensor]:
    """Return ``run`` for images of this shape, layout and dtype as a CUDA graph.

    Raises:
        InputError: it does what a graph cannot hold.
        torch.OutOfMemoryError: the GPU's memory is not enough.
    """
    with torch.inference_mode(), torch.cuda.device(images.device):
        held = images.clone()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP):
                run(held)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                found = run(held)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise InputError(
                f"{source}: cannot be recorded as a CUDA graph ({first_line(error)}): open it with another back-end"
            ) from error

    def replay(images: Tensor) -> Tensor:
        with torch.inference_mode(), torch.cuda.device(held.device):
            held.copy_(images)
            graph.replay()
            return found.clone()

    return replay
