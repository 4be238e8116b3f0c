"""The authors' checkpoints as our models.

SFNet (arXiv 2002.10120) and SFNet-Lite (arXiv 2207.04415) with ResNet-18, BiAlignNet (arXiv 2105.11651) with DFNet2,
AlignSeg (arXiv 2003.00872) with ResNet-101, IFA (arXiv 2206.08655) with ResNet-50.

A checkpoint is a dictionary of tensors under its authors' names. Each kind has a table from their module names to ours;
a tensor that is missing or has another shape is refused, one that the network does not use is left out and reported.
The model keeps the sampling convention that the checkpoint was trained with, so it computes what its authors' did.

Nothing is unpickled: files are read with ``weights_only``; beside tensors and plain values only numpy numbers are let
through (training scripts keep scores such as ``mean_iu`` beside the weights).
"""

import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from pixalign.errors import InputError, naming
from pixalign.models import create_model
from pixalign.models.bialignnet import CELL
from pixalign.models.network import SegmentationNetwork
from pixalign.palette import CITYSCAPES
from pixalign.weights import save

_RESNET_PPM = {
    "encoder.body.conv1": "layer0.0",
    "encoder.body.bn1": "layer0.1",
    **{f"encoder.body.layer{i}": f"layer{i}" for i in (1, 2, 3, 4)},
    **{f"pool.branches.{i}.{j}": f"head.ppm.stages.{i}.{j + 1}" for i in range(4) for j in (0, 1)},
    "pool.bottleneck": "head.ppm.bottleneck",
    "fuse": "head.conv_last.0",
    "classify": "head.conv_last.1",
}
_SFNET = _RESNET_PPM | {
    **{f"laterals.{i}": f"head.fpn_in.{i}" for i in range(3)},
    **{f"smooth.{i}": f"head.fpn_out.{i}.0" for i in range(3)},
    **{f"aligners.{i}.down_coarse": f"head.fpn_out_align.{i}.down_h" for i in range(3)},
    **{f"aligners.{i}.down_fine": f"head.fpn_out_align.{i}.down_l" for i in range(3)},
    **{f"aligners.{i}.make_flow": f"head.fpn_out_align.{i}.flow_make" for i in range(3)},
}
_SFNET_LITE = _RESNET_PPM | {
    "lateral2": "head.fpn_in.0",
    "lateral4": "head.fpn_in.1",
    "aligner.down_coarse": "head.flow_align_module.down_h",
    "aligner.down_fine": "head.flow_align_module.down_l",
    "aligner.make_flow": "head.flow_align_module.flow_make",
    "aligner.make_gate": "head.flow_align_module.flow_gate.0",
    "auxiliary": "head.dsn",
}
_GATED_FLOW = {
    "down_coarse": "down_h",
    "down_fine": "down_l",
    "make_flow": "flow_make",
    "make_gate": "gate.gate.0",
}
_BIALIGNNET = {
    "encoder.body.stem": "backbone.stage1",
    **{f"encoder.body.stage{i}_{j}": f"backbone.stage{i}_{j}" for i in (2, 3, 4) for j in (1, 2)},
    **{f"pool.branches.{i}.{j}": f"ppm.stages.{i}.{j + 1}" for i in range(4) for j in (0, 1)},
    "pool.bottleneck": "ppm.bottleneck",
    **{f"spatial.{i}.0": f"sp.{name}.conv" for i, name in enumerate(("conv1", "conv2", "conv3", "conv_out"))},
    **{f"spatial.{i}.1": f"sp.{name}.bn" for i, name in enumerate(("conv1", "conv2", "conv3", "conv_out"))},
    **{f"align_context.{ours}": f"spatial2Context.{theirs}" for ours, theirs in _GATED_FLOW.items()},
    **{f"align_spatial.{ours}": f"context2Spatial.{theirs}" for ours, theirs in _GATED_FLOW.items()},
    "fuse.0": "conv_out.conv.conv",
    "fuse.1": "conv_out.conv.bn",
    "classify": "conv_out.conv_out",
    "auxiliaries.0": "cxt16_aux.conv_out",
    "auxiliaries.1": "cxt8_aux.conv_out",
    "edge.0": "spatial_out.conv.conv",
    "edge.1": "spatial_out.conv.bn",
    "edge.3": "spatial_out.conv_out",
}
_ALIGNSEG_BLOCK = {
    "unify": "unify",
    **{f"residual.{i}": f"residual.{j}" for i, j in ((0, 0), (1, 1), (3, 2))},
    "norm": "norm",
}
_ALIGNSEG_OFFSETS = {"reduce": "0", "norm": "1", "make_flow": "2"}
_ALIGNSEG_ALIGNER = {
    **{f"offsets_coarse.{k}": f"delta_gen1.{v}" for k, v in _ALIGNSEG_OFFSETS.items()},
    **{f"offsets_fine.{k}": f"delta_gen2.{v}" for k, v in _ALIGNSEG_OFFSETS.items()},
}
_ALIGNSEG = {
    **{f"encoder.body.conv1.{3 * i}": f"conv{i + 1}" for i in range(3)},
    **{f"encoder.body.conv1.{3 * i + 1}": f"bn{i + 1}" for i in range(2)},
    "encoder.body.bn1": "bn3",
    **{f"encoder.body.layer{i}": f"layer{i}" for i in (1, 2, 3, 4)},
    **{f"context.grid.{i}": f"CAM.pool.{j}" for i, j in ((0, 1), (1, 2), (3, 3), (4, 4))},
    **{f"context.local.{i}": f"CAM.adapt.{j}" for i, j in ((0, 0), (1, 1), (3, 2), (4, 3))},
    **{f"context.offsets.{k}": f"CAM.delta_gen.{v}" for k, v in _ALIGNSEG_OFFSETS.items()},
    **{f"laterals.{i}.{k}": f"RRB{i + 1}a.{v}" for i in range(5) for k, v in _ALIGNSEG_BLOCK.items()},
    **{f"aligners.{i}.{k}": f"CAB{i + 2}.{v}" for i in range(4) for k, v in _ALIGNSEG_ALIGNER.items()},
    **{f"refine.{i}.{k}": f"RRB{i + 2}b.{v}" for i in range(4) for k, v in _ALIGNSEG_BLOCK.items()},
    **{f"head.{i}": f"head.{i}" for i in (0, 1)},
    "classify": "head.3",
    **{f"auxiliary.{i}": f"dsn.{j}" for i, j in ((0, 0), (1, 1), (4, 3))},
}
_IFA = {
    "encoder.body": "encoder",
    **{f"laterals.{i}": f"decoder.{name}" for i, name in enumerate(("enc1", "enc2", "enc3", "head"))},
    **{f"encodings.{i}.frequencies": f"decoder.ifa.pos{i + 1}.emb" for i in range(4)},
    "first": "decoder.ifa.imnet.0",
    **{f"mlp.{i}": f"decoder.ifa.imnet.{i + 1}" for i in (0, 2, 3, 5, 6)},
    "classify": "decoder.ifa.imnet.9",
    "auxiliary": "auxor.aux",
}


