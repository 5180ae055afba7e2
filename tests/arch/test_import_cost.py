"""What is loaded when. Sets of modules are compared, never times."""

import subprocess
import sys

import pytest

HEAVY = ("httpx", "pydantic", "fastapi", "starlette", "sqlalchemy", "alembic", "yaml", "typer", "rich")


def _loaded_by(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after `statement`."""
    program = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_semantic_cache_loads_its_extra_only_when_it_is_used() -> None:
    loaded = _loaded_by("import intellirouter.cache.semantic, intellirouter.roles.compose")
    assert loaded & {"numpy", "safetensors", "tokenizers", "wordllama"} == set()


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = _loaded_by("import intellirouter")
    assert "intellirouter" in loaded
    assert loaded & {*HEAVY, "msgspec", "asyncio"} == set()


@pytest.mark.parametrize("room", ["core", "dialects", "resilience", "fake", "testing"])
def test_rooms_of_the_data_path_load_no_framework(room: str) -> None:
    loaded = _loaded_by(f"import intellirouter.{room}")
    assert loaded & set(HEAVY) == set()


def test_websockets_are_loaded_by_the_first_socket() -> None:
    assert "websockets" not in _loaded_by("import intellirouter.serving.server, intellirouter.cli.serve")


def test_schema_validation_is_loaded_by_the_first_structured_answer() -> None:
    assert "jsonschema_rs" not in _loaded_by("import intellirouter.roles.compose")


def test_the_client_loads_no_server_room() -> None:
    program = "import intellirouter\nintellirouter.Client"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{program}\nimport sys\nprint(*[n for n in sys.modules if n.startswith('intellirouter.')])",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    rooms = {name.split(".")[1] for name in done.stdout.split()}
    assert rooms <= {"client", "core", "dialects"}
