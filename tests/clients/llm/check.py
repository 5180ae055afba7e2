"""The `llm` command, with the gateway as an extra OpenAI model."""

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from click.testing import CliRunner
from llm.cli import cli

from tests.support.clients.checks import PARIS_AND_OSLO, PERSON_SCHEMA, Case, check, run

LLM = Path(sys.executable).parent / "llm"
TOOL = """def weather(city: str) -> str:
    "The weather of a city."
    return "sunny in " + city
"""


@cache
def home(case: Case) -> dict[str, str]:
    """Make a directory with the gateway's models; return what the environment must say."""
    directory = Path(tempfile.mkdtemp(dir=Path.cwd()))
    models = [
        {
            "model_id": name,
            "model_name": name,
            "api_base": case.base_url,
            "api_key_name": "gateway",
            "supports_tools": True,
            "supports_schema": True,
        }
        for name in (case.model, case.magic("gen-400"))
    ]
    # YAML, of which JSON is a part.
    (directory / "extra-openai-models.yaml").write_text(json.dumps(models))
    (directory / "keys.json").write_text(json.dumps({"gateway": case.key}))
    return {"LLM_USER_PATH": str(directory)}


def llm(case: Case, *arguments: str) -> str:
    """Run the command in this process, which has it loaded, and return what it prints."""
    done = CliRunner().invoke(cli, arguments, env=home(case))
    assert done.exit_code == 0, done.output
    return done.output


@check(only=["via-openai", "via-anthropic"])
def command_of_a_shell(case: Case) -> None:
    done = subprocess.run(
        [LLM, "-m", case.model, "hello"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=25,
        env={**os.environ, **home(case)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "mock-large: hello"


@check
def prompt_streams(case: Case) -> None:
    assert llm(case, "-m", case.model, "hello").strip() == "mock-large: hello"


@check
def prompt_without_stream(case: Case) -> None:
    assert llm(case, "-m", case.model, "--no-stream", "-s", "be brief", "hello").strip() == "mock-large: hello"


@check
def usage_is_shown(case: Case) -> None:
    assert "400 output" in llm(case, "-m", case.magic("gen-400"), "--usage", "hello")


@check
def tools_run_and_their_results_go_back(case: Case) -> None:
    said = llm(case, "-m", case.model, "--functions", TOOL, PARIS_AND_OSLO)
    assert "sunny in Oslo" in said


@check
def schema_is_kept(case: Case) -> None:
    person = json.loads(llm(case, "-m", case.model, "--schema", json.dumps(PERSON_SCHEMA), "a person"))
    assert set(person) == {"name", "age"}


if __name__ == "__main__":
    run()
