"""The training loop, on Hugging Face Accelerate: one function, read top to bottom.

A run folder holds config.yaml, run.json (data, versions, starts), log.txt, metrics.jsonl (a line per epoch),
times.jsonl, curves.png, pictures/, the models ``best`` and ``last`` (of the moving average, if there is one), and
``state``, from which ``resume`` goes on. All but the times is the same, bit by bit, however often a run was killed and
resumed on one machine.
"""

import json
import math
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn import functional

from pixalign.data import class_pixels, label_counts
from pixalign.data.loader import AugmentedPairs, EpochBatches, training_loader
from pixalign.data.normalization import normalize
from pixalign.data.samples import Data, require_two_labels
from pixalign.data.transforms import UsersTransform
from pixalign.errors import InputError, Stopped, naming
from pixalign.evaluating import evaluate
from pixalign.fusing import computes_bfloat16
from pixalign.losses import total_loss
from pixalign.losses.weights import adjust_logits, class_weights
from pixalign.memory import reused_memory
from pixalign.models import create_model
from pixalign.models.network import SegmentationNetwork
from pixalign.palette import IGNORE
from pixalign.runtime import open_runtime
from pixalign.sampling import fill
from pixalign.training.accelerator import find_device, make_accelerator, trackers_ended
from pixalign.training.config import ModelConfig, OptimConfig, TrainConfig, flat, write_config
from pixalign.training.groups import parameter_groups
from pixalign.training.initial import check_parts, freeze, initialize, model_config
from pixalign.training.messages import one_line_errors, remedy, warned
from pixalign.training.opening import augmentation, given, open_all
from pixalign.training.parallel import mean_over_processes, synchronize_norms
from pixalign.training.pending import Pending
from pixalign.training.pictures import draw_predictions
from pixalign.training.planning import Timed, plan, undone
from pixalign.training.progress import TrainingProgress
from pixalign.training.run_folder import Log, append, clear_leftovers, cut_back, draw_curves, read_lines, write_run
from pixalign.training.signals import stop_on_signals
from pixalign.training.state import (
    all_finite,
    check_resumed,
    find_state,
    load_state,
    random_state,
    random_state_kept,
    save_state,
)
from pixalign.weights import check_classes, load, save

_TRACK_EVERY = 20  # steps between the losses that trackers get


