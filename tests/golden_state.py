"""Golden outputs: what the authors' networks compute on seeded weights and seeded images.

``golden/manifests.json.gz`` lists the tensors of five released checkpoints by their authors' names; `seeded_state`
fills such a list with the same numbers on every machine, and ``golden/thinned.npz`` holds every fifth pixel (`thin`) of
the authors' outputs. Where ``../shared/golden`` lies beside the checkout, tests compare with the complete outputs too.

A case is called NETWORK_BATCHxHEIGHTxWIDTH_sSEED, and its seed is that of the weights and of the image.
"""

import gzip
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

HERE = Path(__file__).parent / "golden"
SHARED = Path(__file__).parents[2] / "shared" / "golden"
TOLERANCE = 1e-4


def seeded_state(network: str, seed: int) -> dict[str, Tensor]:
    """The network's tensors: convolutions ~ N(0, 1/fan_in), norm scales and variances in 0.5..1.5, others ~ N(0, 0.01).

    Norm scales that the release takes the absolute value of (the manifest's "abn") get a random sign. ``alignseg_std``
    is the checkpoint ``alignseg`` run with its release's other warp.
    """
    manifest = json.loads(gzip.decompress((HERE / "manifests.json.gz").read_bytes()))[network.removesuffix("_std")]
    signed = set(manifest["abn"])
    return {name: _seeded(name, shape, seed, name in signed) for name, shape in manifest["shapes"].items()}


def seeded_image(batch: int, height: int, width: int, seed: int) -> Tensor:
    """White noise (batch, 3, height, width) smoothed by a 5 x 5 box, with unit variance."""
    noise = np.random.default_rng(seed).standard_normal((batch, 3, height + 4, width + 4), dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(noise, (5, 5), axis=(2, 3))
    return torch.from_numpy(sum(windows[..., i, j] for i, j in np.ndindex(5, 5)) / np.float32(5))


def inputs(case: str) -> tuple[str, dict[str, Tensor], Tensor]:
    """The network's name, its weights and its image for a case such as ``sfnet_1x97x129_s0``."""
    network, size, seed = case.rsplit("_", 2)
    batch, height, width = map(int, size.split("x"))
    return network, seeded_state(network, int(seed[1:])), seeded_image(batch, height, width, int(seed[1:]))


def thin(x: np.ndarray) -> np.ndarray:
    """Every fifth row and column: coprime to all strides, so that every phase of a grid is met."""
    return x[..., ::5, ::5]


def assert_golden(case: str, outputs: dict[str, Tensor], complete: bool = False, tolerance: float = TOLERANCE) -> None:
    """Compare outputs by name with the thinned or the complete golden ones, relative to the largest golden value."""
    if complete:
        file = SHARED / f"{case}.npz"
        if not file.is_file():
            pytest.skip(f"no complete golden outputs: {file.name} is not in ../shared/golden")
        golden = dict(np.load(file))
    else:
        thinned = np.load(HERE / "thinned.npz")
        golden = {key.split("/")[1]: thinned[key] for key in thinned if key.split("/")[0] == case}
        outputs = {name: torch.from_numpy(thin(output.numpy())) for name, output in outputs.items()}
    assert golden, f"no golden output for {case}"
    for name, expected in golden.items():
        assert outputs[name].shape == expected.shape
        error = np.abs(outputs[name].numpy() - expected).max() / np.abs(expected).max()
        assert error <= tolerance, f"{case}, {name}: {error:.1e}"


def _seeded(name: str, shape: list[int], seed: int, signed: bool) -> Tensor:
    random = np.random.default_rng(zlib.crc32(f"{seed}:{name}".encode()))
    kind = name.rsplit(".", 1)[1]
    if kind == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    if kind in ("running_mean", "bias"):
        values = random.standard_normal(shape) * 0.1
    elif kind == "running_var":
        values = random.uniform(0.5, 1.5, shape)
    elif len(shape) == 1:
        sign = random.choice([-1.0, 1.0], shape) if signed else 1.0
        values = random.uniform(0.5, 1.5, shape) * sign
    else:
        values = random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32))
