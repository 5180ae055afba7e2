"""`intellirouter discover`: the models that providers list, and the errors of those that do not."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from intellirouter import roles
from intellirouter.cli import ExitStatus, build_app


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": "big-1", "context_length": 4096}]}).encode()
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(10)


def _provider(url: str) -> dict[str, str]:
    return {"vendor": "openai-compatible", "base_url": url}


def test_models_and_problems_are_listed_by_provider(port: int, tmp_path: Path) -> None:
    good, bad = _provider(f"http://127.0.0.1:{port}/v1"), _provider(f"http://127.0.0.1:{port}/nowhere")
    config = tmp_path / "c.json.yaml"
    config.write_text(json.dumps({"providers": {"lab": good, "odd": bad, "magic": {"vendor": "fake"}}}))
    result = CliRunner().invoke(build_app(), ["discover", str(config), "--format", "json"])
    assert result.exit_code == 0, result.output
    lab, odd = json.loads(result.output)["providers"]
    assert (lab["provider"], lab["models"], lab["problem"]) == ("lab", [{"id": "big-1", "context_tokens": 4096}], None)
    assert (odd["provider"], odd["models"]) == ("odd", [])
    assert "404" in odd["problem"]
    table = CliRunner().invoke(build_app(), ["discover", str(config)]).output
    assert "big-1" in table
    assert "odd: The provider did not list its models" in table


def test_no_listed_models_is_a_failure(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps({"providers": {"gone": _provider("http://127.0.0.1:1/v1")}}))
    result = CliRunner().invoke(build_app(), ["discover", str(config)])
    assert result.exit_code == ExitStatus.FAILURE
    assert "Cannot connect" in result.output


LOCAL = {"vendor": "host"}


def _discover(tmp_path: Path, data: dict[str, object], *options: str) -> Result:
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps(data))
    return CliRunner().invoke(build_app(), ["discover", str(config), *options])


def test_models_that_the_gateway_runs_are_listed(tmp_path: Path) -> None:
    small = {"provider": "local", "artifact": "bundled:smollm2-135m", "context_tokens": 2048}
    data: dict[str, object] = {"providers": {"local": LOCAL, "idle": LOCAL}, "deployments": {"small": small}}
    shown = _discover(tmp_path, data)
    assert shown.exit_code == 0
    assert "No providers" not in shown.output
    assert any(line.split() == ["local", "smollm2-135m", "2048"] for line in shown.output.splitlines())
    assert "idle: No deployment has this provider, so it offers no models." in shown.output
    assert "The configuration has no provider on another server that could be asked" in shown.output
    found = json.loads(_discover(tmp_path, data, "--format", "json").output)["providers"]
    assert found[0]["models"] == [{"id": "smollm2-135m", "context_tokens": 2048}]
    assert found[0]["is_local"] is True


def test_local_models_do_not_hide_that_no_provider_listed_its_own(tmp_path: Path) -> None:
    data: dict[str, object] = {"providers": {"local": LOCAL, "gone": _provider("http://127.0.0.1:1/v1")}}
    assert _discover(tmp_path, data).exit_code == ExitStatus.FAILURE


def test_without_a_file_a_machine_without_providers_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    local = roles.ProviderModels(provider="local", vendor="host", is_local=True)
    monkeypatch.setattr(roles, "list_models", lambda _: [local])
    result = CliRunner().invoke(build_app(), ["discover"])
    assert "No other provider was found. Set a provider's API key in the environment" in result.output


def test_a_provider_without_models_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = roles.ProviderModels(provider="lab", vendor="openai")
    monkeypatch.setattr(roles, "list_models", lambda _: [empty])
    assert "lab: The provider listed no models." in _discover(tmp_path, {}).output
