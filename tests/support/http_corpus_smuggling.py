"""Request smuggling: requests whose end two parsers can see in different places.

Each shape contains a complete second request, the marker. Whatever a lenient parser makes of the first request, it
either serves the marker, answers twice, or keeps the connection open, and each of these is a failure.
"""

from collections.abc import Iterator
from typing import Final

from tests.support.http_corpus import (
    CRLF,
    LAST_CHUNK,
    Case,
    by_name,
    chat_body,
    chunk,
    chunked,
    head,
    post,
    post_sized,
)

BODY: Final = chat_body()
SIZE: Final = len(BODY)
MARKER: Final = post_sized(BODY)
CHUNKED: Final = chunked(BODY)
TE: Final = b"Transfer-Encoding: chunked"
_DISGUISED_ENCODINGS: Final = {
    # Values that are not exactly the one coding that is allowed.
    "of another coding": b"Transfer-Encoding: gzip",
    "of identity": b"Transfer-Encoding: identity",
    "of cow": b"Transfer-Encoding: cow",
    "with a prefix": b"Transfer-Encoding: xchunked",
    "with a suffix": b"Transfer-Encoding: chunkedx",
    "doubled in one word": b"Transfer-Encoding: chunkedchunked",
    "in double quotes": b'Transfer-Encoding: "chunked"',
    "in single quotes": b"Transfer-Encoding: 'chunked'",
    "with a parameter": b"Transfer-Encoding: chunked;q=1",
    "with a parameter of another coding": b"Transfer-Encoding: gzip;q=1, chunked",
    "with a comma behind": b"Transfer-Encoding: chunked,",
    "with a comma before": b"Transfer-Encoding: ,chunked",
    "chunked, identity": b"Transfer-Encoding: chunked, identity",
    "identity, chunked": b"Transfer-Encoding: identity, chunked",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked",
    "chunked, chunked": b"Transfer-Encoding: chunked, chunked",
    "chunked, cow": b"Transfer-Encoding: chunked, cow",
    "in two words": b"Transfer-Encoding: chunked cow",
    "with the word in reverse": b"Transfer-Encoding: cow chunked",
    "empty": b"Transfer-Encoding:",
    "of one space": b"Transfer-Encoding: ",
    "with a second colon": b"Transfer-Encoding:: chunked",
    "twice in one line": b"Transfer-Encoding: Transfer-Encoding: chunked",
    "with a backslash": b"Transfer-Encoding: chunk\\ed",
    "with a no-break space behind": b"Transfer-Encoding: chunked\xa0",
    "with a no-break space before": b"Transfer-Encoding: \xa0chunked",
    "with a next-line character": b"Transfer-Encoding: chunked\x85",
    "with a Kelvin sign": "Transfer-Encoding: chun\u212aed".encode(),
    # Control characters, which parsers strip, skip or stop at.
    "with a vertical tab before": b"Transfer-Encoding: \x0bchunked",
    "with a form feed before": b"Transfer-Encoding: \x0cchunked",
    "with a vertical tab behind": b"Transfer-Encoding: chunked\x0b",
    "with NUL before": b"Transfer-Encoding: \x00chunked",
    "with NUL behind": b"Transfer-Encoding: chunked\x00",
    "with NUL and a word behind": b"Transfer-Encoding: chunked\x00cow",
    "with a backspace": b"Transfer-Encoding: chunkedx\x08",
    "with a bare CR behind": b"Transfer-Encoding: chunked\r",
    "with a bare CR before": b"Transfer-Encoding: \rchunked",
    # The name.
    "with a space before the colon": b"Transfer-Encoding : chunked",
    "with a tab before the colon": b"Transfer-Encoding\t: chunked",
    "with NUL before the colon": b"Transfer-Encoding\x00: chunked",
    "with a CR before the colon": b"Transfer-Encoding\r: chunked",
    "with a space in the name": b"Transfer Encoding: chunked",
    "without a colon": b"Transfer-Encoding chunked",
    "with a semicolon for the colon": b"Transfer-Encoding; chunked",
    "with a high byte in the name": b"\xffTransfer-Encoding: chunked",
    # Several lines.
    "with a space before the name": b"X-A: b\r\n Transfer-Encoding: chunked",
    "with a tab before the name": b"X-A: b\r\n\tTransfer-Encoding: chunked",
    "on a folded line": b"Transfer-Encoding:\r\n chunked",
    "on a line folded with a tab": b"Transfer-Encoding:\r\n\tchunked",
    "continued on a folded line": b"Transfer-Encoding: chunked\r\n , identity",
    "continued on an empty folded line": b"Transfer-Encoding: chunked\r\n \r\nX-A: b",
    "behind a bare LF": b"X-A: b\nTransfer-Encoding: chunked",
    "before a bare LF": b"Transfer-Encoding: chunked\nX-A: b",
    "behind a bare CR": b"X-A: b\rTransfer-Encoding: chunked",
    "behind LF and CR": b"X-A: b\n\rTransfer-Encoding: chunked",
    "behind two CRs": b"X-A: b\r\rTransfer-Encoding: chunked",
    "set to chunked, then identity": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "set to identity, then chunked": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "set to chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "set to chunked, then empty": b"Transfer-Encoding: chunked\r\nTransfer-Encoding:",
    "set to gzip, then chunked": b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    "set to chunked, then cow": b"transfer-encoding: chunked\r\nTransfer-encoding: cow",
}
_DISGUISED_SIZES: Final = {
    "with a plus sign": b"Content-Length: +%d",
    "with a minus sign": b"Content-Length: -%d",
    "with a hexadecimal prefix": b"Content-Length: 0x%x",
    "in hexadecimal": b"Content-Length: %xh",
    "with a fraction": b"Content-Length: %d.0",
    "with an exponent": b"Content-Length: %de0",
    "with an underscore": b"Content-Length: 0_%d",
    "with a comma behind": b"Content-Length: %d,",
    "with a comma before": b"Content-Length: ,%d",
    "with a semicolon": b"Content-Length: %d;",
    "with a zero listed before": b"Content-Length: 0, %d",
    "with a zero listed behind": b"Content-Length: %d, 0",
    "with a zero as a second word": b"Content-Length: %d 0",
    "with letters behind": b"Content-Length: %dabc",
    "in quotes": b'Content-Length: "%d"',
    "in parentheses": b"Content-Length: (%d)",
    "with NUL behind": b"Content-Length: %d\x00",
    "with a vertical tab before": b"Content-Length: \x0b%d",
    "with a vertical tab behind": b"Content-Length: %d\x0b",
    "with a no-break space": b"Content-Length: \xa0%d",
    "with a superscript digit": b"Content-Length: %d\xb2",
    "with a bare CR behind": b"Content-Length: %d\r",
    "with a bare LF behind": b"Content-Length: %d\nX-A: b",
    "with a space before the colon": b"Content-Length : %d",
    "with a tab before the colon": b"Content-Length\t: %d",
    "with NUL before the colon": b"Content-Length\x00: %d",
    "with a second colon": b"Content-Length:: %d",
    "without a colon": b"Content-Length %d",
    "on a folded line": b"Content-Length:\r\n %d",
    "behind a folded line": b"X-A: b\r\n Content-Length: %d",
    "behind a bare CR": b"X-A: b\rContent-Length: %d",
    "behind a bare LF": b"X-A: b\nContent-Length: %d",
    "continued on a folded line": b"Content-Length: %d\r\n 0",
}
_DISGUISED_CHUNK_LINES: Final = {
    "with a plus sign": b"+%x\r\n",
    "with a minus sign": b"-%x\r\n",
    "with a hexadecimal prefix": b"0x%x\r\n",
    "with an underscore": b"0_%x\r\n",
    "with a space before": b" %x\r\n",
    "with a tab before": b"\t%x\r\n",
    "with a space behind": b"%x \r\n",
    "with a tab behind": b"%x\t\r\n",
    "with a word behind": b"%x cow\r\n",
    "with a comma behind": b"%x,\r\n",
    "with a letter behind": b"%xg\r\n",
    "with NUL behind": b"%x\x00\r\n",
    "with a vertical tab before": b"\x0b%x\r\n",
    "in quotes": b'"%x"\r\n',
    "of more than 64 bits": b"1000000000000%04x\r\n",
    "of more than 128 bits": b"1" + b"0" * 31 + b"%x\r\n",
    "ended by LF": b"%x\n",
    "ended by CR": b"%x\r",
    "ended by two CRs": b"%x\r\r\n",
    "ended by LF and CR": b"%x\n\r",
    "with an extension ended by LF": b"%x;a\n",
    "with an empty extension ended by LF": b"%x;\n",
    "with LF in an extension": b"%x;a\nb\r\n",
    "with CR in an extension": b"%x;a\rb\r\n",
    "with NUL in an extension": b"%x;a\x00b\r\n",
    "with LF in a quoted extension": b'%x;a="\n"\r\n',
    "with CRLF in a quoted extension": b'%x;a="\r\n"\r\n',
    "behind an empty line": b"\r\n%x\r\n",
}


