"""Training as a whole, on a tiny network and tiny data."""

import json
import os
import shutil
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import pixalign
from pixalign.data import class_pixels, label_counts, open_data
from pixalign.data.normalization import normalize
from pixalign.errors import InputError
from pixalign.losses import distillation_loss, total_loss
from pixalign.losses.weights import class_weights
from pixalign.palette import IGNORE
from pixalign.training.config import DataConfig, LossConfig, ModelConfig, OptimConfig, TrainConfig
from pixalign.training.loop import learning_rate, load_teacher, train

TINY = {"channels": 16, "encoder_options": {"channels": [8, 16, 24, 32]}}


def configuration(root, out, **changes):
    config = TrainConfig(
        model=ModelConfig("sfnet", "resnet18", options=TINY),
        data=DataConfig(root=str(root), crop=(32, 48), workers=0, color=0.2, blur=0.0),
        optim=OptimConfig(lr=3e-3),
        epochs=2,
        batch_size=4,
        precision="fp32",
        ema=0.9,
        evaluate_every=1,
        pictures_every=2,
        out=str(out),
        device="cpu",
    )
    return replace(config, **changes)


def metrics(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("drawn_curves")
def test_a_run_leaves_models_metrics_pictures_and_its_configuration(folder_data, tmp_path):
    out = train(configuration(folder_data, tmp_path / "run"))
    lines = metrics(out)
    assert [line["epoch"] for line in lines] == [1, 2]
    assert {"epoch", "step", "loss", "lr", "val"} == set(lines[0])
    assert sorted(p.name for p in out.iterdir()) == [
        "best",
        "config.yaml",
        "curves.png",
        "last",
        "log.txt",
        "metrics.jsonl",
        "pictures",
        "run.json",
        "state",
        "times.jsonl",
    ]
    assert Image.open(out / "curves.png").size[0] > 900
    assert "epoch 2/2  loss" in (out / "log.txt").read_text()
    run = json.loads((out / "run.json").read_text())
    assert run["data"]["train"]["fingerprint"] == open_data("folder", folder_data, "train").fingerprint()
    assert run["starts"][0]["versions"]["pixalign"] == pixalign.__version__
    assert Image.open(out / "pictures" / "epoch_0002.jpg").size[0] > 300
    model = pixalign.load(out / "best")
    assert model.config.classes == ["class_0", "class_1", "class_2"]
    assert model.config.data["name"] == "data/train"


@pytest.mark.slow
def test_a_network_learns_what_can_be_learnt(folder_data, tmp_path):
    config = configuration(folder_data, tmp_path / "run", epochs=80, evaluate_every=80, pictures_every=0)
    assert metrics(train(config))[-1]["val"]["val"]["miou"] > 0.6


def test_the_reported_miou_is_that_of_the_saved_model(folder_data, tmp_path):
    out = train(configuration(folder_data, tmp_path / "run"))
    measured = pixalign.evaluate(pixalign.load(out / "last"), open_data("folder", folder_data, "val"))
    assert measured["miou"] == metrics(out)[-1]["val"]["val"]["miou"]


@pytest.mark.parametrize(("fast", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_precision_is_chosen_by_the_device_and_written_down(folder_data, tmp_path, monkeypatch, fast, chosen):
    monkeypatch.setattr("pixalign.training.loop.computes_bfloat16", lambda device: fast)
    out = train(replace(configuration(folder_data, tmp_path / "run"), epochs=1, precision="auto"))
    assert f"precision: {chosen}" in (out / "config.yaml").read_text()
    assert "emulates" not in (out / "log.txt").read_text()


def test_bf16_that_is_emulated_is_warned_of(folder_data, tmp_path, monkeypatch):
    monkeypatch.setattr("pixalign.training.loop.computes_bfloat16", lambda device: False)
    out = train(replace(configuration(folder_data, tmp_path / "run"), epochs=1, precision="bf16"))
    assert "warning: precision is bf16, which this cpu emulates, many times slower" in (out / "log.txt").read_text()


@pytest.mark.parametrize(
    "changes",
    [
        {"accumulate": 2, "optim": OptimConfig("sgd", lr=0.01, schedule="cosine", clip=1.0, lr_parts={"encoder": 0.1})},
        {"precision": "bf16", "loss": LossConfig("ohem", "enet", adjust=0.5, dice=0.5, min_kept=100)},
        {"loss": LossConfig(class_weights="median", lovasz=0.5), "ema": 0.0, "channels_last": False},
        {"data": "two workers, not cached"},
    ],
    ids=["sgd, accumulation", "bf16, ohem", "lovasz, no ema", "workers"],
)
def test_the_options_of_a_run_work_together(folder_data, tmp_path, changes):
    config = configuration(folder_data, tmp_path / "run")
    if "data" in changes:
        changes = {"data": replace(config.data, workers=2, cache="no")}
    out = train(replace(config, epochs=1, **changes))
    assert np.isfinite(metrics(out)[0]["loss"])


def test_saved_weights_are_adjusted_once_and_training_goes_on_with_its_own(folder_data, tmp_path):
    runs = {}
    for adjust in (0.0, 1.0):
        loss = LossConfig(class_weights="enet", adjust=adjust)
        runs[adjust] = load_file(
            train(configuration(folder_data, tmp_path / f"{adjust}", loss=loss)) / "last/model.safetensors"
        )
    different = [key for key in runs[0.0] if not torch.equal(runs[0.0][key], runs[1.0][key])]
    assert different == ["classify.bias"]
    difference = runs[0.0]["classify.bias"] - runs[1.0]["classify.bias"]
    pixels, image_pixels = label_counts(class_pixels(open_data("folder", folder_data, "train")))
    torch.testing.assert_close(difference, class_weights("enet", pixels, image_pixels).log())


def teacher(tmp_path, classes=("class_0", "class_1", "class_2"), **arguments):
    """A saved network of another kind than the student, with weights of its own and its own normalization."""
    torch.manual_seed(5)
    model = pixalign.create_model("sfnet_lite", encoder="resnet18", num_classes=len(classes), **TINY, **arguments)
    torch.nn.init.normal_(model.classify.weight, std=1.0)
    model.config.classes = list(classes)
    if not arguments:
        model.config.mean, model.config.std = [0.2, 0.3, 0.4], [0.5, 0.6, 0.7]
    pixalign.save(model, tmp_path / "teacher")
    return str(tmp_path / "teacher")


def test_a_taught_network_comes_nearer_to_its_teacher(folder_data, tmp_path):
    path = teacher(tmp_path)
    pair = open_data("folder", folder_data, "train")[0][0]
    pixels = torch.from_numpy(pair).permute(2, 0, 1)[None]

    def logits(model):
        model.eval()
        with torch.inference_mode():
            return model(normalize(pixels, model.config.mean, model.config.std))

    wanted = logits(pixalign.load(path))
    distance = {}
    for factor in (0.0, 20.0):
        given = {"loss": LossConfig(distill=factor), "teacher": path} if factor else {}
        config = configuration(folder_data, tmp_path / f"{factor}", epochs=12, evaluate_every=12, ema=0.0, **given)
        student = pixalign.load(train(replace(config, pictures_every=0)) / "last")
        assert student.config.data.get("taught_by") == (path if factor else None)
        distance[factor] = distillation_loss(logits(student), wanted).item()
    assert distance[20.0] < 0.7 * distance[0.0]


def test_a_teacher_sees_the_image_as_it_was_trained_to(tmp_path):
    path = teacher(tmp_path)
    model = pixalign.load(path).eval()
    pixels = torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8)
    config = TrainConfig(teacher=path, precision="fp32")
    with torch.inference_mode():
        expected = model(normalize(pixels, [0.2, 0.3, 0.4], [0.5, 0.6, 0.7]))
    logits = load_teacher(config, model.config.classes, torch.device("cpu"))(pixels)
    assert not logits.requires_grad
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)


def test_a_teacher_of_other_classes_or_channels_is_refused_before_any_step(folder_data, tmp_path):
    path = teacher(tmp_path, classes=("class_0", "class_2", "class_1"))
    config = configuration(folder_data, tmp_path / "run", teacher=path, loss=LossConfig(distill=1.0))
    with pytest.raises(InputError, match=r"teacher .*: class 1 is 'class_2' in the model but 'class_1' in the data"):
        train(config)
    path = teacher(tmp_path, in_channels=4)
    with pytest.raises(InputError, match="takes images of 4 channels, and the network those of 3"):
        train(replace(config, out=str(tmp_path / "other")))


def test_an_interrupted_run_resumes_to_the_same_weights(folder_data, tmp_path):
    whole = train(configuration(folder_data, tmp_path / "whole", epochs=6))
    config = configuration(folder_data, tmp_path / "cut", epochs=6)
    timer = threading.Thread(target=interrupt_after_an_epoch, args=(tmp_path / "cut" / "metrics.jsonl",))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        train(config)
    timer.join()
    assert 0 < len(metrics(tmp_path / "cut")) < 6
    train(config, resume=True)
    assert [line["epoch"] for line in metrics(tmp_path / "cut")] == [1, 2, 3, 4, 5, 6]
    a, b = (load_file(run / "last" / "model.safetensors") for run in (whole, tmp_path / "cut"))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_run_killed_before_its_first_state_resumes_from_the_start(folder_data, tmp_path):
    config = configuration(folder_data, tmp_path / "run", epochs=2)
    whole = (train(config) / "metrics.jsonl").read_text()
    shutil.rmtree(tmp_path / "run" / "state")
    with pytest.raises(InputError, match="a run is there already: go on with --resume"):
        train(config)
    assert (train(config, resume=True) / "metrics.jsonl").read_text() == whole


def interrupt_after_an_epoch(file):
    while not file.exists():
        threading.Event().wait(0.01)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_second_run_does_not_overwrite_the_first(folder_data, tmp_path):
    config = configuration(folder_data, tmp_path / "run", epochs=1)
    train(config)
    with pytest.raises(InputError, match="a run is there already: go on with --resume, or choose another --out"):
        train(config)


def test_a_run_folder_that_cannot_be_written_is_one_line_before_any_work(folder_data, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"file/run: the run folder cannot be written \(Not a directory\)"):
        train(configuration(folder_data, tmp_path / "file" / "run"))


def test_resuming_from_nothing_says_so(folder_data, tmp_path):
    with pytest.raises(InputError, match="no training state in it to resume from"):
        train(configuration(folder_data, tmp_path / "run"), resume=True)


def test_a_state_of_another_network_is_refused(folder_data, tmp_path):
    config = configuration(folder_data, tmp_path / "run", epochs=1)
    train(config)
    other = replace(config, model=ModelConfig("sfnet", "resnet18", options={**TINY, "channels": 24}))
    with pytest.raises(InputError, match="the state is of another network"):
        train(other, resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1}, "batch_size 1: batch norm over a pooled map needs two images"),
        ({"precision": "fp16"}, "precision is fp16, which needs a GPU"),
        ({"optim": OptimConfig(lr=1e30)}, r"the loss is (nan|inf) at epoch \d, step \d+: lower optim.lr \(1e\+30\)"),
        ({"model": ModelConfig("sfnet", "resnet81")}, "encoder 'resnet81' is unknown to timm"),
        ({"model": ModelConfig("sfnet", "resnet18", options={"chanels": 3})}, "sfnet has no option 'chanels'"),
    ],
)
def test_what_cannot_be_trained_is_one_line_with_the_remedy(folder_data, tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as caught:
        train(configuration(folder_data, tmp_path / "run", **changes))
    assert "\n" not in str(caught.value)


def test_a_bad_mask_met_by_a_loading_process_is_one_line(folder_data, tmp_path):
    (folder_data / "classes.yaml").write_text("classes: [a, b, c]")
    for path in (folder_data / "masks").iterdir():
        Image.fromarray(np.full((48, 64), 37, np.uint8)).save(path)
    config = configuration(folder_data, tmp_path / "run")
    with pytest.raises(InputError, match=r"^\S+png: label value 37 \(3072 pixels\) lies outside the 3 classes"):
        train(replace(config, data=replace(config.data, workers=1, cache="no", check=False)))
    with pytest.raises(InputError, match=r"1 error in the data: Label values outside the 3 classes \(10 files\)"):
        train(config)
    assert "37" in (tmp_path / "run" / "check" / "index.html").read_text()


def test_a_full_disk_keeps_the_last_state_and_model(folder_data, tmp_path, monkeypatch):
    config = configuration(folder_data, tmp_path / "run", epochs=4)
    calls = []

    def full(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return real(*arguments, **options)

    from pixalign.training import state

    real = state.save_file
    monkeypatch.setattr(state, "save_file", full)
    with pytest.raises(InputError, match=r"training state cannot be written .*No space left"):
        train(config)
    assert json.loads((tmp_path / "run" / "state" / "00000004" / "state.json").read_text())["step"] == 4
    monkeypatch.undo()
    train(config, resume=True)
    assert metrics(tmp_path / "run")[-1]["epoch"] == 4


def test_trackers_get_losses_scores_and_the_configuration(folder_data, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = configuration(folder_data, tmp_path / "run", epochs=10, evaluate_every=5, trackers=["tensorboard"])
    out = train(config)
    events = EventAccumulator(str(out / "pixalign")).Reload()
    assert {"loss", "lr", "epoch loss", "val mIoU"} <= set(events.Tags()["scalars"])
    scores = [event.value for event in events.Scalars("val mIoU")]
    assert scores == pytest.approx([line["val"]["val"]["miou"] for line in metrics(out) if "val" in line], rel=1e-5)


def test_a_tracker_that_is_not_installed_is_one_line(folder_data, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="trackers: wandb is not installed: pip install wandb"):
        train(configuration(folder_data, tmp_path / "run", trackers=["wandb"]))


def test_any_map_style_data_set_can_be_trained_on(tmp_path):
    rng = np.random.default_rng(0)
    items = [(rng.integers(0, 256, (48, 64, 3), np.uint8), rng.integers(0, 2, (48, 64), np.uint8)) for _ in range(10)]

    def cut(image, mask):
        return image[:32, :32], mask[:32, :32]

    config = configuration("", tmp_path / "run", epochs=1)
    out = train(config, dataset=items, classes=["left", "right"], transform=cut)
    assert pixalign.load(out / "best").config.classes == ["left", "right"]
    run = json.loads((out / "run.json").read_text())
    assert [run["data"][key]["pairs"] for key in ("train", "val dataset/val")] == [8, 2]
    with pytest.raises(InputError, match="dataset: its class names are not known"):
        train(replace(config, out=str(tmp_path / "other")), dataset=items)


def test_images_of_four_bands_train_a_network_of_four_channels(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(6):
        for folder, pixels in (("images", rng.integers(1, 256, (48, 64, 4))), ("masks", rng.integers(0, 2, (48, 64)))):
            path = tmp_path / "data" / folder / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    config = configuration(tmp_path / "data", tmp_path / "run", epochs=1, pictures_every=0)
    out = train(replace(config, model=ModelConfig("sfnet", "resnet18", in_channels=4, options=TINY)))
    assert pixalign.load(out / "last").config.in_channels == 4


def test_the_learning_rate_warms_up_and_falls_to_zero():
    for schedule in ("poly", "cosine"):
        optim = OptimConfig(lr=1.0, warmup=0.1, schedule=schedule)
        rates = [learning_rate(i / 1000, optim) for i in range(1001)]
        assert rates[0] < 0.02
        assert max(rates) == pytest.approx(1.0, abs=0.02)
        assert rates[100:] == sorted(rates[100:], reverse=True)
        assert rates[-1] == pytest.approx(0.0)


def test_crops_are_filled_up_to_whole_cells_with_pixels_that_no_loss_counts(folder_data, tmp_path, monkeypatch):
    seen = []

    def watched(outputs, labels, **options):
        seen.append((outputs["logits"].shape[-2:], labels))
        return total_loss(outputs, labels, **options)

    monkeypatch.setattr("pixalign.training.loop.total_loss", watched)
    config = configuration(folder_data, tmp_path / "run", epochs=1)
    config.data.crop = (40, 48)
    train(config)
    assert seen
    for size, labels in seen:
        assert size == labels.shape[-2:] == (64, 64)
        assert (labels[:, 40:] == IGNORE).all()
        assert (labels[:, :, 48:] == IGNORE).all()
        assert (labels[:, :40, :48] != IGNORE).any()