@random_state_kept()
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
        Stopped: after Ctrl-C, SIGTERM or SIGUSR1, once the state is saved; it is a KeyboardInterrupt.

    What a program has set stays as it was: signal handlers, and the states of Python's, NumPy's and torch's global
    generators, which a run seeds with ``config.seed``. While it runs there is one Accelerator in the process, its own.
    """
    began = time.perf_counter()
    config.check()
    out = Path(config.out)
    state = _check_run_folder(out, resume)
    device = find_device(config)
    fast_bf16 = computes_bfloat16(device)
    if config.precision == "auto":
        config = replace(config, precision="bf16" if fast_bf16 else "fp32")
    accelerator = make_accelerator(config)
    is_main, processes = accelerator.is_main_process, accelerator.num_processes
    log = Log(out / "log.txt", is_main)
    if config.precision == "bf16" and not fast_bf16 and device.type in ("cpu", "cuda"):  # of others we cannot tell
        log(f"warning: precision is bf16, which this {device.type} emulates, many times slower: use auto or fp32")
    set_seed(config.seed)
    source = load(config.init) if config.init and state is None else None
    if source is not None and config.model == ModelConfig():
        config = replace(config, model=model_config(source.config))
    if dataset is None:
        training, validation, mix = open_all(config, log, check=is_main and state is None)
    else:
        training, validation, mix = *given(dataset, val, classes, config), None

    if state is None:
        require_two_labels(training)

    # The network, its moving average, the optimizer.
    model: Any = create_model(
        config.model.name,
        encoder=config.model.encoder,
        num_classes=len(training.classes),
        pretrained=config.model.pretrained,
        in_channels=config.model.in_channels,
        **config.model.options,
    )
    model.config.classes, model.config.colors = training.classes, training.colors
    model.config.data = {"name": training.name, "images": len(training), "fingerprint": training.fingerprint()}
    if mix is not None:
        model.config.data |= {"mixed_with": mix.name, "mix_ratio": config.data.mix_ratio}
    if config.init:
        model.config.data["started_from"] = config.init
    if source is not None:
        _start_from(model, source, config.init, log)
    teacher = load_teacher(config, training.classes, accelerator.device) if config.teacher else None
    if teacher is not None:
        model.config.data["taught_by"] = config.teacher
    frozen = freeze(model, config.freeze)
    check_parts(model, config.optim.lr_parts)
    mean, std = model.config.mean, model.config.std
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    model = model.to(accelerator.device, memory_format=layout)
    if processes > 1:
        model = synchronize_norms(model, accelerator.device)
        set_seed(config.seed, device_specific=True)  # each process its own dropout
    ema = ModelEmaV3(model, decay=config.ema, use_warmup=True) if config.ema else None
    averaged: SegmentationNetwork = ema.module if ema else model
    optimizer: Any = _optimizer(model, config.optim)
    needs_counts = config.loss.class_weights != "none" or config.data.class_uniform
    counts = class_pixels(training) if needs_counts else np.zeros((1, len(training.classes)), np.int64)
    weight = None
    if config.loss.class_weights != "none":
        weight = class_weights(config.loss.class_weights, *label_counts(counts)).to(accelerator.device)
    loss_options = {key: value for key, value in asdict(config.loss).items() if key not in ("class_weights", "adjust")}
    loss_options["mean_over_processes"] = mean_over_processes()

    samples = AugmentedPairs(
        training,
        UsersTransform(transform, len(training.classes))
        if transform
        else augmentation(config.data, config.model.in_channels),
        config.seed,
        counts > 0 if config.data.class_uniform else None,
        config.data.class_uniform,
        mix,
        config.data.mix_ratio,
    )
    wrapped, optimizer = accelerator.prepare(torch.compile(model) if config.compile else model, optimizer)
    scaler = accelerator.scaler  # of fp16's losses, else None
    pending = Pending(accelerator.gather)

    def to_training() -> None:
        model.train()
        for module in frozen:
            module.eval()

    def learn(update: Sequence[Any], rate: float) -> None:
        """Update the weights by some batches, at a learning rate; keep their losses."""
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        moved = [masks.to(accelerator.device, non_blocking=True) for _, masks in update]
        labels = [_fill_labels(masks, model.step) for masks in moved]
        for (images, _), masks in zip(update, labels, strict=True):
            pixels = fill(images.to(accelerator.device, non_blocking=True), model.step)
            images = normalize(pixels, mean, std)
            with accelerator.accumulate(wrapped):
                outputs = wrapped(images.contiguous(memory_format=layout), heads=True)
                taught = teacher(pixels) if teacher else None
                loss, _ = total_loss(
                    outputs, masks.long(), weight=weight, teacher=taught, update=labels, **loss_options
                )
                accelerator.backward(loss)
                if config.optim.clip and accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(wrapped.parameters(), config.optim.clip)
                optimizer.step()
                optimizer.zero_grad()
            pending.add(loss)

    if config.minutes and state is None:
        order = EpochBatches(len(training), config.batch_size, config.seed, 10**6, config.accumulate, world=processes)
        updates = _updates(training_loader(samples, order, config.data.workers), config.accumulate)

        def one_update() -> None:
            learn(next(updates), config.optim.lr)
            pending.read(0, False)

        timed = Timed(
            update=one_update,
            evaluations=[(partial(evaluate, averaged, d, precision=config.precision), len(d)) for d in validation],
            processes=processes,
            longest=lambda s: max(accelerator.gather(torch.tensor([s], device=accelerator.device)).tolist()),
        )
        with one_line_errors(config, log), reused_memory(), undone(model, optimizer, scaler):
            to_training()
            config = plan(config, began, timed, order.per_epoch // config.accumulate, log)

    # Steps are batches; an update of the weights is made every `accumulate` of them.
    batches = EpochBatches(
        len(training), config.batch_size, config.seed, config.epochs,
        accumulate=config.accumulate, rank=accelerator.process_index, world=processes,
        updates=config.updates_per_epoch,
    )  # fmt: skip
    numbers: dict[str, Any] = {"step": 0, "best": -1.0, "loss_sum": 0.0, "losses": 0, "seconds": 0.0}
    batching = {
        "per_epoch": batches.per_epoch, "images": len(training), "fingerprint": training.fingerprint(),
        "batch_size": config.batch_size, "accumulate": config.accumulate, "processes": processes,
    }  # fmt: skip
    if state is not None:
        numbers = load_state(state, model, ema.module if ema else None, optimizer, accelerator.process_index)
        check_resumed(state, numbers, batching)
        if numbers["fingerprint"] != batching["fingerprint"]:
            log(f"warning: {training.name} is not what this run began with: names, sizes or classes have changed")
        if scaler is not None and "scaler" in numbers:
            scaler.load_state_dict(numbers["scaler"])
    numbers |= batching
    step = batches.start = numbers["step"]
    total_steps = config.epochs * batches.per_epoch
    epoch_is_over = step > 0 and step % batches.per_epoch == 0
    to_be_ended = epoch_is_over and numbers["losses"] > 0  # it was stopped before the evaluation
    if is_main:
        clear_leftovers(out)
        write_config(config, out / "config.yaml")
        data = {"train": training, **{f"val {d.name}": d for d in validation}, **({"mix": mix} if mix else {})}
        write_run(out, shlex.join(sys.argv), data, processes, str(accelerator.device))
        for name in ("metrics.jsonl", "times.jsonl"):
            cut_back(out / name, step - to_be_ended)
    log(
        f"{config.model.name} with {config.model.encoder}, {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M "
        f"parameters, {len(training.classes)} classes; {len(training)} images of {training.name}, "
        f"{config.epochs} epochs of {batches.per_epoch} batches; run folder {out}"
    )
    if step:
        log(f"resumed after {step} of {total_steps} batches")
    loader = training_loader(samples, batches, config.data.workers)
    if config.trackers:
        settings = {k: v if isinstance(v, int | float | str) else str(v) for k, v in flat(asdict(config)).items()}
        accelerator.init_trackers("pixalign", config=settings)

    progress = TrainingProgress(total_steps, step, batches.per_epoch, log.console, is_main)

    def shown() -> SegmentationNetwork:
        """The network as it is evaluated and saved."""
        network = averaged.eval()
        if weight is None or not config.loss.adjust:
            return network
        return adjust_logits(network, weight, config.loss.adjust)

    def save_progress() -> None:
        random = accelerator.gather(random_state()[None].to(accelerator.device)).cpu()
        if scaler is not None:
            numbers["scaler"] = scaler.state_dict()
        if is_main:
            save_state(out / "state", model, ema.module if ema else None, optimizer.optimizer, numbers, random)

    def note_losses(values: Sequence[float]) -> None:
        """Add up the losses of the last steps; they must be numbers."""
        for done, value in enumerate(values, start=step - len(values)):
            if not math.isfinite(value):
                raise InputError(
                    f"the loss is {value} at epoch {done // batches.per_epoch + 1}, step {done}: {remedy(config)}"
                )
            numbers.update(loss_sum=numbers["loss_sum"] + value, losses=numbers["losses"] + 1)
            if config.trackers and (done + 1) % _TRACK_EVERY == 0:
                accelerator.log({"loss": value, "lr": rate_at(done)}, step=done + 1)
        numbers["step"] = step
        progress.steps(step, values, config.batch_size * processes)

    def rate_at(done: int) -> float:
        return learning_rate(done // config.accumulate / (total_steps // config.accumulate), config.optim)

    def end_epoch() -> int:
        """Evaluate, save and write down; then draw, which may fail.

        Returns:
            0; or, with nothing done, the number of the signal that came during the evaluation.
        """
        epoch, finished = step // batches.per_epoch, step == total_steps
        network = shown()
        line: dict[str, Any] = {
            "epoch": epoch, "step": step, "loss": numbers["loss_sum"] / numbers["losses"], "lr": rate_at(step - 1)
        }  # fmt: skip
        if finished or epoch % config.evaluate_every == 0:
            try:
                results = [_evaluate(network, data, config, accelerator, interrupted) for data in validation]
            except _Interrupted:
                return max(interrupted)
            line["val"] = {r["data"].rsplit("/", 1)[-1]: _brief(r) for r in results}
            metrics = [{"epoch": epoch, **_brief(r)} for r in results]
            better = (results[0]["miou"] or 0.0) > numbers["best"]
            numbers["best"] = max(numbers["best"], results[0]["miou"] or 0.0)
            if is_main:
                save(network, out / "last", metrics=metrics)
                if better:
                    save(network, out / "best", metrics=metrics)
        speed = numbers.pop("images_per_second")
        numbers.update(loss_sum=0.0, losses=0)
        if is_main:
            append(out / "metrics.jsonl", json.dumps(line))
            times = {"epoch": epoch, "step": step, "seconds": numbers["seconds"], "images_per_second": speed}
            append(out / "times.jsonl", json.dumps(times))
        if config.trackers:
            scores = {f"{split} mIoU": r["miou"] or 0.0 for split, r in line.get("val", {}).items()}
            accelerator.log({"epoch": epoch, "epoch loss": line["loss"], **scores}, step=step)
        save_progress()
        draw(network)
        log.note(progress.epoch(line, speed))
        return 0

    def draw(network: SegmentationNetwork) -> None:
        """Draw what belongs to the epoch that is over and is not there yet; a failure costs no more than a line."""
        epoch, finished = step // batches.per_epoch, step == total_steps
        sheet = out / "pictures" / f"epoch_{epoch:04d}.jpg"
        if not is_main:
            return
        with warned(log, f"epoch {epoch}: the pictures of predictions"):
            if config.pictures_every and (finished or epoch % config.pictures_every == 0) and not sheet.exists():
                draw_predictions(network, validation[0], sheet)
        with warned(log, f"epoch {epoch}: curves.png"):
            lines = read_lines(out / "metrics.jsonl")
            if lines and "val" in lines[-1]:
                draw_curves(lines, out / "curves.png")

    with (
        one_line_errors(config, log),
        stop_on_signals() as interrupted,
        reused_memory(),
        trackers_ended(accelerator),
        progress.bar,
    ):
        if to_be_ended:
            stop = end_epoch()
            if stop:  # the state that was resumed from says the same still
                raise Stopped(stop)
        elif epoch_is_over:
            draw(shown())
        to_training()
        started = saved = time.perf_counter()
        epoch_began, first = started, step
        for update in _updates(loader, config.accumulate):
            learn(update, rate_at(step))
            step += len(update)
            if ema:
                ema.update(model, step=step // config.accumulate)

            epoch_is_over = step % batches.per_epoch == 0
            if not (epoch_is_over or pending.is_due()):
                continue
            now = time.perf_counter()
            losses, stop, due = pending.read(max(interrupted, default=0), now - saved > 60 * config.state_minutes)
            note_losses(losses)
            if not (epoch_is_over or stop or due):
                continue
            if not all_finite(model, averaged):
                raise InputError(f"the weights are not all numbers after step {step}: {remedy(config)}")
            numbers["seconds"] += now - started
            if epoch_is_over:
                numbers["images_per_second"] = (step - first) * config.batch_size * processes / (now - epoch_began)
                stop = stop or end_epoch()
            if stop or not epoch_is_over:
                save_progress()
            if stop:
                by = signal.Signals(stop).name
                log(f"stopped by {by} at step {step} of {total_steps}, saved: go on with --resume")
                raise Stopped(stop)
            started = saved = time.perf_counter()
            if epoch_is_over:
                epoch_began, first = started, step
                to_training()
    if batches.start == total_steps:
        log(f"all {config.epochs} epochs of this run are done: raise --epochs of a new run, or start one from --init")
    return out


def learning_rate(progress: float, optim: OptimConfig) -> float:
    """The decoder's learning rate after a share ``progress`` (0 to 1) of all updates: linear warm-up, then decay."""
    if progress < optim.warmup:
        return optim.lr * (progress + 1e-3) / (optim.warmup + 1e-3)
    left = (1 - progress) / (1 - optim.warmup)
    return optim.lr * (left**0.9 if optim.schedule == "poly" else 0.5 - 0.5 * math.cos(math.pi * left))


