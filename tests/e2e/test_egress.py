"""A gateway in a network with a proxy: what goes through it, and that its login stays secret."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import PROGRAM, GatewayProcess, chat_request, until
from tests.support.providers.proxy import LoopbackProxy, proxy_in_thread

HOST = "api.vendor.example"
PASSWORD = "s3cret-of-the-proxy"


@pytest.fixture(scope="module")
def proxy() -> Iterator[LoopbackProxy]:
    with proxy_in_thread(login=f"ann:{PASSWORD}") as running:
        yield running


def chat(gateway: GatewayProcess, model: str, **members: Any) -> httpx.Response:
    body = chat_request("hello", model, **members)
    return httpx.post(f"{gateway.base_url}/chat/completions", json=body, timeout=20)


def provider(url: str, **settings: Any) -> dict[str, Any]:
    return {"vendor": "openai-compatible", "base_url": url, "credentials": [], "models": "*", **settings}


def config(vendor: MockVendor, **providers: Any) -> dict[str, Any]:
    return {
        "defaults": {"retries": 0},
        "providers": {"plain": provider(vendor.base_url), **providers},
        "logging": {"level": "debug", "bodies": "full"},
    }


def test_dead_proxy_of_the_environment_does_not_concern_loopback(
    vendor: MockVendor, tmp_path: Path, closed_port: int
) -> None:
    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY")
    environment = dict.fromkeys(names, f"http://127.0.0.1:{closed_port}")
    with GatewayProcess(config(vendor), tmp_path, environment=environment) as gateway:
        assert chat(gateway, "plain/x").status_code == 200
        assert chat(gateway, "plain/x", stream=True).text.endswith("data: [DONE]\n\n")


def test_proxy_of_the_environment_and_exceptions(vendor: MockVendor, tmp_path: Path, proxy: LoopbackProxy) -> None:
    url = vendor.base_url.replace("127.0.0.1", HOST)
    environment = {"http_proxy": proxy.with_login(f"ann:{PASSWORD}"), "NO_PROXY": "x.example, .internal:8080"}
    direct = provider(vendor.base_url.replace("127.0.0.1", "nowhere.x.example"))
    before = len(proxy.heads)
    with GatewayProcess(config(vendor, far=provider(url), near=direct), tmp_path, environment=environment) as gateway:
        assert chat(gateway, "far/x").status_code == 200
        assert chat(gateway, "far/x", stream=True).text.endswith("data: [DONE]\n\n")
        assert len(proxy.heads) == before + 2
        assert chat(gateway, "near/x").status_code == 502  # resolved by the gateway, not by the proxy
        assert len(proxy.heads) == before + 2


def test_urls_in_requests_use_the_proxy_of_the_environment(
    vendor: MockVendor, tmp_path: Path, proxy: LoopbackProxy
) -> None:
    settings = config(vendor, lab={**provider(vendor.base_url), "vendor": "ollama", "dialect": "ollama"})
    settings["server"] = {"fetch_allow": ["img.vendor.example"]}
    environment = {"ALL_PROXY": proxy.with_login(f"ann:{PASSWORD}")}
    port = vendor.base_url.rpartition(":")[2].partition("/")[0]
    with GatewayProcess(settings, tmp_path, environment=environment) as gateway:
        for host, reason in (
            ("img.vendor.example", "The server responded with status 404."),
            ("x.example", "resolved"),
        ):
            before = len(proxy.heads)
            url = f"http://{host}:{port}/no-such-image.png"
            content = [{"type": "image_url", "image_url": {"url": url}}]
            refused = chat(gateway, "lab/x", messages=[{"role": "user", "content": content}])
            assert refused.status_code == 400
            assert reason in refused.json()["error"]["message"]
            assert proxy.targets[before:] == ([f"CONNECT {host}:{port}"] if reason != "resolved" else [])


def test_login_is_in_no_log_record_answer_or_command(vendor: MockVendor, tmp_path: Path, proxy: LoopbackProxy) -> None:
    url = vendor.base_url.replace("127.0.0.1", HOST)
    wrong = f"ann:{PASSWORD}-wrong"
    settings = config(
        vendor,
        good=provider(url, proxy=proxy.with_login(f"ann:{PASSWORD}")),
        forward=provider(url, proxy=proxy.with_login(wrong)),
        tunnel=provider("https://api.vendor.example/v1", proxy=proxy.with_login(wrong)),
    )
    settings["deployments"] = {
        "first": {"provider": "tunnel", "model": "m"},
        "second": {"provider": "plain", "model": "m"},
    }
    settings["models"] = {"both": {"deployments": ["first", "second"]}}
    with GatewayProcess(settings, tmp_path) as gateway:
        assert chat(gateway, "good/x").status_code == 200
        texts = []
        for model in ("forward/x", "tunnel/x"):
            refused = chat(gateway, model)
            error = refused.json()["error"]
            assert (refused.status_code, error["code"]) == (502, "proxy_refused")
            assert f"The proxy {proxy.url} rejected the user name or the password" in error["message"]
            texts += [refused.text, str(refused.headers)]
        answered = chat(gateway, "both")
        assert answered.headers["x-intellirouter-deployment"] == "second"
        texts.append(str(answered.headers))
        for path in ("/api/v1/requests", "/api/v1/health", "/api/v1/credentials", "/metrics"):
            texts.append(httpx.get(f"{gateway.url}{path}", timeout=20).text)
        for command in (["config", "show"], ["config", "show", "--origin", "--format", "json"], ["config", "check"]):
            result = subprocess.run([*PROGRAM, *command, str(gateway.config_file)], capture_output=True, text=True)
            assert result.returncode == 0
            texts += [result.stdout, result.stderr]
        texts += [gateway.stdout(), gateway.stderr()]
        assert "rejected the user name" in gateway.stderr()
        assert not [text for text in texts if PASSWORD in text]
    assert PASSWORD.encode() not in gateway.database.read_bytes()


def test_reload_changes_the_proxy(vendor: MockVendor, tmp_path: Path, proxy: LoopbackProxy, closed_port: int) -> None:
    url = vendor.base_url.replace("127.0.0.1", HOST)
    with GatewayProcess(
        config(vendor, far=provider(url, proxy=f"http://127.0.0.1:{closed_port}")), tmp_path
    ) as gateway:
        failed = chat(gateway, "far/x")
        assert (failed.status_code, failed.json()["error"]["code"]) == (502, "proxy_failed")
        for setting, message in (
            ("socks5://p:1", "SOCKS proxies are not supported"),
            (proxy.with_login(f"ann:{PASSWORD}"), "The configuration was reloaded"),
        ):
            gateway.configure(config(vendor, far=provider(url, proxy=setting)))
            gateway.signal(signal.SIGHUP)
            until(lambda: message in gateway.stderr(), message)  # noqa: B023 - called at once
        assert chat(gateway, "far/x").status_code == 200


def test_socks_proxy_is_refused_at_the_start(tmp_path: Path, vendor: MockVendor) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(config(vendor, far=provider("https://api.vendor.example/v1"))))
    environment = {"PATH": "/usr/bin:/bin", "ALL_PROXY": f"socks5h://ann:{PASSWORD}@p:1080"}
    command = [*PROGRAM, "config", "check", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 3
    assert "The proxy in ALL_PROXY, which `far` would need, cannot be used." in result.stderr
    assert PASSWORD not in result.stderr