def _as_2d_convolutions(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """IFA's MLP consists of 1-dimensional convolutions of length 1: give their weights (O, I, 1) a fourth dimension."""
    return {name: x.unsqueeze(-1) if x.dim() == 3 else x for name, x in state.items()}


def _fold_absolute_scale(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """In-place activated batch norm scales by abs(weight) + 1e-5: make that the weight of a common batch norm."""
    norms = {name.removesuffix("running_var") + "weight" for name in state if name.endswith("running_var")}
    return {name: x.abs() + 1e-5 if name in norms else x for name, x in state.items()}


@dataclass(frozen=True)
class Kind:
    """Which of our networks a release is, and what its tensors are called there.

    Attributes:
        network: name of our network.
        encoder: its encoder.
        convention: the sampling convention of the release.
        names: table from our module names to the authors'.
        outputs: channels of ``classify`` per class.
        prepare: turns the release's tensors into what ours hold, under the same names.
    """

    network: str
    encoder: str
    convention: str
    names: dict[str, str]
    outputs: int = 1
    prepare: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict


KINDS: dict[str, Kind] = {
    "sfnet-r18": Kind("sfnet", "sfnet_resnet18", "sfnet", _SFNET),
    "sfnet-lite-r18": Kind("sfnet_lite", "sfnet_resnet18", "sfnet", _SFNET_LITE),
    "alignseg-r101": Kind("alignseg", "alignseg_resnet101", "alignseg", _ALIGNSEG, prepare=_fold_absolute_scale),
    "alignseg-r101-std": Kind(
        "alignseg", "alignseg_resnet101", "alignseg_std", _ALIGNSEG, prepare=_fold_absolute_scale
    ),
    "ifa-r50": Kind("ifa", "ifa_resnet50", "sfnet", _IFA, prepare=_as_2d_convolutions),
    "bialignnet-dfnet2": Kind("bialignnet", "dfnet2", "bialignnet", _BIALIGNNET, outputs=CELL**2),
}


@dataclass(frozen=True)
class Report:
    """What became of a checkpoint's tensors, by the authors' names, sorted.

    Attributes:
        matched: tensors that the model now holds.
        unused: tensors of the file that the network's forward pass does not use; they are left out.
        missing: batch counters (``num_batches_tracked``) that old files lack; they stay 0. Anything else that is
            missing makes the conversion fail.
    """

    matched: tuple[str, ...]
    unused: tuple[str, ...]
    missing: tuple[str, ...]


def convert(path: str | Path, kind: str, out: str | Path) -> Report:
    """Read an authors' checkpoint (.pth or .safetensors), turn it into our model and save that as the folder ``out``.

    Args:
        path: the authors' file.
        kind: one of `KINDS`.
        out: folder for the converted model (`pixalign.weights.save`).

    Returns:
        Which tensors were matched, unused and missing.

    Raises:
        InputError: the file is missing, is no checkpoint, holds pickled objects, or does not fit ``kind``. Nothing is
            written then.
    """
    _check_kind(kind)
    state = read_checkpoint(path)
    with naming(path):
        model, report = _convert(state, kind)
    save(model, out)
    return report


def convert_state(state: Mapping[str, Tensor], kind: str) -> SegmentationNetwork:
    """Turn an authors' state dictionary into our model.

    The number of classes is read from the last convolution; 19 classes are named and colored as Cityscapes'. A
    training head on an inner map becomes our auxiliary head where it fits and is left out otherwise.

    Args:
        state: tensors under their authors' names; wrappers' prefixes such as ``module.`` are stripped.
        kind: one of `KINDS`.

    Returns:
        The network in evaluation mode, float32, with the release's convention.

    Raises:
        InputError: unknown kind, or a tensor that is missing or of another shape (the first one is named).
    """
    _check_kind(kind)
    return _convert(state, kind)[0]


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors or PyTorch checkpoint by name, without wrapping dictionaries, on the CPU.

    Raises:
        InputError: the file is missing, is no checkpoint, or holds objects that only unpickling could restore.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file: give the authors' checkpoint, a .pth or .safetensors file")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _unwrap(_load_pth(path))
    except Exception as error:  # arbitrary bytes make the readers raise almost anything
        refused = re.search(r"GLOBAL ([\w.]+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if refused:
            raise InputError(
                f"{path}: holds a pickled {refused[1]}, and pixalign does not unpickle (a pickle can run any program): "
                "save the bare state_dict again in an environment that trusts the file"
            ) from error
        raise InputError(f"{path}: is no checkpoint that can be read: damaged, or another kind of file") from error
    if not state:
        raise InputError(f"{path}: holds no dictionary of tensors: give the authors' checkpoint")
    return state


def _convert(state: Mapping[str, Tensor], kind: str) -> tuple[SegmentationNetwork, Report]:
    release = KINDS[kind]
    state = release.prepare(_strip_prefixes(state))
    last_name = release.names["classify"] + ".weight"
    last = state.get(last_name)
    if last is None or last.dim() != 4 or len(last) % release.outputs:
        classes = "classes" if release.outputs == 1 else f"{release.outputs} x classes"
        raise InputError(f"{kind} needs the tensor {last_name} ({classes}, channels, 1, 1): choose another --as")
    num_classes = len(last) // release.outputs
    if not 1 <= num_classes <= 255:
        raise InputError(f"{last_name} has {num_classes} classes: between 1 and 255 can be converted")
    auxiliary = any(name.startswith("auxiliar") for name in release.names)
    model, names = _build(release, num_classes, auxiliary)
    heads = {name: x for name, x in model.state_dict().items() if name.startswith("auxiliar")}
    if any(_differs(state, names, name, x) for name, x in heads.items()):
        model, names = _build(release, num_classes, auxiliary=False)
    targets = model.state_dict()
    for ours, target in targets.items():
        if problem := _differs(state, names, ours, target):
            raise InputError(f"does not fit {kind}: {problem}")
    loaded = {ours: state[theirs] for ours, theirs in names.items() if theirs in state}
    model.load_state_dict({**targets, **loaded})
    used = set(names.values())
    report = Report(
        matched=tuple(sorted(used & state.keys())),
        unused=tuple(sorted(state.keys() - used)),
        missing=tuple(sorted(used - state.keys())),
    )
    return model.eval(), report


def _build(release: Kind, num_classes: int, auxiliary: bool) -> tuple[SegmentationNetwork, dict[str, str]]:
    """Return the empty model and, for each of its tensors, the authors' name."""
    model = create_model(
        release.network,
        encoder=release.encoder,
        num_classes=num_classes,
        convention=release.convention,
        auxiliary=auxiliary,
    )
    if num_classes == len(CITYSCAPES):
        model.config.classes = list(CITYSCAPES)
        model.config.colors = [list(color) for color in CITYSCAPES.values()]
    names = {}
    for ours in model.state_dict():
        prefix = next(prefix for prefix in release.names if f"{ours}.".startswith(prefix + "."))
        names[ours] = release.names[prefix] + ours.removeprefix(prefix)
    return model, names


def _differs(state: Mapping[str, Tensor], names: dict[str, str], ours: str, target: Tensor) -> str:
    """Say how the checkpoint's tensor for ``ours`` differs from ``target``; empty if it fits."""
    theirs = names[ours]
    if theirs not in state:
        return "" if ours.endswith("num_batches_tracked") else f"tensor {theirs} {tuple(target.shape)} is missing"
    got, expected = tuple(state[theirs].shape), tuple(target.shape)
    return "" if got == expected else f"tensor {theirs} has shape {got}, expected {expected}"


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise InputError(f"--as {kind!r} is unknown: choose one of {', '.join(KINDS)}")


def _load_pth(path: Path) -> Any:
    """``torch.load`` restricted to tensors, plain values and numpy numbers, the latter under their two module names."""
    scalar = np.float64(0).__reduce__()[0]
    allowed: list[Any] = [(scalar, f"numpy.{module}.multiarray.scalar") for module in ("core", "_core")]
    allowed += [np.dtype, *(type(np.dtype(t)) for t in (np.float64, np.float32, np.int64, np.int32, np.bool_))]
    with torch.serialization.safe_globals(allowed):
        return torch.load(path, map_location="cpu", weights_only=True)


def _unwrap(content: Any) -> dict[str, Tensor]:
    """The tensors of a checkpoint, found inside dictionaries such as {"state_dict": {...}, "epoch": 3}."""
    while isinstance(content, Mapping):
        inner = [content[k] for k in ("state_dict", "model_state", "model", "net") if k in content]
        if not inner:
            return {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
        content = inner[0]
    return {}


def _strip_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefixes that every name shares because of DataParallel, torch.compile or an outer module."""
    names = dict(state)
    for prefix in ("module.", "_orig_mod.", "model.", "net.") * 2:
        if names and all(name.startswith(prefix) for name in names):
            names = {name.removeprefix(prefix): tensor for name, tensor in names.items()}
    return names
