"""The training loop, on Hugging Face Accelerate: one function, read top to bottom.

A run folder holds config.yaml, run.json (data, versions, starts), log.txt, metrics.jsonl (a line per epoch),
times.jsonl, curves.png, pictures/, the models ``best`` and ``last`` (of the moving average, if there is one), and
``state``, from which ``resume`` goes on. All but the times is the same, bit by bit, however often a run was killed and
resumed on one machine.
"""

import importlib.util
import json
import math
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from rich.console import Console
from rich.progress import Progress
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from pixalign.data import Pairs, class_pixels, label_counts, open_data
from pixalign.data.check import check_splits
from pixalign.data.check_page import write_report
from pixalign.data.loader import AugmentedPairs, EpochBatches, training_loader
from pixalign.data.remedies import require_two_labels
from pixalign.data.samples import Data, Samples, cached
from pixalign.data.transforms import TrainingTransform, UsersTransform, normalise
from pixalign.errors import InputError
from pixalign.evaluation import evaluate
from pixalign.losses import total_loss
from pixalign.losses.weights import adjust_logits, class_weights
from pixalign.memory import reused_memory
from pixalign.models import create_model
from pixalign.optimization import optimize
from pixalign.predict import Predictor
from pixalign.training.config import DataConfig, ModelConfig, OptimConfig, TrainConfig, write_config
from pixalign.training.initial import check_parts, freeze, initialise, learning_rate_factor, model_config
from pixalign.training.parallel import mean_over_processes, synchronise_norms
from pixalign.training.pictures import prediction_sheet
from pixalign.training.progress import TrainingProgress
from pixalign.training.run_folder import Log, append, clear_leftovers, cut_back, draw_curves, read_lines, write_run
from pixalign.training.state import find_state, load_state, random_state, save_state
from pixalign.weights import check_classes, load, save

_CACHE_LIMIT = 2 << 30
_TRACK_EVERY = 20  # steps between the losses that trackers get
_TRACKER_PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX")}


