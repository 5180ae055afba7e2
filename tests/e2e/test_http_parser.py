"""The request parser of a running gateway: smuggling and malformed requests are rejected, once, and end the connection.

The corpus is in `tests/support/http_corpus_*.py`. Every case is sent twice: at once, and byte by byte.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess
from tests.support.gateway.raw_http import RawConnection
from tests.support.http_corpus import (
    CRLF,
    PLACEHOLDER,
    Case,
    chat_body,
    chunk,
    chunked,
    connect,
    deliver,
    get,
    head,
    post,
    post_sized,
    rejection,
    send_slowly,
    split_answer,
)
from tests.support.http_corpus_malformed import MALFORMED
from tests.support.http_corpus_smuggling import MARKER, SHAPES

MODEL = PLACEHOLDER.decode()
MAX_SLOW_BYTES = 3000
"""Larger cases are sent byte by byte only in part: the gateway has to read these sizes in any pieces anyway."""
DELIVERIES = pytest.mark.parametrize("is_slow", [False, True], ids=["at once", "byte by byte"])


def smuggled(vendor: MockVendor, model: str = MODEL) -> list[dict[str, Any]]:
    """Return the requests that the upstream received with one of the models of the corpus."""
    return [each for each in vendor.requests() if str(each["model"]).startswith(model)]


@pytest.fixture(scope="module")
def gateway(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway of its own. In the end, no request of the corpus may have reached the upstream or the records."""
    config = {
        "providers": {
            "mock": {"vendor": "openai-compatible", "base_url": vendor.base_url, "models": "*"},
            "fake": {"vendor": "fake"},
        },
        "logging": {"level": "debug"},
    }
    with GatewayProcess(config, tmp_path_factory.mktemp("parser")) as running:
        yield running
        records = running.get("/api/v1/requests", limit=200).json()["requests"]
    assert smuggled(vendor, "smuggled-") == []
    assert [record for record in records if "smuggled-" in json.dumps(record)] == []


@pytest.fixture
def link(gateway: GatewayProcess) -> Iterator[RawConnection]:
    with RawConnection(gateway.port) as connection:
        yield connection


def reject(gateway: GatewayProcess, case: Case, *, is_slow: bool, model: str = MODEL) -> None:
    data = case.with_model(model)
    if is_slow and len(data) > MAX_SLOW_BYTES:
        pytest.skip("too large to be sent byte by byte")
    rejection(deliver(gateway.port, data, is_slow=is_slow), case.statuses)


def test_corpus_is_as_large_as_required() -> None:
    assert len(SHAPES) >= 36
    assert len(MALFORMED) >= 200
    assert len({case.data for case in SHAPES.values()}) == len(SHAPES)
    assert len({case.data for case in MALFORMED.values()}) == len(MALFORMED)


def test_marker_is_served_if_it_is_a_request(gateway: GatewayProcess, vendor: MockVendor) -> None:
    """The control: behind a well-formed request, the second request of every shape is answered."""
    data = MARKER.replace(PLACEHOLDER, b"control-0000")
    with RawConnection(gateway.port) as link:
        link.send(data + data)
        assert [link.answer().status for _ in range(2)] == [200, 200]
    assert len(smuggled(vendor, "control-")) == 2


@DELIVERIES
@pytest.mark.parametrize("name", SHAPES)
def test_smuggling_is_rejected(gateway: GatewayProcess, vendor: MockVendor, name: str, is_slow: bool) -> None:
    model = f"smuggled-{list(SHAPES).index(name):03}"
    before = len(smuggled(vendor, model))
    reject(gateway, SHAPES[name], is_slow=is_slow, model=model)
    assert len(smuggled(vendor, model)) == before


@DELIVERIES
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_request_is_rejected(gateway: GatewayProcess, name: str, is_slow: bool) -> None:
    reject(gateway, MALFORMED[name], is_slow=is_slow)


