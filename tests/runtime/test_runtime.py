"""One call over PyTorch, ONNX Runtime and OpenVINO; files that cannot be run are refused in one line."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import openvino
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from networks import NETWORKS, image, network
from pixalign import InputError, Mode, Predictor, evaluate
from pixalign.data.normalization import normalize
from pixalign.data.samples import Samples
from pixalign.predicting import predict_files
from pixalign.runtime import Runtime, manifest_file, open_runtime
from pixalign.sampling import fill

MANIFEST = {
    "classes": ["near", "far"],
    "colors": [[255, 0, 0], [0, 0, 255]],
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.2, 0.25],
    "input": "normalized",
    "output": "logits",
}
WEIGHT = np.array([[1, -2, 3], [-1, 0.5, 2]], np.float32)[..., None, None]
IMAGES = torch.randint(0, 256, (2, 3, 33, 47), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def graph(raw=False, labels=False, outputs=1):
    """A 1 x 1 convolution of three channels to two classes as ONNX model."""
    nodes = [helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT)] if raw else []
    nodes.append(helper.make_node("Conv", ["float" if raw else "image", "weight"], ["logits"]))
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2, "h", "w"])
    if labels:
        nodes.append(helper.make_node("ArgMax", ["logits"], ["ids"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["ids"], ["labels"], to=TensorProto.UINT8))
        output = helper.make_tensor_value_info("labels", TensorProto.UINT8, ["n", "h", "w"])
    kind = TensorProto.UINT8 if raw else TensorProto.FLOAT
    image = helper.make_tensor_value_info("image", kind, ["n", 3, "h", "w"])
    weight = numpy_helper.from_array(WEIGHT, "weight")
    made = helper.make_graph(nodes, "graph", [image], [output] * outputs, [weight])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def write(path, model, manifest):
    """Write the graph for the back-end of the path's suffix; a manifest of None leaves it out."""
    if manifest is not None:
        helper.set_model_props(model, {"pixalign": json.dumps(manifest)})
    if path.suffix == ".onnx":
        onnx.save_model(model, path)
        return path
    onnx.save_model(model, path.with_suffix(".tmp"))
    read = openvino.Core().read_model(path.with_suffix(".tmp"))
    if manifest is not None:
        read.set_rt_info(json.dumps(manifest), ["pixalign"])
    openvino.save_model(read, path, compress_to_fp16=False)
    return path


def expected(images):
    return torch.nn.functional.conv2d(images, torch.from_numpy(WEIGHT))


@pytest.fixture(params=["model.onnx", "model.xml"])
def path(request, tmp_path):
    return tmp_path / request.param


