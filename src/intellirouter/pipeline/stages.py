"""The kinds of stages: before the decision, instead of the upstream, and on the answer.

    decode ─▶ RequestStage.prepare … ─▶ AnswerSource.answer … ─▶ decide ─▶ execute ─▶ client
                                               │                             │
                                               └──── AnswerStage.tap ◀───────┘

A stage that edits a request works on the conversation (`Endpoint.conversation`, `Endpoint.edited`), never on bytes. The
edit reaches upstreams of every dialect, and everything else stays unchanged. Stages belong to a generation. A stage
names the client dialects that it applies to; requests of other dialects do not call it.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from msgspec import Struct

from intellirouter.core import errors
from intellirouter.dialects import Event, Response
from intellirouter.pipeline.exchange import Decoded, Exchange


class Stage(Protocol):
    """What all kinds of stages have in common."""

    @property
    def dialects(self) -> frozenset[str] | None:
        """The client dialects that the stage applies to; None means all."""
        ...


class RequestStage(Stage, Protocol):
    """Runs before the decision. May replace the request, or end the exchange by raising a `GatewayError`."""

    async def prepare(self, exchange: Exchange, request: Decoded) -> Decoded: ...


class Piece(Struct, frozen=True):
    """Some bytes of a stream, in the client's dialect."""

    data: bytes
    is_last: bool


class Pieces(Protocol):
    """The pieces of a stream as they arrive."""

    def __aiter__(self) -> "Pieces": ...

    async def __anext__(self) -> Piece: ...

    async def aclose(self) -> None:
        """Called at the end, however the stream has ended."""
        ...


class StageAnswer(Struct, frozen=True, kw_only=True):
    """An answer that needs no upstream. Exactly one of `response`, `events`, `body` and `pieces` is set."""

    source: str
    """Name of the source in headers and records: `cache`, `queue`."""
    response: Response | None = None
    """A complete answer in the intermediate form. It is encoded for the client, complete or as a stream."""
    events: AsyncIterator[Sequence[Event]] | None = None
    """The events of an answer as they arrive. A client that did not request a stream gets the complete answer."""
    body: bytes | None = None
    """A complete answer in the client's dialect."""
    content_type: bytes = b"application/json"
    """That of `body`."""
    pieces: Pieces | None = None
    """The bytes of a stream in the client's dialect, as they arrive. The source notes in the exchange how it has ended,
    before it yields the last piece."""


class AnswerSource(Stage, Protocol):
    """Runs instead of the upstream. The answer of the first source that has one is used."""

    async def answer(self, exchange: Exchange, request: Decoded) -> StageAnswer | None: ...


class AnswerRescue(Stage, Protocol):
    """Runs if a request has failed before the client has been sent content. May answer nevertheless."""

    async def rescue(
        self, exchange: Exchange, request: Decoded, error: errors.GatewayError, stale_s: float | None
    ) -> StageAnswer | None:
        """Return an answer that has expired at most `stale_s` seconds ago (None: as long as configured), or None."""
        ...


class AnswerTap(Protocol):
    """Receives one answer as it is sent to the client."""

    def take(self, data: bytes) -> None:
        """Take the complete body, or the next bytes of the stream, in the client's dialect."""
        ...

    async def finish(self, exchange: Exchange) -> None:
        """Called when the answer is complete and settled, before the last bytes are sent. Must not raise."""
        ...

    def fail(self, exchange: Exchange, error: BaseException) -> None:
        """Called if the request has failed or was canceled, even after `finish`. Must not raise."""
        ...


class AnswerStage(Stage, Protocol):
    """Runs on the answer: receives what the client is sent, at once or piece by piece."""

    def tap(self, exchange: Exchange, request: Decoded) -> AnswerTap | None:
        """Return the tap for the answer to this request, or None. Called once: after the sources, before the answer."""
        ...


class Stages(Struct, frozen=True, kw_only=True):
    """The stages of a generation, in the order in which they run."""

    request: tuple[RequestStage, ...] = ()
    sources: tuple[AnswerSource, ...] = ()
    answer: tuple[AnswerStage, ...] = ()
    rescues: tuple[AnswerRescue, ...] = ()

    def for_dialect(self, dialect: str) -> "Stages":
        """Return the stages that apply to clients of one dialect."""
        return Stages(
            request=tuple(each for each in self.request if _is_for(each, dialect)),
            sources=tuple(each for each in self.sources if _is_for(each, dialect)),
            answer=tuple(each for each in self.answer if _is_for(each, dialect)),
            rescues=tuple(each for each in self.rescues if _is_for(each, dialect)),
        )

    def taps(self, exchange: Exchange, request: Decoded) -> tuple[AnswerTap, ...]:
        return tuple([tap for each in self.answer if (tap := each.tap(exchange, request)) is not None])


NO_STAGES: Final = Stages()


def _is_for(stage: Stage, dialect: str) -> bool:
    return stage.dialects is None or dialect in stage.dialects
