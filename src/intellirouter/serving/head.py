"""Parses request heads strictly, and shares the heads that clients repeat.

A head is parsed when all of it has arrived. Everything that other servers and proxies are known to read differently is
refused: line ends other than CRLF, folded lines, control characters, whitespace around names, repeated or contradictory
framing headers, and missing or repeated `host` headers (RFC 9112).
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from intellirouter.core import errors
from intellirouter.gateway import RequestHead

HEAD_END: Final = b"\r\n\r\n"
MAX_HEAD_BYTES: Final = 64 * 1024
_CR: Final = 13
_MAX_TARGET_BYTES: Final = 16 * 1024
_MAX_EMPTY_BYTES: Final = 1024
_MAX_FIELDS: Final = 256
_MAX_LENGTH_DIGITS: Final = 15
_MAX_SHARED: Final = 1024
_MAX_SHARED_BYTES: Final = 4096
"""At most this many heads are shared, of at most this size."""

_TOKEN_BYTE: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TARGET_BYTE: Final = rb"[!-\"$-~]"
_VALUE: Final = rb"[^\x00-\x08\x0a-\x1f\x7f]*"
FIELD_LINE: Final = re.compile(rb"(%b+):[ \t]*(%b)" % (_TOKEN_BYTE, _VALUE))
_REQUEST_LINE: Final = re.compile(rb"(%b{1,32}) (%b+) HTTP/(\d)\.(\d)" % (_TOKEN_BYTE, _TARGET_BYTE))
_HOST: Final = re.compile(rb"[A-Za-z0-9.\-_~!$&'()*+,;=%]*(?::\d{0,5})?|\[[0-9A-Fa-f:.]+\](?::\d{0,5})?")
_PARTIAL: Final = re.compile(rb"(?:[^\x00-\x08\x0a-\x1f\x7f]|\r\n)*\r?")
_PARTIAL_LINE: Final = re.compile(rb"\r|%b{0,32}(?: %b*(?: [HTP/0-9.]{0,8}\r?)?)?" % (_TOKEN_BYTE, _TARGET_BYTE))
_ORIGIN_LINE: Final = re.compile(rb"\r\norigin:[ \t]*([!-~]+)[ \t]*\r\n", re.IGNORECASE)
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)+")
_LENGTH_LINES: Final = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_KEPT_ESCAPE: Final = re.compile(rb"%(2[Ff]|25)")
_SINGLE: Final = (b"host", b"content-length", b"transfer-encoding", b"content-type")


class BadRequest(Exception):
    """A request that cannot be answered otherwise than with an error, after which the connection is closed."""

    def __init__(self, message: str, *, status: int = 400, code: str = "invalid_http") -> None:
        """`message` is a complete sentence."""
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code

    def as_error(self) -> errors.GatewayError:
        return errors.InvalidRequest(self.message, code=self.code, status=self.status)


def find_origin(data: bytes) -> bytes | None:
    """Return the origin of the page that has sent a request whose head cannot be parsed."""
    match = _ORIGIN_LINE.search(data, 0, MAX_HEAD_BYTES)
    return None if match is None else match[1]


class HeadParser:
    """Parses heads. One per server.

    Clients repeat their heads, except for `content-length`. A head that was seen before is found by its bytes without
    that number, so its lines are not parsed again. Ids in headers, such as `traceparent`, prevent this.
    """

    def __init__(self) -> None:
        self._shared: dict[bytes, RequestHead] = {}

    def parse(self, raw: bytes) -> tuple[RequestHead, int]:
        """Return a head and its `content-length`. `raw` ends before the empty line. Raises `BadRequest`."""
        if len(raw) > MAX_HEAD_BYTES:
            raise _too_large_head()
        start = raw.find(_LENGTH_LINES[0])
        if start < 0:
            start = raw.find(_LENGTH_LINES[1])
        if start < 0:
            head = self._shared.get(raw)
            if head is not None:
                return head, head.length
            return self._parse_new(raw, raw)
        start += 18
        end = raw.find(b"\r\n", start)
        number = raw[start:] if end < 0 else raw[start:end]
        key = raw[:start] if end < 0 else raw[:start] + raw[end:]
        head = self._shared.get(key)
        if head is not None and number.isdigit() and len(number) <= _MAX_LENGTH_DIGITS:
            return head, int(number)
        return self._parse_new(raw, key)

    def _parse_new(self, raw: bytes, key: bytes) -> tuple[RequestHead, int]:
        head = parse_head(raw)
        if len(raw) <= _MAX_SHARED_BYTES:
            if len(self._shared) >= _MAX_SHARED:
                self._shared.clear()
            self._shared[key] = head
        return head, head.length


def count_empty_lines(data: bytearray) -> int:
    """Return the size of the empty lines at the beginning, which are tolerated (RFC 9112, section 2.2).

    Raises `BadRequest`.
    """
    match = _EMPTY_LINES.match(data)
    if match is None:
        return 0
    if match.end() > _MAX_EMPTY_BYTES:
        raise BadRequest("There are too many empty lines before the request.")
    return match.end()


def check_partial_head(data: bytearray, start: int, added: int) -> None:
    """Check the beginning of a head, so that malformed ones are refused without waiting for the rest.

    The head begins at `start`. Only the last `added` bytes are new. Raises `BadRequest`.
    """
    if len(data) > MAX_HEAD_BYTES:
        raise _too_large_head()
    new = max(start, len(data) - added)
    if new > start and data[new - 1] == _CR:
        new -= 1
    if _PARTIAL.fullmatch(data, new) is None:
        raise BadRequest("The request head contains control characters, or lines that do not end with CRLF.")
    line_end = data.find(b"\r\n", start)
    if line_end < 0:
        if len(data) - start > _MAX_TARGET_BYTES:
            raise _too_long_target()
        if _PARTIAL_LINE.fullmatch(data, start) is None:
            raise _malformed_line()
    elif line_end >= new - 1:
        _parse_request_line(bytes(data[start:line_end]))


def _too_large_head() -> BadRequest:
    return BadRequest(
        f"The request headers are larger than {MAX_HEAD_BYTES} bytes.", status=431, code="headers_too_large"
    )


def parse_head(raw: bytes) -> RequestHead:
    """Return the head. `raw` ends before the empty line. Raises `BadRequest`."""
    line, *lines = raw.split(b"\r\n")
    method, target, is_http_10 = _parse_request_line(line)
    if len(lines) > _MAX_FIELDS:
        raise BadRequest(f"The request has more than {_MAX_FIELDS} headers.", status=431, code="headers_too_large")
    fields = [_parse_field(each) for each in lines]
    headers = dict(fields)
    if len(headers) < len(fields):
        _check_repeated(fields)
    host = headers.get(b"host")
    if host is None and not is_http_10:
        raise BadRequest("The request has no Host header.")
    if host is not None and _HOST.fullmatch(host) is None:
        raise BadRequest("The Host header is malformed.")
    path, query, named_host = _parse_target(method, target)
    if named_host is not None:
        headers[b"host"] = named_host
    length = _parse_length(headers.pop(b"content-length", None))
    is_chunked = _parse_transfer_encoding(headers.get(b"transfer-encoding"), is_http_10=is_http_10)
    if is_chunked and length is not None:
        raise BadRequest("The request has both Content-Length and Transfer-Encoding.")
    options = _tokens(fields, b"connection")
    is_upgrade = not is_http_10 and b"upgrade" in options
    return RequestHead(
        method=method.decode("ascii"),
        path=_decode_path(path),
        raw_path=path,
        query=query,
        headers=headers,
        fields=tuple(each for each in fields if each[0] != b"content-length"),
        is_http_10=is_http_10,
        keeps_alive=b"close" not in options and (not is_http_10 or b"keep-alive" in options),
        is_chunked=is_chunked,
        expects_continue=_parse_expect(headers.get(b"expect"), is_http_10=is_http_10),
        is_websocket=is_upgrade and method == b"GET" and b"websocket" in _tokens(fields, b"upgrade"),
        length=length or 0,
    )


def _parse_request_line(line: bytes) -> tuple[bytes, bytes, bool]:
    """Return the method, the target, and whether the version is 1.0."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise _malformed_line()
    method, target, major, minor = match.groups()
    if len(target) > _MAX_TARGET_BYTES:
        raise _too_long_target()
    if major != b"1" or minor not in b"01":
        raise BadRequest("The HTTP version is not supported. Use HTTP/1.1.")
    return method, target, minor == b"0"


