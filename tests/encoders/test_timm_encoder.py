"""timm backbones behind one contract, swept over families: convolutional, windowed, hybrid and plain transformers."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
import timm
import torch
from safetensors.torch import save_file

from pixalign.encoders import TimmEncoder, list_encoders, timm_encoder
from pixalign.encoders.packaged import packaged_weights
from pixalign.errors import InputError

FAMILIES = (
    "resnet18",
    "sfnet_resnet18",
    "convnext_atto",
    "swin_tiny_patch4_window7_224",
    "mobilenetv3_small_050",
    "mobilenetv4_conv_small_050",
    "efficientnet_lite0",
    "regnetx_002",
    "fastvit_t8",
    "repvit_m0_9",
    "pvt_v2_b0",
    "hrnet_w18_small",
    "test_vit",  # a plain ViT with patches of 16
    "vit_small_patch14_dinov2",
)
SIZES = ((33, 47), (97, 129), (64, 96), (70, 54))


def image(height: int, width: int, channels: int = 3, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(height))


@pytest.fixture(scope="module", params=FAMILIES)
def encoder(request):
    torch.manual_seed(0)
    return TimmEncoder(request.param).eval()


def test_maps_have_ceil_sizes_at_any_image_size(encoder):
    assert encoder.strides == (4, 8, 16, 32)
    for height, width in SIZES:
        with torch.no_grad():
            maps = encoder(image(height, width, batch=2))
        expected = [(2, c, -(-height // s), -(-width // s)) for c, s in zip(encoder.channels, encoder.strides)]
        assert [tuple(x.shape) for x in maps] == expected
        assert all(x.isfinite().all() for x in maps)


def test_gradients_of_every_map_reach_the_image(encoder):
    for level in range(4):
        x = image(33, 47).requires_grad_()
        encoder(x)[level].square().sum().backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()
        assert x.grad.count_nonzero() > 0


@pytest.mark.parametrize("levels", [(0, 2, 3), (1, 2, 3), (3,)])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "hrnet_w18_small"])
def test_levels_that_are_not_read_are_not_built_and_the_others_are_as_ever(name, levels):
    whole = TimmEncoder(name).eval()
    some = TimmEncoder(name, levels=levels).eval()
    spare = [n for n in whole.state_dict() if n not in some.state_dict()]
    assert bool(spare) == (name in ("test_vit", "hrnet_w18_small"))
    names = re.escape(", ".join(spare))
    with pytest.warns(UserWarning, match=f"does not read are left out: {names}$") if spare else nullcontext():
        some.load_state_dict(whole.state_dict())
    maps = some(image(33, 47))
    with torch.no_grad():
        expected = [whole(image(33, 47))[k] for k in levels]
    assert [tuple(x.shape[1:2]) for x in expected] == [(c,) for c in some.channels]
    assert some.strides == tuple(whole.strides[k] for k in levels)
    assert all(torch.equal(x, y) for x, y in zip(maps, expected, strict=True))
    sum(x.square().mean() for x in maps).backward()
    assert [n for n, p in some.named_parameters() if p.grad is None] == []


def test_normalization_is_the_one_timm_documents(encoder):
    config = timm.get_pretrained_cfg(encoder.name, allow_unregistered=True)
    assert encoder.mean == config.mean
    assert encoder.std == config.std


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050"])
def test_output_stride_keeps_deep_maps_fine(name, output_stride):
    encoder = TimmEncoder(name, output_stride=output_stride).eval()
    assert encoder.strides == (4, 8, min(16, output_stride), output_stride)
    with torch.no_grad():
        maps = encoder(image(97, 129))
    assert [tuple(x.shape[-2:]) for x in maps] == [(-(-97 // s), -(-129 // s)) for s in encoder.strides]


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("name", ["resnet18", "swin_tiny_patch4_window7_224", "test_vit"])
def test_images_may_have_other_channels_than_three(name, channels):
    encoder = TimmEncoder(name, in_channels=channels).eval()
    assert len(encoder.mean) == len(encoder.std) == channels
    with torch.no_grad():
        assert len(encoder(image(33, 47, channels))) == 4


def test_options_reach_the_timm_model():
    assert TimmEncoder("resnet18", channels=(32, 48, 64, 80)).channels == [32, 48, 64, 80]


def test_sfnet_resnet_is_dilated_in_its_last_two_layers_and_keeps_its_strides():
    body = TimmEncoder("sfnet_resnet18").body
    dilations = {
        name: x.dilation[0] for name, x in body.named_modules() if getattr(x, "dilation", 1) not in (1, (1, 1))
    }
    assert dilations == {
        "layer3.0.conv2": 2,
        "layer3.1.conv2": 2,
        "layer4.0.conv2": 4,
        "layer4.1.conv2": 4,
    }
    assert [body.conv1[i].out_channels for i in (0, 3, 6)] == [64, 64, 128]


def test_alignseg_resnet_rounds_up_where_its_max_pool_does():
    encoder = TimmEncoder("alignseg_resnet101").eval()
    with torch.no_grad():
        maps = encoder(image(96, 97))
    assert [tuple(x.shape[1:]) for x in maps] == [(256, 25, 25), (512, 13, 13), (1024, 7, 7), (2048, 4, 4)]
    assert [encoder.body.conv1[i].out_channels for i in (0, 3, 6)] == [64, 64, 128]


@pytest.fixture
def weights(tmp_path):
    """timm's randomly initialized resnet18, and the .safetensors file of it."""
    torch.manual_seed(1)
    model = timm.create_model("resnet18")
    save_file(model.state_dict(), tmp_path / "resnet18.safetensors")
    return model.state_dict(), tmp_path / "resnet18.safetensors"


