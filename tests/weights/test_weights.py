"""Model folders: what is saved comes back, nothing is half-written, nothing foreign is read."""

import json
import os
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

import pixalign.weights as weights
from networks import image, network
from pixalign import InputError, create_model, load, push_to_hub, save
from pixalign.weights import bundled, check_classes


def small_model(seed: int = 0, num_classes: int = 3) -> nn.Module:
    """A tiny network with random norm statistics, as after training."""
    torch.manual_seed(seed)
    options = {"channels": (8, 16, 32, 64)}
    model = create_model(
        "sfnet_lite", encoder="resnet18", num_classes=num_classes, channels=16, encoder_options=options
    )
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5 if name.endswith("var") else torch.randn_like(tensor) * 0.2)
    return model.eval()


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return small_model()


@pytest.fixture
def folder(model: nn.Module, tmp_path: Path) -> Path:
    return save(model, tmp_path / "model")


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def no_leftovers(folder: Path) -> bool:
    return not [p for p in folder.parent.iterdir() if p.name.startswith(".")]


def test_a_loaded_model_is_the_saved_one_bit_by_bit(model, folder):
    loaded = load(folder)
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    image = torch.randn(1, 3, 65, 97)
    assert torch.equal(loaded(image), model(image))
    assert loaded.config.classes == model.config.classes
    assert loaded.config.mean == model.config.mean


def test_tensors_of_levels_that_are_no_longer_built_are_named_and_left_out(tmp_path):
    model = create_model("sfnet_lite", encoder="test_vit", num_classes=3, channels=16).eval()
    folder = save(model, tmp_path / "model")
    spare = {"encoder.pyramid.to8.bias": torch.zeros(32), "encoder.pyramid.to8.weight": torch.zeros(64, 32, 2, 2)}
    save_file({**load_file(folder / "model.safetensors"), **spare}, folder / "model.safetensors")
    with pytest.warns(UserWarning, match=r"does not read are left out: encoder\.pyramid\.to8\.bias, .*to8\.weight$"):
        loaded = load(folder)
    with torch.no_grad():
        assert torch.equal(loaded(torch.ones(1, 3, 33, 65)), model(torch.ones(1, 3, 33, 65)))
    save_file(
        {**load_file(folder / "model.safetensors"), "encoder.pyramid.to9": torch.zeros(1)}, folder / "model.safetensors"
    )
    with pytest.raises(InputError, match=r"has no tensor encoder\.pyramid\.to9"):
        load(folder)


def test_the_folder_is_loaded_through_the_weights_file_in_it_too(folder):
    assert load(folder / "model.safetensors").config == load(folder).config


def test_half_stores_fp16_but_norms_exactly_and_loads_as_float32(model, tmp_path):
    folder = save(model, tmp_path / "half", half=True)
    stored = load_file(folder / "model.safetensors")
    assert {t.dtype for t in stored.values()} == {torch.float16, torch.float32, torch.int64}
    norms = [f"{p}.{n}" for p, m in model.named_modules() if isinstance(m, nn.BatchNorm2d) for n in m.state_dict()]
    for name in norms:
        assert torch.equal(stored[name], model.state_dict()[name])
    loaded = load(folder)
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    image = torch.randn(1, 3, 64, 64)
    logits = model(image)
    assert (loaded(image) - logits).abs().max() < 0.01 * logits.abs().max()


def test_half_keeps_a_tensor_that_fp16_cannot_hold(tmp_path):
    model = small_model()
    with torch.no_grad():
        model.classify.bias[0] = 1e6
    assert load(save(model, tmp_path / "m", half=True)).classify.bias[0] == 1e6


def test_what_training_knows_is_kept_and_shown_on_the_card(tmp_path):
    model = small_model()
    model.config.data, model.config.license = {"name": "camvid/train", "terms": "research"}, "CC-BY-4.0"
    metrics = [{"data": "camvid/val", "images": 101, "miou": 0.6012, "iou": {"class_0": 0.5, "class_1": None}}]
    folder = save(model, tmp_path / "m", metrics=metrics)
    again = load(folder)
    assert again.config.metrics == metrics
    assert again.config.data["terms"] == "research"
    save(again, folder)
    assert load(folder).config.metrics == metrics
    card = (folder / "README.md").read_text()
    front = card.split("---")[1]
    for line in ("license: cc-by-4.0", "library_name: pixalign", "pipeline_tag: image-segmentation"):
        assert line in front
    assert "| camvid/val | 101 | 60.1 |" in card
    assert "Terms of that data: research." in card


def test_saving_again_replaces_the_model_and_keeps_other_files(folder):
    (folder / "export.onnx").write_text("mine")
    other = small_model(seed=1)
    save(other, folder)
    assert torch.equal(load(folder).classify.weight, other.classify.weight)
    assert (folder / "export.onnx").read_text() == "mine"
    assert no_leftovers(folder)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("No space left on device")])
