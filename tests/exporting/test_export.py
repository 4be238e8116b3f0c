"""Exported files do what the network does, say what they are, and are whole or not there."""

import copy
import json
import sys
import zipfile

import onnx
import pytest
import torch

import pixalign
from conftest import write_pair
from networks import network
from pixalign import InputError
from pixalign.cli import main
from pixalign.exporting import export, graph, int8, parity, writing
from pixalign.runtime import manifest_file, open_runtime

TOLERANCE = 1e-4
CLASSES = ["sky", "road", "tree", "car", "sign"]


@pytest.fixture(scope="module")
def model():
    """One convolution with a network's description: exported in no time."""
    made = torch.nn.Conv2d(3, 5, 3, padding=1).eval()
    made.config = {
        "architecture": "convolution",
        "arguments": {"encoder": "none", "num_classes": 5, "in_channels": 3},
        "classes": CLASSES,
        "colors": [[i, i, i] for i in range(5)],
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.2, 0.25],
        "license": "Apache-2.0",
        "metrics": [{"miou": 1}],
    }
    return made


@pytest.fixture(scope="module")
def onnx_report(model, tmp_path_factory):
    return export(model, tmp_path_factory.mktemp("onnx") / "model.onnx")


@pytest.fixture
def images(tmp_path):
    """A folder with four pairs of five classes."""
    for i in range(4):
        write_pair(
            tmp_path / f"data/images/{i}.png", tmp_path / f"data/masks/{i}.png", seed=i, classes=5, size=(64, 96)
        )
    (tmp_path / "data/classes.yaml").write_text("classes: [sky, road, tree, car, sign]")
    return tmp_path / "data"


def check(report, model, raw=False, labels=False):
    """Whether the file, freshly loaded, gives the network's logits or labels at sizes of its own choice."""
    runtime = open_runtime(report["file"], threads=1)
    for size in ((1, 33, 47), (3, 64, 80)):
        generator = torch.Generator().manual_seed(size[1])
        pixels = torch.randint(0, 256, (size[0], 3, *size[1:]), dtype=torch.uint8, generator=generator)
        wanted = open_runtime(model, device="cpu").logits(pixels)
        found = runtime.ids(pixels) if labels else runtime.logits(pixels)
        if labels:
            assert (found == wanted.argmax(1)).float().mean() > 0.999
        else:
            assert float((found - wanted).abs().max() / wanted.abs().max()) < TOLERANCE
    assert (runtime.raw, runtime.labels) == (raw, labels)
    assert len({tuple(row["size"]) for row in report["parity"]}) == 3
    assert any(row["size"][1] % 2 and row["size"][2] % 2 for row in report["parity"])
    assert all(row["difference"] < TOLERANCE for row in report["parity"])


def test_onnx_gives_the_networks_logits_at_other_sizes(onnx_report, model):
    check(onnx_report, model)


def test_an_onnx_file_is_one_file_of_the_asked_opset_with_named_axes(onnx_report):
    file = onnx.load_model(onnx_report["file"], load_external_data=False)
    onnx.checker.check_model(file)
    assert [entry.version for entry in file.opset_import] == [18]
    axes = [
        [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim]
        for x in (*file.graph.input, *file.graph.output)
    ]
    assert axes == [["batch", 3, "height", "width"], ["batch", 5, "height", "width"]]
    assert not any(tensor.external_data for tensor in file.graph.initializer)


def test_the_manifest_is_in_the_file_and_beside_it(onnx_report, model):
    file = onnx.load_model(onnx_report["file"])
    (embedded,) = [json.loads(entry.value) for entry in file.metadata_props if entry.key == "pixalign"]
    beside = json.loads(manifest_file(onnx_report["file"]).read_text())
    for manifest in (embedded, beside, open_runtime(onnx_report["file"]).config.to_json()):
        for key in ("architecture", "classes", "colors", "mean", "std", "license"):
            assert manifest[key] == json.loads(json.dumps(model.config[key]))
        assert manifest["pixalign"] == pixalign.__version__
        assert (manifest["input"], manifest["output"]) == ("normalized", "logits")
        assert (manifest["precision"], manifest["opset"]) == ("float32", 18)
        assert "metrics" not in manifest
    assert beside["parity"] == onnx_report["parity"]


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_normalization_and_argmax_can_be_inside_the_graph(suffix, model, tmp_path):
    report = export(model, tmp_path / f"model{suffix}", raw=True, labels=True)
    check(report, model, raw=True, labels=True)


