"""Runs one line of a batch: a request like any other, whose answer becomes a line of a file."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.config.runtime import ServerSpec
from intellirouter.core import EMPTY_CONTEXT, SMALL_BYTES, Clock, Current, RequestContext, Usage, errors, new_id
from intellirouter.dialects import Endpoint, ErrorStyle
from intellirouter.governance import Identity
from intellirouter.pipeline import Entry, Exchange, Generation
from intellirouter.resilience import Backoff, RetryPolicy

_MAX_TRIES: Final = 6
_MAX_WAIT_S: Final = 300.0


class LineRequest(Struct, frozen=True, kw_only=True):
    """A line, and the caller on whose behalf it runs."""

    endpoint: str
    """The path of the endpoint."""
    tenant: str
    key_name: str | None
    custom_id: str
    body: bytes
    deadline_us: int


class LineResult(Struct, frozen=True):
    """The result of a line."""

    line: bytes
    """A line for the output file or, if the request failed, for the error file. Ends with a line feed."""
    is_success: bool
    usage: Usage | None


class RequestFlags(Struct, frozen=True):
    """Fields of a request that are not allowed in a batch."""

    stream: Any = None
    background: Any = None


class ResultLine(Struct):
    """A line of an output or error file."""

    id: str
    custom_id: str
    response: dict[str, Any] | None
    error: dict[str, str] | None


_decode_flags: Final = msgspec.json.Decoder(RequestFlags)


class LineSource(Struct, frozen=True, kw_only=True):
    """Implements `pipeline.Source` for a line. Looks up the key by its name again, as it may have been removed."""

    line: LineRequest
    path: str
    endpoint: Endpoint
    context: RequestContext = EMPTY_CONTEXT
    request_id: None = None
    peer: None = None
    is_task_owner: bool = False

    def identify(self, generation: Generation) -> Identity:
        return generation.identity_of(self.line.tenant, self.line.key_name).in_background()

    def read(self, limits: ServerSpec) -> bytes | Awaitable[bytes]:  # noqa: ARG002
        """Return the body. Raises `InvalidRequest` for fields that are not allowed in a batch."""
        body = self.line.body
        return asyncio.to_thread(_checked, body) if len(body) > SMALL_BYTES else _checked(body)

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        """Do nothing: there is no client that could disconnect."""


class CapturedReply:
    """Implements `pipeline.Reply` by storing the answer."""

    takes_refusals = False

    def __init__(self, style: ErrorStyle) -> None:
        self._style = style
        self.has_begun = False
        self.status = 200
        self.body = b""
        self.error: errors.GatewayError | None = None

    @property
    def has_content(self) -> bool:
        return self.has_begun

    async def complete(self, status: int, exchange: Exchange, body: bytes, content_type: bytes) -> None:  # noqa: ARG002
        self.has_begun = True
        self.status, self.body = status, body

    def await_stream(self, exchange: Exchange) -> None:
        """Do nothing: there is no client."""

    async def begin(self, exchange: Exchange, stream_type: bytes) -> None:  # noqa: ARG002
        self.has_begun = True

    async def write(self, data: bytes) -> None:
        self.body += data

    async def end(self, data: bytes) -> None:
        self.body += data

    async def fail(self, error: errors.GatewayError, exchange: Exchange) -> None:  # noqa: ARG002
        self.error = error
        self.status, self.body = self._style.status(error), self._style.encode(error)


class LineRunner:
    """Runs the lines of batches. `rng` randomizes the waits between retries."""

    def __init__(self, current: Current[Generation], entry: Entry, clock: Clock, rng: random.Random) -> None:
        self._current = current
        self._entry = entry
        self._clock = clock
        self._rng = rng

    async def run(self, line: LineRequest, in_progress: set[Exchange]) -> LineResult:
        """Run a line to its end. Transient errors, such as rate limits, are retried.

        Never raises a `GatewayError`. `in_progress` contains the exchange while it is in flight.
        """
        tries = 0
        while True:
            exchange, reply = await self._run_once(line, in_progress)
            tries += 1
            wait_s = None if reply.error is None else self._policy().wait_s(reply.error, tries, self._rng)
            if wait_s is None or self._clock.epoch_us() + wait_s * 1e6 >= line.deadline_us:
                break
            await asyncio.sleep(wait_s)
        if len(reply.body) > SMALL_BYTES:
            encoded = await asyncio.to_thread(_result_line, line.custom_id, exchange.request_id, reply)
        else:
            encoded = _result_line(line.custom_id, exchange.request_id, reply)
        return LineResult(encoded, 200 <= reply.status < 300, exchange.usage)

    async def _run_once(self, line: LineRequest, in_progress: set[Exchange]) -> tuple[Exchange, CapturedReply]:
        endpoint = self._current.value.dialects.endpoints_by_path[line.endpoint]
        reply = CapturedReply(endpoint.errors)
        opened: list[Exchange] = []

        def on_open(exchange: Exchange) -> None:
            opened.append(exchange)
            exchange.identity = Identity(line.tenant, line.key_name)  # for the record, in case the key was removed
            in_progress.add(exchange)

        try:
            exchange = await self._entry.serve(
                LineSource(line=line, path=line.endpoint, endpoint=endpoint), reply, on_open
            )
        finally:
            in_progress.difference_update(opened)
        return exchange, reply

    def _policy(self) -> RetryPolicy:
        spec = self._current.value.runtime.backoff
        return RetryPolicy(max_tries=_MAX_TRIES, backoff=Backoff(spec.base_s, spec.max_s), max_wait_s=_MAX_WAIT_S)


def _result_line(custom_id: str, request_id: str, reply: CapturedReply) -> bytes:
    response = {"status_code": reply.status, "request_id": request_id, "body": _one_line(reply.body)}
    return _encode_line(ResultLine(new_id("batch_req_"), custom_id, response, None))


def unexecuted_line(custom_id: str, code: str, message: str) -> bytes:
    """Return the line of the error file for a request that was not sent."""
    return _encode_line(ResultLine(new_id("batch_req_"), custom_id, None, {"code": code, "message": message}))


def _encode_line(line: ResultLine) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _checked(body: bytes) -> bytes:
    """Refuse fields that are not allowed in a batch. Malformed bodies pass, because the codec reports the error."""
    try:
        flags = _decode_flags.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    for name, value in (("stream", flags.stream), ("background", flags.background)):
        if value is not None and value is not False:
            raise errors.InvalidRequest(
                f"Requests in a batch do not support `{name}`.",
                param=name,
                code="unsupported_value",
                hint=f"Remove `{name}` from the request.",
            )
    return body


def _one_line(body: bytes) -> msgspec.Raw | str:
    """Return the body as JSON without line breaks, or as text if it is not valid JSON."""
    try:
        body.decode()
        raw = msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode("utf-8", "replace")
    text = bytes(raw)
    if b"\n" in text or b"\r" in text:  # in valid JSON, only between tokens
        text = text.replace(b"\r", b" ").replace(b"\n", b" ")
    return msgspec.Raw(text)
