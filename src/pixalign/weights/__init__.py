"""Weights as folders: `save` and `load`, on disk, bundled with the package, or on the Hugging Face Hub.

A model folder holds model.safetensors, config.json (what rebuilds the network, and what is known about the weights) and
README.md, the model card. Nothing is ever unpickled.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pixalign import __version__
from pixalign.errors import InputError
from pixalign.models.network import NetworkConfig, SegmentationNetwork, as_network, uncompiled
from pixalign.text import encodable, first_line
from pixalign.weights.card import model_card
from pixalign.weights.migration import FORMAT_VERSION, current, renamed

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
BUNDLED = Path(__file__).parent / "bundled"

_REQUIRED = {"architecture": str, "arguments": dict, "classes": list, "colors": list, "mean": list, "std": list}


def save(
    model: nn.Module, folder: str | Path, metrics: Sequence[dict[str, Any]] | None = None, half: bool = False
) -> Path:
    """Write ``model`` as a model folder, whole or not at all.

    The folder is completed under another name beside its place and then renamed. An existing model folder is replaced;
    files in it that are not ours (an export, say) stay.

    Args:
        model: a network of `create_model` or `load`, on any device.
        folder: where to; missing parents are made.
        metrics: figures measured on this model, one dictionary per data set: data, images, miou (0 to 1), iou by
            class and so on. Without it, what ``model.config.metrics`` has is kept.
        half: store floating tensors as fp16, except those of norm layers, which stay float32.

    Returns:
        The folder.

    Raises:
        InputError: the folder holds something else, or the file system refuses the write (the old content stays).
    """
    folder = Path(folder).resolve()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file: name a folder for the model")
    if folder.is_dir() and any(folder.iterdir()) and not _is_model_folder(folder):
        raise InputError(f"{folder}: holds something that is not a model: choose an empty or a new folder")
    with _replacing_folder(folder) as new:
        _write(model, new, folder.name, metrics, half)
    return folder


def load(source: str | Path, device: str | torch.device = "cpu") -> SegmentationNetwork:
    """Read a model.

    Args:
        source: a bundled name (`bundled`), a model folder, the model.safetensors in one, or a Hub id "owner/name". A
            bundled name wins over a folder of the same name in the current directory; write ``./name`` for that.
        device: where the model goes.

    Returns:
        The network in evaluation mode, float32; ``model.config`` says what is known about it.

    Raises:
        InputError: no such model, a damaged or newer one, tensors that do not fit, no connection, no such device.
    """
    from pixalign.models import create_model  # every network, and timm: what only reads config.json needs neither

    folder = _locate(source)
    config = read_config(folder)
    try:
        with torch.random.fork_rng(devices=[]):  # what is drawn is replaced
            model = create_model(config.architecture, **{**config.arguments, "pretrained": False})
    except (InputError, TypeError) as error:
        raise InputError(
            f"{folder / CONFIG}: the network cannot be built ({error}): "
            f"it was written by pixalign {config.more.get('pixalign')} with timm {config.timm}"
        ) from error
    model.config = config
    _load_tensors(model, folder / WEIGHTS)
    try:
        return model.eval().float().to(device)  # whatever torch makes by default
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {str(device)!r} cannot be used ({str(error).splitlines()[0]}): try cpu") from error


def bundled() -> list[str]:
    """Names of the models that come with the package, sorted."""
    return sorted(p.name for p in BUNDLED.iterdir() if _is_model_folder(p)) if BUNDLED.is_dir() else []


def push_to_hub(model: nn.Module, repo_id: str, private: bool = False) -> str:
    """Upload ``model`` to the Hugging Face Hub as ``repo_id`` ("owner/name"); return its address.

    Raises:
        InputError: the Hub refuses or cannot be reached.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _write(model, folder, repo_id, metrics=None, half=False)
        api = HfApi()
        try:
            address = api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload a pixalign model")
        except Exception as error:  # the client's and its connection's errors have no common class
            raise InputError(
                f"{repo_id}: the Hub did not take the model ({first_line(error)}): "
                "check the name (owner/name), the connection and `hf auth login`"
            ) from error
    return str(address)


def check_classes(own: Sequence[str], classes: Sequence[str]) -> None:
    """Raise InputError, naming the first difference, unless a model's ``own`` classes are these in this order."""
    remedy = "use a model of the same classes, or train on this data with --init"
    for index, (ours, theirs) in enumerate(zip(own, classes)):
        if ours != theirs:
            raise InputError(f"class {index} is {ours!r} in the model but {theirs!r} in the data: {remedy}")
    if len(own) != len(classes):
        raise InputError(f"the model has {len(own)} classes but the data {len(classes)}: {remedy}")


