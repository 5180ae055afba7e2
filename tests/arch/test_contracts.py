"""The house rules that tools can judge hold: import contracts, doors, sizes, pinned requirements."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SOURCE = REPO / "src" / "intellirouter"
ROOMS = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=REPO, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("script", ["check_sizes", "check_requirements"])
def test_the_tree_passes_its_own_checks(script: str) -> None:
    done = _run("-m", f"scripts.{script}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_contracts_hold() -> None:
    done = _run("-c", "from importlinter.cli import lint_imports_command as c; c(['--no-logo', '--no-cache'])")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_a_door_that_says_what_it_is_for(room: str) -> None:
    door = ast.parse((SOURCE / room / "__init__.py").read_text())
    assert ast.get_docstring(door), f"{room} does not say what it does"
    names = {target.id for node in door.body for target in _targets(node) if isinstance(target, ast.Name)}
    assert "__all__" in names, f"{room} does not say what it offers"


def _targets(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign) else []


@pytest.mark.parametrize("room", ROOMS)
def test_every_door_offers_what_it_says(room: str) -> None:
    done = _run(
        "-W",
        "error",
        "-c",
        f"import intellirouter.{room} as r; missing = [n for n in r.__all__ if not hasattr(r, n)]; print(missing)",
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stdout + done.stderr


def test_every_room_is_private_but_for_its_door() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(REPO / ".importlinter")
    protected = {
        section.removeprefix("importlinter:contract:door-")
        for section in contracts.sections()
        if section.startswith("importlinter:contract:door-")
    }
    assert set(ROOMS) <= protected, "add a door contract to .importlinter"


def test_every_module_says_what_it_is() -> None:
    silent = [
        path.relative_to(REPO).as_posix()
        for path in sorted(SOURCE.rglob("*.py"))
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []
