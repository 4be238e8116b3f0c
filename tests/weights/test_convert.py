"""Conversion of the authors' checkpoints: the converted model computes what theirs does, and nothing else is let in."""

import argparse
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import golden_state as golden
from pixalign.errors import InputError
from pixalign.sampling import resize
from pixalign.weights import load
from pixalign.weights.convert import KINDS, convert, convert_state, read_checkpoint

CASES = {
    "sfnet_1x97x129_s0": "sfnet-r18",
    "sfnet_1x96x128_s1": "sfnet-r18",
    "sfnetlite_1x97x129_s0": "sfnet-lite-r18",
    "bialign_1x97x129_s0": "bialignnet-dfnet2",
}
NETWORKS = {kind: case.split("_")[0] for case, kind in CASES.items()}


def released(kind: str, model: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """The outputs of a converted model under the names, at the sizes and as the values that its release gives."""
    outputs = model(image, heads=True)
    if kind == "bialignnet-dfnet2":
        size = (image.shape[-2], image.shape[-1])
        finer = [resize(x, (16 * x.shape[-2], 16 * x.shape[-1]), "bialignnet") for x in outputs["auxiliaries"]]
        aux16, aux8 = (resize(x, size, "bialignnet") for x in finer)
        return {"logits": outputs["logits"], "edge": outputs["edge"].sigmoid(), "aux16": aux16, "aux8": aux8}
    return {"logits": outputs["logits"]}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """(name of a golden case, its outputs by the converted model, its largest displacement)."""
    network, state, image = golden.inputs(request.param)
    assert network == NETWORKS[CASES[request.param]]
    model = convert_state(state, CASES[request.param])
    flows = []
    for name, module in model.named_modules():
        if name.endswith("make_flow"):
            module.register_forward_hook(lambda module, arguments, flow: flows.append(float(flow.abs().max())))
    with torch.no_grad():
        outputs = released(CASES[request.param], model, image)
    return request.param, outputs, max(flows)


def test_converted_model_reproduces_the_authors_output(case):
    golden.assert_golden(case[0], case[1])


def test_converted_model_reproduces_the_authors_complete_output(case):
    golden.assert_golden(case[0], case[1], complete=True)


def test_golden_flow_is_larger_than_one_unit_of_the_convention(case):
    assert case[2] > 1


@pytest.fixture(scope="module", params=NETWORKS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def state(kind):
    return golden.seeded_state(NETWORKS[kind], seed=0)


@pytest.fixture
def saved(monkeypatch):
    """The models handed to `pixalign.weights.save`, which writes nothing here."""
    models = []
    monkeypatch.setattr("pixalign.weights.convert.save", lambda model, folder: models.append((model, folder)))
    return models


def test_converted_model_is_cityscapes_in_evaluation_mode(state, kind):
    model = convert_state(state, kind)
    assert not model.training
    assert model.config.arguments["convention"] == KINDS[kind].convention
    assert model.config.classes[0] == "road"
    assert model.config.classes[18] == "bicycle"
    assert model.config.colors[13] == [0, 0, 142]


def test_number_of_classes_is_read_from_the_checkpoint(state, kind):
    classes = {19 * outputs: 11 * outputs for outputs in (1, KINDS[kind].outputs)}
    state = {name: x[: classes.get(len(x))] if x.dim() else x for name, x in state.items()}
    model = convert_state(state, kind)
    assert model.config.arguments["num_classes"] == 11
    assert model.config.classes[0] == "class_0"


def test_saved_model_loads_as_what_was_converted(tmp_path, state, kind):
    save_file(state, tmp_path / "released.safetensors")
    convert(tmp_path / "released.safetensors", kind, tmp_path / "out")
    model, image = convert_state(state, kind), golden.seeded_image(1, 33, 47, seed=0)
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "out")(image), model(image))


@pytest.mark.parametrize("prefix", ["", "module.", "module.model."])
def test_wrappers_and_prefixes_are_stripped(tmp_path, saved, state, kind, prefix):
    file = tmp_path / "released.pth"
    content = {prefix + name: x for name, x in state.items()}
    torch.save({"model": {"state_dict": content}, "epoch": 3, "loss": torch.ones(1)} if prefix else content, file)
    convert(file, kind, tmp_path / "out")
    [(model, folder)] = saved
    assert folder == tmp_path / "out"
    assert torch.equal(model.classify.weight, state[KINDS[kind].names["classify"] + ".weight"])


def test_safetensors_and_scores_stored_as_numpy_numbers_are_read(tmp_path, saved, state, kind):
    save_file(state, tmp_path / "released.safetensors")
    torch.save({"state_dict": state, "mean_iu": np.float64(0.8), "best": np.int64(3)}, tmp_path / "released.pth")
    reports = [convert(tmp_path / name, kind, tmp_path) for name in ("released.safetensors", "released.pth")]
    assert sorted(reports[0].matched) == sorted(reports[1].matched)


