"""The commands that messages suggest work as they are printed."""

import subprocess
import sys
from pathlib import Path

import pytest

from intellirouter.core import program
from intellirouter.core.program import command_for, with_program_name

PYTHON = "/srv/.venv/bin/python"


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ([PYTHON, ".venv/bin/intellirouter", "serve"], ".venv/bin/intellirouter"),
        ([PYTHON, "/opt/my tools/intellirouter-cli", "serve"], "'/opt/my tools/intellirouter-cli'"),
        (["python3", "-m", "intellirouter", "serve"], "python3 -m intellirouter"),
        ([PYTHON, "-X", "dev", "-m", "intellirouter"], f"{PYTHON} -m intellirouter"),
        ([PYTHON, "-c", "main()"], "intellirouter"),
        ([], "intellirouter"),
    ],
)
def test_program_is_named_as_it_was_started(arguments: list[str], command: str) -> None:
    assert command_for(arguments, is_on_path=False) == command
    assert command_for(arguments, is_on_path=True) == "intellirouter"


def test_commands_in_messages_get_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "program_name", lambda: "bin/intellirouter")
    text = "Run `intellirouter init`, or run: intellirouter serve. The intellirouter stays."
    expected = "Run `bin/intellirouter init`, or run: bin/intellirouter serve. The intellirouter stays."
    assert with_program_name(text) == expected


def test_module_can_be_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "intellirouter", "config", "check", str(tmp_path / "none.yaml")]
    environ = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    assert done.returncode == 3
    assert f"run `{sys.executable} -m intellirouter init -o " in done.stderr
