"""Parameter groups of the optimizer: one learning rate and one weight decay each."""

import timm
import torch
from timm.optim import param_groups_weight_decay
from torch import nn

from pixalign.encoders import TimmEncoder
from pixalign.training.config import OptimConfig
from pixalign.training.initial import learning_rate_factor


def parameter_groups(model: nn.Module, optim: OptimConfig) -> list[dict[str, object]]:
    """Parameters in groups of one "factor" of the learning rate and one "weight_decay".

    Weights decay; norms, biases and what `undecayed` names do not.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for group in param_groups_weight_decay(model, optim.weight_decay, no_weight_decay_list=undecayed(model)):
        for parameter in group["params"]:
            factor = learning_rate_factor(names[parameter], optim.lr_parts)
            groups.setdefault((factor, group["weight_decay"]), []).append(parameter)
    return [{"params": p, "factor": factor, "weight_decay": decay} for (factor, decay), p in groups.items()]


def undecayed(model: nn.Module) -> set[str]:
    """Names of the parameters that a module's ``no_weight_decay()`` names, such as position embeddings.

    timm takes some models apart for their feature maps, and the method is lost; then a model of that name is asked.
    """
    found: set[str] = set()
    for prefix, module in model.named_modules():
        if callable(asked := getattr(module, "no_weight_decay", None)):
            found |= {f"{prefix}.{name}".removeprefix(".") for name in asked()}
        if isinstance(module, TimmEncoder) and not hasattr(module.body, "model"):
            named = {_flat(name) for name in _named_by_timm(module.name)}
            names = [name for name, _ in module.body.named_parameters() if _flat(name) in named]
            found |= {f"{prefix}.body.{name}".removeprefix(".") for name in names}
    return found


def _named_by_timm(encoder: str) -> set[str]:
    """What the whole timm model of this name says, without its weights."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        try:
            whole = timm.create_model(encoder)
        except (NotImplementedError, RuntimeError):  # it computes while it is built
            with torch.device("cpu"):
                whole = timm.create_model(encoder)
    asked = getattr(whole, "no_weight_decay", None)
    return set(asked()) if callable(asked) else set()


def _flat(name: str) -> str:
    """A name in which it makes no difference whether stages are nested."""
    return name.replace(".", "_")
