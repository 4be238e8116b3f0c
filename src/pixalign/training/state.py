"""The training state: a folder of safetensors and JSON from which a run goes on where it stopped."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pixalign.errors import InputError

_FILES = ("tensors.safetensors", "state.json")


def save_state(
    folder: Path, model: nn.Module, ema: nn.Module | None, optimizer: torch.optim.Optimizer, numbers: dict[str, Any]
) -> None:
    """Write weights, EMA, optimiser, random state and ``numbers`` (JSON) to ``folder``, whole or not at all.

    The new state is completed beside the old one, which is then set aside as ``<folder>.old``, so one complete state
    exists at every moment.

    Raises:
        InputError: the file system refuses the write; the old state stays.
    """
    tensors = {f"model/{k}": v for k, v in model.state_dict().items()}
    if ema is not None:
        tensors |= {f"ema/{k}": v for k, v in ema.state_dict().items()}
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    for parameter, entries in optimizer.state.items():
        for key, value in entries.items():
            if value is not None:
                tensors[f"optimizer/{key}/{names[parameter]}"] = torch.as_tensor(value)
    tensors["random/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    new, old = folder.with_name(f"{folder.name}.new"), folder.with_name(f"{folder.name}.old")
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, new / _FILES[0])
        (new / _FILES[1]).write_text(json.dumps(numbers, indent=1) + "\n")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(new, ignore_errors=True)
        raise InputError(f"{folder}: the training state cannot be written ({error}): the last one is kept") from error


def find_state(folder: Path) -> Path | None:
    """Return the complete state at ``folder`` or set aside as ``<folder>.old``, or None."""
    for candidate in (folder, folder.with_name(f"{folder.name}.old")):
        if all((candidate / name).is_file() for name in _FILES):
            return candidate
    return None


def load_state(
    folder: Path, model: nn.Module, ema: nn.Module | None, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Restore what `save_state` wrote; return its numbers.

    Raises:
        InputError: the state belongs to another network or is damaged.
    """
    try:
        tensors = load_file(folder / _FILES[0])
        numbers = json.loads((folder / _FILES[1]).read_text())
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise InputError(f"{folder}: not a whole training state ({error}): start again without --resume") from error
    device = next(model.parameters()).device
    try:
        model.load_state_dict(_part(tensors, "model/"))
        if ema is not None:
            ema.load_state_dict(_part(tensors, "ema/"))
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise InputError(f"{folder}: the state is of another network ({first}): use its own config.yaml") from error
    parameters = dict(model.named_parameters())
    for key, value in _part(tensors, "optimizer/").items():
        slot, name = key.split("/", 1)
        optimizer.state[parameters[name]][slot] = value if slot == "step" else value.to(device)
    torch.set_rng_state(tensors["random/cpu"])
    if "random/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random/cuda"])
    return numbers


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
