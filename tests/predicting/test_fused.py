"""Folders are predicted by the fused network where there is one, and by the network itself where not."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from pixalign import Predictor, fuse
from pixalign.data.images import find_images
from pixalign.fusing import Fused, FusingError
from pixalign.predicting import predict_files
from pixalign.predicting.files import RECORD, plan
from pixalign.predicting.inference import _best


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        Image.fromarray(rng.integers(0, 256, (64, 80, 3), dtype=np.uint8)).save(tmp_path / "photos" / f"{name}.png")
    return tmp_path / "photos"


@pytest.fixture
def used(monkeypatch):
    """The networks that were called, one for each image."""
    seen = []
    segment = Predictor.__call__

    def noted(self, image, probabilities=False):
        seen.append(self.network)
        return segment(self, image, probabilities)

    monkeypatch.setattr(Predictor, "__call__", noted)
    return seen


def run(predictor, photos, out):
    return predict_files(predictor, plan(find_images([photos]), out), out)


def ids(out):
    return {path.name: np.asarray(Image.open(path)) for path in out.glob("?.png")}


def test_a_folder_is_predicted_by_the_fused_network_with_the_ids_of_the_network_itself(model, photos, tmp_path, used):
    predictor = Predictor(model, "cpu")
    assert run(predictor, photos, tmp_path / "out").predicted == 3
    assert all(isinstance(network, Fused) for network in used)
    assert not isinstance(predictor.network, Fused)
    for name, found in ids(tmp_path / "out").items():
        assert (found == predictor(photos / name).ids).mean() > 0.999


def test_a_network_that_cannot_be_fused_is_used_as_it_is_with_a_line_that_says_so(
    model, photos, tmp_path, used, monkeypatch, capsys
):
    def refuse(network, precision):
        raise FusingError("SFNetLite: rewritten, its outputs are off by 3")

    monkeypatch.setattr("pixalign.runtime.pytorch.fuse", refuse)
    line = "the network is used as it is, which is slower: SFNetLite: rewritten, its outputs are off by 3"
    with pytest.warns(UserWarning, match=line):
        assert run(predictor := Predictor(model, "cpu"), photos, tmp_path / "out").predicted == 3
    assert used == [predictor.network] * 3
    targets = plan(find_images([photos]), tmp_path / "again")
    predict_files(Predictor(model, "cpu"), targets, tmp_path / "again", verbose=True)
    assert line in capsys.readouterr().out.splitlines()


def test_an_error_of_the_rewriting_itself_is_not_swallowed(model, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("pixalign.runtime.pytorch.fuse", lambda network, precision: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run(Predictor(model, "cpu"), photos, tmp_path / "out")


def test_a_fused_network_is_taken_as_given_and_recorded(model, photos, tmp_path, used):
    fused = fuse(model)
    assert run(Predictor(fused, "cpu"), photos, tmp_path / "out").predicted == 3
    assert used == [fused] * 3
    assert run(Predictor(fused, "cpu"), photos, tmp_path / "out").skipped == 3
    assert (tmp_path / "out" / RECORD).is_file()


def test_bfloat16_is_fused_too_and_the_ids_hardly_change(model, photos, tmp_path, used):
    assert run(Predictor(model, "cpu", "bf16"), photos, tmp_path / "out").predicted == 3
    assert {network.precision for network in used} == {"bf16"}
    for name, found in ids(tmp_path / "out").items():
        assert (found == Predictor(model, "cpu")(photos / name).ids).mean() > 0.9


def test_nothing_is_fused_where_nothing_is_to_be_done(model, photos, tmp_path, monkeypatch):
    run(Predictor(model, "cpu"), photos, tmp_path / "out")
    monkeypatch.setattr("pixalign.runtime.pytorch.fuse", lambda network, precision: pytest.fail("fused for nothing"))
    assert run(Predictor(model, "cpu"), photos, tmp_path / "out").skipped == 3


def test_the_areas_are_those_of_the_id_maps(model, photos, tmp_path):
    summary = run(Predictor(model, "cpu"), photos, tmp_path / "out")
    counts = np.bincount(np.concatenate([found.ravel() for found in ids(tmp_path / "out").values()]), minlength=3)
    assert [summary.areas[name] for name in model.config.classes] == pytest.approx(counts / counts.sum())


scores = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    elements=st.sampled_from([-1, 0, 2.5]),
)


@given(scores, st.sampled_from([1, 10, 2**16]))
def test_the_best_class_is_the_first_of_the_largest(values, pixels):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixalign.predicting.inference._PIXELS", pixels)
        for given_scores in (torch.from_numpy(values), torch.from_numpy(values).transpose(1, 2)):
            found = _best(given_scores)
            assert found.dtype == torch.uint8
            assert (found.numpy() == given_scores.numpy().argmax(0)).all()
