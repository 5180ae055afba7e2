"""What a vendor answers, before anything is broken on purpose; and its errors in OpenAI's envelope."""

from typing import Any

import msgspec
from msgspec import Struct, field

from intellirouter.core import new_id

JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream; charset=utf-8"
DONE_EVENT = b"data: [DONE]\n\n"


class Reply(Struct, kw_only=True):
    """An HTTP answer. A stream has one part per server-sent event, anything else has one part: the body."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    """Names in lower case; no framing headers (`content-length`, `transfer-encoding`, `connection`)."""
    parts: list[bytes]
    is_stream: bool = False


class VendorError(Exception):
    """The vendor refuses the request; `reply()` says so as OpenAI would."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type_: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.envelope = {"error": {"message": message, "type": type_, "param": param, "code": code}}

    def reply(self) -> Reply:
        return json_reply(self.envelope, status=self.status)


def pretty_json(document: Any) -> bytes:
    """Encode with two blanks of indent, as OpenAI does for bodies that are not streamed."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def json_reply(document: Any, *, status: int = 200) -> Reply:
    return Reply(status=status, headers=reply_headers(JSON_TYPE), parts=[pretty_json(document)])


def sse_event(document: Any) -> bytes:
    """Encode one `data:` event; JSON is compact and on one line."""
    return b"data: " + msgspec.json.encode(document) + b"\n\n"


def reply_headers(content_type: str) -> list[tuple[str, str]]:
    """Return the headers that OpenAI's answers carry and its clients read."""
    return [
        ("content-type", content_type),
        ("x-request-id", new_id("req_")),
        ("openai-version", "2020-10-01"),
        ("openai-organization", "mock-vendor"),
        ("openai-processing-ms", "1"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-reset-requests", "6ms"),
    ]


def not_found(method: str, path: str) -> VendorError:
    return VendorError(404, f"Invalid URL ({method} {path})")


def model_not_found(model: str) -> VendorError:
    return VendorError(
        404, f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found"
    )
