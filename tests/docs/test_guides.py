"""The examples of the guides run against a gateway. tests/unit/testing runs those of the testing guide."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess, chat_request, until

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"


def examples(guide: str, language: str) -> list[str]:
    text = (GUIDES / f"{guide}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run_command(command: str, gateway: GatewayProcess, directory: Path) -> str:
    """Run a command of a guide in a shell, and return what it prints."""
    environment = {**os.environ, "INTELLIROUTER_BASE_URL": gateway.url, "COLUMNS": "160"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = command.replace("127.0.0.1:8080", f"127.0.0.1:{gateway.port}")
    done = subprocess.run(
        ["bash", "-ec", command], cwd=directory, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\r", "")


def run_python(code: str, gateway: GatewayProcess, directory: Path) -> str:
    """Run an example in a process of its own, and return what it prints."""
    code = code.replace("127.0.0.1:8080", f"127.0.0.1:{gateway.port}").replace("time.sleep(5)", "time.sleep(0.05)")
    environment = {**os.environ, "INTELLIROUTER_BASE_URL": gateway.url}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with the models that the examples request."""
    with MockVendor() as vendor:
        config: dict[str, Any] = {
            "providers": {
                "fake": {"vendor": "fake"},
                "mock": {"vendor": "openai-compatible", "base_url": vendor.base_url, "credentials": []},
            },
            "deployments": {
                "echo": {"provider": "fake", "model": "echo"},
                "embedder": {"provider": "fake", "model": "embed"},
                "voice": {"provider": "mock", "model": "gpt-realtime"},
            },
            "models": {"auto": {"deployments": ["echo"]}, "assistant": {"deployments": ["echo"]}},
        }
        with GatewayProcess(config, tmp_path_factory.mktemp("guides")) as running:
            yield running


@pytest.mark.parametrize("number", range(len(examples("python-client", "python"))))
def test_example_of_the_python_client_runs(number: int, gateway: GatewayProcess, tmp_path: Path) -> None:
    assert run_python(examples("python-client", "python")[number], gateway, tmp_path)


def test_example_of_a_batch_runs(gateway: GatewayProcess, tmp_path: Path) -> None:
    lines, _ = examples("batches", "json")
    (tmp_path / "questions.jsonl").write_text(lines)
    (code,) = examples("batches", "python")
    printed = run_python(code, gateway, tmp_path)
    assert "Name a river." in printed
    assert "Name a hill." in printed


def test_example_of_a_realtime_session_runs(gateway: GatewayProcess, tmp_path: Path) -> None:
    (code,) = examples("websocket", "python")
    assert "response.done" in run_python(code, gateway, tmp_path)


def test_example_of_retries_and_fallbacks_makes_the_documented_attempts(tmp_path: Path) -> None:
    config = yaml.safe_load(examples("reliability", "yaml")[0])
    with GatewayProcess(config, tmp_path) as gateway:
        response = httpx.post(f"{gateway.base_url}/chat/completions", json=chat_request(model="assistant"), timeout=30)
        assert response.headers["x-intellirouter-attempts"] == "3"
        attempts = gateway.record(response.headers["x-request-id"])["attempts"]
    kinds = [(each["kind"], each["deployment"]) for each in attempts]
    assert kinds == [("first", "first"), ("retry", "first"), ("fallback", "second")]


def test_example_of_circuit_breakers_shows_what_the_guide_says(tmp_path: Path) -> None:
    # Eight seconds instead of three, so that the commands run while the circuit is open.
    shown = [text.strip().replace("3 s", "8 s").splitlines() for text in examples("resilience", "text")]
    first, failed_over, is_open, probed, log, *_ = shown
    config = yaml.safe_load(examples("resilience", "yaml")[0].replace("open_s: 3", "open_s: 8"))
    commands = [each.removeprefix("$ ") for each in examples("resilience", "console")]
    with GatewayProcess(config, tmp_path) as gateway:

        def run(command: str) -> str:
            return run_command(command, gateway, tmp_path)

        for expected in (first, failed_over, is_open):
            assert run(commands[0]).splitlines() == expected
        health, _, explanation, metrics = [run(each.removeprefix("$ ")) for each in commands[1].splitlines()]
        assert "circuit primary: open. The circuit has opened after 1 failure (upstream_unavailable)." in health
        assert "after 1 failure (upstream_unavailable)" in explanation
        assert 'intellirouter_breaker_state{deployment="primary"}' in metrics
        until(lambda: gateway.get("/api/v1/health").json()["status"] == "healthy", "a probe is due")
        assert run(commands[0]).splitlines() == probed
        entries = gateway.stderr()
    assert [line for line in log if line.partition(" ")[2].strip() not in entries] == []


def test_example_of_sessions_stays_at_one_deployment(tmp_path: Path) -> None:
    config = yaml.safe_load(examples("affinity", "yaml")[0])
    with GatewayProcess(config, tmp_path) as gateway:

        def ask(**headers: str) -> httpx.Response:
            body = chat_request("Hello!", model="assistant")
            return httpx.post(f"{gateway.base_url}/chat/completions", json=body, headers=headers, timeout=30)

        assert len({ask().headers["x-intellirouter-deployment"] for _ in range(2)}) == 2
        session = {"x-intellirouter-session": "my-session"}
        first, second = ask(**session), ask(**session)
        home = first.headers["x-intellirouter-deployment"]
        assert (second.headers["x-intellirouter-deployment"], home) == (home, "south")  # as the guide shows
        reason = second.headers["x-intellirouter-reason"]
        assert re.fullmatch(r"session affinity: served by south [0-9]+ s ago; 1 more to try", reason)


def test_example_of_a_degradation_ladder_shows_what_the_guide_says(tmp_path: Path) -> None:
    text = (GUIDES / "resilience.md").read_text(encoding="utf-8").split("\n## Degradation\n")[1]
    (config, *_), (shown, *_), (request, views, *_) = (
        re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for language in ("yaml", "text", "console")
    )
    with GatewayProcess(yaml.safe_load(config), tmp_path) as gateway:
        assert run_command(request.removeprefix("$ "), gateway, tmp_path).splitlines() == shown.splitlines()
        (request_id,) = [each["request_id"] for each in gateway.get("/api/v1/requests").json()["requests"]]
        explain, show, metrics = [each.removeprefix("$ ") for each in views.splitlines()]
        assert "If all of these fail: model small (small), then a refusal" in run_command(explain, gateway, tmp_path)
        assert "model small taken" in run_command(show.replace("REQUEST_ID", request_id), gateway, tmp_path)
        assert 'intellirouter_degraded_total{model="assistant",step="model small"} 1.0' in run_command(
            metrics, gateway, tmp_path
        )
    broken = yaml.safe_load(config)
    broken["deployments"]["small"]["model"] = "error-503"
    with GatewayProcess(broken, tmp_path) as gateway:
        answer = httpx.post(f"{gateway.base_url}/chat/completions", json=chat_request(model="assistant"), timeout=30)
    assert (answer.status_code, answer.headers["x-intellirouter-degraded"]) == (200, "refuse")
    assert answer.json()["choices"][0]["message"]["content"].startswith("The assistant is busy.")
