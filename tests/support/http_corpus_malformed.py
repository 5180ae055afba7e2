"""Malformed requests: request lines, fields, sizes, chunks and trailers that violate RFC 9112, and other protocols."""

from collections.abc import Iterator
from typing import Final

from tests.support.http_corpus import CRLF, LAST_CHUNK, Case, by_name, chat_body, chunk, get, head, post

_VERSION: Final = frozenset({400, 505})
_METHOD: Final = frozenset({400, 405})
_TOO_LARGE_HEAD: Final = frozenset({431})
_TOO_LONG_TARGET: Final = frozenset({414})
_TOO_LARGE_FRAMING: Final = frozenset({400, 413, 431})
_TE: Final = b"Transfer-Encoding: chunked"
_BODY: Final = chat_body()
_CONTROLS: Final = [code for code in (*range(32), 127) if code not in b"\t\r\n"]
_SEPARATORS: Final = b'"(),/;<=>?@[\\]{}'
_KIB: Final = 1024


def _request(line: bytes) -> bytes:
    return head(line, b"Host: gateway")


def _request_lines() -> Iterator[Case]:
    for name, line in {
        "no method": b" /health HTTP/1.1",
        "no target": b"GET HTTP/1.1",
        "no target and two spaces": b"GET  HTTP/1.1",
        "no spaces": b"GET/healthHTTP/1.1",
        "method alone": b"GET",
        "method and a space": b"GET ",
        "space behind the version": b"GET /health HTTP/1.1 ",
        "tab before the target": b"GET\t/health HTTP/1.1",
        "tab before the version": b"GET /health\tHTTP/1.1",
        "tab behind the version": b"GET /health HTTP/1.1\t",
        "tab before the method": b"\tGET /health HTTP/1.1",
        "two targets": b"GET /health /health HTTP/1.1",
        "two versions": b"GET /health HTTP/1.1 HTTP/1.1",
        "word behind the version": b"GET /health HTTP/1.1 x",
        "CR behind the version": b"GET /health HTTP/1.1\r",
        "colon behind the method": b"GET: /health HTTP/1.1",
        "version first": b"HTTP/1.1 GET /health",
    }.items():
        yield Case(f"request line: {name}", _request(line))
    yield Case("request line: none", CRLF.join((b"Host: gateway", b"", b"")))
    yield Case("request line: LF before it", b"\n" + get())
    yield Case("request line: CR before it", b"\r" + get())
    yield Case("request line: byte order mark before it", b"\xef\xbb\xbf" + get())
    yield Case("request line: NUL before it", b"\x00" + get())
    yield Case("request line: 1,000 empty lines before it", CRLF * 1000 + get())