@pytest.mark.parametrize(
    "name",
    [
        "TE chunked, identity",
        "TE behind a bare LF",
        "CL set twice to the same value",
        "CL with a plus sign",
        "CL.TE",
        "two hosts",
        "chunk size with a plus sign",
        "body ended by one CRLF",
    ],
)
def test_malformed_request_behind_a_good_one_is_rejected(gateway: GatewayProcess, name: str) -> None:
    """The good request is answered first, the malformed one is rejected, and nothing behind it is served."""
    delivery = deliver(gateway.port, get(b"/health/live") + SHAPES[name].data)
    first, rest = split_answer(delivery.received)
    assert first.status == 200
    rejection(delivery._replace(received=rest), SHAPES[name].statuses)


@pytest.mark.parametrize("step", [512, 4096, 65_000])
@pytest.mark.parametrize("position", ["first", "second", "pipelined"])
def test_head_over_64_kib_is_rejected_in_any_pieces(gateway: GatewayProcess, step: int, position: str) -> None:
    large = get(b"/health/live", *[b"X-%d: %b" % (number, b"y" * 60) for number in range(1200)])
    before = {"first": b"", "second": get(), "pipelined": get()}[position]
    with RawConnection(gateway.port, timeout_s=3) as link:
        if position == "second":
            link.send(before)
            assert link.answer().status == 200
            before = b""
        data = before + large
        try:
            for at in range(0, len(data), step):
                link.send(data[at : at + step])
        except (BrokenPipeError, ConnectionResetError):
            pass  # rejected in the meantime
        if position == "pipelined":
            assert link.answer().status == 200
        answer = link.answer()
        assert answer.status == 431
        assert answer.headers["connection"] == "close"
        assert link.rest() == b""


def test_head_below_64_kib_is_accepted(link: RawConnection) -> None:
    for _ in range(3):
        link.send(get(b"/health/live", *[b"X-%d: %b" % (number, b"y" * 900) for number in range(60)]))
        assert link.answer().status == 200
    link.send(get(b"/health/live?" + b"x" * 15_000))
    assert link.answer().status == 200


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /health/live HTTP/1.1", 200),
        (b"DELETE /health/live HTTP/1.1", 405),
        (b"POST /health/live HTTP/1.1", 405),
        (b"POST /v1/nothing HTTP/1.1", 404),
        (b"GET /v1/models HTTP/1.1", 200),
        (b"OPTIONS * HTTP/1.1", None),
        (b"HEAD /v1/nothing HTTP/1.1", 404),
    ],
)
@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_body_that_is_not_needed_is_never_a_request(
    gateway: GatewayProcess, request_head: bytes, status: int | None, framing: str
) -> None:
    """CL.0 and its relatives: the body of a request that needs none is skipped, or the connection is closed."""
    fields = [b"Host: gateway"]
    fields.append(b"Content-Length: %d" % len(MARKER) if framing == "sized" else b"Transfer-Encoding: chunked")
    body = MARKER if framing == "sized" else chunked(MARKER)
    follower = get(b"/health/live", b"Connection: close")
    delivery = deliver(gateway.port, head(request_head, *fields) + body + follower)
    assert delivery.is_closed
    assert 1 <= delivery.answers <= 2
    first = int(delivery.received.split(b" ", 2)[1])
    assert first == status or (status is None and first < 500)
    assert b"chat.completion" not in delivery.received


@pytest.mark.parametrize(
    "fields",
    [
        (b"Transfer_Encoding: chunked",),
        (b"Transfer-Encodin: chunked",),
        (b"X-Transfer-Encoding: chunked",),
        (b"TE: chunked",),
        (b"Trailer: Transfer-Encoding",),
        (b"Connection: Content-Length, Host",),
        (b"Connection: keep-alive, Transfer-Encoding",),
        (b"Content_Length: 0",),
        (b"X-Content-Length: 0", b"Content-Lengt: 0"),
        (b"X-HTTP-Method-Override: GET",),
        (b"X-Original-URL: /health", b"X-Rewrite-URL: /health"),
        (b"Upgrade: chunked",),
    ],
)
def test_fields_with_similar_names_do_not_frame_the_body(link: RawConnection, fields: tuple[bytes, ...]) -> None:
    body = chat_body("fake/echo", text=MARKER.decode())
    for _ in range(2):
        link.send(post_sized(body, *fields))
        answer = link.answer()
        assert answer.status == 200
        assert answer.json()["object"] == "chat.completion"


