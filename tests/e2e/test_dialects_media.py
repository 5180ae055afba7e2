"""Pictures by web address: passed on where the upstream takes them, else fetched, but not from just anywhere."""

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


class PictureServer:
    """Serves one picture, redirects to it and elsewhere, and remembers who asked for what."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        outer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
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
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


@pytest.fixture(scope="module")
def pictures() -> Iterator[PictureServer]:
    server = PictureServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def allowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose operator allows `127.0.0.1`, and no other address of its own machine."""
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
def test_what_the_operator_allows_is_fetched_for_who_wants_bytes(
    allowing: World, pictures: PictureServer, client: str, upstream: str, stream: bool
) -> None:
    if (client, upstream) == ("gemini", "gemini"):
        return  # Google fetches it: see below
    mark = unique()
    url = f"http://127.0.0.1:{pictures.port}/cat.png"
    answer = allowing.ask(client, upstream, stream=stream, text=mark, image_url=url)
    assert answer.status == 200, answer.body
    (sent,) = allowing.sent(mark)
    assert PIXEL in sent["body"]
    assert url not in sent["body"]
    assert "fetched by the gateway" in answer.headers["x-intellirouter-dropped"]


@pytest.mark.parametrize("client", URL_CLIENTS)
@pytest.mark.parametrize("upstream", TAKE_URLS)
def test_who_takes_addresses_gets_them(world: World, client: str, upstream: str) -> None:
    mark = unique()
    url = "https://pictures.example/cat.png"
    answer = world.ask(client, upstream, text=mark, image_url=url)
    assert answer.status == 200, answer.body
    (sent,) = world.sent(mark)
    assert url in sent["body"]


def test_a_redirect_to_what_is_allowed_is_followed(allowing: World, pictures: PictureServer) -> None:
    url = f"http://127.0.0.1:{pictures.port}/redirect?to=/cat.png"
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
def test_what_is_not_public_is_not_fetched(world: World, pictures: PictureServer, client: str, url: str) -> None:
    upstream = "ollama" if client == "gemini" else "gemini"
    before = len(pictures.asked)
    answer = world.ask(client, upstream, text="see", image_url=url.format(port=pictures.port))
    assert answer.status == 400, answer.body
    assert "cannot be fetched" in (answer.parsed.error or "")
    assert "server.fetch_allow" in (answer.parsed.error or "") or "data: URL" in (answer.parsed.error or "")
    assert "user:password" not in (answer.parsed.error or "")
    assert world.sent() == []
    assert len(pictures.asked) == before


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("target", ["http://[::1]:{port}/cat.png", "http://169.254.169.254/", "file:///etc/passwd"])
def test_no_redirect_leads_past_the_guard(allowing: World, pictures: PictureServer, target: str, stream: bool) -> None:
    allowing.vendor.reset()
    url = f"http://127.0.0.1:{pictures.port}/redirect?to={target.format(port=pictures.port)}"
    before = len(pictures.asked)
    answer = allowing.ask("chat", "gemini", stream=stream, text="see", image_url=url)
    assert answer.status == 400, answer.body
    assert "cannot be fetched" in (answer.parsed.error or "")
    assert len(pictures.asked) <= before + 1
    assert allowing.sent() == []


@pytest.mark.parametrize("path", ["/page", "/missing"])
def test_what_is_no_picture_is_not_passed_on(allowing: World, pictures: PictureServer, path: str) -> None:
    allowing.vendor.reset()
    answer = allowing.ask("chat", "gemini", text="see", image_url=f"http://127.0.0.1:{pictures.port}{path}")
    assert answer.status == 400
    assert "secret" not in answer.body.decode()
    assert allowing.sent() == []


def test_a_picture_is_fetched_once_for_all_attempts(allowing: World, pictures: PictureServer) -> None:
    allowing.break_first("gemini", "error", status=500)
    before = len(pictures.asked)
    url = f"http://127.0.0.1:{pictures.port}/cat.png"
    answer = allowing.ask("chat", "gemini-then-ollama", text="see", image_url=url)
    assert (answer.status, answer.headers["x-intellirouter-attempts"]) == (200, "2")
    assert len(pictures.asked) == before + 1


def test_a_refused_picture_is_no_reason_to_ask_others(world: World) -> None:
    """It is the request that is wrong; and the deployment is not to blame."""
    answer = world.ask("chat", "gemini-then-ollama", text="see", image_url="http://169.254.169.254/x.png")
    assert answer.status == 400
    record = world.record(answer)
    assert record["error_code"] == "invalid_url"
    assert [each["outcome"] for each in record["attempts"]] == ["invalid_url"]
    assert world.sent() == []
