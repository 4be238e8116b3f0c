"""Conversion of AlignSeg's checkpoint, in both of its release's sampling conventions."""

import pytest
import torch

import golden_state as golden
from networks import displacements
from pixalign.weights.convert import convert, convert_state

CASES = {
    "alignseg_1x97x129_s0": "alignseg-r101",
    "alignseg_1x96x128_s1": "alignseg-r101",
    "alignseg_std_1x97x129_s0": "alignseg-r101-std",
    "alignseg_std_1x96x128_s1": "alignseg-r101-std",
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """(name of a golden case, the converted model's outputs at 1/4, the mean displacement of each of its flows)."""
    _, state, image = golden.inputs(request.param)
    model = convert_state(state, CASES[request.param])
    with torch.no_grad():
        outputs = {"logits": model.decode(model.encode(image)), "aux": model(image, heads=True)["auxiliaries"][0]}
    return request.param, outputs, displacements(model, image, torch.mean)


def tolerance(case: str) -> float:
    """Float32 amplification alone reaches 7e-5 in alignseg_std."""
    return 5e-4 if case.startswith("alignseg_std") else golden.TOLERANCE


def test_converted_model_reproduces_the_authors_outputs(case):
    golden.assert_golden(case[0], case[1], tolerance=tolerance(case[0]))


def test_converted_model_reproduces_the_authors_complete_outputs(case):
    golden.assert_golden(case[0], case[1], complete=True, tolerance=tolerance(case[0]))


def test_golden_offsets_exceed_one_unit_of_the_convention_on_average(case):
    means = case[2]
    assert len(means) == 1 + 4 * 2  # the context's, and two for each aggregation
    assert sum(mean > 1 for mean in means) >= 7
    assert min(means) > 0.2


@pytest.fixture(scope="module")
def state():
    return golden.seeded_state("alignseg", seed=0)


@pytest.mark.parametrize(("kind", "convention"), [("alignseg-r101", "alignseg"), ("alignseg-r101-std", "alignseg_std")])
def test_every_tensor_is_used_and_the_convention_kept(state, monkeypatch, kind, convention):
    saved = []
    monkeypatch.setattr("pixalign.weights.convert.read_checkpoint", lambda path: state)
    monkeypatch.setattr("pixalign.weights.convert.save", lambda model, folder: saved.append(model))
    report = convert("released.pth", kind, "folder")
    assert report.matched == tuple(sorted(state))
    assert report.unused == ()
    assert all(name.endswith("num_batches_tracked") for name in report.missing)
    [model] = saved
    assert not model.training
    assert model.config.arguments["convention"] == convention
    assert model.config.classes[18] == "bicycle"


def test_norms_scale_by_the_absolute_weight_plus_a_hundred_thousandth(state):
    model = convert_state(state, "alignseg-r101")
    for ours, theirs in (
        (model.encoder.body.bn1, "bn3"),
        (model.encoder.body.layer2[0].downsample[1], "layer2.0.downsample.1"),
        (model.aligners[0].offsets_fine.norm, "CAB2.delta_gen2.1"),
    ):
        weight = state[f"{theirs}.weight"]
        assert (weight < 0).any()
        assert torch.equal(ours.weight, weight.abs() + 1e-5)
        assert torch.equal(ours.bias, state[f"{theirs}.bias"])


def test_number_of_classes_is_read_and_an_incomplete_training_head_left_out(state):
    state = {name: x[:11] if x.shape[:1] == (19,) else x for name, x in state.items() if name != "dsn.3.weight"}
    model = convert_state(state, "alignseg-r101")
    assert model.config.arguments["num_classes"] == 11
    assert model.auxiliary is None