@pytest.mark.parametrize("as_text", [False, True])
def test_pretrained_weights_come_from_a_local_file(weights, as_text):
    state, file = weights
    body = TimmEncoder("resnet18", str(file) if as_text else file).body
    for name, tensor in body.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_pretrained_first_layer_is_adapted_to_one_channel(weights):
    state, file = weights
    body = TimmEncoder("resnet18", file, in_channels=1).body
    torch.testing.assert_close(body.conv1.weight, state["conv1.weight"].sum(1, keepdim=True))
    assert torch.equal(body.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "test_vit"])
def test_pretrained_transformers_come_from_a_local_file(tmp_path, name):
    model = timm.create_model(name)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    known = list(model.state_dict().values())
    for weight in TimmEncoder(name, tmp_path / "weights.safetensors").body.parameters():
        assert any(weight.shape == x.shape and torch.equal(weight, x) for x in known)


def test_file_of_other_weights_is_refused(tmp_path, weights):
    with pytest.raises(InputError, match="pretrained weights could not be loaded"):
        TimmEncoder("resnet26", weights[1])
    with pytest.raises(InputError, match=r"only 20 of the 36 weight tensors of 'resnet34' are in .*resnet18"):
        TimmEncoder("resnet34", weights[1])
    save_file({f"backbone.{k}": v for k, v in weights[0].items()}, tmp_path / "renamed.safetensors")
    with pytest.raises(InputError, match="only 0 of the 20 weight tensors"):
        TimmEncoder("resnet18", tmp_path / "renamed.safetensors")


def test_files_that_are_not_safetensors_are_refused(tmp_path, weights):
    torch.save(weights[0], tmp_path / "resnet18.pth")
    with pytest.raises(InputError, match=r"resnet18.pth is not a .safetensors file"):
        TimmEncoder("resnet18", tmp_path / "resnet18.pth")
    with pytest.raises(InputError, match=r"gone.safetensors does not exist"):
        TimmEncoder("resnet18", tmp_path / "gone.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(InputError, match="pretrained weights could not be loaded"):
        TimmEncoder("resnet18", tmp_path / "text.safetensors")


def test_missing_connection_says_what_to_do(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no connection")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", refuse)
    with pytest.raises(InputError, match=r"\(no connection\): check the connection, .* take one of"):
        TimmEncoder("resnet18", pretrained=True)


def test_encoder_without_published_weights_says_so():
    with pytest.raises(InputError, match="No pretrained weights exist for sfnet_resnet18"):
        TimmEncoder("sfnet_resnet18", pretrained=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet81"}, r"'resnet81' is unknown to timm .*: did you mean resnet18"),
        ({"name": "qqqqzzzz"}, r"'qqqqzzzz' is unknown to timm .*: `pixalign encoders PATTERN` lists the names"),
        ({"name": "resnet18.nobody"}, r"Invalid pretrained tag \(nobody\)"),
        ({"name": "resnet18", "depth": 3}, r"'resnet18' cannot be built: .*'depth'"),
        ({"name": "resnet18", "out_indices": (1, 2)}, r"option 'out_indices' cannot be set"),
        ({"name": "resnet18", "in_chans": 1}, r"option 'in_chans' cannot be set: give in_channels"),
        ({"name": "resnet18", "output_stride": 4}, r"output_stride is 4: choose 8, 16 or 32"),
        ({"name": "swin_tiny_patch4_window7_224", "output_stride": 16}, r"cannot be built: .*'output_stride'"),
        ({"name": "resnet18", "in_channels": 0}, r"in_channels is 0"),
        ({"name": "levit_128s"}, r"has maps at strides \[16, 32, 64\], not at \[4, 8, 16, 32\]"),
        ({"name": "hiera_tiny_224"}, r"'hiera_tiny_224' cannot take images of any size"),
    ],
)
def test_what_cannot_be_an_encoder_is_refused_with_the_reason(arguments, message):
    with pytest.raises(InputError, match=message):
        TimmEncoder(**arguments)


