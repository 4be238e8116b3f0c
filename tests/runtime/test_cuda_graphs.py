"""Which graphs are kept, and what is refused where there is no GPU; tests/gpu has what is recorded."""

import pytest
import torch

from networks import network
from pixalign.errors import InputError
from pixalign.runtime import cuda_graphs, open_runtime, pick_device
from pixalign.runtime.cuda_graphs import KEPT, CudaGraphs


@pytest.fixture
def recorded(monkeypatch):
    """The shapes that are recorded, in order; a recording calls the function."""
    shapes = []

    def record(run, images, source):
        shapes.append(tuple(images.shape))
        return run

    monkeypatch.setattr(cuda_graphs, "record", record)
    return shapes


def sized(side):
    return torch.zeros(1, 3, side, side)


def test_each_shape_is_recorded_once(recorded):
    graphs = CudaGraphs(lambda x: x + 1, "plus one")
    for side in (32, 64, 32, 64, 32):
        assert torch.equal(graphs(sized(side)), sized(side) + 1)
    assert recorded == [(1, 3, 32, 32), (1, 3, 64, 64)]


def test_layout_and_dtype_have_recordings_of_their_own(recorded):
    graphs = CudaGraphs(lambda x: x, "same")
    for images in (sized(32), sized(32).to(memory_format=torch.channels_last), sized(32).half()):
        graphs(images)
    assert len(recorded) == 3


def test_no_more_than_a_few_shapes_are_kept_and_the_one_unused_for_longest_goes(recorded):
    graphs = CudaGraphs(lambda x: x, "same")
    for side in range(1, KEPT + 1):
        graphs(sized(side))
    graphs(sized(1))
    graphs(sized(100))  # takes the place of 2
    assert len(graphs.recorded) == KEPT
    graphs(sized(1))
    assert len(recorded) == KEPT + 1
    graphs(sized(2))
    assert len(recorded) == KEPT + 2


def test_graphs_are_refused_without_a_gpu_and_for_exported_files(tmp_path):
    with pytest.raises(InputError, match="cuda_graphs need a GPU, and the device is cpu: leave them out"):
        open_runtime(network("sfnet"), "cuda_graphs", "cpu")
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(InputError, match=r"model\.onnx: is run by ONNX Runtime, not PyTorch, CUDA graphs"):
        open_runtime(tmp_path / "model.onnx", "cuda_graphs")


def test_a_device_that_is_unknown_or_absent_is_refused_in_one_line(monkeypatch):
    with pytest.raises(InputError, match="device 'gpu' is unknown: use auto, cpu or cuda"):
        open_runtime(network("sfnet"), device="gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device() == pick_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match="device is cuda but no CUDA device is there: use auto or cpu"):
        open_runtime(network("sfnet"), device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(InputError, match="device is cuda:2 but there are 2: give a lower number, from 0"):
        pick_device("cuda:2")