def _malformed_line() -> BadRequest:
    return BadRequest("The request line is malformed.")


def _too_long_target() -> BadRequest:
    return BadRequest(
        f"The request target is longer than {_MAX_TARGET_BYTES} bytes.", status=414, code="target_too_long"
    )


def _parse_field(line: bytes) -> tuple[bytes, bytes]:
    match = FIELD_LINE.fullmatch(line)
    if match is None:
        start = line.partition(b":")[0][:40].decode("ascii", "replace")
        raise BadRequest(f"The header line {start!r} is malformed.")
    name, value = match.groups()
    return name.lower(), value.rstrip(b" \t")


def _check_repeated(fields: list[tuple[bytes, bytes]]) -> None:
    for name in _SINGLE:
        if sum(each[0] == name for each in fields) > 1:
            raise BadRequest(f"The request has more than one {name.decode().title()} header.")


def _parse_length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit() or len(value) > _MAX_LENGTH_DIGITS:
        raise BadRequest("The Content-Length header is malformed.")
    return int(value)


def _parse_transfer_encoding(value: bytes | None, *, is_http_10: bool) -> bool:
    if value is None:
        return False
    if is_http_10 or value.lower() != b"chunked":
        raise BadRequest("The Transfer-Encoding header is not supported, except for `chunked` with HTTP/1.1.")
    return True


