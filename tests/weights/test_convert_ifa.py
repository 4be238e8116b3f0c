"""Conversion of IFA's checkpoint: outputs, positions of ties, and what happens to its tensors."""

import pytest
import torch

import golden_state as golden
from pixalign.errors import InputError
from pixalign.sampling import resize
from pixalign.weights.convert import convert, convert_state

CASES = ("ifa_1x97x129_s0", "ifa_1x96x128_s1", "ifa_1x161x97_s2")


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """(name of a golden case, the converted model's outputs; the release resizes the auxiliary logits too)."""
    _, state, image = golden.inputs(request.param)
    with torch.no_grad():
        outputs = convert_state(state, "ifa-r50")(image, heads=True)
    auxiliary = resize(outputs["auxiliaries"][0], (image.shape[-2], image.shape[-1]), "sfnet")
    return request.param, {"logits": outputs["logits"], "aux": auxiliary}


@pytest.mark.parametrize("case", CASES[:2], indirect=True)  # the thinned ones
def test_converted_model_reproduces_the_authors_outputs(case):
    golden.assert_golden(*case)


def test_converted_model_reproduces_the_authors_complete_outputs(case):
    golden.assert_golden(*case, complete=True)


@pytest.fixture(scope="module")
def state():
    return golden.seeded_state("ifa", seed=0)


def test_every_tensor_is_used(state, monkeypatch):
    saved = []
    monkeypatch.setattr("pixalign.weights.convert.read_checkpoint", lambda path: state)
    monkeypatch.setattr("pixalign.weights.convert.save", lambda model, folder: saved.append(model))
    report = convert("released.pth", "ifa-r50", "folder")
    assert (report.matched, report.unused, report.missing) == (tuple(sorted(state)), (), ())
    [model] = saved
    assert model.config.arguments["convention"] == "sfnet"
    assert model.config.classes[0] == "road"
    assert torch.equal(model.first.weight[..., 0], state["decoder.ifa.imnet.0.weight"])
    assert torch.equal(model.encodings[3].frequencies, state["decoder.ifa.pos4.emb"])


def test_number_of_classes_is_read_and_an_auxiliary_head_may_be_missing(state):
    last = {name: state[name][:7] for name in ("decoder.ifa.imnet.9.weight", "decoder.ifa.imnet.9.bias")}
    bare = {name: x for name, x in state.items() if not name.startswith("auxor")}
    model = convert_state({f"module.{name}": x for name, x in (bare | last).items()}, "ifa-r50")
    assert model.config.arguments["num_classes"] == 7
    assert model.auxiliary is None


def test_missing_frequencies_are_named(state):
    with pytest.raises(InputError, match=r"tensor decoder.ifa.pos2.emb \(12, 2\) is missing"):
        convert_state({name: x for name, x in state.items() if name != "decoder.ifa.pos2.emb"}, "ifa-r50")
