"""What is forked with a Predictor in it says so, where it would wait for ever."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pixalign import InputError, save
from pixalign.predicting import forks

SCRIPT = """
import json, os, sys
import numpy as np
import torch
import pixalign

image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)

def make():
    return pixalign.Predictor(sys.argv[1], "cpu")

def ask(threads, predictor):
    if threads:
        torch.set_num_threads(threads)
    try:
        return int((predictor or make())(image).ids.astype(int).sum())
    except pixalign.InputError as error:
        return str(error)

seen, kept = {}, []

def forked(threads, which):
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, json.dumps(ask(threads, kept[0] if which == "kept" else None)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        return json.loads(answer.read())

seen["made in the child"] = forked(None, "new")
kept.append(make())
seen["alone"] = ask(None, kept[0])
seen["forked"] = forked(None, "kept")
seen["made in a child of it"] = forked(None, "new")
seen["with one thread"] = forked(1, "kept")
print(json.dumps(seen))
"""


@pytest.mark.skipif(not forks._has_gnu_openmp(), reason="needs GNU's OpenMP, which waits in a forked process")
def test_a_forked_predictor_says_so_and_what_the_docs_advise_works(model, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(save(model, tmp_path / "m"))],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"},
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["made in the child"] == seen["alone"] == seen["with one thread"]
    for where in ("forked", "made in a child of it"):
        assert "was forked after a Predictor had computed in threads" in seen[where]
        assert "docs/deploying.md" in seen[where]
    assert (Path(__file__).parents[2] / "docs" / "deploying.md").is_file()


def test_an_exported_model_belongs_to_the_process_that_opened_it():
    forks.check_process(os.getpid())
    with pytest.raises(InputError, match=r"was forked from 1, where the exported model was opened"):
        forks.check_process(1)


def test_others_openmp_and_a_single_thread_are_let_through(monkeypatch):
    monkeypatch.setattr(forks, "_inherited", True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(forks, "_has_gnu_openmp", lambda: True)
    forks.check_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(forks, "_has_gnu_openmp", lambda: False)
    forks.check_threads()