def test_report_names_what_the_forward_pass_does_not_use(tmp_path, saved):
    file = tmp_path / "released.safetensors"
    save_file(golden.seeded_state("sfnetlite", 0), file)
    report = convert(file, "sfnet-lite-r18", tmp_path)
    assert {name.rsplit(".", 2)[0] for name in report.unused} == {"head.fpn_in.2"}
    assert len(report.matched) == 210 - 7
    assert report.missing == ()

    for kind in ("sfnet-r18", "bialignnet-dfnet2"):
        state = golden.seeded_state(NETWORKS[kind], 0)
        save_file(state, file)
        report = convert(file, kind, tmp_path)
        assert (set(report.matched), report.unused, report.missing) == (set(state), (), ())


def test_batch_counters_may_be_missing(tmp_path, saved, state, kind):
    torch.save({name: x for name, x in state.items() if not name.endswith("tracked")}, tmp_path / "old.pth")
    report = convert(tmp_path / "old.pth", kind, tmp_path)
    assert report.missing
    assert all(name.endswith("num_batches_tracked") for name in report.missing)


def test_training_head_of_sfnet_lite_becomes_the_auxiliary_head():
    state = golden.seeded_state("sfnetlite", 0)
    model = convert_state(state, "sfnet-lite-r18")
    assert torch.equal(model.auxiliary[4].weight, state["head.dsn.4.weight"])


@pytest.mark.parametrize("change", [lambda x: None, lambda x: x[:7]], ids=["missing", "other shape"])
def test_training_head_that_does_not_fit_is_left_out(change):
    state: dict[str, Tensor] = golden.seeded_state("sfnetlite", 0)
    changed = change(state.pop("head.dsn.4.weight"))
    if changed is not None:
        state["head.dsn.4.weight"] = changed
    assert convert_state(state, "sfnet-lite-r18").auxiliary is None


def test_first_tensor_that_differs_is_named_with_both_shapes(tmp_path, saved, state, kind):
    name = next(name for name in state if name.endswith(".conv2.weight"))
    shape = str(tuple(state[name].shape))
    state = {**state, name: torch.zeros(64, 128, 1, 1)}
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(InputError) as error:
        convert(tmp_path / "other.pth", kind, tmp_path / "out")
    for part in ("other.pth", name, "(64, 128, 1, 1)", shape):
        assert part in str(error.value)
    assert not saved


def test_missing_tensor_is_named(state, kind):
    state = dict(state)
    name = next(name for name in state if name.endswith(".conv2.weight"))
    shape = tuple(state.pop(name).shape)
    with pytest.raises(InputError, match=re.escape(f"{name} {shape} is missing")):
        convert_state(state, kind)


@pytest.mark.parametrize("wrong", KINDS)
def test_one_kind_is_not_taken_for_another(wrong):
    right = next(kind for kind in KINDS if kind != wrong)
    with pytest.raises(InputError, match=f"does not fit {wrong}|^{wrong} needs the tensor"):
        convert_state(golden.seeded_state(NETWORKS[right], 0), wrong)


def test_unknown_kind_lists_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="sfnet-r18, sfnet-lite-r18"):
        convert(tmp_path / "released.pth", "sfnet", tmp_path)


def test_other_networks_are_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "linear.pth")
    with pytest.raises(InputError, match=r"linear.pth: sfnet-r18 needs the tensor head.conv_last.1.weight"):
        convert(tmp_path / "linear.pth", "sfnet-r18", tmp_path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone.pth: no such file"):
        read_checkpoint(tmp_path / "gone.pth")


@pytest.mark.parametrize("name", ["file.pth", "file.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello world\n" * 20, b"PK\x03\x04" + bytes(300), bytes(range(256))])
def test_file_that_is_no_checkpoint_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: is no checkpoint"):
        read_checkpoint(tmp_path / name)


@pytest.mark.parametrize("content", [[1, 2], 3, {"state_dict": {}}, {"state_dict": "gone"}])
def test_file_without_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(InputError, match="no dictionary of tensors"):
        read_checkpoint(tmp_path / "file.pth")


class RunsWhenUnpickled:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return (Path.touch, (self.witness,))


def test_pickled_objects_are_refused_and_never_run(tmp_path, state):
    file = tmp_path / "file.pth"
    torch.save({"state_dict": state, "args": argparse.Namespace(lr=0.01)}, file)
    with pytest.raises(
        InputError, match=r"file.pth: holds a pickled argparse.Namespace, and pixalign does not unpickle"
    ):
        read_checkpoint(file)

    torch.save({"state_dict": state, "args": RunsWhenUnpickled(tmp_path / "witness")}, file)
    with pytest.raises(InputError, match="does not unpickle"):
        read_checkpoint(file)
    assert not (tmp_path / "witness").exists()


def test_command_prints_the_report(tmp_path, saved, capsys):
    from jsonargparse import ArgumentParser

    from pixalign.cli import convert as command

    file = tmp_path / "released.safetensors"
    save_file(golden.seeded_state("sfnetlite", 0), file)
    parser = ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args([str(file), "--as", "sfnet-lite-r18", "--out", str(tmp_path / "m")])) == 0
    printed = capsys.readouterr().out
    assert "matched: 203 tensors" in printed
    assert "unused: head.fpn_in.2.0.bias, " in printed
    assert "missing: none" in printed
    assert f"written: {tmp_path / 'm'}" in printed
