"""Image URLs: passed on to upstreams that accept URLs, otherwise fetched, but only from allowed addresses."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess
from tests.support.translation.prompt import PIXEL
from tests.support.translation.world import BOTH, CLIENTS, CREDENTIAL, World, config, unique

TAKE_URLS = ["openai", "responses", "anthropic", "azure"]
WANT_BYTES = ["gemini", "ollama", "bedrock"]
URL_CLIENTS = [name for name, kind in CLIENTS.items() if kind.takes_urls and name != "gemini_array"]


class ImageServer:
    """Serves one image and redirects, and records the requests."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        outer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                name, _, target = self.path.partition("?to=")
                if name == "/redirect":
                    self.send_response(302)
                    self.send_header("location", target)
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                body = base64.b64decode(PIXEL) if name == "/cat.png" else b"<html>secret</html>"
                self.send_response(200 if name in {"/cat.png", "/page"} else 404)
                self.send_header("content-type", "image/png" if name == "/cat.png" else "text/html")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Do not log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


@pytest.fixture(scope="module")
def images() -> Iterator[ImageServer]:
    server = ImageServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def allowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway that may fetch from `127.0.0.1`, but from no other private address."""
    directory: Path = tmp_path_factory.mktemp("allowing")
    with MockVendor(api_key=CREDENTIAL) as vendor:
        settings = config(vendor, directory)
        settings["server"] = {"fetch_allow": ["127.0.0.1"]}
        with GatewayProcess(settings, directory, admin_key=KEYS["admin"]) as gateway:
            world = World(gateway, vendor)
            yield world
            world.http.close()


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("client", URL_CLIENTS)
@pytest.mark.parametrize("upstream", WANT_BYTES)
def test_allowed_url_is_fetched_for_upstreams_that_need_bytes(
    allowing: World, images: ImageServer, client: str, upstream: str, stream: bool
) -> None:
    if (client, upstream) == ("gemini", "gemini"):
        return  # Google fetches the URL itself
    mark = unique()
    url = f"http://127.0.0.1:{images.port}/cat.png"
    answer = allowing.ask(client, upstream, stream=stream, text=mark, image_url=url)
    assert answer.status == 200, answer.body
    (sent,) = allowing.sent(mark)
    assert PIXEL in sent["body"]
    assert url not in sent["body"]
    assert "fetched by the gateway" in answer.headers["x-intellirouter-dropped"]


@pytest.mark.parametrize("client", URL_CLIENTS)
@pytest.mark.parametrize("upstream", TAKE_URLS)
def test_url_is_passed_on_to_upstreams_that_accept_urls(world: World, client: str, upstream: str) -> None:
    mark = unique()
    url = "https://images.example/cat.png"
    answer = world.ask(client, upstream, text=mark, image_url=url)
    assert answer.status == 200, answer.body
    (sent,) = world.sent(mark)
    assert url in sent["body"]


def test_redirect_to_an_allowed_address_is_followed(allowing: World, images: ImageServer) -> None:
    url = f"http://127.0.0.1:{images.port}/redirect?to=/cat.png"
    mark = unique()
    assert allowing.ask("chat", "gemini", text=mark, image_url=url).status == 200
    assert PIXEL in allowing.sent(mark)[0]["body"]


FORBIDDEN = [
    "http://127.0.0.1:{port}/cat.png",
    "http://localhost:{port}/cat.png",
    "http://[::1]:{port}/cat.png",
    "http://[::ffff:127.0.0.1]:{port}/cat.png",
    "http://0.0.0.0:{port}/cat.png",
    "http://2130706433:{port}/cat.png",
    "http://0x7f000001:{port}/cat.png",
    "http://127.1:{port}/cat.png",
    "http://10.0.0.1/cat.png",
    "http://192.168.1.1/cat.png",
    "http://172.16.0.1/cat.png",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://user:password@127.0.0.1:{port}/cat.png",
]


@pytest.mark.parametrize("url", FORBIDDEN)
@pytest.mark.parametrize("client", ["chat", "messages", "gemini"])
def test_private_address_is_not_fetched(world: World, images: ImageServer, client: str, url: str) -> None:
    upstream = "ollama" if client == "gemini" else "gemini"
    before = len(images.requests)
    answer = world.ask(client, upstream, text="see", image_url=url.format(port=images.port))
    assert answer.status == 400, answer.body
    assert "cannot be fetched" in (answer.parsed.error or "")
    assert "server.fetch_allow" in (answer.parsed.error or "") or "data: URL" in (answer.parsed.error or "")
    assert "user:password" not in (answer.parsed.error or "")
    assert world.sent() == []
    assert len(images.requests) == before


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("target", ["http://[::1]:{port}/cat.png", "http://169.254.169.254/", "file:///etc/passwd"])
def test_redirect_to_a_forbidden_address_is_rejected(
    allowing: World, images: ImageServer, target: str, stream: bool
) -> None:
    allowing.vendor.reset()
    url = f"http://127.0.0.1:{images.port}/redirect?to={target.format(port=images.port)}"
    before = len(images.requests)
    answer = allowing.ask("chat", "gemini", stream=stream, text="see", image_url=url)
    assert answer.status == 400, answer.body
    assert "cannot be fetched" in (answer.parsed.error or "")
    assert len(images.requests) <= before + 1
    assert allowing.sent() == []


@pytest.mark.parametrize("path", ["/page", "/missing"])
def test_url_without_an_image_is_rejected(allowing: World, images: ImageServer, path: str) -> None:
    allowing.vendor.reset()
    answer = allowing.ask("chat", "gemini", text="see", image_url=f"http://127.0.0.1:{images.port}{path}")
    assert answer.status == 400
    assert "secret" not in answer.body.decode()
    assert allowing.sent() == []


def test_image_is_fetched_once_for_all_attempts(allowing: World, images: ImageServer) -> None:
    allowing.break_first("gemini", "error", status=500)
    before = len(images.requests)
    url = f"http://127.0.0.1:{images.port}/cat.png"
    answer = allowing.ask("chat", "gemini-then-ollama", text="see", image_url=url)
    assert (answer.status, answer.headers["x-intellirouter-attempts"]) == (200, "2")
    assert len(images.requests) == before + 1


def test_forbidden_image_url_leads_to_no_other_attempt(world: World) -> None:
    """The request is at fault, not the deployment."""
    answer = world.ask("chat", "gemini-then-ollama", text="see", image_url="http://169.254.169.254/x.png")
    assert answer.status == 400
    record = world.record(answer)
    assert record["error_code"] == "invalid_url"
    assert [each["outcome"] for each in record["attempts"]] == ["invalid_url"]
    assert world.sent() == []