def train(
    config: TrainConfig,
    resume: bool = False,
    *,
    dataset: Any = None,
    val: Any = None,
    classes: Sequence[str] | None = None,
    transform: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None,
) -> Path:
    """Train a network; return the run folder.

    With ``resume``, go on from the state in the run folder.

    Args:
        config: the run.
        resume: go on from the newest state in ``config.out``.
        dataset: train on this in place of ``config.data``: any map-style data set, see `pixalign.data.samples.Samples`.
        val: the data set to evaluate on; None holds out a fifth of ``dataset``, drawn with ``config.seed``.
        classes: class names of ``dataset``, if it has no attribute of that name.
        transform: augmentation in place of ours: (image (H, W, C) uint8, mask (H, W) uint8) -> the same, all results of
            one size. NumPy's and Python's global generators are seeded before each call.

    Raises:
        InputError: something in the configuration or the data cannot be used, or the loss stops being a number.
        KeyboardInterrupt: after Ctrl-C, once the state is saved.
    """
    config.check()
    out = Path(config.out)
    state = _check_run_folder(out, resume)
    accelerator = _accelerator(config)
    is_main, processes = accelerator.is_main_process, accelerator.num_processes
    log = Log(out / "log.txt", is_main)
    set_seed(config.seed)
    source = load(config.init) if config.init and state is None else None
    if source is not None and config.model == ModelConfig():
        config = replace(config, model=model_config(source))
    if dataset is None:
        training, validation, mix = _open_all(config, log, check=is_main and state is None)
    else:
        training, validation, mix = *_given(dataset, val, classes, config), None

    if state is None:
        require_two_labels(training)

    # The network, its moving average, the optimiser.
    model: Any = create_model(
        config.model.name,
        encoder=config.model.encoder,
        num_classes=len(training.classes),
        pretrained=config.model.pretrained,
        in_channels=config.model.in_channels,
        **config.model.options,
    )
    model.config |= {"classes": training.classes, "colours": training.colours}
    model.config["data"] = {"name": training.name, "images": len(training), "fingerprint": training.fingerprint()}
    if mix is not None:
        model.config["data"] |= {"mixed_with": mix.name, "mix_ratio": config.data.mix_ratio}
    if config.init:
        model.config["data"]["started_from"] = config.init
    if source is not None:
        _start_from(model, source, config.init, log)
    teacher = load_teacher(config, training.classes, accelerator.device) if config.teacher else None
    if teacher is not None:
        model.config["data"]["taught_by"] = config.teacher
    frozen = freeze(model, config.freeze)
    check_parts(model, config.optim.lr_parts)
    mean, std = model.config["mean"], model.config["std"]
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    model = model.to(accelerator.device, memory_format=layout)
    if processes > 1:
        model = synchronise_norms(model, accelerator.device)
        set_seed(config.seed, device_specific=True)  # each process its own dropout
    ema = ModelEmaV3(model, decay=config.ema, use_warmup=True) if config.ema else None
    averaged = ema.module if ema else model
    optimizer = _optimizer(model, config.optim)
    needs_counts = config.loss.class_weights != "none" or config.data.class_uniform
    counts = class_pixels(training) if needs_counts else np.zeros((1, len(training.classes)), np.int64)
    weight = _class_weights(counts, config, accelerator.device)
    loss_options = {key: value for key, value in asdict(config.loss).items() if key not in ("class_weights", "adjust")}
    loss_options["mean_over_processes"] = mean_over_processes()

    # Steps are batches; an update of the weights is made every `accumulate` of them.
    batches = EpochBatches(
        len(training), config.batch_size, config.seed, config.epochs,
        accumulate=config.accumulate, rank=accelerator.process_index, world=processes,
    )  # fmt: skip
    numbers: dict[str, Any] = {
        "step": 0, "per_epoch": batches.per_epoch, "best": -1.0, "loss_sum": 0.0, "losses": 0, "seconds": 0.0,
    }  # fmt: skip
    if state is not None:
        numbers = load_state(state, model, ema.module if ema else None, optimizer, accelerator.process_index)
        if numbers["per_epoch"] != batches.per_epoch:
            raise InputError(f"{state}: the run had {numbers['per_epoch']} batches per epoch, now {batches.per_epoch}")
    step = batches.start = numbers["step"]
    total_steps = config.epochs * batches.per_epoch
    if is_main:
        clear_leftovers(out)
        write_config(config, out / "config.yaml")
        data = {"train": training, **{f"val {d.name}": d for d in validation}, **({"mix": mix} if mix else {})}
        write_run(out, shlex.join(sys.argv), data, processes, str(accelerator.device))
        for name in ("metrics.jsonl", "times.jsonl"):
            cut_back(out / name, step)
    log(
        f"{config.model.name} with {config.model.encoder}, {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M "
        f"parameters, {len(training.classes)} classes; {len(training)} images of {training.name}, "
        f"{config.epochs} epochs of {batches.per_epoch} batches; run folder {out}"
    )
    if step:
        log(f"resumed after {step} of {total_steps} batches")
    samples = AugmentedPairs(
        training,
        UsersTransform(transform) if transform else _transform(config.data, config.model.in_channels),
        config.seed,
        counts > 0 if config.data.class_uniform else None,
        config.data.class_uniform,
        mix,
        config.data.mix_ratio,
    )
    loader = training_loader(samples, batches, config.data.workers)
    wrapped, optimizer = accelerator.prepare(torch.compile(model) if config.compile else model, optimizer)
    scaler = accelerator.scaler  # of fp16's losses, else None
    if scaler is not None and "scaler" in numbers:
        scaler.load_state_dict(numbers["scaler"])
    if config.trackers:
        accelerator.init_trackers("pixalign", config=_flat(asdict(config)))

    def to_training() -> None:
        model.train()
        for module in frozen:
            module.eval()

    def save_progress() -> None:
        random = accelerator.gather(random_state()[None].to(accelerator.device)).cpu()
        if scaler is not None:
            numbers["scaler"] = scaler.state_dict()
        if is_main:
            save_state(out / "state", model, ema.module if ema else None, optimizer.optimizer, numbers, random)

    started = saved = time.perf_counter()
    to_training()
    with (
        _one_line_errors(config, log),
        _stop_on_interrupt() as interrupted,
        reused_memory(),
        TrainingProgress(total_steps, step, batches.per_epoch, log.console, is_main) as progress,
    ):
        for images, masks in loader:
            rate = learning_rate(step // config.accumulate / (total_steps // config.accumulate), config.optim)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            pixels = images.to(accelerator.device, non_blocking=True)
            images = normalise(pixels, mean, std)
            masks = masks.to(accelerator.device, non_blocking=True).long()
            with accelerator.accumulate(wrapped):
                outputs = wrapped(images.contiguous(memory_format=layout), heads=True)
                taught = teacher(pixels) if teacher else None
                loss, _ = total_loss(outputs, masks, weight=weight, teacher=taught, **loss_options)
                due = is_main and time.perf_counter() - saved > 60 * config.state_minutes
                shared = torch.stack([loss.detach().double(), *loss.new_tensor([len(interrupted), due]).double()])
                value, stop, due = accelerator.reduce(shared, "mean").tolist()  # the same in every process
                if not math.isfinite(value):
                    raise InputError(
                        f"the loss is {value} at epoch {step // batches.per_epoch + 1}, step {step}: "
                        f"lower optim.lr ({config.optim.lr:g}), set optim.clip, or use precision fp32"
                    )
                accelerator.backward(loss)
                if config.optim.clip and accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(wrapped.parameters(), config.optim.clip)
                optimizer.step()
                optimizer.zero_grad()
            step += 1
            updated = step % config.accumulate == 0
            if ema and updated:
                ema.update(model, step=step // config.accumulate)
            numbers |= {"step": step, "loss_sum": numbers["loss_sum"] + value, "losses": numbers["losses"] + 1}
            progress.step(step, value, config.batch_size * processes)
            if config.trackers and step % _TRACK_EVERY == 0:
                accelerator.log({"loss": value, "lr": rate}, step=step)

            if step % batches.per_epoch == 0:
                epoch, finished = step // batches.per_epoch, step == total_steps
                seconds = time.perf_counter() - started
                speed = (step - max(batches.start, step - batches.per_epoch)) * config.batch_size * processes / seconds
                line: dict[str, Any] = {
                    "epoch": epoch, "step": step, "loss": numbers["loss_sum"] / numbers["losses"], "lr": rate
                }  # fmt: skip
                numbers |= {"loss_sum": 0.0, "losses": 0, "seconds": numbers["seconds"] + seconds}
                shown = averaged.eval()
                if weight is not None and config.loss.adjust:
                    shown = adjust_logits(shown, weight, config.loss.adjust)
                if finished or epoch % config.evaluate_every == 0:
                    results = [_evaluate(shown, data, config, accelerator) for data in validation]
                    line["val"] = {r["data"].rsplit("/", 1)[-1]: _brief(r) for r in results}
                    metrics = [{"epoch": epoch, **_brief(r)} for r in results]
                    better = (results[0]["miou"] or 0.0) > numbers["best"]
                    numbers["best"] = max(numbers["best"], results[0]["miou"] or 0.0)
                    if is_main:
                        save(shown, out / "last", metrics=metrics)
                        if better:
                            save(shown, out / "best", metrics=metrics)
                if is_main:
                    if config.pictures_every and (finished or epoch % config.pictures_every == 0):
                        _draw(shown, validation[0], out / "pictures" / f"epoch_{epoch:04d}.jpg")
                    append(out / "metrics.jsonl", json.dumps(line))
                    times = {"epoch": epoch, "step": step, "seconds": numbers["seconds"], "images_per_second": speed}
                    append(out / "times.jsonl", json.dumps(times))
                    if "val" in line:
                        draw_curves(read_lines(out / "metrics.jsonl"), out / "curves.png")
                if config.trackers:
                    scores = {f"{split} mIoU": r["miou"] or 0.0 for split, r in line.get("val", {}).items()}
                    accelerator.log({"epoch": epoch, "epoch loss": line["loss"], **scores}, step=step)
                save_progress()
                log.note(progress.epoch(line, speed))
                to_training()
                started = saved = time.perf_counter()
            elif updated and (stop or due):
                now = time.perf_counter()
                numbers["seconds"] += now - started
                save_progress()
                started = saved = now
            if updated and stop:
                log(f"stopped at step {step} of {total_steps}, saved: go on with --resume")
                raise KeyboardInterrupt
    if config.trackers:
        accelerator.end_training()
    if batches.start == total_steps:
        log(f"all {config.epochs} epochs of this run are done: raise --epochs of a new run, or start one from --init")
    return out


def learning_rate(progress: float, optim: OptimConfig) -> float:
    """The decoder's learning rate after a share ``progress`` (0 to 1) of all updates: linear warm-up, then decay."""
    if progress < optim.warmup:
        return optim.lr * (progress + 1e-3) / (optim.warmup + 1e-3)
    left = (1 - progress) / (1 - optim.warmup)
    return optim.lr * (left**0.9 if optim.schedule == "poly" else 0.5 - 0.5 * math.cos(math.pi * left))


def load_teacher(config: TrainConfig, classes: Sequence[str], device: torch.device) -> Callable[[Tensor], Tensor]:
    """Load ``config.teacher``; what is returned gives its logits (N, K, H, W) for images (N, C, H, W) uint8."""
    model = load(config.teacher)
    known: dict[str, Any] = model.config  # type: ignore[assignment]
    try:
        check_classes(model, classes)
    except InputError as error:
        raise InputError(f"teacher {config.teacher}: {error}") from error
    channels = known["arguments"]["in_channels"]
    if channels != config.model.in_channels:
        raise InputError(
            f"teacher {config.teacher}: it takes images of {channels} channels, and the network those of "
            f"{config.model.in_channels}"
        )
    mean, std = known["mean"], known["std"]
    network = optimize(model.to(device), precision="fp32" if config.precision == "fp32" else "auto")

    @torch.no_grad()
    def logits(pixels: Tensor) -> Tensor:
        return network(normalise(pixels, mean, std))

    return logits


def _check_run_folder(out: Path, resume: bool) -> Path | None:
    """Return the state to resume from, if any; refuse to overwrite a run or to resume from nothing."""
    state = find_state(out / "state")
    if resume and state is None and not (out / "run.json").exists():  # killed before its first state: from the start
        raise InputError(f"{out}: no training state in it to resume from: train without --resume, into an empty folder")
    if not resume and (state is not None or (out / "metrics.jsonl").exists()):
        raise InputError(f"{out}: a run is there already: go on with --resume, or choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not os.access(out, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise InputError(f"{out}: the run folder cannot be written ({error.strerror}): choose another --out") from error
    return state


def _accelerator(config: TrainConfig) -> Accelerator:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is cuda but no CUDA device is there: use auto or cpu")
    for tracker in config.trackers:
        if not any(importlib.util.find_spec(name) for name in _TRACKER_PACKAGES.get(tracker, (tracker,))):
            raise InputError(f"trackers: {tracker} is not installed: pip install {tracker}, or leave it out")
    if AcceleratorState._shared_state:  # an earlier run in this process would fix precision and device for this one
        AcceleratorState._reset_state(reset_partial_state=PartialState().num_processes == 1)
    parallel = DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=config.loss.auxiliary == 0)
    accelerator = Accelerator(
        mixed_precision={"fp32": "no"}.get(config.precision, config.precision),
        gradient_accumulation_steps=config.accumulate,
        cpu=config.device == "cpu",
        log_with=config.trackers or None,
        project_dir=config.out,
        kwargs_handlers=[parallel],
    )
    if config.precision == "fp16" and accelerator.device.type == "cpu":
        raise InputError("precision is fp16, which needs a GPU: use bf16 or fp32")
    return accelerator


def _open_all(config: TrainConfig, log: Log, check: bool) -> tuple[Data, list[Data], Data | None]:
    """Open the training split, those of val, and the data to mix in, if any; look at every pair of files first."""
    data = config.data
    opened = [
        open_data(data.name, data.root, split, data.mask_template, config.model.in_channels)
        for split in (data.train, *data.val)
    ]
    mix = open_data(data.mix, data.mix_root, "train") if data.mix else None
    if mix is not None and list(mix.classes) != list(opened[0].classes):
        raise InputError(f"data.mix {data.mix!r}: its classes {mix.classes} are not those of {opened[0].name}")
    files = {split: pairs for split, pairs in zip((data.train, *data.val), opened) if isinstance(pairs, Pairs)}
    if check and data.check and files:
        _check(files, config, log)
    training, *validation = [_in_memory(each, data.cache, log.console) for each in opened]
    return training, validation, mix


def _check(files: Mapping[str, Pairs], config: TrainConfig, log: Log) -> None:
    """Read every pair, as ``pixalign data check`` does; with errors, leave its page in the run folder and stop."""
    with Progress(console=log.console, transient=True, disable=not log.console.is_terminal) as bar:
        tasks = {split: bar.add_task(f"checking {pairs.name}", total=len(pairs)) for split, pairs in files.items()}
        report = check_splits(
            files, config.data.root, lambda split, done, total: bar.update(tasks[split], completed=done)
        )
    for problem in report.of("warning"):
        log(f"warning: {problem.heading}: {problem.remedy}")
    if not report.ready:
        page = write_report(report, Path(config.out) / "check")
        raise InputError(f"{report.summary()}: mend them ({page} shows them), or set data.check to false")


def _in_memory(data: Data, cache: str, console: Console) -> Data:
    """Decode a split into memory where it fits (which also checks every file and label)."""
    size = sum(part.nbytes for part in data[0]) * len(data)
    if cache == "no" or (cache == "auto" and size > _CACHE_LIMIT):
        return data
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"reading {data.name}", total=len(data))
        return cached(data, lambda count: bar.advance(task, count))


def _given(dataset: Any, val: Any, classes: Sequence[str] | None, config: TrainConfig) -> tuple[Data, list[Data]]:
    """Wrap the data sets that a program gives; without ``val`` a fifth of ``dataset`` is held out."""
    names = classes if classes is not None else getattr(dataset, "classes", None)
    if not names:
        raise InputError("dataset: its class names are not known: give classes=[...], or an attribute of that name")
    if val is None:
        if len(dataset) < 2:
            raise InputError(f"dataset: {len(dataset)} sample cannot be divided into train and val: give val=")
        order = np.random.default_rng(config.seed).permutation(len(dataset)).tolist()
        held = max(1, round(0.2 * len(dataset)))
        dataset, val = (torch.utils.data.Subset(dataset, sorted(part)) for part in (order[held:], order[:held]))
    channels = config.model.in_channels
    training, validation = (
        Samples(items, list(names), name=f"dataset/{split}", channels=channels)
        for items, split in ((dataset, "train"), (val, "val"))
    )
    return training, [validation]


def _start_from(model: nn.Module, source: nn.Module, name: str, log: Log) -> None:
    left, new_classes = initialise(model, source)
    log(f"started from {name}: {len(model.state_dict()) - len(left)} of {len(model.state_dict())} tensors fit")
    if new_classes:
        log(f"classes that {name} does not know start anew: {', '.join(new_classes)}")
    for line in left:
        log(f"initialised anew: {line}")


def _transform(data: DataConfig, channels: int) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    return TrainingTransform(data.crop, data.scale, data.flip, data.colour, data.dusk, data.blur, channels)


def _optimizer(model: nn.Module, optim: OptimConfig) -> torch.optim.Optimizer:
    """AdamW or SGD over groups of one learning rate and weight decay; norms and biases have no decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = optim.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((learning_rate_factor(name, optim.lr_parts), decay), []).append(parameter)
    described = [{"params": p, "factor": factor, "weight_decay": decay} for (factor, decay), p in groups.items()]
    if optim.name == "adamw":
        return torch.optim.AdamW(described, lr=optim.lr)
    return torch.optim.SGD(described, lr=optim.lr, momentum=optim.momentum, nesterov=optim.momentum > 0)


def _class_weights(counts: np.ndarray, config: TrainConfig, device: torch.device) -> torch.Tensor | None:
    """Weights from the training masks' pixel counts (N, K), or None."""
    if config.loss.class_weights == "none":
        return None
    return class_weights(config.loss.class_weights, *label_counts(counts)).to(device)


def _evaluate(model: nn.Module, data: Data, config: TrainConfig, accelerator: Accelerator) -> dict[str, Any]:
    """Evaluate with all processes, each its share of the images; every one gets the result of the whole."""

    def add_up(matrix: np.ndarray) -> np.ndarray:
        return accelerator.reduce(torch.from_numpy(matrix).to(accelerator.device), "sum").cpu().numpy()

    share = (accelerator.process_index, accelerator.num_processes)
    return evaluate(model, data, precision=config.precision, share=share, add_up=add_up)


def _brief(result: dict[str, Any]) -> dict[str, Any]:
    """What metrics.jsonl and a model's config keep of an evaluation."""
    return {key: result[key] for key in ("data", "images", "fingerprint", "miou", "pixel_accuracy", "iou")}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level of plain values, which is what trackers take."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value if isinstance(value, int | float | str | bool) else str(value)
    return flat


def _draw(model: nn.Module, data: Data, path: Path, count: int = 4) -> None:
    """Draw predictions for ``count`` pairs spread over the split."""
    predictor = Predictor(model, device=str(next(model.parameters()).device))
    samples = []
    for index in sorted({round(i * (len(data) - 1) / (count - 1)) for i in range(count)}):
        image, label = data[index]
        samples.append((image, label, predictor(image).ids))
    prediction_sheet(samples, data.colours, path)


@contextmanager
def _stop_on_interrupt() -> Iterator[list[int]]:
    """Yield a list that gets an entry on Ctrl-C, so that the loop stops between steps; a second one stops at once."""
    stop: list[int] = []

    def note(number: int, frame: Any) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def _one_line_errors(config: TrainConfig, log: Log) -> Iterator[None]:
    """Turn the errors that a user can act on into one line with the remedy."""
    try:
        yield
    except InputError as error:  # one from a loading process carries its traceback
        line = str(error).strip().splitlines()[-1].removeprefix("pixalign.errors.InputError: ")
        with suppress(InputError):  # where the disk is full, the log is, too
            log.note(f"error: {line}")
        raise InputError(line) from error
    except ValueError as error:
        if "Expected more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            f"batch_size {config.batch_size}: batch norm over a pooled map needs two images per process: "
            "raise batch_size (and lower accumulate)"
        ) from error
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"batch_size {config.batch_size} at crop {config.data.crop} does not fit into the GPU's memory: "
            "lower batch_size and raise accumulate"
        ) from error
