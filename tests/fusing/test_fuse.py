"""A fused network gives the outputs of the network that it was made from."""

import copy
import weakref
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import pixalign
from graphs import export, relative_error
from networks import NETWORKS, displacements, image, network, randomized
from pixalign import fuse
from pixalign.errors import InputError
from pixalign.fusing import computes_bfloat16
from pixalign.fusing.aligners import QuickDualFlow
from pixalign.losses.weights import adjust_logits

TOLERANCE = 1e-4  # largest difference over the largest logit
SIZES = ((64, 96), (97, 129), (33, 47))
SHORTER = {"sfnet_lite": {"bins": (1, 6)}, "ifa": {}}  # graphs to capture
BOUNDED = ("sfnet", "sfnet_lite", "alignseg", "bialignnet", "ddsm", "ifa")


def images(batch: int = 1) -> list[torch.Tensor]:
    return [image(*size, batch=batch) for size in SIZES]


def check_equal(model: nn.Module, inputs: list[torch.Tensor], fused: nn.Module | None = None) -> nn.Module:
    fused = fuse(model) if fused is None else fused
    with torch.inference_mode():
        for x in inputs:
            assert relative_error(fused(x), model(x)) < TOLERANCE
    return fused


@cache
def pair(key: str) -> tuple[nn.Module, nn.Module]:
    """A network and what is fused of it, neither of them to be changed."""
    model = network(key)
    return model, fuse(model)


@pytest.mark.parametrize("key", NETWORKS)
def test_every_network_and_aligner_gives_the_same_logits_at_every_size(key):
    model, fused = pair(key)
    assert min(displacements(model, image(*SIZES[0])), default=2) > 1  # some predict no flow
    check_equal(model, images(), fused)


@pytest.mark.parametrize("key", NETWORKS)
def test_narrow_decoders_sample_as_the_network_does_with_the_same_logits(key, monkeypatch):
    monkeypatch.setattr("pixalign.fusing.convolution._WIDE", 37)  # these networks have 36 channels
    check_equal(network(key), [image(65, 47)])


@pytest.mark.parametrize(
    ("key", "convention"),
    [  # in every network one that resizes and warps by corners, and one whose flows count the pixels of what is read
        *((key, convention) for key in BOUNDED for convention in ("sfnet", "alignseg")),
        ("sfnet_lite", "bialignnet"),
        ("sfnet_lite", "alignseg_std"),
    ],
)
def test_published_conventions_stay_what_they_are(key, convention):
    check_equal(network(key, convention=convention), [image(65, 47)])


@pytest.mark.parametrize("key", BOUNDED)
def test_each_image_of_a_batch_keeps_its_own_logits(key):
    x = torch.cat((image(64, 96), image(64, 96).flip(2), image(64, 96).neg()))
    model, fused = pair(key)
    check_equal(model, [x], fused)
    with torch.inference_mode():
        assert relative_error(fused(x)[1:2], fused(x[1:2])) < 1e-5


@pytest.mark.parametrize("encoder", ["test_efficientnet", "test_byobnet", "test_convnext", "test_vit", "test_nfnet"])
def test_any_encoder_stays_itself(encoder):
    check_equal(network("sfnet", encoder=encoder), [image(64, 96), image(33, 47)])


def test_maps_of_one_size_are_fused_as_well():
    model = randomized(
        pixalign.create_model("sfnet", encoder="resnet18", encoder_options={"output_stride": 8}, channels=16)
    )
    check_equal(model.eval(), [image(65, 47)])


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("ifa", {"queries": "pixels"}),
        ("ifa", {"local_ensemble": True}),
        ("ifa", {"encoding": "none"}),
        ("ddsm", {"aligner_options": {"branches": "channel", "pooled": 4}}),
        ("ddsm", {"aligner_options": {"branches": "spatial", "position": False, "grid": 2}}),
        ("aligned_fpn-dysample", {"aligner_options": {"groups": 9}}),
        ("sfnet", {"in_channels": 5}),
    ],
)
def test_options_are_kept(key, options):
    check_equal(network(key, **options), [image(64, 47, channels=options.get("in_channels", 3))])