def test_images_are_normalized_as_the_file_says(path):
    runtime = open_runtime(write(path, graph(), MANIFEST), threads=1)
    wanted = expected(normalize(IMAGES, MANIFEST["mean"], MANIFEST["std"]))
    torch.testing.assert_close(runtime.logits(IMAGES), wanted, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(runtime.logits(IMAGES.float()), runtime.logits(IMAGES))
    assert torch.equal(runtime.ids(IMAGES), wanted.argmax(1).to(torch.uint8))
    assert (runtime.raw, runtime.labels, runtime.config.classes) == (False, False, ["near", "far"])


def test_a_second_call_leaves_the_first_result_alone(path):
    runtime = open_runtime(write(path, graph(), MANIFEST), threads=1)
    first = runtime.logits(IMAGES)
    kept = first.clone()
    runtime.logits(255 - IMAGES)
    assert torch.equal(first, kept)


def test_threads_share_a_runtime(path):
    runtime = open_runtime(write(path, graph(), MANIFEST), threads=1)
    images = [IMAGES + i for i in range(8)]
    alone = [runtime.logits(x) for x in images]
    with ThreadPoolExecutor(4) as threads:
        for mine, wanted in zip(threads.map(runtime.logits, images * 4), alone * 4, strict=True):
            assert torch.equal(mine, wanted)


def test_a_graph_with_pixels_in_and_labels_out_is_given_pixels_and_gives_labels(path):
    manifest = {**MANIFEST, "input": "uint8", "output": "labels"}
    runtime = open_runtime(write(path, graph(raw=True, labels=True), manifest), threads=1)
    wanted = expected(IMAGES.float()).argmax(1).to(torch.uint8)
    assert torch.equal(runtime.ids(IMAGES), wanted)
    assert torch.equal(runtime.ids(IMAGES + 0.4), wanted)
    with pytest.raises(InputError, match=r"gives labels, .* needs logits: export it without --labels"):
        runtime.logits(IMAGES)


def test_torch_networks_have_the_same_call():
    model = network("aligned_fpn-bilinear")
    model.config.mean, model.config.std = MANIFEST["mean"], MANIFEST["std"]
    runtime = open_runtime(model, device="cpu")
    with torch.no_grad():
        wanted = model(normalize(IMAGES, MANIFEST["mean"], MANIFEST["std"]))
    torch.testing.assert_close(runtime.logits(IMAGES), wanted, atol=1e-4, rtol=1e-4)
    assert runtime.backend == "torch"


def test_another_network_and_another_precision_have_another_fingerprint():
    first, other = network("sfnet"), network("sfnet")
    with torch.no_grad():
        other.classify.bias += 1
    given = [(first, "fp32"), (first, "bf16"), (other, "fp32")]
    assert len({open_runtime(model, None, "cpu", precision).fingerprint() for model, precision in given}) == 3
    assert open_runtime(network("sfnet"), device="cpu").fingerprint() == open_runtime(first, device="cpu").fingerprint()


def test_a_file_from_elsewhere_runs_with_a_description_beside_it(path):
    write(path, graph(), manifest=None)
    with pytest.raises(InputError, match=rf"not made by `pixalign export`.* describe it in .*{path.name}\.json"):
        open_runtime(path)
    manifest_file(path).write_text(json.dumps(MANIFEST))
    assert open_runtime(path).config.arguments == {"num_classes": 2, "in_channels": 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a", "b", "c"], "colors": [[0, 0, 0]] * 3}, "does not fit the 3 channels and 3 classes"),
        ({"mean": [0.5] * 4, "std": [0.5] * 4}, "does not fit the 4 channels and 2 classes"),
        ({"output": "labels"}, "does not fit the 3 channels and 2 classes .labels."),
        ({"colors": [[0, 0, 0]]}, "2 classes but 1 colors"),
        ({"mean": None}, "the entry 'mean' is None, and a list is expected"),
        ({"input": "bgr"}, "the entry 'input' is 'bgr': choose one of normalized, uint8"),
        ({"format_version": 3, "pixalign": "9.0"}, "newer pixalign .9.0.: update pixalign"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(path, change, message):
    write(path, graph(), {**MANIFEST, **change})
    with pytest.raises(InputError, match=message) as caught:
        open_runtime(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_description_that_is_no_json_object_is_refused(path, text):
    write(path, graph(), None)
    manifest_file(path).write_text(text)
    with pytest.raises(InputError, match=r"\.json: its description is"):
        open_runtime(path)


def test_broken_files_are_refused_in_one_line(path):
    whole = write(path, graph(), MANIFEST).read_bytes()
    for content in (b"", b"nothing of the kind", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"(cannot be read|says nothing|expected).*again") as caught:
            open_runtime(path)
        assert "\n" not in str(caught.value)


def test_openvino_weights_must_lie_beside_and_be_whole(tmp_path):
    path = write(tmp_path / "model.xml", graph(), MANIFEST)
    weights = path.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:8])
    with pytest.raises(InputError, match="cannot be read by OpenVINO"):
        open_runtime(path)
    weights.unlink()
    with pytest.raises(InputError, match=r"model\.bin: no such file: model\.xml needs its weights"):
        open_runtime(path)


@pytest.mark.parametrize(
    ("name", "module", "message"),
    [("model.onnx", "onnxruntime", "ONNX Runtime"), ("model.xml", "openvino", "OpenVINO")],
)
def test_a_back_end_that_is_not_installed_is_named_with_its_extra(name, module, message, tmp_path, monkeypatch):
    path = write(tmp_path / name, graph(), MANIFEST)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"{message}, which is not installed: pip install 'pixalign\[export\]'"):
        open_runtime(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "int4"}, "precision 'int4' is unknown"),
        ({"precision": "bf16"}, "bf16 is not supported by ONNX Runtime"),
        ({"threads": 0}, "threads is 0"),
        ({"device": "tpu"}, "device tpu is not supported"),
    ],
)
def test_what_onnx_runtime_cannot_do_is_refused(arguments, message, tmp_path):
    path = write(tmp_path / "model.onnx", graph(), MANIFEST)
    with pytest.raises(InputError, match=message):
        open_runtime(path, **arguments)


def test_files_that_are_not_there_or_not_for_us_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.onnx: no such file"):
        open_runtime(tmp_path / "nowhere.onnx")
    with pytest.raises(InputError, match=r"torch\.export\.load"):
        open_runtime(tmp_path / "model.pt2")
    with pytest.raises(InputError, match="2 outputs"):
        open_runtime(write(tmp_path / "two.onnx", graph(outputs=2), MANIFEST))


