"""The scripts of the clients: their checks, read without running them, and how to run them."""

import ast
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
CLIENTS = REPO / "tests" / "clients"
CLIENT_TIMEOUT_S = 420
_NODE_CHECK = re.compile(r'^check\("(\w+)"(?:, \{ (only|without): (\[[^\]]*\]) \})?,', re.MULTILINE)
_IMPORTED = {
    True: re.compile(r"^from (\w+) import", re.MULTILINE),
    False: re.compile(r'^import .* from "\./(\w+)\.mjs";', re.MULTILINE),
}
_PASSED_ON = ("PATH", "LANG", "TMPDIR")


@dataclass(frozen=True)
class Check:
    name: str
    only: tuple[str, ...] | None = None
    """The upstreams for which it runs; None means all."""
    without: tuple[str, ...] = ()
    """The upstreams that do not support it."""

    def is_for(self, upstream: str) -> bool:
        return upstream not in self.without and (self.only is None or upstream in self.only)


@dataclass(frozen=True)
class Outcome:
    """The results of a script."""

    results: dict[tuple[str, str], str | None]
    """From (upstream, check) to the failure, or None if the check passed."""
    output: str
    """The last lines of its output."""
    gateway_failure: str | None = None
    """Why the gateway failed: its exit status, or a bug in its log."""


Runs = dict[str, Future[Outcome]]
"""The future outcome of each client, by name."""


class Client:
    """One script: `openai-python` is `openai-python/check.py`, `openai-python-responses` its `check_responses.py`."""

    def __init__(self, script: Path) -> None:
        self.script = script
        self.folder = script.parent.name
        self.name = self.folder + script.stem.removeprefix("check").replace("_", "-")

    @property
    def checks(self) -> list[Check]:
        """The checks of the script and of the modules in its folder that it imports."""
        found: list[Check] = []
        text = self.script.read_text(encoding="utf-8")
        is_python = self.script.suffix == ".py"
        imported = [self.script.with_name(f"{name}{self.script.suffix}") for name in _IMPORTED[is_python].findall(text)]
        for source in [text, *(path.read_text(encoding="utf-8") for path in imported if path.exists())]:
            found += _python_checks(source) if is_python else _node_checks(source)
        return found

    def command(self, home: Path) -> list[str]:
        if self.script.suffix == ".py":
            return [str(home / self.folder / "bin" / "python"), str(self.script)]
        node = [str(home / "npm" / "bin" / "node"), "--preserve-symlinks", "--preserve-symlinks-main"]
        return [*node, str(home / "npm" / "clients" / self.folder / self.script.name)]

    def run(self, home: Path, environment: dict[str, str], directory: Path) -> Outcome:
        """Run the script in `directory`; after a timeout, it is killed with its child processes."""
        inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        python_path = f"{CLIENTS / 'guard'}{os.pathsep}{REPO}"
        blocked = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
        own = {"HOME": str(directory), "PYTHONPATH": python_path, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        log = directory / "output"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(home),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env={**inherited, **blocked, **own, **environment},
                start_new_session=True,
            )
            try:
                process.wait(CLIENT_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return _outcome(log.read_text(encoding="utf-8", errors="replace"), process.returncode)


def _outcome(output: str, status: int) -> Outcome:
    results: dict[tuple[str, str], str | None] = {}
    rest = []
    for line in output.splitlines():
        if line.startswith('{"upstream":'):
            result = json.loads(line)
            results[result["upstream"], result["check"]] = result["failure"]
        else:
            rest.append(line)
    return Outcome(results, "\n".join([*rest[-40:], f"exit status {status}"]))


def _python_checks(text: str) -> Iterator[Check]:
    for node in ast.parse(text).body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Name) and mark.id == "check":
                yield Check(node.name)
            elif isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "check":
                yield Check(node.name, **{str(word.arg): tuple(ast.literal_eval(word.value)) for word in mark.keywords})


def _node_checks(text: str) -> Iterator[Check]:
    for name, word, upstreams in _NODE_CHECK.findall(text):
        yield Check(name, **({word: tuple(json.loads(upstreams))} if word else {}))


@cache
def clients() -> dict[str, Client]:
    found = [Client(script) for script in sorted([*CLIENTS.glob("*/check*.py"), *CLIENTS.glob("*/check*.mjs")])]
    return {client.name: client for client in found}
