"""The configuration of nginx in the deployment guide works as written, apart from its addresses and files."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from intellirouter.testing import MockVendor
from tests.support.gateway.chromium import dump_page, needs_chromium
from tests.support.gateway.fixtures import digest
from tests.support.gateway.nginx import NGINX, free_port, running_nginx
from tests.support.gateway.process import GatewayProcess, chat_request
from tests.support.http_corpus_listeners import Certificate, create_certificate

REPO = Path(__file__).resolve().parents[2]
KEY = "sk-deployment-0123456789"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed. On Debian, `make setup` fetches it.")


def nginx_block() -> str:
    text = (REPO / "docs" / "guides" / "deployment.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```nginx\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return str(block)


def adapted_block(gateway_port: int, port: int, certificate: Certificate) -> str:
    block = nginx_block()
    for written, used in (
        ("127.0.0.1:8080", f"127.0.0.1:{gateway_port}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/nginx/tls/ai.example.com.crt", str(certificate.cert_file)),
        ("/etc/nginx/tls/ai.example.com.key", str(certificate.key_file)),
    ):
        assert block.count(written) == 1
        block = block.replace(written, used)
    return block


@pytest.fixture(scope="module")
def vendor() -> Iterator[MockVendor]:
    with MockVendor() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    mock = {"vendor": "openai-compatible", "base_url": vendor.base_url, "models": "*"}
    config = {
        "providers": {"fake": {"vendor": "fake"}, "mock": mock},
        "keys": [{"key": digest(KEY), "name": "team"}],
    }
    with GatewayProcess(config, tmp_path_factory.mktemp("gateway"), admin_key=KEY) as running:
        yield running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return create_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def url(gateway: GatewayProcess, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the gateway behind nginx, without a slash at the end."""
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    with running_nginx(folder, adapted_block(gateway.port, port, certificate), port):
        yield f"https://127.0.0.1:{port}/ai"


@pytest.fixture
def client(url: str, certificate: Certificate) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=url, verify=certificate.client_context(), headers=headers, timeout=20) as opened:
        yield opened


def test_requests_below_the_prefix_are_served(client: httpx.Client) -> None:
    answer = client.post("/v1/chat/completions", json=chat_request("over nginx"))
    assert "over nginx" in answer.text
    assert client.get("/v1/models", headers={"authorization": ""}).status_code == 401
    large = client.post("/v1/chat/completions", json=chat_request("x" * 5_000_000))
    assert large.status_code == 200


def test_streams_are_not_buffered(client: httpx.Client, vendor: MockVendor) -> None:
    vendor.fault("hang", match={"model": "stops"}, after_events=2)
    with client.stream("POST", "/v1/chat/completions", json=chat_request(model="mock/stops", stream=True)) as answer:
        assert b"data:" in next(answer.iter_raw())  # although the rest never comes


@pytest.mark.parametrize("path", ["/api/docs", "/api/docs/"])
def test_documentation_page_loads_below_the_prefix(client: httpx.Client, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    parts = set(re.findall(r' (?:src|href)="([^#:"]+)"', page.text))
    assert {part.rpartition("/")[2] for part in parts} == {"page.css", "page.js", "openapi.json"}
    for part in parts:
        assert client.get(page.url.join(part)).status_code == 200
    assert str(
        page.url.join("/ai/openapi.json").join(client.get("/openapi.json").json()["servers"][0]["url"])
    ).endswith("/ai/")


@pytest.mark.parametrize("path", ["/v1/models/", "/api/v1/health/", "/v1/files/"])
def test_nothing_is_redirected(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_websockets_are_passed_on(url: str, certificate: Certificate) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    address = url.replace("https:", "wss:") + "/v1/ws"
    with connect(address, ssl=certificate.client_context(), additional_headers=headers, proxy=None) as socket_:
        socket_.ping().wait(10)


@needs_chromium
@pytest.mark.parametrize("path", ["/api/docs", "/api/docs/"])
def test_browser_shows_the_documentation_below_the_prefix(url: str, tmp_path: Path, path: str) -> None:
    shown = dump_page(url + path, tmp_path, "--ignore-certificate-errors")
    assert "/api/v1/requests/{request_id}" in shown
    assert "could not be loaded" not in shown
