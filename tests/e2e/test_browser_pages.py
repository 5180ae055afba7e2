"""A web page that is open on this machine cannot use a gateway that requires no key: raw requests, and Chromium."""

import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway.chromium import chromium, dump_page, needs_chromium
from tests.support.gateway.fixtures import digest
from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.gateway.raw_http import Answer, RawConnection

APP = "https://app.example"
EVIL = "https://evil.example"
KEY = "sk-page-0123456789abcdef"
PATHS = {
    "/v1/chat/completions": "application/json",
    "/v1/messages": "application/json",
    "/v1/audio/transcriptions": "multipart/form-data; boundary=b",
    "/v1/images/edits": "multipart/form-data; boundary=b",
    "/v1/images/variations": "multipart/form-data; boundary=b",
    "/v1/files": "multipart/form-data; boundary=b",
    "/v1/batches": "application/json",
    "/v1/batches/batch_1/cancel": "",
    "/v1/responses/resp_1/cancel": "",
    "/api/chat": "application/json",
    "/api/v1/explain": "text/plain",
}
READ_PATHS = ["/v1/models", "/metrics", "/health", "/v1/files", "/api/v1/requests", "/api/v1/health", "/api/docs"]


def config(**sections: Any) -> dict[str, Any]:
    return {"providers": {"fake": {"vendor": "fake"}}, **sections}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(config(), tmp_path_factory.mktemp("open")) as running:
        until(lambda: running.get("/v1/files").status_code == 200, "the database is open", 30)
        yield running


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that requires a key, and lets pages of one origin use it."""
    keys = [{"key": digest(KEY), "name": "page", "grants": ["admin"]}]
    settings = config(server={"cors_origins": [APP]}, keys=keys)
    with GatewayProcess(settings, tmp_path_factory.mktemp("sharing"), admin_key=KEY) as running:
        yield running


def ask(gateway: GatewayProcess, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    lines = {"host": f"127.0.0.1:{gateway.port}", "content-length": str(len(body))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items() if value}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with RawConnection(gateway.port) as link:
        link.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        if method == "HEAD":
            return Answer(*link.head(), b"")
        return link.answer()


@pytest.mark.parametrize("path", READ_PATHS)
def test_other_names_of_this_machine_read_nothing(gateway: GatewayProcess, path: str) -> None:
    answer = ask(gateway, "GET", path, host=f"evil.example:{gateway.port}")
    assert answer.status == 421
    assert "server.allowed_hosts" in answer.body.decode()
    assert answer.headers["x-request-id"].startswith("req_")
    assert ask(gateway, "GET", path).status in {200, 405}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"origin": EVIL, "sec_fetch_site": "cross-site"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:3000", "sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
    ],
)
def test_foreign_pages_change_and_spend_nothing(
    gateway: GatewayProcess, path: str, headers: dict[str, str], status: int
) -> None:
    answer = ask(gateway, "POST", path, b"{}", content_type=PATHS[path], **headers)
    assert answer.status == status
    assert "access-control-allow-origin" not in answer.headers
    assert ask(gateway, "POST", path, b"{}", content_type=PATHS[path]).status not in {403, 421}


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_ollamas_curl_examples_work_and_forms_of_pages_do_not(gateway: GatewayProcess, path: str) -> None:
    form = "application/x-www-form-urlencoded"  # what curl declares for its option -d
    body = json.dumps(
        {"model": "fake/echo", "stream": False, "prompt": "hi", "messages": [{"role": "user", "content": "hi"}]}
    ).encode()
    assert ask(gateway, "POST", path, body, content_type=form, user_agent="curl/8.5.0").status == 200
    assert ask(gateway, "POST", path, body, content_type="text/plain").status == 200
    own = f"http://127.0.0.1:{gateway.port}"
    for page, status in (
        ({"origin": EVIL, "sec_fetch_site": "cross-site"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"host": "evil.example"}, 421),
        ({"origin": own, "sec_fetch_site": "same-origin"}, 415),
        ({"user_agent": "Mozilla/5.0 (Windows NT 10.0; rv:60.0) Gecko/20100101 Firefox/60.0"}, 415),
    ):
        for kind in (form, "text/plain", "multipart/form-data; boundary=b", ""):
            assert ask(gateway, "POST", path, body, content_type=kind, **page).status == status


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/messages",
        "/v1/responses",
        "/api/chat",
        "/api/show",
        "/v1/audio/transcriptions",
        "/v1/files",
        "/v1/batches",
        "/v1beta/models/fake:generateContent",
        "/api/v1/explain",
    ],
)
def test_compressed_request_is_refused_by_name(gateway: GatewayProcess, path: str) -> None:
    for encoding in ("gzip", "zstd"):
        for kind in ("application/json", "multipart/form-data; boundary=b", ""):
            answer = ask(gateway, "POST", path, b"\x1f\x8b", content_encoding=encoding, content_type=kind)
            assert answer.status == 415
            assert f"The content encoding '{encoding}' is not supported." in answer.body.decode()


def refused_strangers(gateway: GatewayProcess) -> int:
    metrics = ask(gateway, "GET", "/metrics").body.decode()
    return int(float(metrics.partition("\nintellirouter_refused_strangers ")[2].partition("\n")[0]))


HANDSHAKE = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec_websocket_version": "13",
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/v1/chat/completions", {}),
        ("POST", "/api/chat", {}),
        ("POST", "/v1/files", {}),
        ("POST", "/api/v1/explain", {}),
        ("DELETE", "/v1/files/file-1", {}),
        ("GET", "/v1/ws", HANDSHAKE),
        ("GET", "/v1/realtime?model=fake/echo", HANDSHAKE),
    ],
)
@pytest.mark.parametrize(("page", "status"), [({"host": "evil.example"}, 421), ({"origin": EVIL}, 403)])
def test_every_refused_page_is_counted(
    gateway: GatewayProcess, method: str, path: str, headers: dict[str, str], page: dict[str, str], status: int
) -> None:
    before = refused_strangers(gateway)
    assert ask(gateway, method, path, **headers, **page).status == status
    assert refused_strangers(gateway) == before + 1


def test_refused_pages_are_recorded_up_to_a_limit(tmp_path: Path) -> None:
    with GatewayProcess(config(), tmp_path) as gateway:
        until(lambda: gateway.get("/v1/files").status_code == 200, "the database is open", 30)
        for page in ({"host": "evil.example"}, {"origin": EVIL}):
            answer = ask(gateway, "POST", "/v1/chat/completions", b"{}", content_type="application/json", **page)
            record = gateway.record(answer.headers["x-request-id"])
            assert (record["status"], record["tenant"]) == (answer.status, "-")
            assert record["error_code"] == answer.json()["error"]["code"]
        for _ in range(100):
            ask(gateway, "POST", "/v1/chat/completions", b"{}", origin=EVIL)
            ask(gateway, "GET", "/v1/models", host="evil.example")
        assert refused_strangers(gateway) == 202
        listed = gateway.get("/api/v1/requests?limit=100").json()["requests"]
        assert len(listed) <= 20


def test_callers_without_a_valid_key_are_counted_on_every_path(sharing: GatewayProcess) -> None:
    wrong = {"authorization": "Bearer wrong"}

    def counted() -> int:
        metrics = sharing.get("/metrics").text
        return int(float(metrics.partition("\nintellirouter_refused_strangers ")[2].partition("\n")[0]))

    before = counted()
    for path in ("/v1/models", "/v1/files", "/metrics", "/api/v1/requests", "/api/tags"):
        assert ask(sharing, "GET", path, **wrong).status == 401
    assert ask(sharing, "GET", "/v1/ws", **HANDSHAKE, **wrong).status == 401
    assert counted() == before + 6


def test_files_cannot_be_deleted_by_foreign_pages(gateway: GatewayProcess) -> None:
    assert ask(gateway, "DELETE", "/v1/files/file-1", origin=EVIL).status == 403
    assert ask(gateway, "DELETE", "/v1/files/file-1").status == 404


@pytest.mark.parametrize("path", ["/v1/ws", "/v1/realtime?model=fake/echo"])
@pytest.mark.parametrize(("headers", "status"), [({"host": "evil.example"}, 421), ({"origin": EVIL}, 403)])
def test_foreign_pages_open_no_websocket(
    gateway: GatewayProcess, path: str, headers: dict[str, str], status: int
) -> None:
    handshake = {"upgrade": "websocket", "connection": "Upgrade", "sec_websocket_version": "13"}
    answer = ask(gateway, "GET", path, sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==", **handshake, **headers)
    assert answer.status == status


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/models", "/api/v1/requests"])
def test_preflight_is_refused_by_default(gateway: GatewayProcess, path: str) -> None:
    asked = {"origin": EVIL, "access_control_request_method": "POST"}
    answer = ask(gateway, "OPTIONS", path, **asked)
    assert answer.status == 405
    assert "server.cors_origins" in answer.body.decode()
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/api/v1/requests", "/api/v1/explain"])
def test_preflight_of_a_configured_origin_is_answered_without_a_key(sharing: GatewayProcess, path: str) -> None:
    asked = {"access_control_request_method": "POST", "access_control_request_headers": "authorization"}
    answer = ask(sharing, "OPTIONS", path, origin=APP, **asked)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, APP)
    assert answer.headers["access-control-allow-headers"] == "authorization"
    assert "access-control-allow-origin" not in ask(sharing, "OPTIONS", path, origin=EVIL, **asked).headers


@pytest.mark.parametrize("stream", [False, True])
def test_answers_and_errors_have_cors_headers(sharing: GatewayProcess, stream: bool) -> None:
    body = json.dumps(chat_request(stream=stream)).encode()
    key = f"Bearer {KEY}"
    for who, origin, status in ((key, APP, 200), ("Bearer wrong", APP, 401), (key, EVIL, 200)):
        headers = {"authorization": who, "origin": origin, "content_type": "application/json"}
        answer = ask(sharing, "POST", "/v1/chat/completions", body, **headers)
        assert answer.status == status
        assert answer.headers.get("access-control-allow-origin") == (APP if origin == APP else None)
    answer = ask(sharing, "GET", "/api/v1/requests", origin=APP)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (401, APP)
    assert ask(sharing, "GET", "/nowhere", origin=APP).headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/v1/chat/completions", {"content_length": "x"}, 400),
        ("POST", "/v1/chat/completions", {"content_length": "999999999999"}, 413),
        ("POST", "/api/v1/explain", {"content_length": "999999999999"}, 413),
        ("POST", "/v1/chat/completions", {"content_type": "text/plain"}, 415),
        ("GET", "/v1/models", {"x_a": "a" * 70_000}, 431),
        ("GET", "/v1/chat/completions", {}, 405),
        ("GET", "/api/v1/explain", {}, 405),
        ("GET", "/v1//models", {}, 404),
        ("GET", "/api/v1/nowhere", {}, 404),
    ],
)
def test_page_of_a_configured_origin_can_read_every_error(
    sharing: GatewayProcess, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    for origin in (APP, EVIL):
        key = {"authorization": f"Bearer {KEY}"}
        answer = ask(sharing, method, path, **{"origin": origin, "content_type": "application/json", **key, **headers})
        assert answer.status == status
        assert answer.headers.get("access-control-allow-origin") == (APP if origin == APP else None)
        assert answer.headers["x-request-id"].startswith("req_")


def test_page_of_a_configured_origin_can_read_that_its_body_took_too_long(tmp_path: Path) -> None:
    settings = config(server={"cors_origins": [APP], "body_timeout_s": 0.2})
    with GatewayProcess(settings, tmp_path) as gateway:
        answer = ask(
            gateway,
            "POST",
            "/v1/chat/completions",
            b"{",
            origin=APP,
            content_type="application/json",
            content_length="9",
        )
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (408, APP)


def test_refusal_of_the_control_plane_is_in_the_format_of_its_other_errors(gateway: GatewayProcess) -> None:
    for path in ("/api/v1/explain", "/api//v1/explain"):
        error = ask(gateway, "POST", path, b"{}", origin=EVIL, content_type="application/json").json()["error"]
        assert error["type"], error
    assert isinstance(ask(gateway, "POST", "/api/chat", b"{}", origin=EVIL).json()["error"], str)


_PAGE = """<!doctype html><script>
const gateway = "GATEWAY", rebound = "REBOUND";
const chat = JSON.stringify({model: "fake/echo", messages: [{role: "user", content: "from a page"}]});
const form = new FormData(); form.append("model", "fake/echo"); form.append("file", new Blob(["x"]), "x.wav");
async function attempt(name, url, options) {
  try { const got = await fetch(url, options); return [name, got.type, got.status, await got.text()]; }
  catch (error) { return [name, "failed", 0, ""]; }
}
const socket = (name, url) => new Promise(done => {
  const ws = new WebSocket(url);
  ws.onopen = () => done([name, "open", 101, ""]); ws.onerror = () => done([name, "failed", 0, ""]);
});
Promise.all([
  attempt("json", gateway + "/v1/chat/completions",
    {method: "POST", body: chat, headers: {"content-type": "application/json"}}),
  attempt("text", gateway + "/v1/chat/completions", {method: "POST", body: chat, mode: "no-cors"}),
  attempt("ollama", gateway + "/api/chat", {method: "POST", body: chat, mode: "no-cors"}),
  attempt("untyped", gateway + "/api/generate", {method: "POST", body: new Blob([chat]), mode: "no-cors"}),
  attempt("form", gateway + "/v1/audio/transcriptions", {method: "POST", body: form, mode: "no-cors"}),
  attempt("cancel", gateway + "/v1/batches/batch_1/cancel", {method: "POST", mode: "no-cors"}),
  attempt("read", gateway + "/api/v1/requests"),
  attempt("rebound read", rebound + "/v1/models", {mode: "no-cors"}),
  socket("socket", gateway.replace("http", "ws") + "/v1/ws"),
  socket("rebound socket", rebound.replace("http", "ws") + "/v1/ws"),
]).then(found => fetch("/result", {method: "POST", body: JSON.stringify(found)}));
</script>"""


class PageServer:
    """Serves one page, whose content is set later, at an origin that is not the gateway's, and takes its results."""

    content = b""
    origin = ""

    def __init__(self) -> None:
        self.results: queue.Queue[bytes] = queue.Queue()