def test_positions_that_hardly_repeat_are_encoded_strip_by_strip(monkeypatch):
    monkeypatch.setattr("pixalign.fusing.networks._KEPT", 100)
    monkeypatch.setattr("pixalign.fusing.rows._STRIP", 10_000)
    model = network("ifa", convention="sfnet")  # which takes images of any size as they are
    fused = check_equal(model, [image(97, 129), image(64, 96), image(97, 129)])
    assert fused.kept[1].offsets


@pytest.mark.parametrize("key", BOUNDED)
def test_strips_of_one_row_change_nothing(key, monkeypatch):
    monkeypatch.setattr("pixalign.fusing.rows._STRIP", 1)
    check_equal(network(key), [image(33, 47)])


@pytest.mark.parametrize("key", BOUNDED)
def test_the_source_is_left_as_it_is(key):
    model = network(key).train()
    before = copy.deepcopy(model.state_dict())
    classes = [type(m) for m in model.modules()]
    fused = fuse(model)
    assert model.training
    assert not fused.training
    assert [type(m) for m in model.modules()] == classes
    assert all(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in fused.parameters())
    for name, x in model.state_dict().items():
        assert torch.equal(x, before[name]), name


@pytest.mark.parametrize("key", BOUNDED)
def test_the_contract_is_the_networks(key):
    (model, fused), x = pair(key), image(64, 96)
    with torch.inference_mode():
        features = fused.encode(x)
        for mine, expected in zip(features, model.encode(x), strict=True):
            assert relative_error(mine, expected) < TOLERANCE
        assert relative_error(fused.decode(features, (50, 70)), model.decode(model.encode(x), (50, 70))) < TOLERANCE
        assert relative_error(fused.decode(features), model.decode(model.encode(x))) < TOLERANCE
        mine, expected = fused(x, heads=True), model(x, heads=True)
    assert mine.keys() == expected.keys()
    for name, output in expected.items():
        pairs = zip(mine[name], output, strict=True) if isinstance(output, list) else [(mine[name], output)]
        for a, b in pairs:
            assert relative_error(a, b) < TOLERANCE
    assert fused.config == model.config
    assert isinstance(fused, type(model))


def test_points_of_a_fused_ifa_are_the_networks():
    (model, fused), x = pair("ifa"), image(64, 96)
    points = torch.rand(1, 20, 2) * 2 - 1
    with torch.inference_mode():
        expected = model.decode(model.encode(x), points=points)
        assert relative_error(fused.decode(model.encode(x), points=points), expected) < TOLERANCE


@pytest.mark.parametrize("key", BOUNDED)
def test_gradients_with_respect_to_the_image_are_the_networks(key):
    gradients = []
    for made in pair(key):
        x = image(33, 47).requires_grad_()
        logits = made(x)
        gradients += torch.autograd.grad((logits * torch.linspace(0, 1, logits.shape[-1])).sum(), x)
    assert relative_error(gradients[1], gradients[0]) < 1e-3


