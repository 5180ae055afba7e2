"""One line of a batch: an exchange like any other, whose answer becomes a line of a file."""

import asyncio
import random
from collections.abc import Callable, MutableSet
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import EMPTY_CONTEXT, Clock, Usage, errors, new_id
from intellirouter.dialects import ENDPOINTS_BY_PATH, ErrorStyle
from intellirouter.governance import Identity
from intellirouter.pipeline import Exchange, Headers, Reply, Spine
from intellirouter.resilience import Backoff
from intellirouter.resources.responses.resource import StoredResponses

_MAX_TRIES: Final = 6
_MAX_WAIT_S: Final = 300.0
_RESPONSES: Final = "/v1/responses"
_PASSING: Final = (errors.Overloaded, errors.NoEligibleDeployment, errors.ModelLoading, errors.AllAttemptsFailed)
"""What may be over later, beside what the error tree calls retryable."""


class Asked(Struct, frozen=True, kw_only=True):
    """One line, and on whose behalf it is run."""

    endpoint: str
    tenant: str
    key_name: str | None
    custom_id: str
    body: bytes
    deadline_us: int


class Answered(Struct, frozen=True):
    """What came of it."""

    line: bytes
    """For the output file or, when it is not good, the error file; ended by a line feed."""
    is_good: bool
    usage: Usage | None


class _Wish(Struct, frozen=True):
    stream: Any = None
    background: Any = None


class _Written(Struct):
    """A line of an output or error file, as it stands there."""

    id: str
    custom_id: str
    response: dict[str, Any] | None
    error: dict[str, str] | None


_decode_wish: Final = msgspec.json.Decoder(_Wish)


class CapturedReply:
    """Implements `pipeline.Reply`: keeps the answer."""

    def __init__(self, style: ErrorStyle) -> None:
        self._style = style
        self.has_begun = False
        self.status = 200
        self.body = b""
        self.error: errors.GatewayError | None = None

    async def complete(self, status: int, headers: Headers, body: bytes, content_type: bytes) -> None:  # noqa: ARG002
        self.has_begun = True
        self.status, self.body = status, body

    async def begin(self, headers: Headers, stream_type: bytes) -> None:  # noqa: ARG002
        self.has_begun = True

    async def write(self, data: bytes) -> None:
        self.body += data

    async def end(self, data: bytes) -> None:
        self.body += data

    async def fail(self, error: errors.GatewayError, headers: Headers, last_words: bytes | None = None) -> None:  # noqa: ARG002
        self.error = error
        self.status, self.body = self._style.status(error), self._style.encode(error)


class LineRunner:
    """Answers lines by the spine that serves now. `rng` spreads waits."""

    def __init__(
        self, spine: Callable[[], Spine], responses: StoredResponses, clock: Clock, rng: random.Random
    ) -> None:
        self._spine = spine
        self._responses = responses
        self._clock = clock
        self._rng = rng

    async def answer(self, asked: Asked, under_way: MutableSet[Exchange]) -> Answered:
        """Run a line to its end; what passes, rate limits first of all, is tried again. Never raises a `GatewayError`.

        The exchange is in `under_way` as long as it is.
        """
        tries = 0
        while True:
            exchange, reply = await self._once(asked, under_way)
            tries += 1
            wait_s = self._wait_s(reply.error, tries)
            if wait_s is None or self._clock.epoch_us() + wait_s * 1e6 >= asked.deadline_us:
                break
            await asyncio.sleep(wait_s)
        is_good = 200 <= reply.status < 300
        response = {"status_code": reply.status, "request_id": exchange.request_id, "body": _one_line(reply.body)}
        line = _line(_Written(new_id("batch_req_"), asked.custom_id, response, None))
        return Answered(line, is_good, exchange.usage)

    async def _once(self, asked: Asked, under_way: MutableSet[Exchange]) -> tuple[Exchange, CapturedReply]:
        spine = self._spine()
        endpoint = ENDPOINTS_BY_PATH[asked.endpoint]
        exchange = spine.open(asked.endpoint, endpoint, Identity(asked.tenant, asked.key_name))
        captured = CapturedReply(endpoint.errors)
        body, context = asked.body, EMPTY_CONTEXT
        reply: Reply = captured
        under_way.add(exchange)
        try:
            exchange.identity = spine.identity_of(asked.tenant, asked.key_name)
            _check(body)
            if asked.endpoint == _RESPONSES:
                body, reply, context = await self._responses.prepare(exchange, body, reply)
        except errors.GatewayError as error:
            await spine.refuse(exchange, error, captured)
            spine.emit(exchange)
        else:
            await spine.walk(exchange, body, reply, context)
        finally:
            under_way.discard(exchange)
        return exchange, captured

    def _wait_s(self, error: errors.GatewayError | None, tries: int) -> float | None:
        """Return how long to wait before the next try; None: there is none."""
        if error is None or tries >= _MAX_TRIES or not (error.retryable or isinstance(error, _PASSING)):
            return None
        spec = self._spine().runtime.backoff
        wait_s = Backoff(spec.base_s, spec.max_s).wait_s(tries - 1, self._rng)
        return min(_MAX_WAIT_S, max(wait_s, error.retry_after_s or 0.0))


def unanswered(custom_id: str, code: str, message: str) -> bytes:
    """Return the line of the error file for a request that never was made."""
    return _line(_Written(new_id("batch_req_"), custom_id, None, {"code": code, "message": message}))


def _line(written: _Written) -> bytes:
    return msgspec.json.encode(written) + b"\n"


def _check(body: bytes) -> None:
    """Refuse what has no meaning in a batch. A body that cannot be read passes: the codec says what is wrong."""
    try:
        wish = _decode_wish.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for name, asked in (("stream", wish.stream), ("background", wish.background)):
        if asked is not None and asked is not False:
            raise errors.InvalidRequest(
                f"Requests in a batch are answered whole: leave out `{name}`.", param=name, code="unsupported_value"
            )


def _one_line(body: bytes) -> msgspec.Raw | str:
    """Make an answer's body fit into a line of JSON. Line ends in valid JSON stand between tokens only."""
    try:
        body.decode()
        raw = msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode("utf-8", "replace")
    text = bytes(raw)
    if b"\n" in text or b"\r" in text:
        text = text.replace(b"\r", b" ").replace(b"\n", b" ")
    return msgspec.Raw(text)
