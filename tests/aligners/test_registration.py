"""A new aligner is one class with a decorator, here Lean (arXiv 0000.00000, of course): everything else finds it."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pixalign
from graphs import export, relative_error
from networks import image, randomized
from pixalign.aligners import ALIGNERS, Aligner, aligner
from pixalign.aligners.geometry import Displacement
from pixalign.app.picking import pick
from pixalign.cli import main
from pixalign.explaining.evidence import captured, moves
from pixalign.explaining.sections import one_network
from pixalign.fusing.rewrites import REWRITES
from pixalign.losses import total_loss
from pixalign.sampling import grid_of


@contextmanager
def registered() -> Iterator[type[Aligner]]:
    """The toy: the coarse map is fetched from where the fine one says."""
    with patch.dict(ALIGNERS):

        @aligner("lean")
        class Lean(Aligner):
            about = "Each pixel fetches its coarse feature from where the fine map says."

            def __init__(self, channels: int, convention: str = "pixel", reach: float = 1.0) -> None:
                super().__init__(convention)
                self.reach = reach
                self.make_flow = nn.Conv2d(channels, 2, 1)

            def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
                (displacement,) = self.geometry(fine, coarse)
                return fine + displacement.read(coarse)

            def geometry(self, fine: Tensor, coarse: Tensor) -> list[Displacement]:
                flow = self.reach * self.make_flow(fine)
                return [Displacement("coarse", flow, grid_of(coarse), self.convention)]

        yield Lean


@pytest.fixture
def lean():
    with registered() as made:
        yield made


def small() -> nn.Module:
    torch.manual_seed(0)
    options = {"aligner": "lean", "aligner_options": {"reach": 2.0}, "channels": 16}
    return pixalign.create_model("aligned_fpn", encoder="test_resnet", num_classes=5, **options)


@pytest.mark.usefixtures("lean")
def test_it_learns():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [x.make_flow.weight.clone() for x in model.aligners]
    label = torch.randint(0, 5, (2, 64, 96))
    loss, _ = total_loss(model(image(64, 96, batch=2), heads=True), label)
    loss.backward()
    optimizer.step()
    for x, old in zip(model.aligners, before):
        assert not torch.equal(x.make_flow.weight, old)


@pytest.mark.usefixtures("lean")
def test_it_is_listed(capsys, monkeypatch):
    monkeypatch.setattr("pixalign.models.list_models", lambda: ["aligned_fpn"])  # of the others elsewhere
    assert main(["models", "--encoder", "test_resnet", "--size", "64x97"]) == 0
    printed = capsys.readouterr().out
    assert "│ lean" in printed
    assert "Lean (arXiv" in printed


@pytest.mark.usefixtures("lean")
def test_it_is_saved_and_loaded(tmp_path):
    model = randomized(small()).eval()
    loaded = pixalign.load(pixalign.save(model, tmp_path / "model"))
    assert [x.reach for x in loaded.aligners] == [2.0] * 3
    with torch.no_grad():
        assert torch.equal(loaded(image(65, 97)), model(image(65, 97)))


@pytest.mark.usefixtures("lean")
def test_its_displacement_is_drawn(monkeypatch):
    model, shown = randomized(small()).eval(), []
    monkeypatch.setattr("pixalign.explaining.pictures.SIDE", 240)

    def spy(evidence, scene):
        shown.extend(one_network(evidence, scene))
        return shown

    monkeypatch.setattr("pixalign.explaining.explanation.one_network", spy)
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    assert pixalign.explain(model, picture, device="cpu").sheets
    section = shown[1]
    assert section.heading == "Where features are fetched from"
    assert section.text.startswith("Each pixel fetches its coarse feature from where the fine map says.")
    assert [panel.title for panel in section.panels] == [f"Coarse map, 1/{2 * s}\u00a0→\u00a01/{s}" for s in (16, 8, 4)]
    with captured(model) as found, torch.inference_mode():
        model(image(64, 96))
    assert all(np.abs(move.pixels).max() > 4 for alignment in found for move in moves(alignment, (64, 96)))
    picked = pick(pixalign.Predictor(model, "cpu"), picture, (40, 30))
    assert [title for title, _, _ in picked.pictures] == ["Where its features came from"]


def test_it_is_exported_and_in_a_fused_network_run_as_it_is(lean):
    model = randomized(small()).eval()
    fused = pixalign.fuse(model)
    assert lean not in REWRITES
    assert "Lean" not in fused.rewrites
    assert "LevelFusion" in fused.rewrites
    assert [type(x) for x in fused.aligners] == [lean] * 3
    program = export(model, [image(64, 96, batch=2)]).module()
    with torch.no_grad():
        for size in ((64, 96), (65, 97)):
            assert relative_error(fused(image(*size)), model(image(*size))) < 1e-4
            assert relative_error(program(image(*size)), model(image(*size))) < 1e-4


def test_its_name_is_taken_only_once(lean):
    with pytest.raises(ValueError, match="aligner 'lean' is Lean already: choose another name"):
        aligner("lean")(lean)


@pytest.mark.usefixtures("lean")
def test_options_are_its_arguments():
    with pytest.raises(pixalign.InputError, match="aligner_options: lean has no option 'far': choose from reach"):
        pixalign.create_model("aligned_fpn", encoder="test_resnet", aligner="lean", aligner_options={"far": 1})


def test_outside_of_the_test_it_is_gone():
    with registered():
        assert "lean" in ALIGNERS
    with pytest.raises(pixalign.InputError, match=r"aligner 'lean' is unknown: choose one of bilinear, .*implicit$"):
        small()