def read_config(folder: Path) -> NetworkConfig:
    """Return the content of a model folder's config.json, checked; InputError says what is wrong with it."""
    file = folder / CONFIG
    remedy = "get the folder again from where it came"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as JSON ({first_line(error)}): {remedy}") from error
    if not isinstance(config, dict) or type(config.get("format_version")) is not int:
        raise InputError(
            f"{file}: has no format_version, so it is not a pixalign model's: name a pixalign model folder"
        )
    config = current(file, config)
    del config["format_version"]
    for key, kind in _REQUIRED.items():
        if not isinstance(config.get(key), kind):
            problem = f"is {config[key]!r}" if key in config else "is missing"
            raise InputError(f"{file}: the entry {key!r} {problem} ({kind.__name__} expected): {remedy}")
    arguments = config["arguments"]
    for key, count in (("classes", "num_classes"), ("colors", "num_classes"), ("mean", "in_channels")):
        if len(config[key]) != arguments.get(count):
            raise InputError(f"{file}: {len(config[key])} {key} but {count} {arguments.get(count)}: {remedy}")
    if "checkpoint_path" in (arguments.get("encoder_options") or {}):  # timm might unpickle that file
        raise InputError(f"{file}: encoder_options names a checkpoint_path, which is refused: {remedy}")
    return NetworkConfig.from_json(config)


def _write(model: nn.Module, folder: Path, name: str, metrics: Sequence[dict[str, Any]] | None, half: bool) -> None:
    """Write the three files into an existing folder; ``name`` is what the card calls the model."""
    model = uncompiled(model)
    config = {"format_version": FORMAT_VERSION, **as_network(model).config.to_json(), "pixalign": __version__}
    if metrics is not None:
        config["metrics"] = list(metrics)
    save_file(_tensors(model, half), folder / WEIGHTS, metadata={"format": "pt"})
    for file, text in (
        (CONFIG, json.dumps(config, indent=1, ensure_ascii=False) + "\n"),
        (CARD, model_card(config, name)),
    ):
        (folder / file).write_text(encodable(text), encoding="utf-8")
    (folder / WEIGHTS).chmod((folder / CARD).stat().st_mode)  # safetensors makes it readable by its owner alone


def _tensors(model: nn.Module, half: bool) -> dict[str, Tensor]:
    """Copies of the model's tensors on the CPU; with ``half`` as fp16 where that keeps them finite and norms exact."""
    exact = {
        f"{prefix}.{name}"
        for prefix, module in model.named_modules()
        if "norm" in type(module).__name__.lower()
        for name in (*module._parameters, *module._buffers)
    }
    tensors = {}
    for name, tensor in model.state_dict().items():
        copy = tensor.detach().cpu().contiguous().clone()
        if half and copy.is_floating_point() and name not in exact and copy.half().isfinite().all():
            copy = copy.half()
        tensors[name] = copy
    return tensors


def _load_tensors(model: SegmentationNetwork, file: Path) -> None:
    """Fill ``model`` from a safetensors file; InputError names the first tensor that does not fit."""
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file}: is no whole safetensors file ({first_line(error)}): get it again") from error
    remedy = f"{WEIGHTS} and {CONFIG} are not of one model"
    targets = model.state_dict()
    tensors = renamed(tensors, targets)
    for name, target in targets.items():
        if name not in tensors:
            raise InputError(f"{file}: the tensor {name} {tuple(target.shape)} is missing: {remedy}")
        if tensors[name].shape != target.shape:
            raise InputError(
                f"{file}: the tensor {name} has shape {tuple(tensors[name].shape)}, "
                f"the network needs {tuple(target.shape)}: {remedy}"
            )
    unread = tuple(f"encoder.{part}." for part in getattr(model.encoder, "unread", ()))  # which the encoder leaves out
    for name in tensors:
        if name not in targets and not name.startswith(unread):
            raise InputError(f"{file}: the network has no tensor {name}: {remedy}")
    model.load_state_dict(tensors)


def _locate(source: str | Path) -> Path:
    """Return the model folder that ``source`` means, downloading it if it is a Hub id."""
    text, path = str(source), Path(source)
    if text in bundled():
        return BUNDLED / text
    if path.is_file():
        if path.name != WEIGHTS:
            raise InputError(
                f"{path}: is not a {WEIGHTS}: name a model folder "
                "(`pixalign convert` makes one of an authors' checkpoint)"
            )
        path = path.parent
    if path.is_dir():
        missing = [name for name in (WEIGHTS, CONFIG) if not (path / name).is_file()]
        if missing:
            raise InputError(f"{path}: holds no {missing[0]}, so it is not a model folder: name another")
        return path
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", text):
        return _download(text)
    known = ", ".join(bundled()) or "none in this installation"
    raise InputError(f"model {text!r}: no such folder, and no bundled model of this name (bundled: {known})")


def _download(repo_id: str) -> Path:
    try:
        folder = Path(snapshot_download(repo_id, allow_patterns=[WEIGHTS, CONFIG, CARD]))
    except Exception as error:  # the client's and its connection's errors have no common class
        raise InputError(
            f"model {repo_id!r}: no such folder here, and the Hub did not give it ({first_line(error)}): "
            "check the name, the connection and, for a private model, `hf auth login`"
        ) from error
    if not _is_model_folder(folder):
        raise InputError(f"model {repo_id!r}: on the Hub, but without {WEIGHTS} and {CONFIG}: not a pixalign model")
    return folder


def _is_model_folder(folder: Path) -> bool:
    return (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file()


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``folder`` that takes its place on success and is removed on any failure."""
    new = folder.with_name(f".{folder.name}.new-{os.getpid()}")
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    try:
        new.mkdir(parents=True)
        yield new
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
        if old.exists():
            for kept in old.iterdir():
                if not (folder / kept.name).exists():
                    kept.rename(folder / kept.name)
            shutil.rmtree(old)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise InputError(
            f"{folder}: the model cannot be written ({reason}): free space or choose another place"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
