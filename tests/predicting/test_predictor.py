"""One image in, one result out."""

import numpy as np
import pytest
import torch
from PIL import Image

from pixalign import InputError, Mode, Predictor, save
from pixalign.predicting import pick_device

IMAGE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


def test_ids_are_the_argmax_of_the_model_on_the_normalized_image(model):
    result = Predictor(model, "cpu")(IMAGE)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (model.config.mean, model.config.std))
    batch = (torch.tensor(IMAGE).permute(2, 0, 1) / 255 - mean) / std
    with torch.no_grad():
        logits = model(batch[None])[0]
    assert result.ids.dtype == np.uint8
    assert result.ids.shape == (50, 70)
    assert (result.ids == logits.argmax(0).numpy()).mean() > 0.999
    assert result.probabilities is None


def test_probabilities_come_if_asked_for_and_sum_to_one(model):
    result = Predictor(model, "cpu")(IMAGE, probabilities=True)
    assert result.probabilities.shape == (3, 50, 70)
    assert result.probabilities.dtype == np.float32
    assert np.allclose(result.probabilities.sum(0), 1, atol=1e-5)
    assert (result.probabilities.argmax(0) == result.ids).all()


def test_a_path_a_pillow_image_and_an_array_give_the_same(model, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(IMAGE).save(path)
    predictor = Predictor(model, "cpu")
    for given in (path, str(path), Image.open(path)):
        assert (predictor(given).ids == predictor(IMAGE).ids).all()


def test_the_model_may_be_a_folder(model, tmp_path):
    folder = save(model, tmp_path / "m")
    assert (Predictor(folder, "cpu")(IMAGE).ids == Predictor(model, "cpu")(IMAGE).ids).all()


def test_a_one_channel_model_takes_gray(make_model, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    result = Predictor(make_model(in_channels=1), "cpu")(tmp_path / "a.png")
    assert result.image.shape == (50, 70, 1)
    assert result.overlay().mode == "RGB"


def test_bf16_agrees_on_nearly_all_pixels(model):
    half, full = (Predictor(model, "cpu", precision)(IMAGE).ids for precision in ("bf16", "fp32"))
    assert (half == full).mean() > 0.95


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (IMAGE[:20], "70 x 20 pixels are too few: 32 x 32 are needed"),
        (IMAGE.astype(np.float32), r"type float32: \(H, W, 3\) uint8 is needed"),
        (IMAGE[..., 0], r"shape \(50, 70\)"),
        (None, "image is a NoneType"),
    ],
)
def test_what_is_no_image_is_named(model, image, message):
    with pytest.raises(InputError, match=message):
        Predictor(model, "cpu")(image)


def test_an_image_beyond_the_memory_is_one_line(model, monkeypatch):
    predictor = Predictor(model, "cpu")

    def too_large(batch):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 TB")

    monkeypatch.setattr(predictor.network, "forward", too_large)
    with pytest.raises(InputError, match=r"70 x 50 pixels do not fit into the memory of cpu: .*--tile 256"):
        predictor(IMAGE)
    tall = np.zeros((2000, 40, 3), np.uint8)
    with pytest.raises(InputError, match=r"predict in tiles \(--tile 1024\), without probabilities"):
        predictor(tall, probabilities=True)
    predictor.mode = Mode(tile=512)
    with pytest.raises(InputError, match=r"take smaller tiles than 512 \(--tile\)"):
        predictor(tall)


def test_unknown_devices_and_precisions_are_named(model):
    with pytest.raises(InputError, match="device 'tpu9' is unknown"):
        pick_device("tpu9")
    with pytest.raises(InputError, match="precision 'int3' is unknown: choose one of fp32, bf16, fp16"):
        Predictor(model, "cpu", "int3")
    if not torch.cuda.is_available():
        assert pick_device("auto") == pick_device() == torch.device("cpu")
        with pytest.raises(InputError, match="no CUDA device is there"):
            pick_device("cuda")


def test_the_default_dtype_of_a_program_changes_nothing(model):
    expected = Predictor(model, "cpu")(IMAGE).ids
    torch.set_default_dtype(torch.float64)
    try:
        assert (Predictor(model, "cpu")(IMAGE).ids == expected).all()
    finally:
        torch.set_default_dtype(torch.float32)