def _fill_labels(masks: Tensor, step: int) -> Tensor:
    """Masks (N, H, W) of images that were filled up to sides of whole steps; what was added is ignored."""
    missing = [-side % step for side in masks.shape[-2:]]
    return functional.pad(masks, (0, missing[1], 0, missing[0]), value=IGNORE)


def load_teacher(config: TrainConfig, classes: Sequence[str], device: torch.device) -> Callable[[Tensor], Tensor]:
    """Load ``config.teacher``; what is returned gives its logits (N, K, H, W) for images (N, C, H, W) uint8."""
    precision = "fp32" if config.precision == "fp32" else "auto"
    runtime = open_runtime(config.teacher, "fused", device, precision)
    channels = runtime.config.in_channels
    with naming(f"teacher {config.teacher}"):
        check_classes(runtime.config.classes, classes)
        if channels != config.model.in_channels:
            raise InputError(
                f"it takes images of {channels} channels, and the network those of {config.model.in_channels}"
            )
    return runtime.logits


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


def _start_from(model: SegmentationNetwork, source: SegmentationNetwork, name: str, log: Log) -> None:
    left, new_classes = initialize(model, source)
    if source.config.arguments.get("encoder") == model.config.arguments.get("encoder"):
        model.config.encoder_weights = model.config.encoder_weights or source.config.encoder_weights
    log(f"started from {name}: {len(model.state_dict()) - len(left)} of {len(model.state_dict())} tensors fit")
    if new_classes:
        log(f"classes that {name} does not know start anew: {', '.join(new_classes)}")
    for line in left:
        log(f"initialized anew: {line}")


