"""From a network to a file that another program runs, verified on the way."""

import copy
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pixalign import __version__
from pixalign.errors import InputError
from pixalign.exporting.graph import (
    OPSETS,
    Graph,
    require_packages,
    save_openvino,
    trace,
    write_onnx,
    write_pt2,
)
from pixalign.exporting.int8 import (
    Calibration,
    agreement,
    find_calibration,
    graph_input,
    quantize_onnx,
    quantize_openvino,
)
from pixalign.exporting.parity import compare, parity_images, require_parity
from pixalign.models.network import NetworkConfig, as_network, uncompiled
from pixalign.runtime import Runtime, manifest_file, open_runtime
from pixalign.text import encodable
from pixalign.weights import check_classes, load
from pixalign.weights.migration import FORMAT_VERSION

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2"}
OPSET = 18


def export(
    model: nn.Module | str | Path,
    path: str | Path,
    format: str | None = None,
    *,
    raw: bool = False,
    labels: bool = False,
    int8: bool = False,
    calibration: str | Path | None = None,
    opset: int = OPSET,
) -> dict[str, Any]:
    """Write a network as one file that takes every batch and size, verified against PyTorch at three sizes.

    Beside it comes FILE.json: the manifest (`pixalign.runtime.manifest`) and what was measured here. The files are
    completed elsewhere and renamed, the one named ``path`` last: where it is, the export is whole.

    Args:
        model: a network (its float32 copy on the CPU is exported), or what `pixalign.load` takes.
        path: FILE.onnx, FILE.xml (its weights go to FILE.bin) or FILE.pt2. Files of these names are replaced.
        format: onnx, openvino or pt2; None takes it from the suffix.
        raw: the graph takes uint8 pixels (N, C, H, W) and normalizes them; else float32, normalized.
        labels: the graph gives class ids (N, H, W) uint8; else logits (N, K, H, W) float32.
        int8: quantize weights and activations to 8 bits, but for the layers that say where features are sampled (onnx
            and openvino).
        calibration: a folder of a few dozen typical images for ``int8``, with masks beside them for its mIoU
            (`pixalign.exporting.int8.find_calibration`).
        opset: of ONNX, 18 to 23.

    Returns:
        ``file``, ``format``, ``bytes`` (of all files but FILE.json), ``manifest``, ``parity`` (of the float graph, a
        dictionary per size, see `pixalign.exporting.parity.compare`); with ``int8`` also ``int8``: what
        `pixalign.exporting.int8.agreement` gives, and ``float_layers``, names of the layers that stay in float.

    Raises:
        InputError: an unknown format or opset, a package that is missing, a network that cannot be captured, a graph
            that differs from the network by more than 1e-4 of the largest logit, calibration images that are missing or
            cannot be read, masks of other classes, a file system that refuses the write. Then nothing is left behind,
            and a file that was there before is as it was.
    """
    path = Path(path)
    format = _check_arguments(path, format, int8, calibration, opset)
    network = as_network(uncompiled(model)) if isinstance(model, nn.Module) else load(model)
    config = network.config
    images = None
    if calibration is not None:
        images = find_calibration(calibration, config.in_channels)
        if images.classes:
            check_classes(config.classes, images.classes)
    graph = Graph(copy.deepcopy(network).cpu().float(), raw, labels).eval()
    manifest = _manifest(config, raw, labels)
    with _staged(path) as folder:
        report = _write(graph, folder / path.name, format, opset, manifest, images)
    return {"file": str(path), "format": format, **report}


def _check_arguments(path: Path, format: str | None, int8: bool, calibration: str | Path | None, opset: int) -> str:
    """Return the format; InputError for arguments that do not go together."""
    by_suffix = {suffix: name for name, suffix in FORMATS.items()}
    suffixes = ", ".join(f"FILE{suffix} ({name})" for name, suffix in FORMATS.items())
    if format is None:
        if path.suffix not in by_suffix:
            build = (
                " (TensorRT builds its engine from FILE.onnx)" if path.suffix in (".engine", ".plan", ".trt") else ""
            )
            raise InputError(f"{path}: the suffix names no format: use {suffixes}{build}")
        format = by_suffix[path.suffix]
    if format not in FORMATS:
        raise InputError(f"format {format!r} is unknown: choose one of {', '.join(FORMATS)}")
    if path.suffix != FORMATS[format]:
        raise InputError(f"{path}: the format {format} goes into FILE{FORMATS[format]}: change one of them")
    if path.is_dir():
        raise InputError(f"{path}: is a folder: name a file")
    if opset not in OPSETS:
        raise InputError(f"opset {opset} is not supported: choose {OPSETS[0]} to {OPSETS[-1]}")
    if opset != OPSET and format != "onnx":
        raise InputError(f"opset is {opset}, and the format {format} has none: leave it out")
    if int8 and format == "pt2":
        raise InputError("int8 is not supported in pt2: use onnx or openvino")
    if int8 and calibration is None:
        raise InputError("int8 needs calibration images: give a folder of a few dozen typical ones (--calibration DIR)")
    if calibration is not None and not int8:
        raise InputError(f"calibration is {calibration}, but int8 was not asked for: add --int8, or leave it out")
    require_packages(format, int8)
    return format


