"""The program with unusual standard streams: closed, full, without a reader, and in other encodings than UTF-8."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import yaml

PROGRAM = "from intellirouter.cli import main; main()"
DEADLINE_S = 60.0
ANSWER = "grüße 😀 – …"
PLAIN_LOCALE = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""In the C locale, Python uses UTF-8 unless these variables are set."""


def run_in_shell(command: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command line in which `$P` is the program."""
    script = command.replace("$P", f"{sys.executable} -c '{PROGRAM}'")
    env = {**os.environ, "NO_COLOR": "1", **environ}
    return subprocess.run(["bash", "-c", script], capture_output=True, env=env, timeout=DEADLINE_S, check=False)


@pytest.fixture
def answering(gateway: Any, scripted: Any) -> Any:
    gateway.on("/v1/chat/completions", scripted.Reply(body=json.dumps(scripted.completion(ANSWER)).encode()))
    return gateway


def prompt_of(gateway: Any) -> str:
    return str(gateway.requests[-1].json()["messages"][-1]["content"])


@pytest.mark.parametrize(
    ("command", "output", "reason"),
    [
        ("version", "/dev/full", "No space left on device."),
        ("version", "&-", "Bad file descriptor."),
        ("--help", "/dev/full", "No space left on device."),
        ("config schema", "&-", "Bad file descriptor."),
    ],
)
def test_closed_or_full_output_is_one_line(command: str, output: str, reason: str) -> None:
    done = run_in_shell(f"$P {command} >{output}")
    assert done.returncode == 1
    assert done.stderr.decode() == f"Error: Cannot write to standard output: {reason}\n"


def test_missing_reader_ends_a_command_without_a_message() -> None:
    done = run_in_shell("set -o pipefail; (sleep 0.2; $P config schema) | true")
    assert done.stderr == b""
    assert done.returncode == 1


def test_full_error_output_keeps_the_exit_status() -> None:
    assert run_in_shell("$P nonsense 2>/dev/full").returncode == 2


def test_closed_input_is_empty(gateway: Any) -> None:
    done = run_in_shell(f"$P chat --url {gateway.url} <&-")
    assert done.stderr.decode().startswith("Error: The prompt is empty.")


def test_ascii_terminal_gets_similar_characters_and_escapes(answering: Any) -> None:
    done = run_in_shell(f"$P chat Hi --url {answering.url}", **PLAIN_LOCALE)
    assert done.stdout.decode("ascii") == "gr\\xfc\\xdfe \\U0001f600 - ...\n"


def test_terminal_in_another_encoding_gets_what_it_has(answering: Any) -> None:
    done = run_in_shell(f"$P chat Hi --url {answering.url}", PYTHONIOENCODING="latin-1")
    assert done.stdout.decode("latin-1") == "grüße \\U0001f600 - ...\n"


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_data_keeps_every_character(answering: Any, output: str, read: Any) -> None:
    done = run_in_shell(f"$P chat Hi --url {answering.url} --format {output}", PYTHONIOENCODING="latin-1")
    assert read(done.stdout.decode("latin-1"))["text"] == ANSWER


@pytest.mark.parametrize("environ", [PLAIN_LOCALE, {"PYTHONIOENCODING": "latin-1"}])
def test_input_and_arguments_in_utf8_are_read_in_every_locale(answering: Any, environ: dict[str, str]) -> None:
    assert run_in_shell(f"$P chat 'grüße 😀' --url {answering.url}", **environ).returncode == 0
    assert prompt_of(answering) == "grüße 😀"
    assert run_in_shell(f"printf 'grüße 😀' | $P chat --url {answering.url}", **environ).returncode == 0
    assert prompt_of(answering) == "grüße 😀"


def test_input_in_the_encoding_of_the_terminal_is_read(answering: Any) -> None:
    command = rf"printf 'gr\xfc\xdfe' | $P chat --url {answering.url}"
    assert run_in_shell(command, PYTHONIOENCODING="latin-1").returncode == 0
    assert prompt_of(answering) == "grüße"


def test_input_that_is_not_text_is_refused(answering: Any) -> None:
    done = run_in_shell(rf"printf 'a\xffb' | $P chat --url {answering.url}", LC_ALL="POSIX")
    assert done.returncode == 2
    assert done.stderr.decode().startswith("Error: Standard input is not valid UTF-8 at byte 1.\n")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (r"chat $'a\xffb'", "prompt"),
        (r"requests show $'a\xff'", "request ID"),
        (r"health --api-key $'a\xff'", "API key"),
    ],
)
def test_argument_that_is_not_text_is_refused_by_name(gateway: Any, command: str, name: str) -> None:
    done = run_in_shell(f"$P {command}", INTELLIROUTER_BASE_URL=gateway.url)
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"Error: The {name} on the command line is not valid UTF-8.\n")


def test_file_name_that_is_not_text_is_escaped() -> None:
    done = run_in_shell(r"$P config check $'a\xffb' --format json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["problems"][0]["origin"] == "file a\udcffb"
    assert rb"file a\udcffb" in run_in_shell(r"$P config check $'a\xffb'").stderr


def test_completion_answers_the_shell() -> None:
    environ = {"COMP_WORDS": "intellirouter requests l", "COMP_CWORD": "2"}
    done = run_in_shell("$P", _INTELLIROUTER_COMPLETE="complete_bash", **environ)
    assert done.stdout.decode().split() == ["list"]


def test_completion_script_for_bash_is_valid() -> None:
    done = run_in_shell('eval "$($P completion bash)" && complete -p intellirouter')
    assert done.stdout.decode().endswith("intellirouter\n")
