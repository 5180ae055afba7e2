"""Random bytes from clients and vendors: the server answers correctly or closes the connection, and keeps running."""

import json
import random
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intellirouter.testing import MockVendor
from tests.support.gateway import mutations
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess
from tests.support.gateway.raw_http import Answer, RawConnection

GATE_CASES = 2000
BEARER = f"Bearer {KEYS['ann']}"
FROM_UPSTREAM = {429, 502, 503, 504}
CASE = re.compile(rb"case-(\d+)-")


def seeds(part: int) -> Iterator[int]:
    """The test suite repeats the same cases; `make fuzz` (hypothesis profile `fuzz`) runs FUZZ_CASES new ones."""
    count = settings().max_examples
    is_gate = count <= GATE_CASES
    first = 0 if is_gate else random.SystemRandom().randrange(2**40)
    return iter(range(first, first + (GATE_CASES if is_gate else count) // part))


class Client:
    """A keep-alive connection, which is opened again when the server closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._link = RawConnection(port)

    def post(self, body: bytes, path: str) -> Answer:
        answer = self._link.post(body, path, authorization=BEARER)
        if answer.headers.get("connection") == "close":
            self.close()
            self._link = RawConnection(self._port)
        return answer

    def close(self) -> None:
        self._link.close()


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[Client]:
    client = Client(gateway.port)
    yield client
    client.close()


def check_form(answer: Answer, case: object) -> None:
    """Assert that a response is no internal error, has a request id, and a body of its content type."""
    assert answer.headers["x-request-id"].startswith("req_"), case
    assert answer.status != 500, case
    if answer.status == 200:
        return
    error = answer.json()["error"]
    assert isinstance(error["message"], str), case
    assert error.get("code") != "internal_error", case


def check_stream(answer: Answer, case: object) -> None:
    """Assert that the stream is valid UTF-8, and that only its last event is the end or an error.

    Chunks after the first content may be relayed without being parsed, so they need not be valid JSON.
    """
    text = answer.body.decode()  # raises an error unless it is valid UTF-8
    data = [
        "\n".join(line[5:].removeprefix(" ") for line in event.split("\n") if line.startswith("data:"))
        for event in re.split(r"\n\n|\r\r", text.replace("\r\n", "\n").replace("\r", "\n"))
    ]
    *chunks, last = [each for each in data if each]
    assert not [chunk for chunk in chunks if chunk.strip() == "[DONE]" or is_error(chunk)], case
    assert last.strip() == "[DONE]" or json.loads(last)["error"], case


def is_error(chunk: str) -> bool:
    try:
        document = json.loads(chunk)
    except ValueError:
        return False
    return isinstance(document, dict) and bool(document.get("error"))


@pytest.mark.hypothesis
def test_random_requests_do_not_break_the_server(client: Client, gateway: GatewayProcess) -> None:
    for seed in seeds(1):
        rng = random.Random(seed)
        is_chat = rng.random() < 0.75
        body = mutations.request_body(rng, rng.choice(mutations.CHATS if is_chat else mutations.EMBEDDINGS))
        path = "/v1/chat/completions" if is_chat else "/v1/embeddings"
        if seed % 20 == 0:
            path = "/api/v1/explain"
        answer = client.post(body, path)
        if path != "/api/v1/explain":
            check_form(answer, seed)
        # The fake models and the vendor refuse what they cannot serve; they never fail.
        assert answer.status < 500, (seed, answer)
    assert gateway.is_ready()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = st.dictionaries(
    st.sampled_from(["stream", "stream_options", "n", "tools", "stop", "max_tokens", "temperature", "user", "x"]), JSON
)
MESSAGES = st.lists(st.dictionaries(st.sampled_from(["role", "content", "name", "tool_calls"]), JSON), max_size=3)


@given(members=MEMBERS, messages=MESSAGES | JSON)
@settings(
    max_examples=min(GATE_CASES, settings().max_examples),  # generating these cases is slow
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_random_json_does_not_break_the_server(client: Client, members: dict[str, Any], messages: Any) -> None:
    body = json.dumps({"model": "fake/echo", "messages": messages, **members}).encode()
    answer = client.post(body, "/v1/chat/completions")
    check_form(answer, body)
    assert answer.status in {200, 400}


@pytest.mark.hypothesis
def test_random_request_heads_do_not_break_the_server(gateway: GatewayProcess) -> None:
    body = json.dumps(mutations.CHATS[0]).encode()
    good = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: {BEARER}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
    for seed in seeds(10):
        data = mutations.mutated_bytes(random.Random(seed), good)
        with RawConnection(gateway.port) as link:
            link.send(data)
            link.socket.shutdown(socket.SHUT_WR)  # nothing more is sent
            said = link.rest()
        assert not said or re.match(rb"HTTP/1\.1 (100|200|4\d\d) ", said), (seed, said)
        assert b"internal_error" not in said, seed
    assert gateway.is_ready()


class BrokenVendor:
    """Reads requests, answers each with the broken bytes of the numbered case, and closes the connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return  # stopped
            with link:
                try:
                    self._answer(link)
                except OSError:
                    continue  # the gateway has closed the connection

    def _answer(self, link: socket.socket) -> None:
        link.settimeout(5)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = b""
        while (found := CASE.search(request)) is None or not request.endswith(b"}"):
            piece = link.recv(65536)
            if not piece:
                return
            request += piece
        rng = random.Random(int(found[1]))
        for piece in mutations.upstream_answer(rng, stream=b'"stream": true' in request):
            link.sendall(piece)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    vendor = BrokenVendor()
    timeouts = {"first_token_s": 2, "idle_s": 2, "total_s": 5}
    config = {
        "defaults": {"retries": 0},
        "providers": {
            "broken": {
                "vendor": "openai-compatible",
                "base_url": vendor.base_url,
                "models": "*",
                "timeouts": timeouts,
                "max_connections": 4,
            },
        },
        "logging": {"level": "error"},
    }
    with GatewayProcess(config, tmp_path_factory.mktemp("broken")) as running:
        yield running
    vendor.stop()


@pytest.fixture
def broken_client(broken: GatewayProcess) -> Iterator[Client]:
    client = Client(broken.port)
    yield client
    client.close()


@pytest.mark.hypothesis
@pytest.mark.parametrize("stream", [False, True])
def test_random_upstream_answers_do_not_break_the_server(
    broken: GatewayProcess, broken_client: Client, stream: bool
) -> None:
    good = 0
    for seed in seeds(4):
        request = {"model": "broken/m", "messages": [{"role": "user", "content": f"case-{seed}-"}], "stream": stream}
        answer = broken_client.post(json.dumps(request).encode(), "/v1/chat/completions")
        check_form(answer, seed)
        assert answer.status in {200, *FROM_UPSTREAM} or 400 <= answer.status < 500, seed
        if answer.status == 200:
            good += 1
            if stream:
                check_stream(answer, seed)
            else:
                assert isinstance(answer.json()["choices"], list), seed
    assert good > 0
    assert broken.is_ready()
    state = httpx.get(f"{broken.url}/api/v1/health", timeout=10).json()
    assert state["in_flight"] == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["crlf", "comments", "no_space", "multi_line", "named_events", "split"])
def test_unusual_but_valid_streams_are_relayed(client: Client, vendor: MockVendor, how: str, stream: bool) -> None:
    name = f"fuzz-{how}-{stream}"
    vendor.fault("malformed", match={"model": name}, how=how)
    request = {"model": f"mock/{name}", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    answer = client.post(json.dumps(request).encode(), "/v1/chat/completions")
    assert answer.status == 200
    if stream:
        check_stream(answer, how)
        assert b"[DONE]" in answer.body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "what", ["unknown_fields", "usage_missing", "usage_on_choice", "usage_details", "empty_choices", "reasoning"]
)
def test_unusual_but_valid_fields_are_passed_on(
    client: Client, vendor: MockVendor, gateway: GatewayProcess, what: str, stream: bool
) -> None:
    name = f"fuzz-{what}-{stream}"
    vendor.fault("extra", match={"model": name}, what=what)
    request = {"model": f"mock/{name}", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    answer = client.post(json.dumps(request).encode(), "/v1/chat/completions")
    assert answer.status == 200
    usage = gateway.record(answer.headers["x-request-id"])["usage"]
    assert usage.get("is_estimated", False) is (what == "usage_missing")
    assert usage["output_tokens"] > 0
