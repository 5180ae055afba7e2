"""The commands in the README and the guides run as written: only addresses, ids and waiting times are replaced."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.snippets import REPO, blocks, commands

PAGES = ["README.md", "CONTRIBUTING.md"] + [
    f"docs/guides/{name}.md"
    for name in (
        "batches",
        "caching",
        "catalog",
        "cli",
        "configuration",
        "deployment",
        "python-client",
        "reliability",
        "resilience",
        "testing",
    )
]
COMMANDS = [(page, command) for page in PAGES for command in commands(page)]
ENDLESS = re.compile(r"intellirouter serve|intellirouter requests tail|python -m intellirouter.testing.mock_vendor")
"""Commands that run until they are stopped."""
PREPARED = {"data.json": blocks("docs/guides/catalog.md", "json")[0], "question.txt": "How many?", "key.txt": "sk-1"}
"""Files that the commands read."""
SECRETS = {"OPENAI_API_KEY": "sk-unused", "LAB_KEY": "unused", "TEAM_KEY": "sk-team-0123456789"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with the models that the commands request."""
    with MockVendor() as vendor:
        config: dict[str, Any] = {
            "providers": {
                "fake": {"vendor": "fake"},
                "mock": {"vendor": "openai-compatible", "base_url": vendor.base_url, "models": "*"},
            },
            "deployments": {"echo": {"provider": "fake", "model": "echo"}},
            "models": {"auto": {"deployments": ["echo"]}, "assistant": {"deployments": ["echo"]}},
        }
        with GatewayProcess(config, tmp_path_factory.mktemp("gateway")) as running:
            until(lambda: running.get("/v1/files").status_code == 200, "the database is open", 30)
            yield running


@pytest.fixture
def directory() -> Iterator[Path]:
    """A working directory with the files that the commands read."""
    with tempfile.TemporaryDirectory(prefix="ir-") as name:
        for file, text in PREPARED.items():
            Path(name, file).write_text(text)
        Path(name, "intellirouter.yaml").write_text("providers:\n  fake: {vendor: fake}\n")
        yield Path(name)


def environment(gateway: GatewayProcess, home: Path) -> dict[str, str]:
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    urls = {"INTELLIROUTER_BASE_URL": gateway.url, "INTELLIR_SERVER__PORT": "0"}
    return {"PATH": programs, "HOME": str(home), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", **SECRETS, **urls}


def run(command: list[str], gateway: GatewayProcess, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with the gateway's address."""
    env = environment(gateway, directory)
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=60, check=False)


def answered_request(gateway: GatewayProcess) -> str:
    """Return the id of a request that the gateway has recorded."""
    answer = httpx.post(f"{gateway.base_url}/chat/completions", json=chat_request(model="auto"), timeout=20)
    gateway.record(answer.headers["x-request-id"])
    return answer.headers["x-request-id"]


def adapted(command: str, gateway: GatewayProcess) -> str:
    """Return the command for this gateway."""
    command = command.replace("127.0.0.1:8080", f"127.0.0.1:{gateway.port}").replace("--port 9000", "--port 0")
    if "REQUEST_ID" in command or "req_0123" in command:
        command = command.replace("REQUEST_ID", "req_0123").replace("req_0123", answered_request(gateway))
    return command.replace(" PID", f" {gateway.process.pid}")


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_command_runs(page: str, command: str, gateway: GatewayProcess, directory: Path) -> None:
    if command.startswith("make "):
        target = command.split("#", maxsplit=1)[0].split()[1]
        assert re.search(rf"^{target}:.* ## ", (REPO / "Makefile").read_text(), re.MULTILINE), page
        return
    if command.startswith("pip install "):
        check_installable(command.removeprefix("pip install ").split("#", maxsplit=1)[0].strip("' "))
        return
    if "jq" in command and shutil.which("jq") is None:
        pytest.skip("jq is not installed.")
    if command.startswith("intellirouter init"):
        (directory / "intellirouter.yaml").unlink()
    command = adapted(command, gateway)
    process = subprocess.Popen(
        ["bash", "-ec", f"exec {command}" if ENDLESS.match(command) else command],
        cwd=directory,
        env=environment(gateway, directory),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            if ENDLESS.match(command):
                assert first_line(process, gateway)
            else:
                output, problems = process.communicate(timeout=60)
                assert process.returncode == 0, output + problems
                assert "Traceback" not in problems
        finally:
            process.terminate()


def check_installable(requirement: str) -> None:
    """Check what `pip install` is told. Tests connect to no package index."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())
    name, _, extras = requirement.rstrip("]").partition("[")
    assert set(filter(None, extras.split(","))) <= project["project"]["optional-dependencies"].keys()
    assert name == "." or name in project["dependency-groups"]["dev"], "The tests do not use this package."


def first_line(process: "subprocess.Popen[str]", gateway: GatewayProcess) -> str:
    """Return the first line of a command that runs until it is stopped. Some print what other clients do."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    requests_sent = 0

    def look() -> str:
        nonlocal requests_sent
        if requests_sent < 200:
            httpx.post(f"{gateway.base_url}/chat/completions", json=chat_request(model="fake/error-500"), timeout=20)
            requests_sent += 1
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        return process.stdout.readline() if process.stdout else ""

    return until(look, "the command prints something", 30)


def test_first_request_of_the_readme_is_answered(gateway: GatewayProcess, directory: Path) -> None:
    (command,) = [each for each in commands("README.md") if each.startswith("curl ")]
    done = run(["bash", "-ec", adapted(command, gateway)], gateway, directory)
    assert done.returncode == 0, done.stderr
    assert "Name three primary colors." in json.loads(done.stdout)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("code", blocks("README.md", "python"))
def test_python_example_of_the_readme_runs(code: str, gateway: GatewayProcess, directory: Path) -> None:
    done = run([sys.executable, "-c", adapted(code, gateway)], gateway, directory)
    assert done.returncode == 0, done.stderr
    assert "Name three primary colors." in done.stdout


@pytest.mark.parametrize(
    ("page", "number"), [(page, number) for page in PAGES for number in range(len(blocks(page, "yaml")))]
)
def test_configuration_passes_the_check(page: str, number: int, gateway: GatewayProcess, directory: Path) -> None:
    text = blocks(page, "yaml")[number]
    if not re.search(r"^(providers|deployments|models):", text, re.MULTILINE):
        text = "providers:\n  fake: {vendor: fake}\n" + text  # an example of other sections
    (directory / "intellirouter.yaml").write_text(text)
    done = subprocess.run(
        ["intellirouter", "config", "check", "--no-secrets"],
        cwd=directory,
        env=environment(gateway, directory),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
