"""The Triton kernel computes what PyTorch's dynamic sampling does; interpreted here, so that no GPU is needed."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from pixalign.sampling import dynamic_sampling

triton = pytest.importorskip("triton", reason="Triton is not installed")

# name: (N, D, C, P, (H, W), (h, w), largest usual offset, dtype)
CASES = {
    "one grid": (1, 36, 36, 9, (13, 17), (13, 17), 0.5, torch.float32),
    "over a cell": (2, 36, 36, 9, (5, 19), (5, 19), 3.0, torch.float32),
    "beyond the borders": (1, 16, 16, 4, (7, 11), (7, 11), 50.0, torch.float32),
    "a coarser map": (1, 7, 20, 9, (9, 13), (4, 6), 2.0, torch.float32),
    "a finer map": (1, 8, 8, 5, (3, 5), (8, 15), 1.0, torch.float32),
    "one pixel": (1, 1, 1, 1, (1, 1), (1, 1), 1.0, torch.float32),
    "float16": (1, 36, 36, 9, (6, 7), (6, 7), 2.0, torch.float16),
    "bfloat16": (1, 36, 36, 9, (6, 7), (6, 7), 2.0, torch.bfloat16),
}
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-3, torch.bfloat16: 2e-2}
SCRIPT = """
import sys
from safetensors.torch import load_file, save_file
from pixalign.sampling_triton import dynamic_sampling
given = load_file(sys.argv[1])
names = dict.fromkeys(key.split("/")[0] for key in given)
parts = ("query", "keys", "values", "offsets")
save_file({n: dynamic_sampling(*(given[f"{n}/{p}"] for p in parts)).contiguous() for n in names}, sys.argv[2])
"""


def inputs(name):
    count, d, c, points, size, source, reach, dtype = CASES[name]
    generator = torch.Generator().manual_seed(len(name))
    maps = [(d, size), (d, source), (c, source)]
    made = [torch.randn(count, n, *s, generator=generator).to(dtype) for n, s in maps]
    return [*made, reach * torch.randn(count, points, 2, *size, generator=generator)]


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """What the kernel gives for each case, by name; Triton must know that it interprets before it is imported."""
    folder = tmp_path_factory.mktemp("triton")
    parts = ("query", "keys", "values", "offsets")
    save_file({f"{name}/{p}": x for name in CASES for p, x in zip(parts, inputs(name))}, folder / "given")
    command = [sys.executable, "-c", SCRIPT, str(folder / "given"), str(folder / "found")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TRITON_INTERPRET": "1"})
    assert done.returncode == 0, done.stderr
    return load_file(folder / "found")


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_gives_the_sum_of_the_pytorch_path(interpreted, name):
    wanted, _ = dynamic_sampling(*inputs(name))
    found = interpreted[name]
    assert found.dtype == wanted.dtype
    scale = wanted.abs().max().float()
    assert (found.float() - wanted.float()).abs().max() <= TOLERANCE[wanted.dtype] * scale


@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION")
def test_the_kernel_compiles_for_a_gpu(tmp_path, monkeypatch):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from pixalign.sampling_triton import _sample_and_sum

    if not hasattr(_sample_and_sum, "arg_names") or triton.knobs.runtime.interpret:
        pytest.skip("Triton interprets")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    numbers = dict.fromkeys(("height", "width", "key_height", "key_width"), "i32")
    shares = dict.fromkeys(("cells_per_row", "cells_per_column"), "fp32")
    maps = {**dict.fromkeys(("query", "keys", "values", "out"), "*fp16"), "offsets": "*fp32"}
    sizes = {"POINTS": 9, "D": 36, "C": 36, "D_BLOCK": 64, "C_BLOCK": 64, "PIXELS": 16}
    signature = {n: {**numbers, **shares, **maps}.get(n, "constexpr") for n in _sample_and_sum.arg_names}
    source = ASTSource(fn=_sample_and_sum, signature=signature, constexprs=sizes)
    compiled = triton.compile(source, target=GPUTarget("cuda", 80, 32))
    assert len(compiled.asm["cubin"]) > 0


def test_tensors_elsewhere_and_gradients_are_refused():
    from pixalign.sampling_triton import dynamic_sampling as by_triton

    arguments = inputs("one pixel")
    if not triton.knobs.runtime.interpret:
        with pytest.raises(ValueError, match="the tensors are on cpu: move them to a GPU"):
            by_triton(*arguments)
    arguments[2].requires_grad_()
    with pytest.raises(ValueError, match=r"a gradient is asked for: take pixalign\.sampling\.dynamic_sampling"):
        by_triton(*arguments)