@pytest.mark.parametrize(
    "trailer",
    [
        b"Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Host: other",
        b"Host: a\r\nHost: b",
    ],
)
def test_trailer_never_frames_the_message(gateway: GatewayProcess, trailer: bytes) -> None:
    """A framing field in a trailer is ignored or rejected. The next request is not part of the message."""
    body = chunk(chat_body("fake/echo")) + b"0\r\n" + trailer + CRLF * 2
    delivery = deliver(
        gateway.port,
        post(b"Transfer-Encoding: chunked", body=body) + get(b"/health/live", b"Connection: close"),
    )
    first, rest = split_answer(delivery.received)
    assert delivery.is_closed
    if first.status == 200:
        assert split_answer(rest)[0].status == 200
    else:
        assert (first.status, rest) == (400, b"")


def test_size_with_leading_zeros_is_decimal(gateway: GatewayProcess) -> None:
    body = chat_body("fake/echo")
    data = post(b"Content-Length: 00%d" % len(body), body=body) + get(b"/health/live", b"Connection: close")
    first, rest = split_answer(deliver(gateway.port, data).received)
    if first.status == 200:
        assert split_answer(rest)[0].status == 200
    else:
        assert (first.status, rest) == (400, b"")


@pytest.mark.parametrize(
    "method", ["get", "Get", "GETX", "1GET", "FROBNICATE", "PROPFIND", "QUERY", "TRACE", "a-b!", "G" * 5000]
)
@pytest.mark.parametrize("path", ["/health/live", "/v1/chat/completions"])
def test_unknown_method_is_rejected(gateway: GatewayProcess, method: str, path: str) -> None:
    data = head(f"{method} {path} HTTP/1.1".encode(), b"Host: gateway") + get(b"/health/live", b"Connection: close")
    delivery = deliver(gateway.port, data)
    assert delivery.is_closed
    first, rest = split_answer(delivery.received)
    assert first.status in {400, 405}
    assert first.json()["error"]["message"]
    if first.headers.get("connection") == "close":
        assert rest == b""
    else:
        assert split_answer(rest)[0].status == 200


@pytest.mark.parametrize(
    "target",
    [
        *(b"/health/live#fragment", b"/%", b"/%zz", b"/%00", b"/%0d%0a", b"/\xc3\xa9", b"/\xff", b"/a|b", b"/{a}"),
        *(b"/a<b>", b'/"', b"/a^b`c", b"/..", b"/../..", b"//", b"//other/health", b"/;a=b", b"/?", b"/??", b"/?#?"),
        *(b"*", b"/health/live?a=%", b"/" + b"a/" * 5000, b"/%2e%2e/%2f", b"http://gateway", b"http://gateway?x"),
        *(b"http://user@gateway/health", b"ftp://gateway/health", b"http://[::1]/health", b"http://gateway:0/x"),
        *(b"/v1/models/%ff%fe", b"/v1/files/%2e%2e%2f/content", b"/v1/responses/\xf0\x9f\x98\x80"),
    ],
)
def test_odd_target_is_never_an_error_of_the_gateway(gateway: GatewayProcess, target: bytes) -> None:
    delivery = deliver(gateway.port, head(b"GET " + target + b" HTTP/1.1", b"Host: gateway", b"Connection: close"))
    assert delivery.is_closed
    answer, rest = split_answer(delivery.received)
    assert 200 <= answer.status < 500
    assert rest == b""


def test_rejection_reaches_a_client_that_is_still_sending(gateway: GatewayProcess) -> None:
    """The error is not lost in the reset that closing a connection with unread data causes."""
    for _ in range(5):
        with connect(gateway.port) as link:
            with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012 - sends until it fails
                link.sendall(get(b"/health", b"X A: b"))
                for _ in range(2000):
                    link.sendall(b"x" * 65536)
            assert link.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_well_formed_requests_pass_byte_by_byte(gateway: GatewayProcess) -> None:
    """The control for the slow delivery of the corpus."""
    body = chat_body("fake/echo")
    for data in (get(), post_sized(body), post(b"Transfer-Encoding: chunked", body=chunked(body[:9], body[9:]))):
        with RawConnection(gateway.port) as link:
            send_slowly(link.socket, data)
            assert link.answer().status == 200
