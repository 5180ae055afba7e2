"""The model that `chat` and `explain` request if none is given, and how `explain` names what follows a failure."""

from typing import Any

import pytest
from typer.testing import CliRunner, Result

from intellirouter.cli import build_app
from tests.unit.cli.test_commands import CHAT, DECISION


@pytest.fixture
def run(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("INTELLIROUTER_BASE_URL", gateway.url)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(build_app(), arguments)

    return run


def test_explain_tells_fallbacks_from_deployments_that_are_cooling_down(run: Any, gateway: Any) -> None:
    verdicts = {"a": "chosen", "f": "fallback", "b": "eligible", "c": "eligible"}
    candidates = [
        {"deployment": name, "provider": "p", "upstream_model": "m", "verdict": verdict, "reason": "r"}
        for name, verdict in verdicts.items()
    ]
    decision = {**DECISION, "order": list(verdicts), "pool_size": 1, "candidates": candidates}
    document = {"model": "auto", "decision": decision, "retries": 1, "retry_order": "next_first"}
    gateway.on_json("/api/v1/explain", document)
    text = "1 retry with back-off, then 1 fallback, then 2 deployments that are unavailable"
    assert f"After a failure: {text}\n" in run("explain", "Hi").stdout


@pytest.mark.parametrize("output", ["table", "json"])
@pytest.mark.parametrize("command", ["chat", "explain"])
def test_default_model_is_named_on_standard_error(
    run: Any, gateway: Any, scripted: Any, command: str, output: str
) -> None:
    gateway.on_json(CHAT, scripted.completion("Hi."))
    gateway.on_json("/api/v1/explain", {"model": "auto", "decision": DECISION})
    result = run(command, "Hello", "--format", output)
    assert gateway.requests[0].json()["model"] == "auto"
    assert result.stderr == "Used the default model auto. To use another one, set --model.\n"
    assert "default model" not in result.stdout
    assert run(command, "Hello", "--model", "auto", "--format", output).stderr == ""
    assert "Default: auto." in run(command, "--help").stdout


def test_default_model_is_named_if_it_does_not_exist(run: Any, gateway: Any) -> None:
    gateway.on_json(CHAT, {"error": {"message": "The model 'auto' does not exist."}}, 404)
    assert run("chat", "Hello").stderr.startswith("Used the default model auto.")
