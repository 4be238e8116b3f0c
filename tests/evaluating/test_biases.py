"""Class biases fitted to the mean IoU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pixalign
from pixalign.cli import main
from pixalign.data import open_data
from pixalign.errors import InputError
from pixalign.evaluating.biases import _GRID, best_biases, fit_biases

TINY = {"channels": 16, "encoder_options": {"channels": [8, 16, 24, 32]}}


def mean_iou(logits, labels, biases):
    """The definition, over the classes that the labels hold."""
    ids = (logits + torch.as_tensor(biases)[:, None]).argmax(0)
    scores = []
    for k in labels.unique().tolist():
        hits = ((ids == k) & (labels == k)).sum()
        scores.append((hits / ((ids == k) | (labels == k)).sum()).item())
    return sum(scores) / len(scores)


def noisy(seed, classes=4, pixels=400, noise=1.0, share=None):
    """Logits (K, P) that know the labels (P,) up to noise."""
    generator = torch.Generator().manual_seed(seed)
    share = torch.ones(classes) if share is None else torch.tensor(share)
    labels = torch.multinomial(share, pixels, replacement=True, generator=generator)
    logits = noise * torch.randn(classes, pixels, generator=generator)
    logits[labels, torch.arange(pixels)] += 1.5
    return logits, labels


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.floats(0.2, 3.0))
def test_biases_never_lower_the_mean_iou(seed, classes, noise):
    logits, labels = noisy(seed, classes, 200, noise, [0.5**k for k in range(classes)])
    biases = best_biases(logits, labels)
    assert mean_iou(logits, labels, biases) >= mean_iou(logits, labels, torch.zeros(classes)) - 1e-9


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_no_other_value_for_one_class_is_better(seed):
    """At the end each class has the best value of the grid, the others held: against the plain definition."""
    logits, labels = noisy(seed, 3, 150)
    biases = best_biases(logits, labels)
    best = mean_iou(logits, labels, biases)
    for k in range(3):
        for value in _GRID.tolist():
            other = biases.clone()
            other[k] = value
            assert mean_iou(logits, labels, other) <= best + 1e-5


def test_a_shift_of_a_class_is_taken_back():
    logits, labels = noisy(0, pixels=4000)
    good = mean_iou(logits, labels, torch.zeros(4))
    shifted = logits + torch.tensor([0.0, 3.0, 0.0, -2.0])[:, None]
    assert mean_iou(shifted, labels, torch.zeros(4)) < good - 0.1
    assert mean_iou(shifted, labels, best_biases(shifted, labels)) > good - 0.01


def test_a_class_without_a_label_keeps_its_bias():
    logits, labels = noisy(1, share=[0.4, 0.4, 0.0, 0.2])
    assert best_biases(logits, labels)[2] == 0


def test_a_model_gets_biases_in_its_last_layer_and_nothing_else_changes(folder_data):
    torch.manual_seed(0)
    model = pixalign.create_model("sfnet", num_classes=3, **TINY).eval()
    model.config.classes = ["class_0", "class_1", "class_2"]
    pairs = open_data("folder", folder_data, "train")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    counted = []
    adjusted, biases = fit_biases(model, pairs, advance=counted.append)
    assert len(counted) == len(pairs)
    assert any(biases)
    for key, value in adjusted.state_dict().items():
        assert torch.equal(model.state_dict()[key], before[key])
        if key == "classify.bias":
            torch.testing.assert_close(value, before[key] + torch.tensor(biases), rtol=0, atol=1e-6)
        else:
            assert torch.equal(value, before[key])
    first, second = (pixalign.evaluate(network, pairs)["miou"] for network in (model, adjusted))
    assert second > first
    assert fit_biases(model, pairs)[1] == biases  # the same pixels each time


def test_a_network_without_such_a_layer_is_refused(folder_data):
    model = torch.nn.Conv2d(3, 3, 1)
    model.config = {"mean": [0.0] * 3, "std": [1.0] * 3}
    with pytest.raises(InputError, match="Conv2d: has no last layer 'classify'"):
        fit_biases(model, open_data("folder", folder_data, "train"))


def test_the_command_shows_the_gain_and_saves_the_model(folder_data, tmp_path, capsys):
    torch.manual_seed(0)
    pixalign.save(pixalign.create_model("sfnet", num_classes=3, **TINY), tmp_path / "model")
    arguments = ["adjust", str(tmp_path / "model"), "--data.root", str(folder_data), "--out", str(tmp_path / "new")]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "mean over classes" in shown
    assert "saved: " in shown
    model = pixalign.load(tmp_path / "new")
    assert model.config.data["biases_fitted_on"] == "data/train"
    assert model.config.metrics[0]["miou"] == pixalign.evaluate(model, open_data("folder", folder_data, "val"))["miou"]


def test_other_classes_are_refused_before_any_work(folder_data, tmp_path, capsys):
    (folder_data / "classes.yaml").write_text("classes: [road, car, sky]")
    pixalign.save(pixalign.create_model("sfnet", num_classes=3, **TINY), tmp_path / "model")
    arguments = ["adjust", str(tmp_path / "model"), "--data.root", str(folder_data), "--out", str(tmp_path / "new")]
    assert main(arguments) == 2
    assert "road" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