def test_names_are_listed_by_pattern():
    assert "sfnet_resnet18" in list_encoders()
    assert list_encoders("resnet1?") == ["resnet18"]
    assert list_encoders("sfnet_*") == ["sfnet_resnet18", "sfnet_resnet50", "sfnet_resnet101"]
    assert list_encoders("nothing*") == []


def phase(encoder, side):
    """Where the middle cell of each map looks, in pixels from where its center lies, of an encoder of equal weights."""
    image = torch.zeros(1, 3, side, side, requires_grad=True)
    found = []
    for x, stride in zip(encoder(image), encoder.strides):
        cell = x.shape[-1] // 2
        (gradient,) = torch.autograd.grad(x[0, :, cell, cell].sum(), image, retain_graph=True)
        weights = gradient.sum((0, 1, 2))
        center = (weights * (torch.arange(side) + 0.5)).sum() / weights.sum()
        found.append((center - stride * (cell + 0.5)).item())
    return found


@pytest.mark.parametrize("name", ["tf_mobilenetv3_small_minimal_100", "test_resnet"])
def test_maps_look_at_the_same_places_whatever_the_parity_of_a_side(name):
    encoder = TimmEncoder(name).eval()
    for parameter in encoder.parameters():
        torch.nn.init.constant_(parameter, 0.1)  # so that what a cell sees has no other center than the layers give it
    expected = phase(encoder, 384)
    for side in (352, 353, 360, 362, 364, 367, 376, 383):
        assert phase(encoder, side) == pytest.approx(expected, abs=0.02), side


def test_an_image_is_padded_by_its_mirror_image_at_the_end():
    encoder = TimmEncoder("tf_mobilenetv3_small_minimal_100").eval()
    assert encoder.multiple == 32
    image = torch.rand(1, 3, 45, 64)
    mirrored = torch.nn.functional.pad(image, (0, 0, 0, 19), mode="reflect")
    for x, y in zip(encoder(image), encoder(mirrored)):
        torch.testing.assert_close(x, y[:, :, : x.shape[2]])


def test_pretrained_weights_come_from_a_package_without_a_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    weights = packaged_weights("tf_efficientnet_lite0")
    encoder = TimmEncoder("tf_efficientnet_lite0", True, in_channels=1)
    assert torch.equal(encoder.body.blocks[4][1].conv_pw.weight, weights["blocks.4.1.conv_pw.weight"])
    torch.testing.assert_close(encoder.body.conv_stem.weight, weights["conv_stem.weight"].sum(1, keepdim=True))


def test_package_weights_that_timm_skips_are_noticed(monkeypatch):
    renamed = {f"body.{name}": x for name, x in packaged_weights("tf_efficientnet_lite0").items()}
    monkeypatch.setattr(timm_encoder, "packaged_weights", lambda name: renamed)
    with pytest.raises(InputError, match=r"only 0 of the \d+ weight tensors of 'tf_efficientnet_lite0' are in eff"):
        TimmEncoder("tf_efficientnet_lite0", True)


def test_package_weights_are_loaded_silently_and_kept_once(caplog):
    encoder = TimmEncoder("tf_efficientnet_lite0", True)
    assert not caplog.records
    assert "state_dict" not in encoder.body.pretrained_cfg


def test_maps_kept_by_hooks_are_not_mixed_between_threads():
    """timm collects them on the model: without a lock, one thread's call took another's maps."""
    torch.manual_seed(0)
    encoder = TimmEncoder("legacy_xception").eval()
    images = [torch.randn(1, 3, 64 + 32 * (i % 2), 64) for i in range(4)]
    with torch.no_grad():
        expected = [encoder(image) for image in images]

    def encode(image):
        with torch.no_grad():
            return encoder(image)

    with ThreadPoolExecutor(4) as threads:
        for maps, alone in zip(threads.map(encode, images), expected, strict=True):
            for mine, other in zip(maps, alone, strict=True):
                torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("enlarge", [1.5, 2])
@pytest.mark.parametrize("name", ["test_resnet", "tf_efficientnet_lite0", "test_vit"])
def test_an_enlarged_image_has_the_maps_of_the_image_that_was_enlarged_before(name, enlarge):
    torch.manual_seed(0)
    encoder = TimmEncoder(name, enlarge=enlarge).eval()
    plain = TimmEncoder(name).eval()
    plain.load_state_dict(encoder.state_dict())
    for height, width in SIZES:
        x = image(height, width)
        size = tuple(-int(-side * enlarge // 1) for side in (height, width))
        with torch.no_grad():
            expected = plain(torch.nn.functional.interpolate(x, size, mode="bilinear", align_corners=False))
            maps = encoder(x)
        for ours, theirs in zip(maps, expected, strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("enlarge", [0.5, 5, 1.3, "2"])
def test_other_factors_are_refused(enlarge):
    with pytest.raises(InputError, match=f"enlarge is {enlarge!r}: give 1 to 4, in quarters"):
        TimmEncoder("test_resnet", enlarge=enlarge)
