"""Request heads: what is accepted and refused, and which heads are shared."""

import pytest

from intellirouter.serving.head import BadRequest, HeadParser, check_partial_head, count_empty_lines, parse_head

GET = b"GET /v1/models?a=%20b HTTP/1.1\r\nHost: gateway"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nContent-Length: "


def test_head_is_parsed() -> None:
    head = parse_head(
        b"POST /v1/caf%C3%A9?key=a&b HTTP/1.1\r\nHOST: gateway:80\r\nX-A:\t b \t\r\nContent-Length: 12\r\nAccept:"
    )
    assert (head.method, head.path, head.query, head.raw_path) == ("POST", "/v1/café", b"key=a&b", b"/v1/caf%C3%A9")
    assert head.headers == {b"host": b"gateway:80", b"x-a": b"b", b"accept": b""}
    assert head.fields == ((b"host", b"gateway:80"), (b"x-a", b"b"), (b"accept", b""))
    assert (head.length, head.is_chunked, head.keeps_alive, head.is_http_10) == (12, False, True, False)


@pytest.mark.parametrize(
    ("version", "connection", "keeps_alive"),
    [
        (b"1.1", None, True),
        (b"1.1", b"close", False),
        (b"1.1", b"keep-alive, Close", False),
        (b"1.0", None, False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_connection_header_decides_whether_the_connection_stays_open(
    version: bytes, connection: bytes | None, *, keeps_alive: bool
) -> None:
    line = b"" if connection is None else b"\r\nConnection: " + connection
    assert parse_head(b"GET / HTTP/" + version + b"\r\nHost: x" + line).keeps_alive is keeps_alive


@pytest.mark.parametrize(
    ("lines", "is_websocket"),
    [
        (b"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket", True),
        (b"Connection: upgrade\r\nUpgrade: h2c", False),
        (b"Upgrade: websocket", False),
        (b"Connection: upgrade", False),
    ],
)
def test_only_a_websocket_is_an_accepted_upgrade(lines: bytes, *, is_websocket: bool) -> None:
    assert parse_head(GET + b"\r\n" + lines).is_websocket is is_websocket
    assert not parse_head(GET.replace(b"GET", b"POST") + b"\r\n" + lines).is_websocket
    assert not parse_head(GET.replace(b"1.1", b"1.0") + b"\r\n" + lines).is_websocket


def test_host_of_an_absolute_target_replaces_the_header() -> None:
    head = parse_head(b"GET http://real:1/health?x HTTP/1.1\r\nHost: other")
    assert (head.path, head.query, head.headers[b"host"]) == ("/health", b"x", b"real:1")


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r\nHost: a\r\nhost: a",
        b"GET / HTTP/1.1\r\nHost: a b",
        b"GET / HTTP/2.0\r\nHost: a",
        b"GET  / HTTP/1.1\r\nHost: a",
        b"GET / HTTP/1.1 \r\nHost: a",
        b"GET /a#b HTTP/1.1\r\nHost: a",
        b"GET a HTTP/1.1\r\nHost: a",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a",
        b"GET http:///x HTTP/1.1\r\nHost: a",
        b"GET http://[x HTTP/1.1\r\nHost: a",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded",
        b"GET / HTTP/1.1\r\nHost : a",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\x00: b",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01",
        b"GET / HTTP/1.1\nHost: a",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c",
        b"GET / HTTP/1.1\r\nHost: a\r\n: b",
        POST + b"+5",
        POST + b"5, 5",
        POST + b"5\r\nContent-Length: 5",
        POST + b"9" * 16,
        POST + b"5\r\nTransfer-Encoding: chunked",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked",
    ],
)
def test_malformed_head_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        HeadParser().parse(raw)
    assert (refused.value.status, refused.value.code) == (400, "invalid_http")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (GET + b"\r\nExpect: 200-ok", 417),
        (GET + b"\r\nX: " + b"a" * 70_000, 431),
        (GET + b"\r\nX: a" * 300, 431),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a", 414),
    ],
)
def test_refusal_has_a_status_of_its_own(raw: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as refused:
        HeadParser().parse(raw)
    assert refused.value.status == status


def test_heads_that_differ_only_in_length_are_shared() -> None:
    parser = HeadParser()
    first, length = parser.parse(POST + b"5\r\nX: y")
    second, other = parser.parse(POST + b"70\r\nX: y")
    assert first is second
    assert (length, other) == (5, 70)
    third, _ = parser.parse(POST + b"70\r\nX: z")
    assert third is not first


def test_length_in_unusual_spelling_is_not_confused() -> None:
    parser = HeadParser()
    for raw, expected in ((b"CONTENT-LENGTH: 5", 5), (b"CONTENT-LENGTH: 6", 6), (b"Content-Length:  7", 7)):
        assert parser.parse(GET + b"\r\n" + raw)[1] == expected
    parser.parse(POST + b"5")
    for wrong in (b"", b"-1", b"x", b"5 6", b"1" * 16):
        with pytest.raises(BadRequest):
            parser.parse(POST + wrong)


def test_number_of_shared_heads_is_limited() -> None:
    parser = HeadParser()
    first, _ = parser.parse(GET + b"\r\nX: 0")
    for number in range(1100):
        parser.parse(GET + b"\r\nX: %d" % number)
    assert parser.parse(GET + b"\r\nX: 0")[0] is not first
    large = GET + b"\r\nX: " + b"a" * 5000
    assert parser.parse(large)[0] is not parser.parse(large)[0]


def test_every_beginning_of_a_good_head_is_accepted() -> None:
    raw = bytearray(b"\r\n\r\nPOST /v1?a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r")
    for end in range(1, len(raw) + 1):
        part = raw[:end]
        check_partial_head(part, count_empty_lines(part), 1)


@pytest.mark.parametrize(
    "raw",
    [b"\x16\x03\x01", b"get\n", b"GET / HTTP/1.1\rX", b"GET / HTTX", b"GET / HTTP/1.1\r\nA: b\n", b"\0", b"G" * 40],
)
def test_beginning_that_cannot_become_a_head_is_refused_at_once(raw: bytes) -> None:
    data = bytearray()
    with pytest.raises(BadRequest):  # noqa: PT012 - which byte is the first wrong one differs
        for byte in raw:
            data.append(byte)
            check_partial_head(data, count_empty_lines(data), 1)
        raise AssertionError(raw)


def test_empty_lines_are_tolerated_within_a_limit() -> None:
    assert count_empty_lines(bytearray(b"\r\n\r\nGET")) == 4
    with pytest.raises(BadRequest):
        count_empty_lines(bytearray(b"\r\n" * 600))


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/v1/models/a%2Fb", "/v1/models/a%2Fb"),
        (b"/v1/models/a%2fb%3Ac", "/v1/models/a%2fb:c"),
        (b"/v1/models/a%252Fb", "/v1/models/a%252Fb"),
        (b"/v1/models/100%25", "/v1/models/100%25"),
        (b"/v1/ch%61t", "/v1/chat"),
        (b"//v1/./chat/", "//v1/./chat/"),
    ],
)
def test_encoded_slashes_separate_no_segments(raw: bytes, path: str) -> None:
    assert parse_head(b"GET %b HTTP/1.1\r\nHost: gateway" % raw).path == path
