"""Where commands find the gateway and the key, and what their messages say about it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from intellirouter.cli import ExitStatus, build_app
from intellirouter.cli.gateway_command import GatewayOptions

MODELS = "/api/v1/models"
UNREACHABLE = "Error: Cannot connect to a gateway at {}."


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INTELLIROUTER_BASE_URL", raising=False)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(build_app(), arguments)

    return run


def test_gateway_is_at_the_address_that_the_default_file_sets(run: Any, gateway: Any) -> None:
    port = gateway.url.rpartition(":")[2]
    Path("intellirouter.yaml").write_text(f"server: {{host: 0.0.0.0, port: {port}}}")
    gateway.on_json(MODELS, {"models": []})
    assert run("models").exit_code == ExitStatus.OK


def test_message_names_the_file_that_sets_the_address(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("intellirouter.yaml").write_text("server: {port: 1}")
    note = "The address is the one that ./intellirouter.yaml sets. To use another one, set --url."
    found = run("models")
    assert found.exit_code == ExitStatus.UNREACHABLE
    assert UNREACHABLE.format("http://127.0.0.1:1") in found.stderr
    assert note in found.stderr
    for other in (run("models", "--url", "http://127.0.0.1:2"), _with_variable(run, monkeypatch)):
        assert UNREACHABLE.format("http://127.0.0.1:2") in other.stderr
        assert note not in other.stderr


def _with_variable(run: Any, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setenv("API_PORT", "2")
    found: Result = run("models")
    return found


@pytest.mark.parametrize("text", ["", "server: {drain_s: 1}", "server: {port: x}", "server: {"])
def test_file_without_an_address_changes_nothing(run: Any, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "1")
    Path("intellirouter.yaml").write_text(text)
    found = run("models")
    assert UNREACHABLE.format("http://127.0.0.1:1") in found.stderr
    assert "The address is" not in found.stderr


def test_unix_socket_of_the_file_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INTELLIROUTER_BASE_URL", raising=False)
    Path("intellirouter.yaml").write_text("server: {unix_socket: gateway.sock}")
    with GatewayOptions(url=None, api_key=None, ca_file=None, output="table").connect() as client:
        assert client.base_url == f"unix:{tmp_path}/gateway.sock"


REFUSAL = {
    "error": {"message": "Incorrect API key provided: sk-…f9.", "hint": "Send it as `Authorization: Bearer KEY`."}
}


@pytest.mark.parametrize(
    "sent",
    [
        (("--api-key", "sk-from-flag"), "", "The key was given with --api-key."),
        (("--api-key", "sk-from-flag"), "sk-from-variable", "The key was given with --api-key."),
        ((), "sk-from-variable", "The key was taken from the environment variable INTELLIROUTER_API_KEY."),
        ((), "", "No key was sent, because neither --api-key nor INTELLIROUTER_API_KEY is set."),
    ],
)
@pytest.mark.parametrize("command", [("models",), ("chat", "Hi"), ("requests", "tail"), ("explain", "Hi")])
def test_refused_key_is_reported_with_its_source(
    run: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], sent: tuple[Any, str, str]
) -> None:
    options, variable, source = sent
    monkeypatch.setenv("INTELLIROUTER_API_KEY", variable)
    for path in (MODELS, "/v1/chat/completions", "/api/v1/requests/tail", "/api/v1/explain"):
        gateway.on_json(path, REFUSAL, 401)
    found = run(*command, "--url", gateway.url, *options)
    assert found.exit_code == ExitStatus.REFUSED
    assert source in found.stderr
    assert "Set one of the gateway's keys with --api-key or INTELLIROUTER_API_KEY." in found.stderr
    assert "sk-from" not in found.stderr


def test_key_without_permission_is_reported_with_its_source(run: Any, gateway: Any) -> None:
    gateway.on_json(MODELS, {"error": {"message": "The key may not do this."}}, 403)
    found = run("models", "--url", gateway.url, "--api-key", "sk-from-flag")
    assert "The key was given with --api-key." in found.stderr


@pytest.mark.parametrize(
    ("settings", "source"),
    [
        ({"credential": "env:LAB_KEY"}, "the environment variable LAB_KEY"),
        ({"credential": "file:key.txt"}, "the file key.txt"),
        ({"credentials": ["env:LAB_KEY", "file:key.txt"]}, "the environment variable LAB_KEY or the file key.txt"),
    ],
)
def test_refused_credential_of_a_provider_is_reported_with_its_source(
    run: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], source: str
) -> None:
    monkeypatch.setenv("LAB_KEY", "sk-from-variable")
    Path("key.txt").write_text("sk-from-file")
    provider = {"vendor": "openai-compatible", "base_url": f"{gateway.url}/v1"} | settings
    Path("c.yaml").write_text(json.dumps({"providers": {"lab": provider}}))
    gateway.on_json("/v1/models", {"error": {"message": "Who are you?"}}, 401)
    found = run("discover", "c.yaml")
    assert f"The credential came from {source}." in found.output
    assert "sk-from" not in found.output