def _optimizer(model: nn.Module, optim: OptimConfig) -> torch.optim.Optimizer:
    groups = parameter_groups(model, optim)
    if optim.name == "adamw":
        return torch.optim.AdamW(groups, lr=optim.lr)
    return torch.optim.SGD(groups, lr=optim.lr, momentum=optim.momentum, nesterov=optim.momentum > 0)


class _Interrupted(Exception):
    """An evaluation was left, because a signal asks for the end."""


def _evaluate(
    model: SegmentationNetwork, data: Data, config: TrainConfig, accelerator: Accelerator, interrupted: Sequence[int]
) -> dict[str, Any]:
    """Evaluate with all processes, each its share of the images; every one gets the result of the whole.

    A process alone leaves it once it is ``interrupted``; several end it, since the others would wait.
    """

    def add_up(matrix: np.ndarray) -> np.ndarray:
        return accelerator.reduce(torch.from_numpy(matrix).to(accelerator.device), "sum").cpu().numpy()

    def advance(count: int) -> None:
        if interrupted and accelerator.num_processes == 1:
            raise _Interrupted

    share = (accelerator.process_index, accelerator.num_processes)
    return evaluate(model, data, precision=config.precision, share=share, add_up=add_up, advance=advance)


def _brief(result: dict[str, Any]) -> dict[str, Any]:
    """What metrics.jsonl and a model's config keep of an evaluation."""
    return {key: result[key] for key in ("data", "images", "fingerprint", "miou", "pixel_accuracy", "iou")}


def _updates(loader: Iterable[Any], count: int) -> Iterator[list[Any]]:
    """Batches in lists of ``count``."""
    batches = iter(loader)
    while update := [*islice(batches, count)]:
        yield update
