"""A network whose layers are not what a rewrite assumes is fused around them, and gives the same outputs."""

import copy
from functools import cache, partial

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from graphs import relative_error
from networks import NETWORKS, displacements, image, network, randomized
from pixalign import fuse
from pixalign.fusing import FusingError, aligners, networks
from pixalign.models.aligned_fpn import AlignedFPN

TOLERANCE = 1e-4  # largest difference over the largest logit
X = (65, 97)


def check(model: nn.Module) -> nn.Module:
    randomized(model).eval()
    assert min(displacements(model, image(33, 47)), default=2) > 1  # some predict no flow
    fused = fuse(model)
    with torch.inference_mode():
        assert relative_error(fused(image(33, 47)), model(image(33, 47))) < TOLERANCE
    return fused


@cache
def made(key: str) -> nn.Module:
    return network(key, randomize=False)


def plain(key: str) -> nn.Module:
    """A copy of its own of a network to be changed, whose weights `check` makes."""
    return copy.deepcopy(made(key))


def decoder_modules(key: str, kind: type) -> list[str]:
    """Names of three or four of the decoder's modules of a kind, other ones for each class of network.

    Of the frame with another aligner than `sfnet`, which stands for the frame: those in the first aligner, if any.
    """
    model = made(key)
    names = [n for n, m in model.named_modules() if type(m) is kind and not n.startswith("encoder.")]
    if isinstance(model, AlignedFPN) and key != "sfnet":
        return [n for n in names if n.startswith("aligners.0.")]
    step = max(1, len(names) // 3)
    return names[len(type(model).__name__) % step :: step]


def put(model: nn.Module, name: str, module: nn.Module) -> nn.Module:
    model.set_submodule(name, module)
    return model


@pytest.mark.parametrize("key", NETWORKS)
def test_every_network_with_norms_of_several_processes(key):
    check(nn.SyncBatchNorm.convert_sync_batchnorm(plain(key)))


@pytest.mark.parametrize("key", NETWORKS)
def test_every_network_with_a_group_norm_in_place_of_any_norm(key):
    for name in decoder_modules(key, nn.BatchNorm2d):
        model = plain(key)
        check(put(model, name, nn.GroupNorm(1, model.get_submodule(name).num_features)))


@pytest.mark.parametrize("key", NETWORKS)
@pytest.mark.parametrize("kind", [nn.ReLU, nn.LeakyReLU])
def test_every_network_with_another_activation_in_place_of_any(key, kind):
    for name in decoder_modules(key, kind):
        check(put(plain(key), name, nn.LeakyReLU(0.3) if kind is nn.LeakyReLU else nn.ELU()))


def hooked(model: nn.Module, name: str) -> None:
    model.get_submodule(name).register_forward_hook(lambda module, arguments, result: 2 * result)


def doubled(model: nn.Module, name: str) -> None:
    module = model.get_submodule(name)
    forward = type(module).forward
    module.forward = lambda *arguments: 2 * forward(module, *arguments)


def padded(model: nn.Module, name: str) -> None:
    module = model.get_submodule(name)
    module.padding_mode, module._reversed_padding_repeated_twice = "reflect", [1, 1, 1, 1]


def dilated(model: nn.Module, name: str) -> None:
    module = model.get_submodule(name)
    module.padding, module.dilation = (2, 2), (2, 2)


def grouped(model: nn.Module, name: str) -> None:
    old = model.get_submodule(name)
    put(
        model, name, nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, 1, old.padding, groups=2, bias=False)
    )


def biased(model: nn.Module, name: str) -> None:
    old = model.get_submodule(name)
    put(model, name, nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, 1, old.padding))


def normed(model: nn.Module, name: str) -> None:
    parametrizations.weight_norm(model.get_submodule(name))


def wider(model: nn.Module, name: str) -> None:
    """A 3x3 convolution in place of a 1x1, which reads more than one pixel."""
    old = model.get_submodule(name)
    put(model, name, nn.Conv2d(old.in_channels, old.out_channels, 3, padding=1, bias=old.bias is not None))


def without_statistics(model: nn.Module, name: str) -> None:
    put(model, name, nn.BatchNorm2d(model.get_submodule(name).num_features, track_running_stats=False))


def without_affine(model: nn.Module, name: str) -> None:
    put(model, name, nn.BatchNorm2d(model.get_submodule(name).num_features, affine=False))