def test_a_pt2_program_is_the_network_and_carries_the_manifest(model, tmp_path):
    report = export(model, tmp_path / "model.pt2", raw=True)
    extra = {"pixalign.json": ""}
    program = torch.export.load(report["file"], extra_files=extra).module()
    assert json.loads(extra["pixalign.json"])["input"] == "uint8"
    pixels = torch.randint(0, 256, (2, 3, 33, 47), dtype=torch.uint8)
    wanted = open_runtime(model, device="cpu").logits(pixels)
    assert float((program(pixels).detach() - wanted).abs().max() / wanted.abs().max()) < TOLERANCE
    assert zipfile.is_zipfile(report["file"])


@pytest.mark.parametrize("opset", [20, 23])
def test_a_newer_opset_can_be_had(opset, model, tmp_path):
    report = export(model, tmp_path / "model.onnx", opset=opset)
    assert [entry.version for entry in onnx.load_model(report["file"]).opset_import] == [opset]
    check(report, model)


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    """A network with two flows, its graph, and that as an ONNX file: captured once for every format."""
    model = network("bialignnet", bins=(1, 6))
    model.config.classes = CLASSES
    program = graph.trace(graph.Graph(copy.deepcopy(model), raw=False, labels=False).eval())
    file = tmp_path_factory.mktemp("bialignnet") / "model.onnx"
    graph.write_onnx(program, file, opset=18, output="logits", manifest="{}")
    return model, program, file


@pytest.fixture
def network_captured(captured, monkeypatch):
    """The network, whose export finds what was captured of it."""
    model, program, file = captured
    monkeypatch.setattr(writing, "trace", lambda graph: program)
    monkeypatch.setattr(
        writing,
        "write_onnx",
        lambda program, path, opset, output, manifest: graph.save_onnx(onnx.load_model(file), path, manifest),
    )
    return model


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_network_exports_whole(suffix, network_captured, tmp_path):
    """What is exported of every network is in test_export_graphs.py."""
    check(export(network_captured, tmp_path / f"model{suffix}"), network_captured)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_int8_keeps_positions_and_sums_over_the_image_in_float(suffix, network_captured, images, tmp_path):
    model = network_captured
    path = tmp_path / "out" / f"model{suffix}"
    report = export(model, path, int8=True, calibration=images)
    found = report["int8"]
    assert found["images"] == 4
    assert len(found["float_layers"]) == 4  # the flow and the gate of each alignment
    assert found["labels_equal"] > 0.7
    assert found["labels_equal_half"] > 0.6
    assert 0 <= found["miou"] <= 1
    assert open_runtime(path).config.more["precision"] == "int8"
    weights = path if suffix == ".onnx" else path.with_suffix(".bin")
    assert weights.stat().st_size < 0.6 * sum(4 * x.numel() for x in model.state_dict().values())
    companions = {path.name, f"{path.name}.json"} | ({"model.bin"} if suffix == ".xml" else set())
    assert {file.name for file in path.parent.iterdir()} == companions
    if suffix == ".onnx":
        nodes = onnx.load_model(path).graph.node
        kind = {name: node.op_type for node in nodes for name in node.output}
        products = [[kind.get(name) for name in node.input] for node in nodes if node.op_type == "MatMul"]
        assert products
        assert not any("DequantizeLinear" in product for product in products)


def test_a_graph_that_differs_is_not_put_in_place(model, tmp_path, monkeypatch):
    old = tmp_path / "model.pt2"
    old.write_text("what was there before")
    monkeypatch.setattr(parity, "TOLERANCE", -1.0)
    with pytest.raises(
        InputError, match=r"export: at 1 x 97 x 161 the graph differs from the network by .*nothing was"
    ):
        export(model, old)
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt2"]
    assert old.read_text() == "what was there before"