def _conflicts() -> Iterator[Case]:
    """Content-Length and Transfer-Encoding in one request."""
    for name, size, fields_first in (
        ("CL.TE", len(LAST_CHUNK + MARKER), True),
        ("TE.CL", 4, False),
        ("CL.TE with a size of zero", 0, True),
        ("TE.CL with a size of zero", 0, False),
    ):
        length = b"Content-Length: %d" % size
        fields = (length, TE) if fields_first else (TE, length)
        body = LAST_CHUNK + MARKER if fields_first else chunk(MARKER) + LAST_CHUNK
        yield Case(name, post(*fields, body=body))
    yield Case("CL and TE that agree", post(b"Content-Length: %d" % len(CHUNKED), TE, body=CHUNKED + MARKER))
    yield Case("CL and TE on GET", _get(b"Content-Length: 5", TE, body=LAST_CHUNK + MARKER))
    yield Case("TE and two CLs", post(TE, b"Content-Length: 5", b"Content-Length: 5", body=LAST_CHUNK + MARKER))


def _get(*fields: bytes, body: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    return head(b"GET /v1/models " + version, b"Host: gateway", *fields) + body


def _encodings() -> Iterator[Case]:
    for name, line in _DISGUISED_ENCODINGS.items():
        body = CHUNKED + MARKER
        yield Case(f"TE {name}", post(line, body=body))
        yield Case(f"TE {name}, and CL", post(b"Content-Length: %d" % len(body), line, body=body))


def _sizes() -> Iterator[Case]:
    for name, line in _DISGUISED_SIZES.items():
        yield Case(f"CL {name}", post(line % SIZE, body=BODY + MARKER))
    for name, sizes in {
        "set twice to the same value": (SIZE, SIZE),
        "set to the first request, then to both": (SIZE, len(BODY + MARKER)),
        "set to both requests, then to the first": (len(BODY + MARKER), SIZE),
        "set to zero, then to the body": (0, SIZE),
        "set to the body, then to zero": (SIZE, 0),
        "set three times": (SIZE, SIZE, SIZE),
    }.items():
        lines = [b"%b: %d" % (b"Content-Length" if n % 2 else b"content-length", s) for n, s in enumerate(sizes)]
        yield Case(f"CL {name}", post(*lines, body=BODY + MARKER))
    yield Case("CL listed twice", post(b"Content-Length: %d, %d" % (SIZE, SIZE), body=BODY + MARKER))
    yield Case("CL empty", post(b"Content-Length:", body=MARKER))
    yield Case("CL empty, then a size", post(b"Content-Length:", b"Content-Length: %d" % SIZE, body=BODY + MARKER))
    yield Case("CL over 64 bits", post(b"Content-Length: %d" % (2**64 + SIZE), body=BODY + MARKER), _TOO_LARGE)
    yield Case("CL over 32 bits", post(b"Content-Length: %d" % (2**32 + SIZE), body=BODY + MARKER), _TOO_LARGE)
    yield Case("CL twice on GET", _get(b"Content-Length: 0", b"Content-Length: 5", body=MARKER))


_TOO_LARGE: Final = frozenset({400, 413})


def _chunk_lines() -> Iterator[Case]:
    for name, line in _DISGUISED_CHUNK_LINES.items():
        yield Case(f"chunk size {name}", post(TE, body=line % SIZE + BODY + CRLF + LAST_CHUNK + MARKER))
        # The size and the last chunk are read differently: as the end of the body, or as more of it.
        if b"%04x" not in line:
            yield Case(f"last chunk {name}", post(TE, body=chunk(BODY) + line % 0 + CRLF + MARKER))


def _chunk_ends() -> Iterator[Case]:
    line = b"%x\r\n" % SIZE
    for name, end in {
        "LF": b"\n",
        "CR": b"\r",
        "two letters": b"xx",
        "LF and CR": b"\n\r",
        "two LFs": b"\n\n",
        "CR and a letter": b"\rx",
        "nothing": b"",
        "NUL and CRLF": b"\x00\r\n",
        "a space and CRLF": b" \r\n",
    }.items():
        yield Case(f"chunk ended by {name}", post(TE, body=line + BODY + end + LAST_CHUNK + MARKER))
    yield Case("chunk longer than its size", post(TE, body=b"%x\r\n" % (SIZE - 2) + BODY + CRLF + LAST_CHUNK + MARKER))
    yield Case("chunk shorter than its size", post(TE, body=b"%x\r\n" % (SIZE + 1) + BODY + CRLF + LAST_CHUNK + MARKER))
    for name, end in {
        "LF": b"0\n\n",
        "CRLF and LF": b"0\r\n\n",
        "CRLF and CR": b"0\r\n\r",
        "one CRLF": b"0\r\n",
        "two CRs and LF": b"0\r\n\r\r\n",
    }.items():
        yield Case(f"body ended by {name}", post(TE, body=chunk(BODY) + end + MARKER))


def _lines() -> Iterator[Case]:
    """The head: lines that end where another parser does not see an end, and versions that have no such framing."""
    body = BODY + MARKER
    sized = post(b"Content-Length: %d" % SIZE)
    yield Case("bare LFs in the whole head", sized.replace(CRLF, b"\n") + body)
    yield Case("bare CRs in the whole head", sized.replace(CRLF, b"\r") + body + CRLF * 2)
    yield Case("head ended by two LFs", sized.removesuffix(CRLF * 2) + b"\n\n" + body)
    yield Case("head ended by CRLF and LF", sized.removesuffix(CRLF) + b"\n" + body)
    yield Case("head ended by LF and CRLF", sized.removesuffix(CRLF * 2) + b"\n\r\n" + body)
    yield Case("request line ended by LF", sized.replace(CRLF, b"\n", 1) + body)
    yield Case("request line ended by CR", sized.replace(CRLF, b"\r", 1) + body)
    yield Case("request line without a version, ended by LF", sized.replace(b" HTTP/1.1\r\n", b"\n") + body)
    yield Case("request line without a version", sized.replace(b" HTTP/1.1", b"") + body)
    yield Case("space before the first field", sized.replace(b"Host", b" Host") + body)
    yield Case("second request in a field", post(b"X-A: b\n\n" + MARKER + b"X-C: d") + body)
    yield Case("two hosts", post(b"Content-Length: %d" % SIZE, b"Host: other", body=body))
    yield Case("two equal hosts", post(b"Content-Length: %d" % SIZE, b"Host: gateway", body=body))
    yield Case("no host", sized.replace(b"Host: gateway\r\n", b"") + body)
    for alive in (b"keep-alive", b"close"):
        fields = (b"Connection: " + alive, TE)
        name = f"TE in HTTP/1.0, {alive.decode()}"
        yield Case(name, post(*fields, body=CHUNKED + MARKER).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        yield Case(f"{name}, and CL", post(*fields, b"Content-Length: 5", body=MARKER).replace(b"/1.1", b"/1.0", 1))


def _expectations() -> Iterator[Case]:
    """An unknown expectation: the client may or may not send its body, so nothing behind the head can be trusted."""
    statuses = frozenset({400, 417})
    for name, value in {
        "unknown": b"200-ok",
        "behind a word": b"y 100-continue",
        "listed with another": b"100-continue, 200-ok",
        "with a parameter": b"100-continue; x=y",
    }.items():
        yield Case(f"expectation {name}", post_sized(MARKER, b"Expect: " + value), statuses)
    yield Case("expectation on a folded line", post_sized(MARKER, b"Expect:\r\n 100-continue"))


SHAPES: Final = by_name(
    case
    for family in (_conflicts, _encodings, _sizes, _chunk_lines, _chunk_ends, _lines, _expectations)
    for case in family()
)
