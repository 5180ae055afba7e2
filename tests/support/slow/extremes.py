"""The largest and the slowest bodies: those at the limits, which are accepted, and those beyond, which are refused."""

import json
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from tests.support.slow.requests import MODEL

MIB: Final = 1024 * 1024
_FORM_TYPE: Final = "multipart/form-data; boundary="


class Extreme(Struct, frozen=True):
    """A body, and whether the gateway accepts it. Accepted ones are refused by the upstream with 5xx."""

    name: str
    path: str
    build: Callable[[], bytes]
    is_accepted: bool = False
    content_type: str = "application/json"


def _chat(content: str) -> bytes:
    return b'{"model":"%s","messages":[{"role":"user","content":%s}]}' % (MODEL.encode(), content.encode())


def _unknown(value: bytes) -> bytes:
    return b'{"model":"%s","messages":[{"role":"user","content":"x"}],"x":%s}' % (MODEL.encode(), value)


def _image(size: int) -> bytes:
    return _chat(
        '[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo'
        + "A" * (size // 4 * 4 + 1)
        + '"}}]'
    )


def _form(boundary: str, *parts: bytes) -> bytes:
    mark = b"--" + boundary.encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


_NAMED: Final = b'Content-Disposition: form-data; name="x"\r\n\r\n'
_LONG: Final = "a" * 69 + "b"
_ROLE: Final = b'"role":"user"'

EXTREMES: Final = [
    Extreme("long text", "/v1/chat/completions", lambda: _chat('"' + "hello, world. " * (30 * MIB // 14) + '"'), True),
    Extreme("wide text", "/v1/chat/completions", lambda: _chat('"' + "日本語。" * (30 * MIB // 12) + '"'), True),
    Extreme("escapes", "/v1/chat/completions", lambda: _chat('"' + '\\"\\n\\u00e9 ' * 600_000 + '"'), True),
    Extreme("image", "/v1/chat/completions", lambda: _image(24 * MIB), True),
    Extreme(
        "data URL of escapes", "/v1/chat/completions", lambda: _image(0).replace(b";base64,", b",%41" * 7 * MIB), True
    ),
    Extreme(
        "data URL of semicolons", "/v1/chat/completions", lambda: _image(0).replace(b";base64", b";" * 30 * MIB), True
    ),
    Extreme("objects", "/v1/chat/completions", lambda: _unknown(b"[" + b'{"a":1},' * 90_000 + b"1]"), True),
    Extreme("tokens", "/v1/embeddings", lambda: b'{"model":"slow","input":[%s1]}' % (b"1234," * 300_000), True),
    Extreme("completion tokens", "/v1/completions", lambda: b'{"model":"slow","prompt":[%s1]}' % (b"1," * 300_000)),
    Extreme(
        "messages",
        "/v1/chat/completions",
        lambda: b'{"model":"slow","messages":[%s]}' % _many(b'{%s,"content":"x"}', 10_000),
        True,
    ),
    Extreme(
        "empty lists",
        "/v1/chat/completions",
        lambda: _unknown(b"[" + b"[]," * 5 * MIB + b"1]").replace(b"model", b"mod\\u0065l"),
    ),
    Extreme(
        "members",
        "/v1/chat/completions",
        lambda: _unknown(b"{" + b",".join(b'"k%d":1' % i for i in range(400_000)) + b"}"),
    ),
    Extreme(
        "repeated member",
        "/v1/messages",
        lambda: b'{"max_tokens":1,' + b'"model":"slow",' * 2 * MIB + b'"messages":[]}',
    ),
    Extreme("brackets", "/v1/chat/completions", lambda: b"[" * 30 * MIB),
    Extreme("quotes", "/v1/chat/completions", lambda: b'"' * 30 * MIB),
    Extreme("backslashes", "/v1/messages", lambda: b'{"model":"' + b"\\" * 30 * MIB + b'"}'),
    Extreme("white space", "/v1/chat/completions", lambda: _unknown(b" " * 30 * MIB + b"1")),
    Extreme("long number", "/v1/chat/completions", lambda: _unknown(b"1" * 30 * MIB)),
    Extreme("long numbers", "/v1/chat/completions", lambda: _unknown(b"[" + (b"1" * 90 + b",") * 300_000 + b"1]")),
    Extreme("items", "/v1/responses", lambda: b'{"model":"slow","input":[%s]}' % _many(b'{%s,"content":"x"}', 400_000)),
    Extreme("inputs", "/v1/embeddings", lambda: b'{"model":"slow","input":[%s"x"]}' % (b'"x",' * 2_000_000)),
    Extreme(
        "contents",
        "/v1beta/models/slow:generateContent",
        lambda: b'{"contents":[%s]}' % _many(b'{%s,"parts":[{"text":"x"}]}', 300_000),
    ),
    Extreme(
        "blocks",
        "/v1/messages/count_tokens",
        lambda: (
            b'{"model":"slow","messages":[{%s,"content":[%s]}]}'
            % (_ROLE, _many(b'{"type":"text","text":"x"}', 400_000))
        ),
    ),
    Extreme(
        "images",
        "/api/chat",
        lambda: b'{"model":"slow","messages":[{%s,"images":[%s]}]}' % (_ROLE, _many(b'"x"', 2_000_000)),
    ),
    Extreme(
        "documents", "/v1/rerank", lambda: b'{"model":"slow","query":"q","documents":[%s]}' % _many(b'"x"', 2_000_000)
    ),
    Extreme("embed", "/api/embed", lambda: b'{"model":"slow","input":[%s]}' % _many(b'"x"', 2_000_000)),
    Extreme(
        "form of many parts",
        "/v1/audio/transcriptions",
        lambda: _form("b", *[_NAMED] * 500_000),
        content_type=_FORM_TYPE + "b",
    ),
    Extreme(
        "form with a long header",
        "/v1/images/edits",
        lambda: _form("b", b'X: ;name="' + b"\\a" * 15 * MIB),
        content_type=_FORM_TYPE + "b",
    ),
    Extreme(
        "form of near boundaries",
        "/v1/files",
        lambda: _form("b", _NAMED + b"a" * 30 * MIB),
        content_type=_FORM_TYPE + _LONG,
    ),
    Extreme("explained request", "/api/v1/explain", lambda: _unknown(b"[" + b"[]," * 5 * MIB + b"1]")),
    Extreme("batch", "/v1/batches", lambda: _unknown(b"[" + b"[]," * 5 * MIB + b"1]")),
]


def _many(item: bytes, count: int) -> bytes:
    return b",".join([item.replace(b"%s", _ROLE)] * count)


def batch_file() -> bytes:
    """Return the form of an input file with long and with slow lines."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello, " * MIB}]}
    slow = json.dumps({"custom_id": "s", "method": "POST", "url": "/v1/chat/completions", "body": 0}).encode()
    lines = [
        json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}).encode(),
        slow[:-2] + _unknown(b"[" + b"[]," * 3 * MIB + b"1]") + b"}",
        b"\n" * MIB,
    ]
    purpose = b'Content-Disposition: form-data; name="purpose"\r\n\r\nbatch'
    head = b'Content-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    return _form("b", purpose, head + b"\n".join(lines))