def test_a_full_disk_leaves_the_old_model_and_nothing_else(model, folder, monkeypatch, error):
    def full(*args, **kwargs):
        Path(args[1]).write_bytes(b"half a fi")
        raise error

    monkeypatch.setattr(weights, "save_file", full)
    with pytest.raises(InputError, match="No space left"):
        save(small_model(seed=1), folder)
    assert torch.equal(load(folder).classify.weight, model.classify.weight)
    with pytest.raises(InputError, match="No space left"):
        save(model, folder.parent / "new")
    assert no_leftovers(folder)
    assert not (folder.parent / "new").exists()


def test_a_swap_that_fails_puts_the_old_model_back(model, folder, monkeypatch):
    rename = Path.rename

    def failing(self, target):
        if ".new-" in self.name:
            raise OSError(30, "Read-only file system")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(InputError, match="Read-only"):
        save(small_model(seed=1), folder)
    assert torch.equal(load(folder).classify.weight, model.classify.weight)
    assert no_leftovers(folder)


def test_a_folder_of_something_else_is_not_overwritten(model, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="holds something that is not a model"):
        save(model, tmp_path)
    with pytest.raises(InputError, match="is a file"):
        save(model, tmp_path / "thesis.tex")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_is_fine(model, tmp_path):
    (tmp_path / "empty").mkdir()
    assert load(save(model, tmp_path / "empty"))


def test_a_module_without_config_is_refused(tmp_path):
    with pytest.raises(InputError, match="no config to describe it"):
        save(nn.Conv2d(3, 3, 1), tmp_path / "m")
    assert not list(tmp_path.iterdir())


EARLIER = {"coarse": "high", "fine": "low"}  # in names of tensors, such as down_low and key_high


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("key", "renamed"), [("sfnet", 6), ("sfnet_lite", 2), ("bialignnet", 4), ("alignseg", 56), ("ddsm", 9)]
)
def test_a_folder_that_an_earlier_version_wrote_gives_the_same_outputs(key, renamed, version, tmp_path):
    model = network(key)
    model.config.license, model.config.data = "MIT", {"name": "streets", "terms": "none"}
    folder = save(model, tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    assert config["format_version"] == 2
    if version == 1:
        config = {{"colors": "colours", "license": "licence"}.get(key, key): value for key, value in config.items()}
    (folder / "config.json").write_text(json.dumps(config | {"format_version": version}))
    tensors = load_file(folder / "model.safetensors")
    old = {
        re.sub("_(coarse|fine)(?=[.])", lambda found: f"_{EARLIER[found[1]]}", name): x for name, x in tensors.items()
    }
    assert len(old.keys() - tensors.keys()) == renamed
    save_file(old, folder / "model.safetensors")
    loaded = load(folder)
    assert loaded.config.colors == model.config.colors
    assert (loaded.config.license, loaded.config.data) == (model.config.license, model.config.data)
    with torch.no_grad():
        assert torch.equal(loaded(image(65, 97)), model(image(65, 97)))
    again = load_file(save(loaded, tmp_path / "again") / "model.safetensors")
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], x) for name, x in tensors.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 3, "pixalign": "9.9"}, r"newer pixalign \(9.9\)"),
        ({"format_version": None}, "no format_version"),
        ({"classes": None}, "'classes' is missing"),
        ({"mean": 0.5}, "'mean' is 0.5"),
        ({"classes": ["road"]}, "1 classes but num_classes 3"),
        ({"architecture": "nonet"}, "model 'nonet' is unknown"),
        ({"arguments": {"num_classes": 3, "in_channels": 3, "encoder": "resnet_none"}}, "resnet_none"),
        ({"arguments": {"num_classes": 3, "in_channels": 3, "color": 1}}, "no option 'color'"),
        (
            {"arguments": {"num_classes": 3, "in_channels": 3, "encoder_options": {"checkpoint_path": "x.pth"}}},
            "checkpoint_path, which is refused",
        ),
    ],
)
def test_a_broken_config_is_named_with_the_entry(folder, changes, message):
    edit_config(folder, **changes)
    with pytest.raises(InputError, match=message) as caught:
        load(folder)
    assert str(folder / "config.json") in str(caught.value)


def test_config_that_is_not_json_is_named(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config.json: cannot be read as JSON"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("classify.bias"), r"tensor classify.bias \(3,\) is missing"),
        (lambda t: t.update({"classify.bias": torch.zeros(4)}), r"classify.bias has shape \(4,\).* needs \(3,\)"),
        (lambda t: t.update({"classify.extra": torch.zeros(4)}), "no tensor classify.extra"),
    ],
)
def test_the_first_tensor_that_does_not_fit_is_named(folder, change, message):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InputError, match=message):
        load(folder)


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