def _parse_expect(value: bytes | None, *, is_http_10: bool) -> bool:
    if value is None or is_http_10:
        return False
    if value.lower() != b"100-continue":
        raise BadRequest("The Expect header is not supported, except for `100-continue`.", status=417)
    return True


def _parse_target(method: bytes, target: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Return path, query and host of the request target: a path, an absolute URL, or `*` for OPTIONS.

    The host of an absolute URL replaces the header (RFC 9112, section 3.2.2).
    """
    if target.startswith(b"/") and method != b"CONNECT":
        path, _, query = target.partition(b"?")
        return path, query, None
    if target == b"*" and method == b"OPTIONS":
        return target, b"", None
    if method != b"CONNECT" and target[:8].lower().startswith((b"http://", b"https://")):
        return _parse_url(target.decode("ascii"))
    raise BadRequest("The request target must be a path, such as /v1/chat/completions.")


def _decode_path(raw: bytes) -> str:
    """Return the percent-decoded path, in which `%2F` and `%25` stay encoded.

    An encoded slash does not separate segments, and nothing is decoded twice when a segment is decoded later.
    """
    return unquote_to_bytes(_KEPT_ESCAPE.sub(rb"%25\1", raw)).decode("utf-8", "replace")


def _parse_url(target: str) -> tuple[bytes, bytes, bytes]:
    """Return path, query and host of an absolute URL."""
    try:
        url = urlsplit(target)
    except ValueError:
        raise BadRequest("The request target is malformed.") from None
    host = url.netloc.encode("ascii")
    if not host or _HOST.fullmatch(host) is None:
        raise BadRequest("The request target is malformed.")
    return (url.path or "/").encode("ascii"), url.query.encode("ascii"), host


def _tokens(fields: list[tuple[bytes, bytes]], name: bytes) -> set[bytes]:
    """Return the elements of a header that is a list, in lower case."""
    return {part.strip(b" \t").lower() for each, value in fields if each == name for part in value.split(b",")}