CHANGES = [
    ("sfnet", "aligners.0.make_flow", (hooked, doubled, padded, dilated, biased, normed)),
    ("sfnet", "aligners.1.down_fine", (hooked, doubled, biased, normed, wider)),
    ("sfnet", "fuse.0", (hooked, padded, dilated, grouped, biased, normed)),
    ("sfnet", "pool.bottleneck.0", (hooked, doubled, wider, grouped, biased)),
    ("sfnet", "pool.bottleneck.1", (hooked, without_statistics, without_affine)),
    ("sfnet", "laterals.0.2", (hooked, doubled)),
    ("sfnet_lite", "aligner.down_coarse", (hooked, biased, wider)),
    ("sfnet_lite", "aligner.make_gate", (hooked, biased)),
    ("alignseg", "aligners.0.offsets_fine.make_flow", (hooked, padded, dilated, biased, normed)),
    ("alignseg", "aligners.1.offsets_coarse.norm", (hooked, without_statistics, without_affine)),
    ("alignseg", "aligners.1", (hooked,)),
    ("alignseg", "refine.0.residual.3", (hooked, padded, dilated, biased)),
    ("alignseg", "refine.1.unify", (hooked, wider, biased)),
    ("alignseg", "refine.1.norm", (without_statistics, without_affine)),
    ("bialignnet", "align_context.make_gate", (hooked, wider)),
    ("bialignnet", "classify", (hooked, doubled, wider, normed)),
    ("ddsm", "aligners.0.spatial.key_fine", (hooked, wider, normed)),
    ("ddsm", "aligners.0.spatial.project", (hooked, wider)),
    ("ddsm", "aligners.0.spatial", (hooked,)),
    ("ifa", "laterals.0.0", (hooked, wider)),
    ("ifa", "mlp.0", (without_statistics, without_affine)),
    ("ifa", "mlp.2", (hooked, wider, grouped, normed)),
    ("ifa", "classify", (hooked, wider)),
    ("ifa", "encodings.0", (hooked,)),
    ("aligned_fpn-implicit", "aligners.0.on_features", (hooked, biased, wider, normed)),
    ("aligned_fpn-implicit", "aligners.0.mix.0", (without_statistics, without_affine)),
]


@pytest.mark.parametrize(("key", "name", "change"), [(k, n, c) for k, n, changes in CHANGES for c in changes])
def test_what_a_program_has_changed_is_kept(key, name, change):
    model = plain(key)
    change(model, name)
    check(model)


def test_what_is_not_as_assumed_is_not_named_as_rewritten():
    model = network("sfnet")
    put(model, "pool.bottleneck.1", nn.GroupNorm(1, 36))
    put(model, "fuse.1", nn.GroupNorm(1, 36))
    hooked(model, "aligners.0.down_fine")
    assert [quick for quick in check(model).rewrites if quick in ("PyramidPooling", "Flow", "LevelFusion")] == ["Flow"]


def forced(monkeypatch, quick: type) -> None:
    monkeypatch.setattr(quick, "fits", lambda self: True)


def test_a_rewrite_that_gives_other_outputs_is_refused(monkeypatch):
    forced(monkeypatch, networks.QuickPyramidPooling)
    model = randomized(put(network("sfnet"), "pool.bottleneck.1", nn.GroupNorm(1, 36))).eval()
    with pytest.raises(FusingError, match=r"AlignedFPN: rewritten .* off by .* where the largest is .*: run it as"):
        fuse(model)


@pytest.mark.parametrize(("key", "name"), [("ifa", "mlp.4"), ("bialignnet", "pool.bottleneck.2")])
def test_other_outputs_are_seen_whichever_way_they_come(key, name, monkeypatch):
    forced(monkeypatch, networks.QuickPyramidPooling)
    forced(monkeypatch, networks.QuickIFA)
    with pytest.raises(FusingError, match="off by"):
        fuse(randomized(put(network(key), name, nn.Softplus())).eval())


def test_a_flow_with_a_bias_would_be_seen(monkeypatch):
    forced(monkeypatch, aligners.QuickFlow)
    model = network("sfnet")
    biased(model, "aligners.0.make_flow")
    nn.init.constant_(model.aligners[0].make_flow.bias, 3.0)
    with pytest.raises(FusingError, match="off by"):
        fuse(model)


class Stubborn(nn.Module):
    """Takes sides that 32 divides, draws random numbers, and knows no decoder."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.config = {"mean": [0.5] * 3, "std": [0.2] * 3}

    def forward(self, images, heads=False):
        if any(side % 32 for side in images.shape[-2:]):
            raise ValueError("sides must be multiples of 32")
        logits = self.layers(images) * torch.rand(1, 4, 1, 1)
        return {"logits": logits, "auxiliaries": []} if heads else logits


def test_the_probe_leaves_random_numbers_and_takes_what_the_network_takes():
    model = randomized(Stubborn()).eval()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert fuse(model).rewrites[0] == "1 norms folded"
    assert torch.rand(1) == expected


def test_a_network_that_fails_on_any_image_is_named():
    model = Stubborn()
    model.layers = nn.Linear(7, 7)
    with pytest.raises(FusingError, match=r"Stubborn cannot be fused \(.*\): run it as it is"):
        fuse(model)


def test_a_network_that_cannot_be_copied_is_named():
    model = network("sfnet_lite")
    model.handle = (_ for _ in ())
    with pytest.raises(FusingError, match="SFNetLite cannot be fused"):
        fuse(model)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_surrounds_the_call_changes_nothing(precision):
    """Weights are taken apart in float32 under the caller's autocast, and outside of its inference mode."""
    model, x = network("sfnet_lite"), image(*X)
    alone = fuse(model, precision)
    for around in (partial(torch.autocast, "cpu", torch.bfloat16), torch.inference_mode):
        with around():
            made = fuse(model, precision)
        assert not any(p.is_inference() for p in made.parameters())
        with torch.no_grad():
            assert torch.equal(made(x), alone(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_networks_of_other_dtypes_are_probed_in_their_own(dtype):
    model = network("sfnet_lite").to(dtype)
    fused, x = fuse(model), image(*X).to(dtype)
    with torch.inference_mode():
        assert relative_error(fused(x).float(), model(x).float()) < (1e-6 if dtype == torch.float64 else 0.2)
