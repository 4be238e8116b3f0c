"""The training state: a folder of safetensors and JSON from which a run goes on where it stopped.

``state/00001234`` is the state after 1,234 batches. It is completed under a hidden name and renamed; older ones are
hidden before they are removed. So whatever moment a process is killed at, the newest visible state is whole.
"""

import json
import os
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
    folder: Path,
    model: nn.Module,
    ema: nn.Module | None,
    optimizer: torch.optim.Optimizer,
    numbers: dict[str, Any],
    random: Tensor,
) -> None:
    """Write weights, EMA, optimiser, random states and ``numbers`` (JSON) to ``folder/<step>``, whole or not at all.

    Args:
        folder: of the run's states.
        model, ema, optimizer: what to save; optimiser entries go by parameter name.
        numbers: plain values with "step".
        random: what `random_states` gave, (processes, bytes) uint8.

    Raises:
        InputError: the file system refuses the write; the old state stays.
    """
    tensors = {f"model/{k}": v for k, v in model.state_dict().items()} | {"random": random}
    if ema is not None:
        tensors |= {f"ema/{k}": v for k, v in ema.state_dict().items()}
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    for parameter, entries in optimizer.state.items():
        for key, value in entries.items():
            if value is not None:
                tensors[f"optimizer/{key}/{names[parameter]}"] = torch.as_tensor(value)
    new, whole = folder / ".new", folder / f"{numbers['step']:08d}"
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, new / _FILES[0])
        (new / _FILES[1]).write_text(json.dumps(numbers, indent=1) + "\n")
        for name in _FILES:  # on the disk before the rename is: a power cut may not leave a whole name on half a file
            _flush(new / name)
        if whole.exists():
            _remove(whole)
        new.rename(whole)
        _flush(folder)
        for other in _states(folder):
            if other != whole:
                _remove(other)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(new, ignore_errors=True)
        raise InputError(f"{folder}: the training state cannot be written ({error}): the last one is kept") from error


def find_state(folder: Path) -> Path | None:
    """Return the newest complete state in ``folder``, or None."""
    complete = [state for state in _states(folder) if all((state / name).is_file() for name in _FILES)]
    return complete[-1] if complete else None


def load_state(
    folder: Path, model: nn.Module, ema: nn.Module | None, optimizer: torch.optim.Optimizer, process: int = 0
) -> dict[str, Any]:
    """Restore what `save_state` wrote, with the random state of ``process``; return its numbers.

    Raises:
        InputError: the state belongs to another network or is damaged.
    """
    try:
        tensors = load_file(folder / _FILES[0])
        numbers = json.loads((folder / _FILES[1]).read_text())
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise InputError(f"{folder}: not a whole training state ({error}): remove it and resume again") from error
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
    random = tensors["random"]
    _restore_random(random[min(process, len(random) - 1)])
    return numbers


def random_state() -> Tensor:
    """This process's random state, CPU and current CUDA device, as one row of bytes."""
    parts = [torch.get_rng_state()]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_rng_state())
    return torch.cat(parts)


def _restore_random(state: Tensor) -> None:
    size = len(torch.get_rng_state())
    torch.set_rng_state(state[:size].contiguous())
    if torch.cuda.is_available() and len(state) > size:
        torch.cuda.set_rng_state(state[size:].contiguous())


def _states(folder: Path) -> list[Path]:
    """The visible states, oldest first."""
    return sorted(p for p in folder.iterdir() if p.name.isdigit()) if folder.is_dir() else []


def _remove(state: Path) -> None:
    """Remove a state, which is not one any more from the first moment on."""
    hidden = state.with_name(".old")
    shutil.rmtree(hidden, ignore_errors=True)
    state.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _flush(path: Path) -> None:
    """Force a file, or a folder's entries, to the disk."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
