"""Every network on a GPU computes what it computes on the CPU: as it is, fused, and nearly so under AMP."""

import copy

import pytest
import torch

from graphs import relative_error
from networks import NETWORKS, image, network
from pixalign import fuse

SIZES = ((64, 96), (65, 97))
TOLERANCE = 1e-3


def on_gpu(model):
    return copy.deepcopy(model).to("cuda")


@pytest.mark.parametrize("key", NETWORKS)
def test_a_network_gives_the_logits_of_the_cpu(key):
    model = network(key)
    moved = on_gpu(model)
    with torch.inference_mode():
        for size in SIZES:
            x = image(*size, batch=2)
            assert relative_error(moved(x.to("cuda")).cpu(), model(x)) < TOLERANCE


@pytest.mark.parametrize("key", NETWORKS)
def test_a_fused_network_gives_the_logits_of_the_cpu(key):
    model = network(key)
    quick = fuse(on_gpu(model))
    with torch.inference_mode():
        for size in SIZES:
            x = image(*size, batch=2)
            assert relative_error(quick(x.to("cuda")).cpu(), model(x)) < TOLERANCE


@pytest.mark.parametrize(("dtype", "most"), [(torch.float16, 0.01), (torch.bfloat16, 0.08)])
@pytest.mark.parametrize("key", NETWORKS)
def test_amp_changes_logits_by_little(key, dtype, most):
    model, x = on_gpu(network(key)), image(64, 96).to("cuda")
    with torch.inference_mode():
        exact = model(x)
        with torch.autocast("cuda", dtype):
            rounded = model(x).float()
    assert rounded.isfinite().all()
    assert (rounded - exact).abs().mean() / exact.abs().max() < most


@pytest.mark.parametrize("key", NETWORKS)
def test_gradients_are_those_of_the_cpu(key):
    model = network(key)
    moved = on_gpu(model)
    for net, place in ((model, "cpu"), (moved, "cuda")):
        net(image(64, 96).to(place)).square().mean().backward()
    ours = {name: p.grad for name, p in moved.named_parameters() if p.grad is not None}
    wanted = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert ours.keys() == wanted.keys()
    largest = max(float(g.abs().max()) for g in wanted.values())
    for name, gradient in wanted.items():
        assert (ours[name].cpu() - gradient).abs().max() < 1e-2 * max(float(gradient.abs().max()), 1e-3 * largest), name
