"""The worker process without the engine: `-S` hides site-packages from it. With the engine: tests/e2e."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from intellirouter.hosting import worker

WORKER = str(Path(worker.__file__))


def run_worker(config: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    line = json.dumps(config) + "\n"
    return subprocess.run([sys.executable, "-I", "-S", WORKER], input=line, capture_output=True, text=True, timeout=30)


def test_missing_engine_is_reported() -> None:
    done = run_worker({"host_pid": os.getpid()})
    word, _, facts = done.stdout.partition(" ")
    assert (done.returncode, word) == (1, "FAILED")
    assert json.loads(facts)["kind"] == "engine"
    assert "xllamacpp" in json.loads(facts)["message"]


def test_worker_ends_if_its_host_is_not_its_parent() -> None:
    done = run_worker({"host_pid": 1 if os.getpid() != 1 else 2})
    assert done.returncode != 0
    assert done.stdout == ""
    assert "The host process has ended." in done.stderr
