"""`intellirouter discover`: the models that providers list, and the errors of those that do not."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

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