def test_images_of_other_channels_are_refused(path):
    runtime = open_runtime(write(path, graph(), MANIFEST))
    with pytest.raises(InputError, match=r"\(1, 4, 32, 32\): \(N, 3, H, W\) is what it takes"):
        runtime.logits(torch.zeros(1, 4, 32, 32, dtype=torch.uint8))


def test_a_graph_that_fails_on_an_image_says_on_which(path):
    model = graph()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[2].dim_value = 64
    runtime = open_runtime(write(path, model, MANIFEST))
    assert isinstance(runtime, Runtime)
    with pytest.raises(InputError, match=r"fails on images of shape \(2, 3, 33, 47\)"):
        runtime.logits(IMAGES)


PIXELS = IMAGES[0].permute(1, 2, 0).contiguous().numpy()
LABELS_OUT = {**MANIFEST, "input": "uint8", "output": "labels"}


def test_the_predictor_takes_an_exported_file_as_it_takes_a_model(path):
    predictor = Predictor(write(path, graph(), MANIFEST))
    wanted = expected(normalize(IMAGES[:1], MANIFEST["mean"], MANIFEST["std"]))[0]
    result = predictor(PIXELS, probabilities=True)
    assert (result.ids == wanted.argmax(0).numpy()).all()
    np.testing.assert_allclose(result.probabilities, wanted.softmax(0), atol=1e-5)
    assert result.classes == ["near", "far"]


def test_exported_files_are_predicted_with_without_timm_or_torchvision(tmp_path):
    files = [write(tmp_path / name, graph(), MANIFEST) for name in ("model.onnx", "model.xml")]
    script = (
        "import sys, numpy, pixalign\n"
        "for file in sys.argv[1:]:\n"
        "    pixalign.Predictor(file, device='cpu')(numpy.zeros((33, 47, 3), numpy.uint8))\n"
        "assert not {'timm', 'torchvision'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, *map(str, files)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_graph_that_ends_in_labels_predicts_whole_images_alone(path):
    write(path, graph(raw=True, labels=True), LABELS_OUT)
    wanted = expected(IMAGES[:1].float())[0].argmax(0).numpy()
    assert (Predictor(path)(PIXELS).ids == wanted).all()
    for mode in (Mode(flip=True), Mode(scales=(1.0, 2.0)), Mode(output_size=(64, 64))):
        with pytest.raises(InputError, match=r"gives labels, and blending .* needs logits: export it without --labels"):
            Predictor(path, mode=mode)(PIXELS)
    with pytest.raises(InputError, match="needs logits"):
        Predictor(path)(PIXELS, probabilities=True)
    with pytest.raises(InputError, match="needs logits"):
        Predictor(path, mode=Mode(tile=64))(np.zeros((96, 96, 3), np.uint8))


def test_evaluation_takes_an_exported_file(path):
    write(path, graph(raw=True, labels=True), LABELS_OUT)
    truth = expected(IMAGES.float()).argmax(1).numpy()
    data = Samples([(image, mask) for image, mask in zip(IMAGES, truth)], MANIFEST["classes"])
    assert evaluate(open_runtime(path), data)["miou"] == 1


def test_results_of_another_exported_file_are_predicted_again(path, tmp_path):
    write(path, graph(), MANIFEST)
    image = tmp_path / "picture.png"
    Image.fromarray(PIXELS).save(image)
    targets = {image: tmp_path / "out" / "picture"}
    assert predict_files(Predictor(path), targets, tmp_path / "out").predicted == 1
    assert predict_files(Predictor(path), targets, tmp_path / "out").skipped == 1
    changed = graph()
    changed.graph.initializer[0].CopyFrom(numpy_helper.from_array(-WEIGHT, "weight"))
    write(path, changed, MANIFEST)
    assert predict_files(Predictor(path), targets, tmp_path / "out").predicted == 1


@pytest.mark.parametrize("key", NETWORKS)
def test_asked_for_the_images_size_or_twice_that_a_network_answers_over_the_image_alone(key):
    model, x = network(key), image(33, 47)
    runtime = open_runtime(model, device="cpu")
    pixels = fill(x, model.step)
    assert pixels.shape[-2:] == (64, 64)
    with torch.inference_mode():
        twice = model.decode(model.encode(pixels), (128, 128))[..., :66, :94]
        torch.testing.assert_close(runtime.run_at(x, (33, 47), None), model(x), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(runtime.run_at(x, (66, 94), None), twice, atol=1e-5, rtol=1e-5)
