"""`make run` and `make stop`: one process is noted, and only that one is ended."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
DEADLINE_S = 10.0
STUB = '#!/usr/bin/env bash\necho "$@" >"$STUB_OUTPUT"\nexec sleep 60\n'


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with the script and a stand-in for the gateway."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(REPO / "scripts" / "gateway_process.sh", tmp_path / "scripts")
    program = tmp_path / "env" / "bin" / "intellirouter"
    program.parent.mkdir(parents=True)
    program.write_text(STUB)
    program.chmod(0o755)
    return tmp_path


@pytest.fixture
def start(tree: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    processes: list[subprocess.Popen[str]] = []

    def _start(*arguments: str, port: int = 8080) -> "subprocess.Popen[str]":
        processes.append(
            subprocess.Popen(
                ["scripts/gateway_process.sh", *arguments],
                cwd=tree,
                env={
                    **os.environ,
                    "VENV": "env",
                    "API_PORT": str(port),
                    "STUB_OUTPUT": str(tree / f"started-{port}"),
                },
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
        return processes[-1]

    yield _start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _is_started(tree: Path, port: int) -> bool:
    return (tree / f"started-{port}").exists() and bool((tree / f"started-{port}").read_text())


def test_run_becomes_the_gateway_and_stop_ends_it(tree: Path, start: Callable[..., "subprocess.Popen[str]"]) -> None:
    gateway = start("run", "--config", "x.yaml")
    _until(lambda: _is_started(tree, 8080))
    assert (tree / "started-8080").read_text().split() == ["serve", "--config", "x.yaml"]
    assert (tree / ".run" / "gateway.pid").read_text().split()[0] == str(gateway.pid)
    output, _ = start("stop").communicate(timeout=DEADLINE_S)
    assert f"process {gateway.pid}" in output
    assert gateway.wait(timeout=DEADLINE_S) == -signal.SIGTERM
    assert not (tree / ".run" / "gateway.pid").exists()


def test_a_second_gateway_on_the_same_port_is_refused(
    tree: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    first = start("run")
    _until(lambda: _is_started(tree, 8080))
    second = start("run")
    output, _ = second.communicate(timeout=DEADLINE_S)
    assert second.returncode == 1
    assert f"process {first.pid}" in output
    assert "make stop" in output
    assert first.poll() is None


def test_gateways_on_other_ports_are_stopped_too(tree: Path, start: Callable[..., "subprocess.Popen[str]"]) -> None:
    first = start("run")
    _until(lambda: _is_started(tree, 8080))
    second = start("run", port=8090)
    _until(lambda: _is_started(tree, 8090))
    start("stop").communicate(timeout=DEADLINE_S)
    assert first.wait(timeout=DEADLINE_S) == second.wait(timeout=DEADLINE_S) == -signal.SIGTERM


def test_a_process_that_has_the_number_by_chance_is_left_alone(
    tree: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        (tree / ".run").mkdir()
        (tree / ".run" / "gateway.pid").write_text(f"{bystander.pid} 12345 8080\n")
        output, _ = start("stop").communicate(timeout=DEADLINE_S)
        assert "No gateway" in output
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