@pytest.fixture
def page() -> Iterator[PageServer]:
    served = PageServer()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(served.content)

        def do_POST(self) -> None:
            served.results.put(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    served.origin = f"http://evil.example:{server.server_port}"
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def results_in_chromium(page: PageServer, gateway: GatewayProcess, profile: Path) -> dict[str, tuple[str, int, str]]:
    """Open the page, and return type, status and text of the response to each of its requests."""
    rebound = f"http://evil.example:{gateway.port}"
    page.content = _PAGE.replace("GATEWAY", gateway.url).replace("REBOUND", rebound).encode()
    with chromium(page.origin, profile, "--host-resolver-rules=MAP evil.example 127.0.0.1"):
        found = json.loads(page.results.get(timeout=60))
    return {name: (kind, status, text) for name, kind, status, text in found}


def served_requests(gateway: GatewayProcess) -> int:
    """Return how many requests were served. Some of those that were refused are recorded, too."""
    records = gateway.get("/api/v1/requests", limit=200).json()["requests"]
    return sum(record["status"] < 400 for record in records)


@needs_chromium
def test_a_page_in_chromium_can_neither_use_nor_read_the_gateway(
    gateway: GatewayProcess, page: PageServer, tmp_path: Path
) -> None:
    before = served_requests(gateway)
    found = results_in_chromium(page, gateway, tmp_path)
    assert all(text == "" and kind in {"failed", "opaque"} for kind, _, text in found.values()), found
    assert served_requests(gateway) == before


@needs_chromium
def test_a_page_of_a_configured_origin_in_chromium_can(page: PageServer, tmp_path: Path) -> None:
    settings = config(server={"cors_origins": [page.origin], "allowed_hosts": ["evil.example"]})
    (tmp_path / "gateway").mkdir()
    (tmp_path / "profile").mkdir()
    with GatewayProcess(settings, tmp_path / "gateway") as gateway:
        found = results_in_chromium(page, gateway, tmp_path / "profile")
        assert found["json"][:2] == ("cors", 200)
        assert "from a page" in found["json"][2]
        assert found["read"][:2] == ("cors", 200)
        assert found["socket"][0] == found["rebound socket"][0] == "open"
        assert served_requests(gateway) > 0


@needs_chromium
def test_documentation_page_in_chromium_shows_every_endpoint(gateway: GatewayProcess, tmp_path: Path) -> None:
    shown = dump_page(f"{gateway.url}/api/docs", tmp_path)
    for path in ("/v1/chat/completions", "/v1/messages", "/api/chat", "/api/v1/requests/{request_id}"):
        assert path in shown
