"""Starting from another model: what fits is taken, what does not is named; frozen parts do not move."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import pixalign
from conftest import write_pair
from networks import CLASSES, NETWORKS, image, randomized
from networks import network as registered
from pixalign.errors import InputError
from pixalign.models import MODELS
from pixalign.training.config import DataConfig, ModelConfig, OptimConfig, TrainConfig
from pixalign.training.initial import initialize, learning_rate_factor
from pixalign.training.loop import train

TINY = {"channels": 16, "encoder_options": {"channels": [8, 16, 24, 32]}}


def network(classes, **changes):
    model = pixalign.create_model("sfnet", encoder="resnet18", num_classes=len(classes), **{**TINY, **changes})
    model.config.classes = list(classes)
    for name, tensor in model.named_buffers():
        if name.endswith("running_mean"):
            tensor.normal_()
    return model.eval()


def configuration(root, out, **changes):
    config = TrainConfig(
        data=DataConfig(root=str(root), crop=(32, 48), workers=0, check=False),
        optim=OptimConfig(lr=3e-3),
        epochs=1,
        batch_size=4,
        precision="fp32",
        ema=0.0,
        pictures_every=0,
        out=str(out),
        device="cpu",
    )
    return replace(config, **changes)


def test_every_tensor_of_a_network_of_the_same_classes_is_taken():
    source, model = network("abc"), network("abc")
    assert initialize(model, source) == ([], [])
    ours, theirs = model.state_dict(), source.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_class_rows_go_by_name_and_new_classes_are_listed():
    source, model = network("abc"), network("xca")
    fresh = model.classify.weight[0].clone()
    left, new = initialize(model, source)
    assert (left, new) == ([], ["x"])
    assert torch.equal(model.classify.weight[0], fresh)
    for ours, theirs in ((1, 2), (2, 0)):
        assert torch.equal(model.classify.weight[ours], source.classify.weight[theirs])
        assert torch.equal(model.classify.bias[ours], source.classify.bias[theirs])


def test_another_number_of_classes_keeps_all_but_the_new_rows():
    source, model = network("abc"), network("abcde")
    left, new = initialize(model, source)
    assert (left, new) == ([], ["d", "e"])
    assert torch.equal(model.classify.weight[:3], source.classify.weight)
    image = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(model.eval()(image)[:, :3], source(image))


def of_classes(key, classes):
    """The registered network ``key`` for ``classes``, freshly drawn."""
    name, options = NETWORKS[key]
    model = pixalign.create_model(name, encoder="test_resnet", num_classes=len(classes), channels=36, **options)
    model.config.classes = list(classes)
    return model.eval()


@pytest.mark.parametrize("classes", ["edcba", "dbxaec1", "xb"], ids=lambda c: f"to {c}")
@pytest.mark.parametrize("key", NETWORKS)
def test_every_network_started_from_itself_is_itself_whatever_its_classes(key, classes):
    source = registered(key)
    source.config.classes = list("abcde")
    model = of_classes(key, classes)
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    left, new = initialize(model, source)
    assert (left, new) == ([], [c for c in classes if c not in "abcde"])
    x = image(64, 96)
    with torch.inference_mode():
        ours, theirs = model(x, heads=True), source(x, heads=True)
    shared = [(classes.index(c), "abcde".index(c)) for c in classes if c in "abcde"]
    for one, other in zip(
        [ours["logits"], *ours["auxiliaries"]], [theirs["logits"], *theirs["auxiliaries"]], strict=True
    ):
        for i, j in shared:
            torch.testing.assert_close(one[:, i], other[:, j], rtol=1e-4, atol=1e-4)
    if new:  # their rows are as they were drawn
        i, rows = classes.index(new[0]), len(fresh["classify.weight"]) // len(classes)
        place = slice(i * rows, (i + 1) * rows)
        assert torch.equal(model.classify.weight[place], fresh["classify.weight"][place])


def test_every_registered_network_and_aligner_is_among_those_tested():
    assert {name for name, _ in NETWORKS.values()} == set(MODELS)
    assert CLASSES == 5  # abcde


@pytest.mark.parametrize("key", NETWORKS)
def test_the_tensors_that_depend_on_the_classes_are_those_of_the_layers_that_a_network_names(key):
    model, other = of_classes(key, "abcde"), of_classes(key, "abcdef").state_dict()
    differ = {name for name, tensor in model.state_dict().items() if other[name].shape != tensor.shape}
    layers = [(name, module) for name, module in model.named_modules() if module in model.class_layers]
    assert differ == {f"{name}.{key}" for name, module in layers for key, _ in module.named_parameters()}
    assert all(other[name].shape[0] * 5 == model.state_dict()[name].shape[0] * 6 for name in differ)


def test_layers_that_a_network_does_not_name_are_taken_as_they_are():
    source, turned, more = network("ab"), network("ba"), network("abc")
    for model in (source, turned, more):
        model.columns = torch.nn.Linear(len(model.config.classes), 4, bias=False)
    assert initialize(turned, source) == ([], [])
    assert torch.equal(turned.columns.weight, source.columns.weight)
    left, _ = initialize(more, source)
    assert left == ["columns.weight (4, 3): has shape (4, 2) there"]


def test_a_class_layer_of_another_number_of_rows_for_each_class_is_named_and_stays():
    source, model = randomized(of_classes("sfnet", "abcd")), of_classes("bialignnet", "ab")
    before = model.classify.weight.clone()
    left, _ = initialize(model, source)
    assert any(line.startswith("classify.bias (128,): has shape (4,) there") for line in left)
    assert torch.equal(model.classify.weight, before)


def test_what_does_not_fit_is_named_with_both_shapes_and_stays():
    source, model = network("abc"), network("abc", channels=24)
    before = model.fuse[0].weight.clone()
    left, _ = initialize(model, source)
    assert torch.equal(model.fuse[0].weight, before)
    assert any(line.startswith("fuse.0.weight (24, 96, 3, 3): has shape (16, 64, 3, 3) there") for line in left)
    assert torch.equal(model.encoder.body.conv1.weight, source.encoder.body.conv1.weight)


def test_fine_tuning_takes_the_network_of_the_model_it_starts_from(folder_data, tmp_path):
    source = network(["class_2", "other"])
    source.config.encoder_weights = {"package": "some-weights 1.0", "license": "Apache-2.0"}
    pixalign.save(source, tmp_path / "source")
    config = configuration(folder_data, tmp_path / "run", init=str(tmp_path / "source"))
    out = train(config)
    model = pixalign.load(out / "last")
    assert model.config.encoder_weights == source.config.encoder_weights
    assert model.config.arguments["channels"] == 16
    assert model.config.classes == ["class_0", "class_1", "class_2"]
    said = (out / "log.txt").read_text()
    assert "classes that" in said
    assert "class_0, class_1" in said
    # The written configuration names the network: resuming needs neither the source nor a guess.
    assert "sfnet" in (out / "config.yaml").read_text()
    assert "channels: 16" in (out / "config.yaml").read_text()


def test_a_frozen_encoder_keeps_weights_and_statistics(folder_data, tmp_path):
    source = network(["class_0", "class_1", "class_2"])
    pixalign.save(source, tmp_path / "source")
    out = train(configuration(folder_data, tmp_path / "run", init=str(tmp_path / "source"), freeze="encoder"))
    before, after = load_file(tmp_path / "source" / "model.safetensors"), load_file(out / "last" / "model.safetensors")
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith("encoder."))
    assert not torch.equal(before["fuse.0.weight"], after["fuse.0.weight"])


def test_a_learning_rate_of_zero_for_a_part_keeps_its_weights(folder_data, tmp_path):
    source = network(["class_0", "class_1", "class_2"])
    pixalign.save(source, tmp_path / "source")
    optim = OptimConfig(lr=3e-3, lr_parts={"encoder": 0.0})
    out = train(configuration(folder_data, tmp_path / "run", init=str(tmp_path / "source"), optim=optim))
    before, after = load_file(tmp_path / "source" / "model.safetensors"), load_file(out / "last" / "model.safetensors")
    assert torch.equal(before["encoder.body.conv1.weight"], after["encoder.body.conv1.weight"])
    assert not torch.equal(before["fuse.0.weight"], after["fuse.0.weight"])


def test_the_longest_beginning_of_a_name_decides_its_learning_rate():
    parts = {"encoder": 0.1, "encoder.body.layer4": 0.5}
    assert learning_rate_factor("encoder.body.layer4.0.conv1.weight", parts) == 0.5
    assert learning_rate_factor("encoder.body.layer3.0.conv1.weight", parts) == 0.1
    assert learning_rate_factor("encoders.x", parts) == 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"freeze": "encodr"}, "freeze: no part 'encodr' in the network: choose among encoder, pool"),
        ({"optim": OptimConfig(lr_parts={"head": 10})}, "optim.lr_parts: no part 'head' in the network"),
        ({"init": "nowhere"}, "model 'nowhere': no such folder"),
    ],
)
def test_a_part_or_a_model_that_is_not_there_is_one_line(folder_data, tmp_path, changes, message):
    config = configuration(folder_data, tmp_path / "run", model=ModelConfig("sfnet", "resnet18", options=TINY))
    with pytest.raises(InputError, match=message):
        train(replace(config, **changes))


def test_freezing_everything_is_refused(tmp_path):
    root = tmp_path / "data"
    for i in range(5):
        write_pair(root / "images" / f"{i}.png", root / "masks" / f"{i}.png", seed=i)
    model = ModelConfig("sfnet", "resnet18", options=TINY)
    parts = "encoder,pool,laterals,aligners,smooth,fuse,classify,auxiliary"
    with pytest.raises(InputError, match="nothing is left to train"):
        train(configuration(root, tmp_path / "run", model=model, freeze=parts))