@pytest.mark.parametrize("content", [pickle.dumps(Trap()), b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}"])
def test_foreign_and_damaged_weights_are_refused_and_never_unpickled(folder, content, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"model.safetensors"):
        load(folder)
    assert not Path("sprung").exists()


def test_a_truncated_weights_file_is_refused(folder):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(InputError, match="no whole safetensors file"):
        load(folder)


def test_what_is_not_there_is_named(tmp_path, folder):
    with pytest.raises(InputError, match=r"no such folder, and no bundled model"):
        load(tmp_path / "nothing" / "here")
    (tmp_path / "best.pth").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="pixalign convert"):
        load(tmp_path / "best.pth")
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"holds no config.json"):
        load(folder)


def test_an_absent_device_is_named(folder):
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is there")
    with pytest.raises(InputError, match="device 'cuda' cannot be used"):
        load(folder, device="cuda")


def test_bundled_models_load_by_name(model, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "BUNDLED", tmp_path)
    assert bundled() == []
    save(model, tmp_path / "tiny")
    assert bundled() == ["tiny"]
    assert torch.equal(load("tiny").classify.weight, model.classify.weight)


def test_a_hub_id_is_downloaded_without_anything_but_our_files(folder, monkeypatch):
    asked = {}

    def download(repo_id, allow_patterns):
        asked.update(repo_id=repo_id, allow_patterns=allow_patterns)
        return str(folder)

    monkeypatch.setattr(weights, "snapshot_download", download)
    assert load("me/streets").config.architecture == "sfnet_lite"
    assert asked == {"repo_id": "me/streets", "allow_patterns": ["model.safetensors", "config.json", "README.md"]}


def test_an_unreachable_hub_is_one_line_with_the_remedy(monkeypatch):
    def offline(*args, **kwargs):
        raise ConnectionError("offline\nand more")

    monkeypatch.setattr(weights, "snapshot_download", offline)
    with pytest.raises(InputError, match=r"the Hub did not give it .offline.: check") as caught:
        load("me/streets")
    assert "\n" not in str(caught.value)


def test_a_hub_repository_of_something_else_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "snapshot_download", lambda *args, **kwargs: str(tmp_path))
    with pytest.raises(InputError, match="not a pixalign model"):
        load("me/streets")


class FakeApi:
    def __init__(self, fails: bool = False) -> None:
        self.fails, self.files = fails, {}

    def create_repo(self, repo_id, private, exist_ok):
        if self.fails:
            raise OSError("401 Unauthorized")
        self.repo, self.private = repo_id, private
        return f"https://huggingface.co/{repo_id}"

    def upload_folder(self, repo_id, folder_path, commit_message):
        self.files = {p.name: p.read_bytes() for p in Path(folder_path).iterdir()}


def test_push_uploads_the_three_files(model, monkeypatch, tmp_path):
    api = FakeApi()
    monkeypatch.setattr(weights, "HfApi", lambda: api)
    assert push_to_hub(model, "me/streets", private=True) == "https://huggingface.co/me/streets"
    assert (api.repo, api.private) == ("me/streets", True)
    assert sorted(api.files) == ["README.md", "config.json", "model.safetensors"]
    assert b'pixalign.Predictor("me/streets")' in api.files["README.md"]
    for name, content in api.files.items():
        (tmp_path / name).write_bytes(content)
    assert torch.equal(load(tmp_path).classify.weight, model.classify.weight)


def test_a_refused_push_is_one_line(model, monkeypatch):
    monkeypatch.setattr(weights, "HfApi", lambda: FakeApi(fails=True))
    with pytest.raises(InputError, match=r"401 Unauthorized.*hf auth login"):
        push_to_hub(model, "me/streets")


def test_other_classes_are_named_by_the_first_that_differs(model):
    check_classes(model.config.classes, ["class_0", "class_1", "class_2"])
    with pytest.raises(InputError, match="class 1 is 'class_1' in the model but 'car' in the data"):
        check_classes(model.config.classes, ["class_0", "car", "class_2"])
    with pytest.raises(InputError, match="3 classes but the data 2"):
        check_classes(model.config.classes, ["class_0", "class_1"])


def test_loading_gives_float32_and_draws_no_number_whatever_the_program_has_set(tmp_path):
    folder = save(create_model("sfnet", encoder="test_resnet", channels=16), tmp_path / "model")
    torch.set_default_dtype(torch.float64)
    try:
        before = torch.get_rng_state()
        model = load(folder)
        assert torch.equal(torch.get_rng_state(), before)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
