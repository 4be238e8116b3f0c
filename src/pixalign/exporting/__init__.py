"""Networks as files for other programs: ONNX, OpenVINO and torch.export, each verified before it is put in place."""

from pixalign.exporting.writing import FORMATS, export

__all__ = ["FORMATS", "export"]