def test_class_weights_can_be_taken_back_after_fusing():
    _, fused = pair("bialignnet")
    adjusted = adjust_logits(fused, torch.tensor([1.0, 2, 3, 4, 5]), 1.0)
    with torch.inference_mode():
        difference = fused(image(64, 96)) - adjusted(image(64, 96))
    expected = torch.tensor([1.0, 2, 3, 4, 5]).log().view(1, -1, 1, 1).expand_as(difference)
    torch.testing.assert_close(difference, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("key", BOUNDED)
def test_bfloat16_is_as_near_as_autocast(key):
    (model, in_float32), x = pair(key), image(64, 96)
    fused = fuse(model, precision="bf16")
    with torch.inference_mode():
        expected = model(x)
        with torch.autocast("cpu", torch.bfloat16):
            autocast = model(x)
            assert relative_error(in_float32(x).float(), expected) < 0.2  # an outer autocast is obeyed
        logits = fused(x)
    assert logits.dtype == torch.bfloat16
    distance = [float((got.float() - expected).pow(2).mean().sqrt()) for got in (logits, autocast)]
    assert distance[0] < 2 * distance[1]


def test_what_is_kept_of_a_size_serves_every_precision():
    model, x = network("ifa"), image(64, 96)
    fused = fuse(model)
    with torch.inference_mode():
        with torch.autocast("cpu", torch.bfloat16):
            fused(x)
        assert relative_error(fused(x), model(x)) < TOLERANCE


def test_alignseg_frees_each_map_of_the_encoder_once_it_is_read(monkeypatch):
    fused = fuse(network("alignseg"))
    encode, merge = fused.encode, QuickDualFlow.merge
    maps: list[weakref.ref] = []
    left: list[int] = []

    def encoding(x):
        features = encode(x)
        maps.extend(weakref.ref(feature) for feature in features)
        return features

    def merging(self, fine, coarse, then=None):
        left.append(sum(feature() is not None for feature in maps))
        return merge(self, fine, coarse, then)

    monkeypatch.setattr(fused, "encode", encoding)
    monkeypatch.setattr(QuickDualFlow, "merge", merging)
    with torch.inference_mode():
        fused(image(64, 96))
    assert left == [2, 1, 0, 0]


def test_auto_takes_bfloat16_where_the_processor_computes_in_it():
    expected = "bf16" if computes_bfloat16(torch.device("cpu")) else "fp32"
    assert fuse(network("sfnet_lite"), precision="auto").precision == expected


def test_predictor_takes_a_fused_network():
    pixels = np.random.default_rng(0).integers(0, 256, (65, 70, 3), dtype=np.uint8)
    results = [pixalign.Predictor(made, device="cpu")(pixels, probabilities=True) for made in pair("sfnet")]
    np.testing.assert_allclose(results[1].probabilities, results[0].probabilities, atol=1e-4)


@pytest.mark.parametrize("name", ["smp/Unet", "smp/DeepLabV3Plus"])
def test_networks_of_other_packages_have_their_norms_folded(name):
    pytest.importorskip("segmentation_models_pytorch", reason="needs the extra peers")
    model = randomized(pixalign.create_model(name, num_classes=5)).eval()
    fused = check_equal(model, [image(65, 40)])
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert fused.rewrites[0] == f"{norms} norms folded"


@pytest.mark.slow
@pytest.mark.parametrize("key", SHORTER)
def test_a_fused_network_exports_with_dynamic_sizes(key):
    fused = fuse(network(key, **SHORTER[key]))
    program = export(fused, [image(64, 96, batch=2)])
    with torch.no_grad():
        for x in images():
            assert relative_error(program.module()(x), fused(x)) < TOLERANCE


@pytest.mark.slow
def test_compiled_is_the_same(monkeypatch):
    torch.compiler.reset()
    compile_module, asked = nn.Module.compile, []

    def capture(self, **options):
        """Without code generation, which takes minutes."""
        asked.append(options)
        compile_module(self, backend="eager", **options)

    monkeypatch.setattr(nn.Module, "compile", capture)
    model = network("sfnet_lite", **SHORTER["sfnet_lite"])
    fused = fuse(model, compile=True)
    assert asked == [{"dynamic": True}]
    assert fused.rewrites[-1] == "compiled"
    with torch.no_grad():
        for x in images():
            assert relative_error(fused(x), model(x)) < TOLERANCE


def test_what_was_done_is_named():
    assert pair("sfnet")[1].rewrites == [
        "28 norms folded",
        "PyramidPooling",
        "Flow",
        "LevelFusion",
        "channels last",
    ]


def test_it_cannot_be_saved(tmp_path):
    _, fused = pair("sfnet_lite")
    with pytest.raises(InputError, match="save the model that it was made from"):
        pixalign.save(fused, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_it_cannot_be_fused_again():
    with pytest.raises(InputError, match="fused already"):
        fuse(pair("sfnet_lite")[1])


def test_an_unknown_precision_is_refused():
    with pytest.raises(InputError, match="precision is 'int4': choose one of fp32, bf16, auto"):
        fuse(network("sfnet_lite"), precision="int4")