def _manifest(config: NetworkConfig, raw: bool, labels: bool) -> dict[str, Any]:
    """What the exported file says about itself; figures measured on the network's own file are not the export's."""
    known = {
        key: value for key, value in config.to_json().items() if key not in ("metrics", "format_version", "pixalign")
    }
    return {
        "format_version": FORMAT_VERSION,
        "pixalign": __version__,
        **known,
        "input": "uint8" if raw else "normalized",
        "output": "labels" if labels else "logits",
    }


def _write(
    graph: Graph, target: Path, format: str, opset: int, manifest: dict[str, Any], images: Calibration | None
) -> dict[str, Any]:
    """Write the files of one export under their last names into the folder of ``target``; return the report."""
    images_tested = parity_images(len(manifest["mean"]))
    inputs = [graph_input(manifest, graph.raw)(x) for x in images_tested]
    with torch.no_grad():
        expected = [graph.model(graph_input(manifest, False)(x)) for x in images_tested]
    program = trace(graph)
    if format == "pt2":
        rows = compare(program.module(), inputs, expected)
        require_parity(rows)
        manifest = {**manifest, "precision": "float32"}
        write_pt2(program, target, json.dumps(manifest))
        if (damaged := zipfile.ZipFile(target).testzip()) is not None:
            raise InputError(f"{target.name}: {damaged} in it was not written whole: free space and try again")
        return _described(target, manifest, {"parity": rows})
    if format == "onnx":
        manifest = {**manifest, "opset": opset}
    exact = target if images is None else target.with_name(f"float-{target.name}")
    text = json.dumps({**manifest, "precision": "float32"})
    onnx_file = exact.with_suffix(".onnx")
    write_onnx(program, onnx_file, opset, manifest["output"], text)
    if format == "openvino":
        import openvino

        save_openvino(openvino.Core().read_model(onnx_file), exact, text)
        onnx_file.unlink()
    runtime = open_runtime(exact, device="cpu")
    measured: dict[str, Any] = {"parity": compare(runtime.run, inputs, expected)}
    require_parity(measured["parity"])
    manifest = {**manifest, "precision": "float32" if images is None else "int8"}
    if images is not None:
        measured["int8"] = _quantize(runtime, exact, target, manifest, images)
        del runtime
        for file in {exact, exact.with_suffix(".bin")}:
            file.unlink(missing_ok=True)
    return _described(target, manifest, measured)


def _quantize(
    runtime: Runtime, exact: Path, target: Path, manifest: dict[str, Any], images: Calibration
) -> dict[str, Any]:
    """Write the int8 form of ``exact`` and measure it against ``runtime``, which runs the float form."""
    quantize = quantize_onnx if target.suffix == ".onnx" else quantize_openvino
    inputs = images.batches(graph_input(manifest, runtime.raw))
    kept = quantize(exact, target, inputs, json.dumps(manifest))
    return {**agreement(runtime, open_runtime(target, device="cpu"), images), "float_layers": kept}


def _described(target: Path, manifest: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """Write FILE.json; return the report."""
    size = sum(file.stat().st_size for file in target.parent.iterdir())
    text = json.dumps({**manifest, **measured}, indent=1, ensure_ascii=False)
    manifest_file(target).write_text(encodable(text) + "\n", encoding="utf-8")
    return {"bytes": size, "manifest": manifest, **measured}


@contextmanager
def _staged(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` whose files take their places on success; it is removed in any case.

    The file of ``path``'s own name comes last, and an old one goes first, so that it never stands among files of two
    exports. Messages about files in the folder speak of their last places.
    """
    folder: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", dir=path.parent))
        yield folder
        others = [file for file in folder.iterdir() if file.name != path.name]
        path.unlink(missing_ok=True)
        for file in (*others, folder / path.name):
            file.replace(path.parent / file.name)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}): choose another place") from error
    except InputError as error:
        raise InputError(str(error).replace(f"{folder}/", f"{path.parent}/")) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
