"""The three shapes of a stage: around the request, instead of the upstream, on the answer.

    decode ─▶ RequestStage.prepare … ─▶ AnswerSource.answer … ─▶ decide ─▶ execute ─▶ client
                                               │                             │
                                               └──── AnswerStage.tap ◀───────┘

A stage that edits a request works on the conversation (`Endpoint.conversation`, `Endpoint.edited`), never on bytes; the
edit reaches every upstream dialect and loses nothing else. Stages are values of the generation. A stage names the
client dialects it is for, so that requests of other dialects do not pay for it; an absent stage costs nothing.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from msgspec import Struct

from intellirouter.dialects import Event, Response
from intellirouter.pipeline.exchange import Decoded, Exchange


class Stage(Protocol):
    """What all shapes have in common."""

    @property
    def dialects(self) -> frozenset[str] | None:
        """Return the client dialects that the stage is for; None means all."""
        ...


class RequestStage(Stage, Protocol):
    """Around the request: may replace it, or end the exchange by raising a `GatewayError`."""

    async def prepare(self, exchange: Exchange, request: Decoded) -> Decoded: ...


class StageAnswer(Struct, frozen=True, kw_only=True):
    """An answer that needs no upstream. Exactly one of `response`, `events` and `body` is set."""

    source: str
    """For headers and records: `cache`, `queue`."""
    response: Response | None = None
    """A whole answer in the intermediate form; it is encoded for the client, whole or as a stream."""
    events: AsyncIterator[Sequence[Event]] | None = None
    """The same as it comes. A client that did not ask for a stream gets it once it is complete."""
    body: bytes | None = None
    """A whole JSON answer in the client's dialect."""


class AnswerSource(Stage, Protocol):
    """Instead of the upstream: may answer the request. The first source that answers ends the search."""

    async def answer(self, exchange: Exchange, request: Decoded) -> StageAnswer | None: ...


class AnswerTap(Protocol):
    """Sees one answer as its client gets it."""

    def take(self, data: bytes) -> None:
        """Take the whole body, or the next bytes of the stream, in the client's dialect."""
        ...

    async def finish(self, exchange: Exchange) -> None:
        """The answer is complete and settled. Awaited before the client gets the last bytes; must not raise."""
        ...


class AnswerStage(Stage, Protocol):
    """On the answer: sees what the client gets, whole or piece by piece."""

    def tap(self, exchange: Exchange, request: Decoded) -> AnswerTap | None:
        """Return what is to see the answer of this request, or None. Called once, before anything is answered."""
        ...


class Stages(Struct, frozen=True, kw_only=True):
    """The stages of a generation, in the order in which they run."""

    request: tuple[RequestStage, ...] = ()
    sources: tuple[AnswerSource, ...] = ()
    answer: tuple[AnswerStage, ...] = ()

    def for_dialect(self, dialect: str) -> "Stages":
        """Return the stages for clients of one dialect."""
        return Stages(
            request=tuple(each for each in self.request if _is_for(each, dialect)),
            sources=tuple(each for each in self.sources if _is_for(each, dialect)),
            answer=tuple(each for each in self.answer if _is_for(each, dialect)),
        )

    def taps(self, exchange: Exchange, request: Decoded) -> tuple[AnswerTap, ...]:
        return tuple([tap for each in self.answer if (tap := each.tap(exchange, request)) is not None])


NO_STAGES: Final = Stages()


def _is_for(stage: Stage, dialect: str) -> bool:
    return stage.dialects is None or dialect in stage.dialects
