"""Random bytes in every dialect, from clients of each endpoint and from vendors of each kind."""

import json
import random
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from intellirouter.dialects.bedrock.event_stream import MessageReader, encode_message
from tests.support.gateway import mutations
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess
from tests.support.gateway.raw_http import Answer, RawConnection
from tests.support.translation.prompt import PIXEL, SCHEMA, Call, Prompt, Tool
from tests.support.translation.usage import replayed
from tests.support.translation.world import BOTH, CLIENTS, CREDENTIAL, UPSTREAMS, World, config, unique

GATE_CASES = 2000
CASE = re.compile(rb"case-(\d+)-")
RICH = Prompt(
    text='case-0- call weather with {"city": "Oslo"}',
    system="Be brief.",
    tools=[Tool("weather")],
    temperature=0.5,
    max_tokens=50,
)
RESULTS = Prompt(
    text="go", tools=[Tool("weather")], called=[Call("call_1", "weather", {"city": "Oslo"})], results=["x"]
)
PICTURE, FORM = Prompt(text="see", image=PIXEL), Prompt(text="who", schema=SCHEMA)
OTHER_BODIES: dict[str, dict[str, Any]] = {
    "/v1/messages/count_tokens": {"model": "gemini", "messages": [{"role": "user", "content": "x"}], "tools": []},
    "/v1beta/models/ollama:countTokens": {"contents": [{"role": "user", "parts": [{"text": "x"}]}]},
    "/v1beta/models/openai:embedContent": {"content": {"parts": [{"text": "x"}]}, "outputDimensionality": 8},
    "/v1beta/models/ollama:batchEmbedContents": {"requests": [{"model": "m", "content": {"parts": [{"text": "x"}]}}]},
    "/api/embed": {"model": "gemini", "input": ["a", "b"], "truncate": True, "dimensions": 8},
    "/api/embeddings": {"model": "openai", "prompt": "a"},
    "/api/show": {"model": "openai", "verbose": False},
    "/v1/embeddings": {"model": "ollama", "input": [[1, 2], [3]], "encoding_format": "base64"},
    "/v1/moderations": {"model": "openai", "input": ["a", {"type": "text", "text": "b"}]},
    "/v1/rerank": {"model": "anything/m", "query": "a", "documents": ["a", {"text": "b"}], "top_n": 1},
    "/v1/images/generations": {"model": "openai", "prompt": "a cat", "n": 1, "size": "1024x1024"},
    "/v1/audio/speech": {"model": "openai", "input": "hello", "voice": "alloy"},
    "/v1/responses/resp_1/cancel": {},
}