def _versions() -> Iterator[Case]:
    for version in (
        *(b"HTTP/2.0", b"HTTP/2", b"HTTP/3.0", b"HTTP/0.9", b"HTTP/9.9", b"HTTP/0.0", b"HTTP/1.10", b"HTTP/10.1"),
        *(b"HTTP/01.1", b"HTTP/1.01", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/1.1.1", b"HTTP/1,1", b"HTTP/11"),
        *(b"HTTP/-1.1", b"HTTP/+1.1", b"HTTP/1.x", b"HTTP/x.1", b"HTTP/", b"HTTP", b"HTTP/ 1.1", b"HTTP /1.1"),
        *(b"HTTP\\1.1", b"HTTP//1.1", b"http/1.1", b"Http/1.1", b"HTTPS/1.1", b"HTP/1.1", b"XHTTP/1.1", b"1.1"),
        *(b"ICE/1.0", b"RTSP/1.0", b"SIP/2.0", b"HTTP/1.1\x00", b"HTTP/1.1;", b"HTTP/\xb9.1"),
    ):
        yield Case(f"version: {version!r}", _request(b"GET /health " + version), _VERSION)


def _methods() -> Iterator[Case]:
    for name, method in {
        "with NUL": b"GE\x00T",
        "with a control character": b"GE\x01T",
        "with DEL": b"GE\x7fT",
        "with a slash": b"G/ET",
        "with a bracket": b"[GET]",
        "with an at sign": b"G@T",
        "in quotes": b'"GET"',
        "with a high byte": b"G\xc9T",
        "with a question mark": b"GET?",
    }.items():
        yield Case(f"method: {name}", _request(method + b" /health HTTP/1.1"), _METHOD)
    for name, target in {"authority": b"gateway:443", "path": b"/health", "address": b"127.0.0.1:22"}.items():
        line = b"CONNECT " + target + b" HTTP/1.1"
        yield Case(f"method: CONNECT with the form {name}", _request(line), frozenset({400, 404, 405}))
        yield Case(f"method: CONNECT with the form {name} and data", _request(line) + get(), frozenset({400, 404, 405}))


def _targets() -> Iterator[Case]:
    for code in _CONTROLS:
        yield Case(f"target: control character {code:#04x}", _request(b"GET /hea%clth HTTP/1.1" % code))
    for name, target in {
        "without a slash": b"health",
        "relative": b"./health",
        "question mark alone": b"?x=1",
        "authority": b"gateway:80",
        "colon alone": b":",
        "scheme alone": b"http:",
        "scheme and one slash": b"http:/health",
        "scheme without an authority": b"http://",
        "with a space": b"/health x",
        "with a backslash first": b"\\health",
        "with CR": b"/hea\rlth",
        "with LF": b"/hea\nlth",
        "at sign first": b"@/health",
        "two at signs in the authority": b"http://a@b@c/health",
    }.items():
        yield Case(f"target: {name}", _request(b"GET " + target + b" HTTP/1.1"))
    for name, target in {
        "path over 16 KiB": b"/" + b"x" * (16 * _KIB),
        "query over 16 KiB": b"/health?" + b"x" * (17 * _KIB),
        "absolute form over 16 KiB": b"http://gateway/" + b"x" * (17 * _KIB),
        "path of 60 KiB": b"/" + b"x" * (60 * _KIB),
    }.items():
        yield Case(f"target: {name}", _request(b"GET " + target + b" HTTP/1.1"), _TOO_LONG_TARGET)
    yield Case("target: without an end", b"GET /" + b"x" * (70 * _KIB), _TOO_LONG_TARGET | _TOO_LARGE_HEAD)


def _field_characters() -> Iterator[Case]:
    for code in _CONTROLS:
        yield Case(f"field value: control character {code:#04x}", get(b"/health/live", b"X-A: b%cc" % code))
        yield Case(f"field name: control character {code:#04x}", get(b"/health/live", b"X-%cA: b" % code))
    for code in _SEPARATORS:
        yield Case(f"field name: separator {chr(code)}", get(b"/health/live", b"X%cA: b" % code))
    for name, line in {
        "empty": b": b",
        "of one space": b" : b",
        "with a space": b"X A: b",
        "with a space behind": b"X-A : b",
        "with a tab behind": b"X-A\t: b",
        "with a high byte": b"X-\xe9: b",
        "in UTF-8": "X-é: b".encode(),
        "without a colon": b"X-A",
        "without a colon, with a value": b"X-A b",
        "with CR": b"X-\rA: b",
        "with LF": b"X-\nA: b",
        "with CR before the colon": b"X-A\r: b",
    }.items():
        yield Case(f"field name: {name}", get(b"/health/live", line))


def _field_lines() -> Iterator[Case]:
    for name, line in {
        "folded with a space": b"X-A: b\r\n c",
        "folded with a tab": b"X-A: b\r\n\tc",
        "folded twice": b"X-A: b\r\n c\r\n d",
        "folded and empty": b"X-A: b\r\n ",
        "folded before the value": b"X-A:\r\n b",
        "folded before a field": b"X-A: b\r\n X-C: d",
        "ended by LF": b"X-A: b\nX-C: d",
        "ended by CR": b"X-A: b\rX-C: d",
        "ended by two CRs": b"X-A: b\r\r\nX-C: d",
        "ended by LF and CR": b"X-A: b\n\rX-C: d",
        "with CR in the value": b"X-A: b\rc",
        "with CR before the value": b"X-A:\rb",
        "with CR behind the value": b"X-A: b \r",
        "with LF before the value": b"X-A:\nb",
    }.items():
        yield Case(f"field line: {name}", get(b"/health/live", line))
    for name, end in {"LF": b"\n", "CR": b"\rx", "LF and CRLF": b"\n\r\n", "two CRs and LF": b"\r\r\n"}.items():
        yield Case(f"field lines: ended by {name}", get().removesuffix(CRLF) + end)
    yield Case("field lines: space before the first", head(b"GET /health HTTP/1.1", b" Host: gateway"))
    yield Case("field lines: tab before the first", head(b"GET /health HTTP/1.1", b"\tHost: gateway"))
    yield Case("field lines: empty folded line first", head(b"GET /health HTTP/1.1", b" ", b"Host: gateway"))


def _hosts() -> Iterator[Case]:
    yield Case("host: missing", head(b"GET /health HTTP/1.1"))
    yield Case("host: missing, with other fields", head(b"GET /health HTTP/1.1", b"Accept: */*"))
    yield Case("host: missing with an absolute target", head(b"GET http://gateway/health HTTP/1.1"))
    yield Case("host: under another name", head(b"GET /health HTTP/1.1", b"Hosts: gateway"))
    yield Case("host: twice", get(b"/health", b"Host: other"))
    yield Case("host: twice and equal", get(b"/health", b"host: gateway"))
    yield Case("host: three times", get(b"/health", b"Accept: */*", b"HOST: gateway", b"host: gateway"))
    yield Case("host: twice in HTTP/1.0", head(b"GET /health HTTP/1.0", b"Host: a", b"Host: b"))
    for name, value in {
        "with a space": b"a b",
        "list": b"a, b",
        "with a path": b"gateway/health",
        "with a user": b"user@gateway",
        "URL": b"http://gateway",
        "with a query": b"gateway?x",
        "with a fragment": b"gateway#x",
        "with a backslash": b"gate\\way",
        "with a port of letters": b"gateway:http",
        "with a negative port": b"gateway:-1",
        "with two ports": b"gateway:80:80",
        "with an open bracket": b"[::1",
        "with angle brackets": b"<gateway>",
        "with a quote": b'gate"way',
        "with NUL": b"gate\x00way",
        "folded": b"gateway\r\n other",
    }.items():
        yield Case(f"host: {name}", head(b"GET /health HTTP/1.1", b"Host: " + value))


def _large_heads() -> Iterator[Case]:
    def many(size: int, count: int) -> list[bytes]:
        return [b"X-%d: %b" % (number, b"y" * size) for number in range(count)]

    for name, data in {
        "one value": get(b"/health", b"X-A: " + b"y" * (70 * _KIB)),
        "one value without an end": get(b"/health", b"X-A: " + b"y" * (70 * _KIB)).removesuffix(CRLF * 2),
        "one name": get(b"/health", b"X-" + b"y" * (70 * _KIB) + b": b"),
        "one name without an end": get(b"/health", b"X-" + b"y" * (70 * _KIB)).removesuffix(CRLF * 2),
        "many fields": get(b"/health", *many(60, 1200)),
        "many fields without an end": get(b"/health", *many(60, 1200)).removesuffix(CRLF),
        "many small fields": get(b"/health", *[b"a:"] * 17_000),
        "spaces": get(b"/health", b"X-A:" + b" " * (70 * _KIB) + b"b"),
        "before a body": post(*many(100, 800), b"Content-Length: 2", body=b"{}"),
        "with TE": post(_TE, *many(100, 800), body=LAST_CHUNK),
    }.items():
        yield Case(f"head over 64 KiB: {name}", data, _TOO_LARGE_HEAD)


def _chunks() -> Iterator[Case]:
    def body(data: bytes) -> bytes:
        return post(_TE, body=data)

    for name, line in {
        "of letters": b"xyz",
        "empty": b"",
        "of an extension alone": b";a=b",
        "negative": b"-1",
        "of 17 digits": b"1" + b"0" * 16,
        "of 40 digits": b"f" * 40,
        "with a fraction": b"5.0",
        "with a hexadecimal suffix": b"5h",
    }.items():
        yield Case(f"chunk size: {name}", body(line + CRLF + b"hello" + CRLF + LAST_CHUNK), _TOO_LARGE_FRAMING)
    for code in (0, 1, 8, 11, 12, 27, 127):
        yield Case(f"chunk size: control character {code:#04x}", body(b"5%c\r\nhello\r\n" % code + LAST_CHUNK))
        yield Case(f"chunk extension: control character {code:#04x}", body(b"5;a%c\r\nhello\r\n" % code + LAST_CHUNK))
    yield Case("chunk extension: 17 KiB", body(b"5;" + b"a" * (17 * _KIB) + b"\r\n"), _TOO_LARGE_FRAMING)
    yield Case("chunk extension: without an end", body(b"5;" + b"a" * (70 * _KIB)), _TOO_LARGE_FRAMING)
    value = b'5;a="' + b"b" * (70 * _KIB)
    yield Case("chunk extension: quoted, without an end", body(value), _TOO_LARGE_FRAMING)
    many = b"".join(chunk(b"x", b";a=" + b"b" * 200) for _ in range(400))
    yield Case("chunk extensions: 80 KiB in 400 chunks", body(many), _TOO_LARGE_FRAMING)


def _trailers() -> Iterator[Case]:
    def trailer(lines: bytes) -> bytes:
        return post(_TE, body=chunk(_BODY) + b"0\r\n" + lines)

    for name, line in {
        "without a colon": b"X-A",
        "with a space in the name": b"X A: b",
        "with a space before the colon": b"X-A : b",
        "without a name": b": b",
        "folded": b"X-A: b\r\n c",
        "with a space before the first": b" X-A: b",
        "with NUL in the name": b"X-\x00A: b",
        "with NUL in the value": b"X-A: b\x00c",
        "with a control character": b"X-A: b\x01c",
        "ended by LF": b"X-A: b\nX-C: d",
        "ended by CR": b"X-A: b\rX-C: d",
        "request line": b"GET /health HTTP/1.1",
    }.items():
        yield Case(f"trailer: {name}", trailer(line + CRLF * 2))
    size = 70 * _KIB
    yield Case("trailers: one of 70 KiB", trailer(b"X-A: " + b"b" * size + CRLF * 2), _TOO_LARGE_FRAMING)
    yield Case("trailers: without an end", trailer(b"X-A: " + b"b" * size), _TOO_LARGE_FRAMING)
    yield Case("trailers: many", trailer(b"X-A: b\r\n" * 10_000), _TOO_LARGE_FRAMING)


def _other_protocols() -> Iterator[Case]:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32)) + b"\x20" + bytes(505)
    for name, data in {
        "TLS": hello,
        "TLS in five bytes": hello[:5],
        "SSL 2": b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(37),
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"),
        "HTTP/0.9": b"GET /health\r\n\r\n",
        "HTTP/0.9 ended by LF": b"GET /health\n\n",
        "response": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
        "SMTP": b"EHLO gateway\r\n",
        "FTP": b"USER anonymous\r\n",
        "IRC": b"NICK a\r\nUSER a 0 * :a\r\n",
        "Redis": b"*1\r\n$4\r\nPING\r\n",
        "memcached": b"stats\r\n",
        "SOCKS 4": b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00",
        "SOCKS 5": b"\x05\x01\x00",
        "PROXY protocol 1": b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + get(),
        "PROXY protocol 2": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12) + get(),
        "RTSP": b"OPTIONS rtsp://gateway/a RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        "SIP": b"INVITE sip:a@gateway SIP/2.0\r\nVia: SIP/2.0/UDP gateway\r\n\r\n",
        "WebSocket frame": b"\x81\x85\x00\x00\x00\x00hello",
        "JSON": b'{"model": "fake/echo"}\r\n\r\n',
        "PostgreSQL": b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        "zero bytes": bytes(100),
        "high bytes": b"\xff" * 100,
        "text": b"hello\r\n\r\n",
        "UTF-16": get().decode().encode("utf-16"),
    }.items():
        yield Case(f"other protocol: {name}", data, _VERSION | _METHOD)


MALFORMED: Final = by_name(
    case
    for family in (
        *(_request_lines, _versions, _methods, _targets, _field_characters, _field_lines, _hosts),
        *(_large_heads, _chunks, _trailers, _other_protocols),
    )
    for case in family()
)
