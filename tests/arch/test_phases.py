"""`test/run-tests.sh` runs what it says, tried with stand-ins for the programs that it calls."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PHASES = {
    "structure": ["gate.sh imports sizes wording documents generated", "pytest tests/arch tests/docs"],
    "dependencies": ["system_packages.sh", "gate.sh dependencies", "-m pip check"],
    "unit": ["pytest tests/unit"],
    "integration": ["pytest tests/faults"],
    "business": ["pytest tests/e2e"],
    "performance": ["pytest tests/arch/test_import_cost.py", "-m bench.micro"],
}
_STAND_IN = """#!/usr/bin/env bash
arguments="$*"
options='-m pytest (-[a-z]+ |auto |--maxprocesses [0-9]+ )*'
printf '%s %s\\n' "$(basename "$0")" "$(sed -E "s/$options/pytest /" <<<"$arguments")"
[ "${FAILING:-none}" = none ] || [[ "$arguments" != *"$FAILING"* ]]
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "test").mkdir()
    shutil.copy(REPO / "test" / "run-tests.sh", tmp_path / "test")
    for name in ("scripts/environment.sh", "scripts/gate.sh", "scripts/system_packages.sh", ".venv/bin/python"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_STAND_IN)
        file.chmod(0o755)
    return tmp_path


def run(tree: Path, *arguments: str, failing: str = "none") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "FAILING": failing}
    command = ["bash", "test/run-tests.sh", *arguments]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=30)


def called(tree: Path, *arguments: str) -> list[str]:
    done = run(tree, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.removeprefix("python ").strip() for line in done.stdout.splitlines()]
    return [line for line in lines if not line.startswith(("==", "environment.sh", "Passed: "))]


@pytest.mark.parametrize("phase", PHASES)
def test_phase_runs_what_it_says(tree: Path, phase: str) -> None:
    assert called(tree, phase) == PHASES[phase]
    assert called(tree, phase, "--verbose") == PHASES[phase]


def test_all_runs_every_phase_and_every_folder_of_tests(tree: Path) -> None:
    ran = called(tree, "all")
    assert ran == [each for phase in PHASES.values() for each in phase]
    folders = {path.parent.name for path in (REPO / "tests").glob("*/test_*.py")}
    folders |= {path.parent.parent.name for path in (REPO / "tests").glob("*/*/test_*.py")}
    assert {folder for folder in folders if f"tests/{folder}" not in " ".join(ran)} == {"clients"}


def test_failed_phase_fails_the_run_and_the_others_still_run(tree: Path) -> None:
    done = run(tree, "unit", "business", failing="tests/unit")
    assert done.returncode == 1
    assert "tests/e2e" in done.stdout
    assert done.stdout.endswith("Failed: unit\n")


def test_unknown_and_missing_phases_are_refused_before_anything_runs(tree: Path) -> None:
    for arguments in (["nonsense"], ["unit", "nonsense"], []):
        done = run(tree, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "usage: test/run-tests.sh" in done.stderr
    assert run(tree, "--help").returncode == 0
