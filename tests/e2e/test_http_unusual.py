"""Well-formed requests that few clients send: they are answered like any other."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS, base_config
from tests.support.gateway.process import GatewayProcess
from tests.support.gateway.raw_http import Answer, RawConnection
from tests.support.http_corpus import (
    CRLF,
    LAST_CHUNK,
    chat_body,
    chunk,
    chunked,
    connect,
    deliver,
    get,
    head,
    post,
    post_sized,
    split_answer,
)

AUTH = f"Authorization: Bearer {KEYS['ann']}".encode()
TE = b"Transfer-Encoding: chunked"
WHOLE = chat_body("fake/echo")
STREAM = chat_body("fake/echo", stream=True)
BODIES = pytest.mark.parametrize("body", [WHOLE, STREAM], ids=["whole", "stream"])
SPLIT_PAUSE_S = 0.0002
JDK_REQUEST = Path(__file__).parents[1] / "fixtures" / "http" / "jdk_17_http_client_post.bin"
"""What `java.net.http.HttpClient` of Java 17 sends with its default settings."""


@pytest.fixture(scope="module")
def gateway(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = base_config(vendor)
    config["server"]["body_timeout_s"] = 20
    with GatewayProcess(config, tmp_path_factory.mktemp("unusual"), admin_key=KEYS["admin"]) as running:
        yield running


@pytest.fixture
def link(gateway: GatewayProcess) -> Iterator[RawConnection]:
    with RawConnection(gateway.port) as connection:
        yield connection


def text_of(answer: Answer) -> str:
    """Return the text of a chat completion, whole or streamed. A stream must be complete."""
    assert answer.status == 200, answer
    if answer.headers["content-type"] == "application/json":
        return str(answer.json()["choices"][0]["message"]["content"])
    return streamed_text(answer.body)


def streamed_text(body: bytes) -> str:
    events = body.decode().strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    documents = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    return "".join(choice["delta"].get("content") or "" for each in documents for choice in each["choices"])


def final_answer(link: RawConnection) -> Answer:
    """Return the next response that is not an interim one."""
    status, headers = link.head()
    while status < 200:
        status, headers = link.head()
    if headers.get("transfer-encoding") == "chunked":
        return Answer(status, headers, b"".join(iter(link.chunk, b"")))
    return Answer(status, headers, link.exactly(int(headers["content-length"])))


def is_open(link: RawConnection) -> bool:
    link.send(get())
    return link.answer().status == 200


@BODIES
@pytest.mark.parametrize(
    "fields",
    [
        (b"content-length: %d", b"host: gateway", AUTH.lower().replace(b"bearer", b"Bearer")),
        (b"CONTENT-LENGTH: %d", b"HOST: gateway", AUTH),
        (b"cOnTeNt-LeNgTh:%d", b"hOsT:gateway", AUTH.replace(b": ", b":")),
        (b"Content-Length: \t %d \t ", b"Host: \tgateway\t", AUTH + b"  "),
        (b"Host: gateway:65535", b"Content-Length: %d", AUTH),
        (b"Host: [::1]:80", b"Content-Length: %d", AUTH),
        (b"Host: xn--bcher-kva.example", b"Content-Length: %d", AUTH),
        (b"Host: gateway", b"X-Empty:", b"X-Space: ", b"Content-Length: %d", AUTH),
        (b"Host: gateway", b"X-A: \xff\xe9 caf\xc3\xa9", b"Content-Length: %d", AUTH),
        (b"Host: gateway", b"X-!#$%%&'*+-.^_`|~9: token", b"Content-Length: %d", AUTH),
        (b"Host: gateway", b"X-A: b", b"X-A: b", b"Accept: a, b;q=0.5", b"Content-Length: %d", AUTH),
        (b"Host: gateway", *[b"X-%%d: %d" % n for n in range(200)], b"Content-Length: %d", AUTH),
    ],
)
def test_unusual_fields_are_accepted(link: RawConnection, body: bytes, fields: tuple[bytes, ...]) -> None:
    lines = [line % len(body) if b"%d" in line and line.lower().startswith(b"content-l") else line for line in fields]
    lines = [line.replace(b"%%", b"%") for line in lines]
    for _ in range(2):
        link.send(head(b"POST /v1/chat/completions HTTP/1.1", b"content-type:application/json", *lines) + body)
        assert text_of(link.answer()) == "echo: hello"


@BODIES
@pytest.mark.parametrize(
    "target",
    [
        b"http://gateway/v1/chat/completions",
        b"HTTP://GATEWAY/v1/chat/completions?a=b",
        b"/v1/chat/completions?",
        b"/v1/chat/completions?a=/../b&c=%20?",
    ],
)
def test_forms_of_the_target_are_accepted(link: RawConnection, body: bytes, target: bytes) -> None:
    for _ in range(2):
        link.send(post_sized(body, AUTH, path=target))
        assert text_of(link.answer()) == "echo: hello"


@pytest.mark.parametrize("host", [b"other", b"gateway:80", b"user@gateway", b"[::1]:1"])
def test_absolute_target_of_another_host_is_served_or_rejected(gateway: GatewayProcess, host: bytes) -> None:
    """RFC 9112 lets the target win; rejecting the contradiction is safe as well."""
    delivery = deliver(gateway.port, get(b"http://" + host + b"/health/live", b"Connection: close"))
    answer, rest = split_answer(delivery.received)
    assert answer.status in {200, 400}
    assert (rest, delivery.is_closed) == (b"", True)


def test_empty_line_before_a_request_is_skipped(link: RawConnection) -> None:
    for _ in range(2):
        link.send(CRLF + get())
        assert link.answer().status == 200
    link.send(post_sized(WHOLE, AUTH) + CRLF + get())  # old clients send CRLF behind a body
    assert text_of(link.answer()) == "echo: hello"
    assert link.answer().status == 200


CHUNKED_BODIES = {
    "in one chunk": chunked(WHOLE),
    "in bytes": chunked(*(WHOLE[at : at + 1] for at in range(len(WHOLE)))),
    "with upper-case sizes": b"%X\r\n%b\r\n" % (len(WHOLE), WHOLE) + LAST_CHUNK,
    "with leading zeros": b"000%x\r\n%b\r\n0000\r\n\r\n" % (len(WHOLE), WHOLE),
    "with an extension": chunk(WHOLE, b";a=b") + b"0;c\r\n\r\n",
    "with a quoted extension": chunk(WHOLE, b';a="b;c=\\"d\\""') + LAST_CHUNK,
    "with many extensions": chunk(WHOLE, b";a;b=1;c=2;d") + LAST_CHUNK,
    "with trailers": chunk(WHOLE) + b"0\r\nX-A: b\r\nExpires: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", CHUNKED_BODIES)
@pytest.mark.parametrize("coding", [TE, b"transfer-encoding: \t CHUNKED  "])
def test_chunked_bodies_are_accepted(link: RawConnection, name: str, coding: bytes) -> None:
    for _ in range(2):
        link.send(post(coding, AUTH, body=CHUNKED_BODIES[name]))
        assert text_of(link.answer()) == "echo: hello"


SPLIT_REQUESTS = {
    "GET": get(b"/health/live?a=b", b"X-A: b"),
    "GET in absolute form": get(b"http://gateway/health/live", b"X-Empty:"),
    "empty line before GET": CRLF + get(),
    "HEAD": head(b"HEAD /health/live HTTP/1.1", b"Host: gateway"),
    "POST": post_sized(WHOLE, AUTH),
    "chunked with extensions": post(TE, AUTH, body=chunk(WHOLE[:20], b';a="b"') + chunk(WHOLE[20:]) + b"0;c\r\n\r\n"),
    "chunked with trailers": post(TE, AUTH, body=chunk(WHOLE) + b"0\r\nX-A: b\r\nX-C: d\r\n\r\n"),
    "pipelined": get() + post_sized(WHOLE, AUTH) + get(),
    "JDK": JDK_REQUEST.read_bytes().replace(b"\r\n\r\n", CRLF + AUTH + CRLF * 2),
}


@pytest.mark.parametrize("name", SPLIT_REQUESTS)
def test_requests_split_at_every_byte_are_answered(link: RawConnection, name: str) -> None:
    data = SPLIT_REQUESTS[name]
    for at in range(1, len(data)):
        link.send(data[:at])
        time.sleep(SPLIT_PAUSE_S)  # so that the gateway reads the first part alone
        link.send(data[at:])
        if name == "HEAD":
            assert link.head()[0] == 200
            continue
        answers = [link.answer() for _ in range(3 if name == "pipelined" else 1)]
        assert [answer.status for answer in answers] == [200] * len(answers), at


@BODIES
@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_100_continue_is_sent_before_the_body(link: RawConnection, body: bytes, framing: str) -> None:
    fields = (AUTH, b"Expect: 100-Continue", b"Content-Length: %d" % len(body) if framing == "sized" else TE)
    for _ in range(2):
        link.send(post(*fields))
        assert link.until(CRLF * 2).startswith(b"HTTP/1.1 100 ")
        link.send(body if framing == "sized" else chunked(body))
        assert text_of(link.answer()) == "echo: hello"


def test_body_that_does_not_wait_for_100_continue_is_accepted(gateway: GatewayProcess) -> None:
    data = post_sized(WHOLE, AUTH, b"Expect: 100-continue", b"Connection: close")
    received = deliver(gateway.port, data).received
    if received.startswith(b"HTTP/1.1 100 "):
        received = received.partition(CRLF * 2)[2]
    assert text_of(split_answer(received)[0]) == "echo: hello"


@pytest.mark.parametrize(
    ("line", "fields", "status"),
    [
        (b"POST /v1/chat/completions", (b"Content-Length: 99", b"Authorization: Bearer wrong"), 401),
        (b"POST /v1/chat/completions", (b"Content-Length: 99",), 401),
        (b"POST /v1/chat/completions", (b"Content-Length: 99999999", AUTH), 413),
        (b"POST /v1/nothing", (b"Content-Length: 99", AUTH), 404),
        (b"PUT /v1/chat/completions", (b"Content-Length: 99", AUTH), 405),
        (b"POST /v1/chat/completions", (b"Content-Length: 99", AUTH, b"Content-Encoding: gzip"), 415),
        (b"POST /v1/chat/completions", (TE, b"Authorization: Bearer wrong"), 401),
    ],
)
def test_refusal_is_sent_instead_of_100_continue(
    gateway: GatewayProcess, line: bytes, fields: tuple[bytes, ...], status: int
) -> None:
    """What follows a refusal is the body, if anything: it is never parsed as a request."""
    with RawConnection(gateway.port) as link:
        kind = b"Content-Type: application/json"
        link.send(head(line + b" HTTP/1.1", b"Host: gateway", kind, b"Expect: 100-continue", *fields))
        assert link.answer().status == status
        link.socket.settimeout(0.3)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            link.send(get())
            assert link.rest() == b""


def test_unknown_expectation_without_a_body_is_rejected(gateway: GatewayProcess) -> None:
    delivery = deliver(gateway.port, get(b"/health/live", b"Expect: 200-ok", b"Connection: close"))
    assert split_answer(delivery.received)[0].status == 417


@BODIES
@pytest.mark.parametrize("is_split", [False, True])
def test_offered_http_2_upgrade_is_ignored(gateway: GatewayProcess, body: bytes, is_split: bool) -> None:
    top, separator, sent = JDK_REQUEST.read_bytes().partition(CRLF * 2)
    top = top.replace(b"Content-Length: %d" % len(sent), b"Content-Length: %d" % len(body)) + CRLF + AUTH
    with RawConnection(gateway.port) as link:
        for _ in range(2):
            link.send(top + separator)
            if is_split:
                time.sleep(0.02)
            link.send(body)
            assert text_of(link.answer()) == "echo: hello"
        assert is_open(link)


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.2", b"h2c, websocket", b"WebSocket", b"foo/1"])
@pytest.mark.parametrize("connection", [b"Upgrade", b"keep-alive, Upgrade", b"upgrade, HTTP2-Settings"])
def test_upgrade_of_an_ordinary_request_is_ignored(link: RawConnection, protocol: bytes, connection: bytes) -> None:
    fields = (b"Connection: " + connection, b"Upgrade: " + protocol, b"HTTP2-Settings: AAMAAABk", AUTH)
    for body in (WHOLE, STREAM):
        link.send(post_sized(body, *fields))
        assert text_of(link.answer()) == "echo: hello"
        link.send(post(TE, *fields, body=chunked(body)))
        assert text_of(link.answer()) == "echo: hello"
    link.send(get(b"/health/live", b"Connection: Upgrade", b"Upgrade: h2c") + get())
    assert [link.answer().status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("fields", [(), (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")])
def test_websocket_handshake_on_an_ordinary_path_is_answered(
    gateway: GatewayProcess, fields: tuple[bytes, ...]
) -> None:
    request = get(b"/health/live", b"Connection: Upgrade", b"Upgrade: websocket", *fields)
    with RawConnection(gateway.port) as link:
        link.send(request)
        assert link.answer().status in {200, 400, 404, 426}


def http_1_0(body: bytes, *fields: bytes) -> bytes:
    sized = (b"Content-Type: application/json", b"Content-Length: %d" % len(body), AUTH)
    return head(b"POST /v1/chat/completions HTTP/1.0", *sized, *fields) + body


@pytest.mark.parametrize("fields", [(), (b"Connection: close",), (b"Host: gateway",), (b"Expect: 100-continue",)])
def test_http_1_0_client_gets_a_whole_answer(gateway: GatewayProcess, fields: tuple[bytes, ...]) -> None:
    delivery = deliver(gateway.port, http_1_0(WHOLE, *fields))
    assert delivery.is_closed
    answer, rest = split_answer(delivery.received)
    assert text_of(answer) == "echo: hello"
    assert "transfer-encoding" not in answer.headers
    assert rest == b""


@pytest.mark.parametrize("fields", [(), (b"Connection: close",), (b"Connection: keep-alive",)])
def test_http_1_0_client_gets_a_stream_that_ends_with_the_connection(
    gateway: GatewayProcess, fields: tuple[bytes, ...]
) -> None:
    delivery = deliver(gateway.port, http_1_0(STREAM, *fields))
    assert delivery.is_closed
    top, _, body = delivery.received.partition(CRLF * 2)
    lines = top.lower().split(CRLF)
    assert lines[0].split(b" ")[1] == b"200"
    assert not [line for line in lines if line.startswith((b"transfer-encoding:", b"content-length:"))]
    assert b"connection: keep-alive" not in lines
    assert streamed_text(body) == "echo: hello"


@pytest.mark.parametrize(
    "path", [b"/health", b"/v1/models", b"/openapi.json", b"/metrics", b"/v1/nothing", b"/api/docs"]
)
def test_http_1_0_client_gets_every_page(gateway: GatewayProcess, path: bytes) -> None:
    admin = f"Authorization: Bearer {KEYS['admin']}".encode()
    delivery = deliver(gateway.port, head(b"GET " + path + b" HTTP/1.0", admin))
    assert delivery.is_closed
    top, _, body = delivery.received.lower().partition(CRLF * 2)
    assert b"transfer-encoding" not in top
    assert body
    size = [line for line in top.split(CRLF) if line.startswith(b"content-length:")]
    assert not size or int(size[0].partition(b":")[2]) == len(body)


def test_http_1_0_connection_is_kept_open_if_asked(gateway: GatewayProcess) -> None:
    with connect(gateway.port) as raw:
        received = b""
        for _ in range(3):
            raw.sendall(http_1_0(WHOLE, b"Connection: Keep-Alive"))
            while not received.endswith(b"}"):
                received += raw.recv(65536)
            answer, received = split_answer(received)
            assert text_of(answer) == "echo: hello"
            assert answer.headers["connection"].lower() == "keep-alive"


def test_head_has_no_body(link: RawConnection) -> None:
    for path, status in ((b"/health/live", 200), (b"/v1/models", 200), (b"/openapi.json", 200), (b"/v1/nothing", 404)):
        request = head(b"HEAD " + path + b" HTTP/1.1", b"Host: gateway", AUTH)
        link.send(request + request + get())
        assert [link.head()[0] for _ in range(2)] == [status, status]
        assert link.answer().status == 200


@pytest.mark.parametrize("path", [b"/health/live", b"/v1/chat/completions", b"*", b"/v1/nothing"])
def test_options_is_answered(link: RawConnection, path: bytes) -> None:
    link.send(head(b"OPTIONS " + path + b" HTTP/1.1", b"Host: gateway", AUTH) + get())
    status, headers = link.head()
    assert status < 500
    if status != 204:
        link.exactly(int(headers["content-length"]))
    assert link.answer().status == 200


@BODIES
@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_half_closed_client_gets_its_answer(gateway: GatewayProcess, body: bytes, framing: str) -> None:
    with RawConnection(gateway.port) as link:
        link.send(post_sized(body, AUTH) if framing == "sized" else post(TE, AUTH, body=chunked(body)))
        link.socket.shutdown(socket.SHUT_WR)
        assert text_of(final_answer(link)) == "echo: hello"
        assert link.rest() == b""


@pytest.mark.parametrize("is_streamed", [False, True])
def test_half_closed_client_gets_an_answer_that_takes_time(
    gateway: GatewayProcess, vendor: MockVendor, is_streamed: bool
) -> None:
    """The end of the request arrives long before the answer begins."""
    name = f"half-closed-{is_streamed}".lower()
    kind = {"kind": "slow_drip", "delay_s": 0.03} if is_streamed else {"kind": "slow", "delay_s": 0.3}
    vendor.fault(match={"model": name}, **kind)
    with RawConnection(gateway.port) as link:
        link.send(post_sized(chat_body(f"mock/{name}", stream=is_streamed), AUTH))
        link.socket.shutdown(socket.SHUT_WR)
        assert text_of(final_answer(link))
        assert link.rest() == b""


def test_half_closed_client_gets_all_pipelined_answers(gateway: GatewayProcess) -> None:
    with RawConnection(gateway.port) as link:
        link.send(get() + post_sized(STREAM, AUTH) + post_sized(WHOLE, AUTH))
        link.socket.shutdown(socket.SHUT_WR)
        assert final_answer(link).status == 200
        assert [text_of(final_answer(link)) for _ in range(2)] == ["echo: hello"] * 2
        assert link.rest() == b""


@pytest.mark.parametrize("sent", [b"", get()[:-1], get()[:20], post_sized(WHOLE)[:-1], post(TE, body=chunk(WHOLE))])
def test_half_closed_client_with_an_incomplete_request_is_closed(gateway: GatewayProcess, sent: bytes) -> None:
    with RawConnection(gateway.port, timeout_s=3) as link:
        link.send(sent)
        link.socket.shutdown(socket.SHUT_WR)
        received = link.rest()
    assert received == b"" or received.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize("is_at_once", [True, False])
def test_pipelined_requests_of_every_kind_are_answered_in_order(
    gateway: GatewayProcess, vendor: MockVendor, is_at_once: bool
) -> None:
    vendor.fault("slow", match={"model": "pipelined-slow"}, delay_s=0.1)
    texts = [f"number {number}" for number in range(10)]
    requests = [get()]
    for number, text in enumerate(texts):
        model = "mock/pipelined-slow" if number == 4 else "fake/echo"
        body = chat_body(model, text, stream=number % 2 == 1)
        requests.append(post_sized(body, AUTH) if number % 3 else post(TE, AUTH, body=chunked(body)))
        requests.append(get(b"/v1/nothing"))
    with RawConnection(gateway.port) as link:
        if is_at_once:
            link.send(b"".join(requests))
        else:
            for request in requests:
                link.send(request)
        assert link.answer().status == 200
        for number, text in enumerate(texts):
            found = text_of(link.answer())
            assert number == 4 or found == f"echo: {text}"
            assert link.answer().status == 404


def test_connection_serves_1000_requests(link: RawConnection) -> None:
    for number in range(1000):
        if number % 10:
            link.send(get())
            assert link.answer().status == 200
        else:
            link.send(post_sized(STREAM if number % 20 else WHOLE, AUTH))
            assert text_of(link.answer()) == "echo: hello"


@BODIES
@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, close", "close,keep-alive", "foo, CLOSE ,bar"])
def test_connection_is_closed_if_asked(gateway: GatewayProcess, value: str, body: bytes) -> None:
    """Requests behind that one are not served."""
    request = post_sized(body, AUTH, b"Connection: " + value.encode())
    with RawConnection(gateway.port, timeout_s=3) as link:
        link.send(request + post_sized(WHOLE, AUTH))
        answer = link.answer()
        assert text_of(answer) == "echo: hello"
        assert answer.headers["connection"] == "close"
        assert link.rest() == b""


@BODIES
@pytest.mark.parametrize("value", ["keep-alive", "Keep-Alive, foo", "closed", "not-close", "", "TE", "close-not"])
def test_connection_is_kept_open_otherwise(link: RawConnection, value: str, body: bytes) -> None:
    link.send(post_sized(body, AUTH, b"Connection: " + value.encode()))
    answer = link.answer()
    assert text_of(answer) == "echo: hello"
    assert answer.headers.get("connection", "keep-alive") != "close"
    assert is_open(link)


@pytest.mark.parametrize("spaces", [(2, 1), (1, 2), (3, 3)])
def test_spaces_in_the_request_line_are_tolerated_or_rejected(gateway: GatewayProcess, spaces: tuple[int, int]) -> None:
    """RFC 9112 permits both."""
    line = b"GET" + b" " * spaces[0] + b"/health/live" + b" " * spaces[1] + b"HTTP/1.1"
    delivery = deliver(gateway.port, head(line, b"Host: gateway", b"Connection: close"))
    answer, rest = split_answer(delivery.received)
    assert answer.status in {200, 400}
    assert (rest, delivery.is_closed) == (b"", True)
