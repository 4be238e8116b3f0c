"""Networks ready to run by PyTorch, ONNX Runtime or OpenVINO: `open_runtime` gives the one callable of all of them."""

from pixalign.runtime.manifest import MANIFEST, manifest_file, read_manifest
from pixalign.runtime.opening import BACKENDS, EXPORTED, Source, is_exported, open_runtime, pick_device
from pixalign.runtime.runtime import PRECISIONS, Runtime

__all__ = [
    "BACKENDS",
    "EXPORTED",
    "MANIFEST",
    "PRECISIONS",
    "Runtime",
    "Source",
    "is_exported",
    "manifest_file",
    "open_runtime",
    "pick_device",
    "read_manifest",
]
