"""The training state: a folder of safetensors and JSON from which a run goes on where it stopped.

``state/00001234`` is the state after 1,234 batches. It is completed under a hidden name and renamed; older ones are
hidden before they are removed. So whatever moment a process is killed at, the newest visible state is whole.
"""

import json
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pixalign.errors import InputError

_FILES = ("tensors.safetensors", "state.json")
_FORMAT = 2  # of what the numbers and the loss mean: goes up where an older state would go on differently


def save_state(
    folder: Path,
    model: nn.Module,
    ema: nn.Module | None,
    optimizer: torch.optim.Optimizer,
    numbers: Mapping[str, Any],
    generators: Tensor,
) -> None:
    """Write weights, EMA, optimizer, random states and ``numbers`` (JSON) to ``folder/<step>``, whole or not at all.

    Args:
        folder: of the run's states.
        model, ema, optimizer: what to save; optimizer entries go by parameter name.
        numbers: plain values with "step".
        generators: what `random_state` gave in each process, (processes, bytes) uint8.

    Raises:
        InputError: the file system refuses the write; the old state stays.
    """
    numbers = {"format": _FORMAT, **numbers}
    tensors = {f"model/{k}": v for k, v in model.state_dict().items()} | {"random": generators}
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
        (new / _FILES[1]).write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
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
        InputError: the state is of an older version or of another network, or is damaged.
    """
    try:
        tensors = load_file(folder / _FILES[0])
        numbers = json.loads((folder / _FILES[1]).read_text(encoding="utf-8"))
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise InputError(f"{folder}: not a whole training state ({error}): remove it and resume again") from error
    if numbers.pop("format", 1) != _FORMAT:
        last = folder.parent.parent / "last"
        remedy = f"start another with --init {last}" if last.is_dir() else "begin it anew in another folder"
        raise InputError(
            f"{folder}: the run was begun by another version of pixalign, whose weight decay and accumulation differ: "
            f"end it with that version (run.json names it), or {remedy}"
        )
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
    generators = tensors["random"]
    _restore_random(generators[min(process, len(generators) - 1)])
    return numbers


def check_resumed(folder: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise InputError if a run would go on with other batches than it began with.

    Args:
        folder: of the state, for the message.
        then, now: "images", "batch_size", "accumulate", "processes" and what follows from them, "per_epoch".
    """
    if then["per_epoch"] == now["per_epoch"] and then["images"] == now["images"]:
        return
    keys = ("images", "batch_size", "accumulate", "processes")
    names = ("training images", *keys[1:])
    changed = [f"{then[key]} {name} (now {now[key]})" for key, name in zip(keys, names) if then[key] != now[key]]
    last = folder.parent.parent / "last"
    another = f"start a new run with --init {last}" if last.is_dir() else "start a new run"
    remedy = "restore the data" if then["images"] != now["images"] else "set it back"
    raise InputError(f"{folder}: the run has been trained with {', '.join(changed)}: {remedy}, or {another}")


def all_finite(*networks: nn.Module) -> bool:
    """Whether all weights and statistics are numbers."""
    found = [x.isfinite().all() for network in networks for x in network.state_dict().values() if x.is_floating_point()]
    return bool(torch.stack(found).all())


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Give Python's, NumPy's and torch's global generators back the states that they had."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0)):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


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
