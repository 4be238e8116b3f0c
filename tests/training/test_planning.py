"""Runs of so many minutes: what is planned fits in, and what was timed leaves no trace."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixalign import DataConfig, InputError, ModelConfig, TrainConfig, draw_scene, train
from pixalign.data.sets.streets import CLASSES
from pixalign.training import planning
from pixalign.training.planning import Timed, planned

seconds = st.floats(0.001, 100)


@given(
    left=st.floats(0, 1e5), update=seconds, evaluation=seconds, a_pass=st.integers(1, 10**6),
    every=st.integers(1, 50), updates=st.integers(0, 1000),
)  # fmt: skip
def test_a_plan_fits_into_the_time_or_is_refused(left, update, evaluation, a_pass, every, updates):
    config = TrainConfig(minutes=left / 60, evaluate_every=every, updates_per_epoch=updates)
    if 0.97 * left - evaluation - 1 < 20 * update:
        with pytest.raises(InputError, match="give more"):
            planned(config, left, update, evaluation, a_pass)
        return
    plan = planned(config, left, update, evaluation, a_pass)
    assert plan.minutes == 0
    assert 1 <= plan.evaluate_every <= plan.epochs
    evaluations = -(-plan.epochs // plan.evaluate_every)
    assert plan.epochs * plan.updates_per_epoch * update + evaluations * evaluation <= left
    assert plan.updates_per_epoch <= (updates or a_pass)


def config_of(out, **changes):
    return TrainConfig(
        model=ModelConfig(encoder="test_resnet", options={"channels": 16}),
        data=DataConfig(crop=(64, 96), workers=0),
        batch_size=2,
        accumulate=2,
        pictures_every=0,
        out=str(out),
        **changes,
    )


def files(run):
    return [(run / name).read_bytes() for name in ("metrics.jsonl", "last/model.safetensors")]


def test_a_planned_run_is_to_the_bit_the_one_of_its_epochs(tmp_path, monkeypatch):
    pairs = [draw_scene(seed, size=(64, 96)) for seed in range(10)]
    plans = []

    def two_epochs(config, *arguments):
        plans.append(arguments)
        return replace(config, epochs=2, updates_per_epoch=2, evaluate_every=1, minutes=0)

    monkeypatch.setattr(planning, "planned", two_epochs)
    given = {"dataset": pairs, "classes": list(CLASSES)}
    asked = train(config_of(tmp_path / "asked", minutes=5), **given)
    plain = train(config_of(tmp_path / "plain", epochs=2, updates_per_epoch=2, evaluate_every=1), **given)
    assert files(asked) == files(plain)
    assert "minutes: 0\n" in (asked / "config.yaml").read_text(encoding="utf-8")
    [(left, update, evaluation, a_pass)] = plans
    assert 0 < update < left < 300
    assert 0 < evaluation < left
    assert a_pass == 2


def test_too_little_time_is_told_with_what_would_be_enough(tmp_path):
    pairs = [draw_scene(seed, size=(64, 96)) for seed in range(4)]
    with pytest.raises(InputError, match=r"minutes is 0.001: .* 20 updates and .* take \d+\.\d minutes on this"):
        train(config_of(tmp_path, minutes=0.001), dataset=pairs, classes=list(CLASSES))


@pytest.mark.parametrize("images", [1, 2, 3, 5, 7, 100])
def test_an_evaluation_is_foretold_from_its_start_and_its_images(images, monkeypatch):
    """Of a clock that goes on by two seconds for each evaluation, and by half of one for each image."""
    clock = [0.0]
    monkeypatch.setattr(planning.time, "perf_counter", lambda: clock[0])

    def evaluate(share):
        clock[0] += 2 + 0.5 * len(range(share[0], images, share[1]))

    timed = Timed(lambda: None, [(evaluate, images)], 1, lambda seconds: seconds)
    assert timed.seconds_to_evaluate() == pytest.approx(2 + 0.5 * images)