def cases(share: int) -> Iterator[int]:
    """The test suite repeats the same cases; `make fuzz` runs FUZZ_CASES new ones."""
    count = settings().max_examples
    is_gate = count <= GATE_CASES
    first = 0 if is_gate else random.SystemRandom().randrange(2**40)
    return iter(range(first, first + (GATE_CASES if is_gate else count) // share))


class Link:
    """A keep-alive connection, which is opened again when the server closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._link = RawConnection(port)

    def post(self, body: bytes, path: str) -> Answer:
        answer = self._link.post(body, path, authorization=f"Bearer {KEYS['ann']}")
        if answer.headers.get("connection") == "close":
            self.close()
            self._link = RawConnection(self._port)
        return answer

    def close(self) -> None:
        self._link.close()


@pytest.fixture
def link(world: World) -> Iterator[Link]:
    link = Link(world.gateway.port)
    yield link
    link.close()


def check(answer: Answer, case: object) -> None:
    assert answer.headers["x-request-id"].startswith("req_"), case
    # A schema may contradict itself, so that the vendor's answer does not match it and is rejected.
    is_refused = b"the model's answer" in answer.body.lower() or b"model repeats itself" in answer.body
    assert answer.status < 500 or is_refused, (case, answer)
    assert b"internal_error" not in answer.body, case


@pytest.mark.hypothesis
@pytest.mark.parametrize("client", CLIENTS)
def test_random_requests_do_not_break_the_server(world: World, link: Link, client: str) -> None:
    rng = random.Random(client)
    upstreams = list(UPSTREAMS)
    for seed in cases(10):
        rng.seed(seed)
        prompt = rng.choice((RICH, RESULTS, PICTURE, FORM))
        request = CLIENTS[client].build(prompt, upstreams[seed % len(upstreams)], stream=rng.random() < 0.5)
        answer = link.post(mutations.request_body(rng, request.body), request.path)
        check(answer, (client, seed))
        if answer.status == 200:
            answer.body.decode()
    assert world.gateway.is_ready()


@pytest.mark.hypothesis
@pytest.mark.parametrize("path", OTHER_BODIES)
def test_random_requests_to_other_endpoints_do_not_break_the_server(world: World, link: Link, path: str) -> None:
    rng = random.Random(path)
    for seed in cases(25):
        rng.seed(seed)
        check(link.post(mutations.request_body(rng, OTHER_BODIES[path]), path), (path, seed))
    assert world.gateway.is_ready()


@pytest.mark.parametrize("path", ["/v1beta/models/{}:generateContent", "/v1/models/{}", "/v1/responses/{}", "/api/{}"])
def test_random_paths_do_not_break_the_server(world: World, link: Link, path: str) -> None:
    for odd in (
        "",
        "/",
        "..",
        "%",
        "%00",
        "%ff",
        "a" * 5000,
        "a:b:c",
        "é",
        "%2e%2e%2f",
        "{}",
        "?key=",
        "a?b=%ff&key=%",
    ):
        answer = link.post(b"{}", path.format(odd).replace("é", "\xe9"))
        assert answer.status < 500, odd
    assert world.gateway.is_ready()


# --- vendors


class TwistedVendor:
    """Sends vendors' answers with broken values, broken bytes or small changes, and closes the connection."""

    def __init__(self, good: dict[tuple[str, bool], tuple[str, bytes]]) -> None:
        self._good = good
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
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
        upstream, stream = asked(request)
        kind, body = self._good[upstream, stream]
        rng = random.Random(int(found[1]))
        body = twisted(rng, body, is_binary="eventstream" in kind)
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n"
        if rng.random() < 0.5:
            head += f"content-length: {len(body)}\r\n"
        data = head.encode() + b"\r\n" + body
        step = rng.choice((len(data) + 1, 97, 13))
        for at in range(0, len(data), step):
            link.sendall(data[at : at + step])

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def asked(request: bytes) -> tuple[str, bool]:
    """Return the dialect of a request, and whether it requests a stream."""
    path = request.split(b" ", 2)[1]
    ways = {b"/v1/chat": "openai", b"/v1/responses": "responses", b"/v1/messages": "anthropic", b"/v1beta": "gemini"}
    ways |= {b"/api/chat": "ollama", b"/model/": "bedrock"}
    upstream = next(name for start, name in ways.items() if path.startswith(start))
    is_stream = b'"stream":true' in request.replace(b'": ', b'":') or b"stream" in path
    return upstream, is_stream


def twisted(rng: random.Random, body: bytes, *, is_binary: bool) -> bytes:
    if is_binary:
        messages = MessageReader().feed(body)
        at = rng.randrange(len(messages))
        payloads = [message.payload for message in messages]
        payloads[at] = twisted_json(rng, payloads[at])
        frames = [encode_message(message.headers, payload) for message, payload in zip(messages, payloads, strict=True)]
        if rng.random() < 0.3:
            rng.shuffle(frames)
        body = b"".join(frames)
    else:
        pieces = re.split(rb"(?<=\n)", body)
        for _ in range(rng.choice((0, 1, 1, 3))):
            at = rng.randrange(len(pieces))
            lead, brace, rest = pieces[at].partition(b"{")
            pieces[at] = lead + twisted_json(rng, brace + rest) if brace else pieces[at]
        if rng.random() < 0.2:
            del pieces[rng.randrange(len(pieces))]
        body = b"".join(pieces)
    return mutations.mutated_bytes(rng, body) if rng.random() < 0.3 else body


def twisted_json(rng: random.Random, text: bytes) -> bytes:
    try:
        document = json.loads(text)
    except ValueError:
        return text
    end = b"\n" * (len(text) - len(text.rstrip(b"\n")))
    return json.dumps(mutations.mutated_document(rng, document)).encode("utf-8", "surrogatepass") + end


@pytest.fixture(scope="module")
def broken(dialect_processes: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose vendors send modified answers of the mock vendor."""
    good: dict[tuple[str, bool], tuple[str, bytes]] = {}
    dialect_processes.vendor.reset()
    for upstream in UPSTREAMS:
        for stream in BOTH:
            mark = unique()
            dialect_processes.ask("chat", upstream, RICH, stream=stream, more={"user": mark})
            sent = dialect_processes.vendor.requests()[-1]
            kind = (
                "application/vnd.amazon.eventstream" if (upstream, stream) == ("bedrock", True) else "text/event-stream"
            )
            body = replayed(sent, dialect_processes.vendor.url, dialect_processes.http)
            good[upstream, stream] = (kind if stream else "application/json", body)
    vendor = TwistedVendor(good)
    directory = tmp_path_factory.mktemp("twisted")
    settings_of_all = config(dialect_processes.vendor, directory)
    for provider in settings_of_all["providers"].values():
        provider["base_url"] = provider["base_url"].replace(dialect_processes.vendor.url, vendor.url)
        provider["timeouts"] = {"first_token_s": 2, "idle_s": 2, "total_s": 5}
    with GatewayProcess(settings_of_all, directory, admin_key=KEYS["admin"]) as gateway:
        world = World(gateway, dialect_processes.vendor)
        yield world
        world.http.close()
    vendor.stop()


FOREIGN = {
    "chat": ["responses", "anthropic", "gemini", "ollama", "bedrock"],
    "responses": ["anthropic", "gemini", "ollama", "bedrock"],
    "messages": ["openai", "responses", "gemini", "ollama", "bedrock"],
    "gemini": ["openai", "responses", "anthropic", "ollama", "bedrock"],
    "ollama": ["openai", "responses", "anthropic", "gemini", "bedrock"],
}
"""Upstreams whose answers are translated. Translated answers must be valid, whatever the upstream sends."""


@pytest.mark.hypothesis
@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("client", FOREIGN)
def test_random_upstream_answers_do_not_break_the_server(broken: World, client: str, stream: bool) -> None:
    """The strict parser of the client's dialect accepts every response as a complete answer or a typed error."""
    good = 0
    for seed in cases(20):
        upstream = FOREIGN[client][seed % len(FOREIGN[client])]
        prompt = Prompt(text=f"case-{seed}-", tools=[Tool("weather")], max_tokens=50)
        answer = broken.ask(client, upstream, prompt, stream=stream)
        place = (client, upstream, seed, answer.body)
        assert answer.status != 500, place
        assert b"internal_error" not in answer.body, place
        if answer.status == 200 and not answer.parsed.error:
            assert answer.parsed.is_complete, place
            good += 1
        else:
            assert answer.parsed.error, place
    assert good > 0
    assert broken.gateway.is_ready()


@pytest.mark.hypothesis
@pytest.mark.parametrize("stream", BOTH)
def test_random_upstream_answers_do_not_break_the_passthrough(broken: World, stream: bool) -> None:
    """Relayed bytes are not all validated. The server keeps running, and its own responses are valid."""
    for seed in cases(10):
        client, upstream = [
            ("responses", "responses"),
            ("messages", "anthropic"),
            ("gemini", "gemini"),
            ("ollama", "ollama"),
        ][seed % 4]
        request = CLIENTS[client].build(Prompt(text=f"case-{seed}-", tools=[Tool("weather")]), upstream, stream=stream)
        got = broken.call(request.path, request.body)
        assert got.status_code != 500, (client, seed, got.text)
        assert b"internal_error" not in got.content, (client, seed)
        got.content.decode()
    assert broken.gateway.is_ready()


def test_nothing_is_in_flight_at_the_end(broken: World) -> None:
    assert broken.gateway.get("/api/v1/health").json()["in_flight"] == 0
    assert CREDENTIAL not in broken.gateway.stderr()
