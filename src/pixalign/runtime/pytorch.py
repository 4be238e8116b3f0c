"""PyTorch as back-end: the network as it is, rewritten for inference, or recorded as CUDA graphs."""

import torch
from torch import Tensor

from pixalign.errors import InputError
from pixalign.fusing import Fused, computes_bfloat16, fuse
from pixalign.models.network import SegmentationNetwork
from pixalign.runtime.cuda_graphs import CudaGraphs
from pixalign.runtime.network import ready
from pixalign.runtime.runtime import PRECISIONS, Runtime
from pixalign.sampling import Size, cut, fill, resize


def open_torch(
    network: SegmentationNetwork,
    source: str,
    backend: str,
    place: torch.device | None,
    precision: str,
    threads: int | None,
) -> Runtime:
    """`open_runtime` for networks; without a ``place`` the network stays where it is, in its own layout."""
    device = place or next((x.device for x in network.parameters()), torch.device("cpu"))
    if backend == "cuda_graphs" and device.type != "cuda":
        raise InputError(f"cuda_graphs need a GPU, and the device is {device}: leave them out")
    if precision == "auto":
        precision = "bf16" if computes_bfloat16(device) else "fp32"
    model = ready(network, place)
    if backend == "fused" and not isinstance(model, Fused):
        model = fuse(model, "bf16" if precision == "bf16" else "fp32")
    if threads:
        torch.set_num_threads(threads)
    dtype, lower = PRECISIONS[precision], precision != "fp32"
    recorded = backend == "cuda_graphs"
    cached = not recorded  # a graph may not read a cast of the weights that lives outside of it

    def run(images: Tensor) -> Tensor:
        with torch.inference_mode(), torch.autocast(device.type, dtype, lower, cached):
            logits: Tensor = model(images)
            return logits

    call = CudaGraphs(run, source) if recorded else run

    def placed(images: Tensor) -> Tensor:
        return call(images.to(device, memory_format=torch.preserve_format if place is None else torch.channels_last))

    def run_at(images: Tensor, size: Size, refine: float | None) -> Tensor:
        with torch.inference_mode(), torch.autocast(device.type, dtype, lower):
            if refine is None and not model.any_output_size:
                return resize(model(images), size)
            filled = fill(images, model.step)
            sides = zip(size, filled.shape[-2:], images.shape[-2:])
            whole = [round(side * full / shown) for side, full, shown in sides]  # less than half a pixel off
            return cut(model.decode(model.encode(filled), (whole[0], whole[1]), refine), size)

    return Runtime(
        source, backend, model.config, device, placed, precision, network=model, run_at=None if recorded else run_at
    )
