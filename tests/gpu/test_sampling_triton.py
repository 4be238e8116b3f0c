"""The compiled Triton kernel computes what PyTorch's dynamic sampling does."""

import pytest
import torch

from pixalign.sampling import dynamic_sampling

pytest.importorskip("triton", reason="Triton is not installed")


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-4), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize(
    ("channels", "size", "source", "reach"),
    [(144, (64, 128), (64, 128), 3.0), (36, (37, 41), (19, 21), 0.5), (100, (33, 65), (33, 65), 200.0)],
)
def test_the_kernel_gives_the_sum_of_the_pytorch_path(channels, size, source, reach, dtype, most):
    from pixalign.sampling_triton import dynamic_sampling as by_triton

    generator = torch.Generator("cuda").manual_seed(0)
    maps = [torch.randn(2, channels, *s, generator=generator, device="cuda").to(dtype) for s in (size, source, source)]
    offsets = reach * torch.randn(2, 9, 2, *size, generator=generator, device="cuda")
    wanted, _ = dynamic_sampling(*maps, offsets)
    found = by_triton(*maps, offsets)
    assert found.dtype == wanted.dtype
    assert (found - wanted).abs().max() <= most * wanted.abs().max()
