"""A response stage that records request and response bodies (`logging.bodies: full`)."""

from typing import Final

from intellirouter.pipeline.exchange import Decoded, Exchange


class BodyLog:
    """Implements `stages.AnswerStage`."""

    dialects: Final = None

    def tap(self, exchange: Exchange, request: Decoded) -> "BodyTap":
        exchange.logged_request = request.call.body
        pieces: list[bytes] = []
        exchange.logged_response = pieces
        return BodyTap(pieces)


class BodyTap:
    """Implements `stages.AnswerTap`. Collects what the client is sent, even if a stream breaks off."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def take(self, data: bytes) -> None:
        self._pieces.append(data)

    async def finish(self, exchange: Exchange) -> None:
        """Do nothing: the record already has the pieces."""

    def fail(self, exchange: Exchange, error: BaseException) -> None:
        """Do nothing: what the client was sent is recorded, too."""
