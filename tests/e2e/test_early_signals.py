"""Signals that arrive while the program still imports its modules: no traceback, and a reload does not kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEADLINE_S = 60.0
# Sends itself a signal at the moment when a module is looked for, and whenever the program then goes on, says so.
SIGNALED = """
import os, sys

module, number = sys.argv[1], int(sys.argv[2])
del sys.argv[1:3]

class Sender:
    is_sent = False

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == module and not cls.is_sent:
            cls.is_sent = True
            os.kill(os.getpid(), number)
            os.write(1, b"survived\\n")

sys.meta_path.insert(0, Sender)
from intellirouter.cli import main
main()
"""
EARLY = ("intellirouter.cli.app", "typer", "intellirouter.roles", "pydantic", "uvloop")


def run(
    tmp_path: Path, module: str, number: signal.Signals, *arguments: str, ignored: signal.Signals | None = None
) -> "subprocess.CompletedProcess[bytes]":
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return subprocess.run(
        [sys.executable, "-c", SIGNALED, module, str(int(number)), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=tmp_path,
        env=environment,
        timeout=DEADLINE_S,
        preexec_fn=None if ignored is None else lambda: signal.signal(ignored, signal.SIG_IGN),
    )


@pytest.mark.parametrize("module", EARLY)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_server_that_still_imports_stops_normally(tmp_path: Path, module: str, number: signal.Signals) -> None:
    done = run(tmp_path, module, number, "serve", "--config", "absent.yaml")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_server_started_in_the_background_of_a_script_stops_on_an_early_interrupt(tmp_path: Path) -> None:
    done = run(tmp_path, "typer", signal.SIGINT, "serve", "--config", "absent.yaml", ignored=signal.SIGINT)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("module", EARLY)
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_server_that_still_imports_survives_other_signals(tmp_path: Path, module: str, number: signal.Signals) -> None:
    done = run(tmp_path, module, number, "serve", "--config", "absent.yaml")
    assert done.stdout == b"survived\n"
    assert done.returncode == 3  # the file does not exist
    assert b"absent.yaml" in done.stderr


@pytest.mark.parametrize("module", ["intellirouter.cli.app", "typer", "httpx", "msgspec"])
def test_interrupted_command_prints_no_traceback(tmp_path: Path, module: str) -> None:
    done = run(tmp_path, module, signal.SIGINT, "requests", "list", "--url", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout.replace(b"survived\n", b""), done.stderr) == (130, b"", b"")


def test_interrupt_that_the_parent_ignores_does_not_end_a_command(tmp_path: Path) -> None:
    done = run(tmp_path, "typer", signal.SIGINT, "version", ignored=signal.SIGINT)
    assert done.returncode == 0
    assert done.stdout.startswith(b"survived\nintellirouter ")


def test_program_can_be_run_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "intellirouter", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("intellirouter ")
