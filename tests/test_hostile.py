"""Hostile images, masks, names and outputs: every command succeeds, or says in one line what is wrong."""

import pytest

from hostile_data import SPOILERS, make_case, make_model, run_case

CASES, BATCH = 200, 10


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("hostile") / "model")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, CASES, BATCH))
def test_no_hostile_data_brings_a_traceback_a_hang_or_a_wrong_count(first, model, tmp_path, monkeypatch):
    monkeypatch.setattr("pixalign.training.loop.draw_curves", lambda lines, path: None)  # most of the time otherwise
    failures = []
    for seed in range(first, first + BATCH):
        (tmp_path / str(seed)).mkdir()
        case = make_case(tmp_path / str(seed), seed)
        ended, wrong = run_case(case, model)
        assert {"check", "train", "evaluate", "predict"} == set(ended) or wrong
        failures += [f"case {seed} ({', '.join(case.what)}): {line}" for line in wrong]
    assert not failures, "\n".join(failures)


def test_every_way_to_spoil_data_is_among_the_cases():
    assert len(SPOILERS) < CASES
