"""What a process has set stays as it was, whatever is called: of the library as of the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("globals_script.py")
DRAWS = {"create_model": ["torch's numbers"]}  # initial weights come from torch's generator, as with torch's own layers


@pytest.mark.slow
def test_nothing_of_the_process_is_changed_but_the_numbers_that_initial_weights_draw(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert len(found) > 15
    assert {name: sorted(changed) for name, changed in found.items() if changed} == DRAWS, found