def test_differences_are_measured_against_the_largest_logit():
    logits = torch.zeros(1, 3, 2, 2)
    logits[:, 1] = 8
    inputs = [torch.zeros(1, 3, 2, 2)]
    (row,) = parity.compare(lambda x: logits + 4, inputs, [logits])
    assert (row["difference"], row["labels_changed"], row["pixels"]) == (0.5, 0, 4)
    wrong = torch.tensor([[[1, 1], [1, 0]]], dtype=torch.uint8)
    (row,) = parity.compare(lambda x: wrong, inputs, [logits])
    assert (row["difference"], row["labels_changed"]) == (1.0, 1)
    with pytest.raises(InputError, match="gives"):
        parity.compare(lambda x: logits[:, :2], inputs, [logits])
    (row,) = parity.compare(lambda x: logits * float("nan"), inputs, [logits])
    with pytest.raises(InputError, match="nan"):
        parity.require_parity([row])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("model.pth", {}, r"the suffix names no format: use FILE\.onnx \(onnx\)"),
        ("model.onnx", {"format": "tensorrt"}, "format 'tensorrt' is unknown"),
        ("model.onnx", {"format": "openvino"}, r"the format openvino goes into FILE\.xml"),
        ("model.onnx", {"opset": 12}, "opset 12 is not supported: choose 18 to 23"),
        ("model.xml", {"opset": 20}, "opset is 20, and the format openvino has none"),
        ("model.pt2", {"int8": True, "calibration": "x"}, "int8 is not supported in pt2"),
        ("model.onnx", {"int8": True}, "int8 needs calibration images"),
        ("model.onnx", {"calibration": "x"}, "int8 was not asked for"),
        ("model.onnx", {"int8": True, "calibration": "nowhere"}, "nowhere: no such folder of calibration images"),
        ("folder.onnx", {}, "is a folder: name a file"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(name, options, message, model, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(InputError, match=message):
        export(model, tmp_path / name, **options)
    assert [file.name for file in tmp_path.iterdir()] == ["folder.onnx"]


@pytest.mark.parametrize(("name", "module"), [("model.onnx", "onnxscript"), ("model.xml", "openvino")])
def test_a_package_that_is_missing_is_named_with_its_extra(name, module, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"not installed: pip install 'pixalign\[export\]'"):
        export(model, tmp_path / name)
    assert not [*tmp_path.iterdir()]


def test_a_network_without_config_and_one_that_cannot_be_traced_are_refused(tmp_path):
    with pytest.raises(InputError, match="Conv2d has no config"):
        export(torch.nn.Conv2d(3, 5, 1), tmp_path / "model.onnx")

    class Branching(torch.nn.Conv2d):
        def forward(self, image):
            return super().forward(image if image.mean() > 0 else -image)

    made = Branching(3, 5, 1)
    made.config = {"architecture": "branching", "arguments": {"encoder": "none"}, "mean": [0.0] * 3, "std": [1.0] * 3}
    with pytest.raises(InputError, match="branching with the encoder none cannot be exported") as caught:
        export(made, tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
    assert not [*tmp_path.iterdir()]


def test_calibration_takes_images_with_their_labels_where_there_are_masks(images):
    found = int8.find_calibration(images, 3)
    assert found.classes == CLASSES
    assert len(found.images) == 4
    assert all(label is not None and label.shape == image.shape[:2] for image, label in found)
    plain = int8.find_calibration(images / "images", 3)
    assert plain.classes == []
    assert [label for _, label in plain] == [None] * 4


def test_masks_of_other_classes_are_refused_before_anything_is_done(model, images, tmp_path):
    (images / "classes.yaml").write_text("classes: [a, b, c, d, e]")
    with pytest.raises(InputError, match="class 0 is 'sky' in the model but 'a' in the data"):
        export(model, tmp_path / "model.onnx", int8=True, calibration=images)


def test_a_calibration_image_that_cannot_be_used_is_named(images):
    (images / "images/0.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"0\.png: the file is empty"):
        list(int8.find_calibration(images / "images", 3))


def test_the_command_prints_the_differences(tmp_path, capsys):
    folder = tmp_path / "model"
    pixalign.save(network("aligned_fpn-bilinear", bins=(6,)), folder)
    assert main(["export", str(folder), "--out", str(tmp_path / "model.pt2")]) == 0
    shown = capsys.readouterr().out
    assert "1 x 97 x 161: largest difference" in shown
    assert "5 classes, normalized image in, logits out" in shown
    assert main(["export", str(folder), "--out", str(tmp_path / "model.pt2"), "--int8"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_image_is_enlarged_in_the_graph_too_at_every_size(tmp_path):
    model = network("aligned_fpn-bilinear", bins=(6,), encoder_options={"enlarge": 1.5})
    pixalign.export(model, tmp_path / "model.onnx")
    exported, plain = open_runtime(tmp_path / "model.onnx"), open_runtime(model)
    for size in ((64, 96), (65, 97), (130, 75)):
        images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        expected = plain.logits(images)
        assert (exported.logits(images) - expected).abs().max() <= 1e-4 * expected.abs().max()
