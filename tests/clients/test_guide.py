"""The examples of docs/guides/clients.md run as written, each in the environment of its client."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from intellirouter.testing import MockVendor
from tests.support.clients.client_scripts import CLIENTS
from tests.support.clients.world import ADMIN_KEY, CREDENTIAL, KEY, gateway_config
from tests.support.gateway.process import GatewayProcess
from tests.support.snippets import REPO

GUIDE = REPO / "docs" / "guides" / "clients.md"
_SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```(python|js)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FOLDERS = {
    "OpenAI, Python and Node": "openai-python",
    "Anthropic": "anthropic-python",
    "Google GenAI": "google-genai",
    "Ollama": "ollama-python",
    "LangChain": "langchain",
    "LlamaIndex": "llama-index",
    "Pydantic AI": "pydantic-ai",
    "OpenAI Agents SDK": "openai-agents",
    "Instructor": "instructor",
}
"""The environments of the sections with examples in Python."""


class Example(NamedTuple):
    section: str
    language: str
    code: str


EXAMPLES = [
    Example(section, language, code)
    for section, text in _SECTION.findall(GUIDE.read_text(encoding="utf-8"))
    for language, code in _BLOCK.findall(text)
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    directory = tmp_path_factory.mktemp("guide")
    with MockVendor(api_key=CREDENTIAL) as vendor:
        config = gateway_config(vendor, directory)
        config["models"]["assistant"] = config["models"]["via-openai"]
        with GatewayProcess(config, directory, admin_key=ADMIN_KEY) as running:
            yield running


@pytest.mark.parametrize("example", [pytest.param(each, id=f"{each.section}-{each.language}") for each in EXAMPLES])
def test_example_runs(example: Example, gateway: GatewayProcess, tmp_path: Path) -> None:
    home = Path(os.environ["CLIENTS"]).resolve()
    if example.language == "python":
        command = [str(home / _FOLDERS[example.section] / "bin" / "python"), "-c", example.code]
    else:  # Node searches for packages from the working directory
        command = [str(home / "npm" / "bin" / "node"), "--input-type=module", "--eval", example.code]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(CLIENTS / "guard"),
        "GATEWAY": gateway.url,
        "GATEWAY_KEY": KEY,
    }
    where = tmp_path if example.language == "python" else home / "npm"
    before = len(gateway.get("/api/v1/requests", limit=200).json()["requests"])
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    if "Name three" in example.code or "longest" in example.code:
        requests = gateway.get("/api/v1/requests", limit=200).json()["requests"]
        assert len(requests) > before
        assert requests[0]["status"] == 200


def test_every_client_has_an_example() -> None:
    sections = {each.section for each in EXAMPLES if each.language == "python"}
    assert sections == _FOLDERS.keys()
    assert {each.section for each in EXAMPLES if each.language == "js"} == {"OpenAI, Python and Node", "Vercel AI SDK"}
