"""What decays: weights, and nothing that stands for a position, a frequency or an offset."""

import pytest

import pixalign
from pixalign.training.config import OptimConfig
from pixalign.training.groups import parameter_groups, undecayed


def network(name="sfnet", encoder="test_resnet", **options):
    return pixalign.create_model(name, encoder=encoder, num_classes=3, channels=16, **options)


def decays(model, **changes):
    """Parameter name -> (factor of the learning rate, weight decay)."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, OptimConfig(weight_decay=0.1, **changes))
    return {names[p]: (group["factor"], group["weight_decay"]) for group in groups for p in group["params"]}


def test_every_parameter_is_in_one_group_and_norms_and_biases_do_not_decay():
    model = network()
    found = decays(model)
    assert found.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        assert found[name] == (1.0, 0.1 if parameter.ndim > 1 else 0.0)


@pytest.mark.parametrize(
    ("encoder", "endings"),
    [
        ("test_vit", {"pos_embed", "cls_token"}),  # timm keeps the model as it is
        ("swin_tiny_patch4_window7_224", {"relative_position_bias_table"}),  # timm takes it apart
    ],
)
def test_what_timm_names_does_not_decay(encoder, endings):
    options = {} if encoder == "test_vit" else {"embed_dim": 12, "depths": (1, 1, 2, 1), "num_heads": (1, 1, 1, 1)}
    model = network(encoder=encoder, encoder_options=options)
    found = decays(model)
    spared = {name.rsplit(".", 1)[-1] for name, p in model.named_parameters() if p.ndim > 1 and found[name][1] == 0}
    assert spared == endings
    assert found["classify.weight"] == (1.0, 0.1)


def test_learnable_frequencies_do_not_decay():
    for encoding, count in (("learnable", 4), ("sinusoidal", 0)):
        model = network("ifa", encoding=encoding)
        assert len(undecayed(model)) == count
        assert all(decays(model)[name][1] == 0 for name in undecayed(model))


def test_factors_of_the_learning_rate_go_with_either_decay():
    found = decays(network(), lr_parts={"encoder": 0.1, "encoder.body.layer4": 0.5})
    assert {value for name, value in found.items() if name.startswith("encoder.body.layer4")} == {(0.5, 0.1), (0.5, 0)}
    assert {value for name, value in found.items() if name.startswith("encoder.body.layer1")} == {(0.1, 0.1), (0.1, 0)}
    assert found["classify.weight"] == (1.0, 0.1)


def test_frozen_parameters_are_in_no_group():
    model = network()
    model.encoder.requires_grad_(False)
    assert not any(name.startswith("encoder.") for name in decays(model))
