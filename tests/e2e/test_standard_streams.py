"""A gateway whose output nobody reads serves as usual: a closed pipe, closed descriptors, a full disk."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.support.gateway.process import PROGRAM, START_S, chat_request, until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("redirection", [">&- 2>&-", ">/dev/full 2>/dev/full", "2>&1 | true"])
def test_gateway_whose_output_nobody_reads_serves_and_stops_normally(tmp_path: Path, redirection: str) -> None:
    port = free_port()
    (tmp_path / "not-a-model.gguf").write_bytes(b"not a model")
    config = {
        "server": {"port": port},
        "store": {"url": f"sqlite:///{tmp_path}/store.db"},
        "logging": {"level": "debug"},
        "providers": {"fake": {"vendor": "fake"}, "local": {"vendor": "host"}},
        # Its states are printed while the gateway serves.
        "deployments": {"own": {"provider": "local", "artifact": f"{tmp_path}/not-a-model.gguf"}},
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    # The exit status is written to a file: that of a pipe is its reader's, which ends before the gateway writes.
    shell = f'(sleep 0.5; "$@" serve --config config.yaml & echo $! >pid; wait $!; echo $? >status) {redirection}'
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(["sh", "-c", shell, "sh", *PROGRAM], cwd=tmp_path) as process:
        until(lambda: is_ready(url), "the gateway is ready", START_S)
        for _ in range(3):
            assert httpx.post(f"{url}/v1/chat/completions", json=chat_request()).status_code == 200
        report = httpx.get(f"{url}/api/v1/health").json()
        assert report["services"]["workers"][0]["state"] in {"failed", "missing_engine"}
        assert "internal error" not in report["services"]["workers"][0]["detail"]
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        process.wait(20)
        status = until(lambda: (tmp_path / "status").exists() and (tmp_path / "status").read_text(), "it has ended")
    assert status == "0\n"
