"""Stores answers on their way to the client, and passes them to the requests that wait for the same ones."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from msgspec import structs

from intellirouter.cache import Flight, Landing, SharedCache, Similar, StoredAnswer, may_store
from intellirouter.config import CacheSpec
from intellirouter.core import Clock, OffLoop, errors
from intellirouter.dialects import ChatUpstream, answer_text
from intellirouter.pipeline.cache_streams import PieceTimes
from intellirouter.pipeline.exchange import Decoded, Exchange

logger = logging.getLogger(__name__)

_ONCE_S: Final = 86_400.0
"""How long an `Idempotency-Key` is remembered."""
_MAX_VERIFY_S: Final = 0.5
"""How long the end of an answer waits at most for its comparison with a stored one. It usually takes milliseconds."""


class AnswerWriter:
    """Stores answers with one configuration."""

    def __init__(
        self,
        settings: CacheSpec,
        shared: SharedCache,
        clock: Clock,
        off_loop: OffLoop,
        codecs: Mapping[str, ChatUpstream],
    ) -> None:
        """`codecs` reads the texts of answers, by dialect."""
        self._settings = settings
        self._shared = shared
        self._similar = shared.similar
        self._clock = clock
        self._off_loop = off_loop
        self._codecs = codecs

    def tap(self, request: Decoded, flight: Flight) -> "CacheTap":
        """Return the tap of a request whose answer may be stored or followed."""
        is_paced = self._settings.max_replay_s is not None and request.call.is_stream
        return CacheTap(self, request, flight, PieceTimes(self._clock) if is_paced else None)

    async def store(self, exchange: Exchange, request: Decoded, flight: Flight, landing: Landing) -> None:
        """Store a complete answer, under the key of the request and under its `Idempotency-Key`."""
        settings, pieces = self._settings, flight.pieces
        is_once = flight.is_once
        ttl_s = settings.ttl_s.get(request.call.operation, 0.0)
        if not self._may_store(exchange, request, pieces):
            ttl_s = 0.0
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(body) > settings.max_entry_bytes or not (ttl_s or is_once):
            return
        now_s, tenant = self._clock.monotonic_s(), exchange.identity.tenant
        lookup = None if exchange.cache is None else exchange.cache.lookup
        answer = StoredAnswer(
            body=body,
            content_type=landing.content_type,
            request_id=exchange.request_id,
            stored_s=now_s,
            expires_s=now_s + ttl_s,
            finish_reason=landing.finish_reason,
            losses=landing.losses,
            cost_microusd=landing.cost_microusd,
            client_key=flight.client_key,
            pieces=landing.times,
        )
        if ttl_s:
            await self._shared.store.put(tenant, flight.content_key, answer)
            if lookup is not None:
                self._similar.add(lookup, flight.content_key, answer.expires_s)
        if is_once:
            await self._shared.store.put(tenant, flight.key, structs.replace(answer, expires_s=now_s + _ONCE_S))

    def _may_store(self, exchange: Exchange, request: Decoded, pieces: list[bytes]) -> bool:
        """Return whether later requests may get this answer. A degraded one is not what their model would answer."""
        if exchange.degradation is not None:
            return False
        return may_store(request.call, self._settings, exchange.finish_reason, pieces)

    def release(self, exchange: Exchange, flight: Flight) -> None:
        """Give up the claim of an `Idempotency-Key` whose answer was not stored."""
        if flight.is_once:
            self._shared.store.release(exchange.identity.tenant, flight.key)

    async def verify(self, exchange: Exchange, request: Decoded, pieces: list[bytes], found: Similar) -> None:
        """Compare a complete answer with the stored one to a similar request. If it takes too long, it is not counted.

        The result decides whether such answers are served.
        """
        lookup = None if exchange.cache is None else exchange.cache.lookup
        codec, deployment = self._codecs.get(request.call.dialect), exchange.deployment
        if lookup is None or codec is None or deployment is None:
            return
        if not self._may_store(exchange, request, pieces):
            return
        bodies = (found.stored.body, b"".join(pieces))
        is_stream, agree = request.call.is_stream, self._similar.agree

        def compare() -> bool | None:
            stored, real = (answer_text(codec, body, deployment, is_stream=is_stream) for body in bodies)
            return None if stored is None or real is None else agree(stored, real)

        try:
            async with asyncio.timeout(_MAX_VERIFY_S):
                is_right = await self._off_loop.run(max(map(len, bodies)), compare)
        except (errors.GatewayError, TimeoutError) as error:
            logger.info("%s: The answer to a similar request was not verified. %s", exchange.request_id, error)
            return
        except Exception:  # the client receives its answer even if it cannot be compared
            logger.exception("%s: The answer to a similar request could not be verified.", exchange.request_id)
            return
        if is_right is not None:
            self._similar.record(lookup.model, is_right=is_right, now_s=self._clock.monotonic_s())


class CacheTap:
    """Implements `AnswerTap`: passes the answer of a leader to its followers, and stores it."""

    def __init__(self, writer: AnswerWriter, request: Decoded, flight: Flight, times: PieceTimes | None) -> None:
        """`times`: notes the pace of the stream; None if it is not needed."""
        self._writer = writer
        self._request = request
        self._flight = flight
        self._times = times

    def take(self, data: bytes) -> None:
        self._flight.take(data)
        if self._times is not None:
            self._times.note(data)

    async def finish(self, exchange: Exchange) -> None:
        flight, error = self._flight, exchange.error
        if flight.is_ended:  # the request has failed, and a stale answer was sent
            return
        if isinstance(error, errors.ClientDisconnected):  # the followers get the answer, which may be complete
            error = exchange.answer_error
        landing = Landing(
            content_type=exchange.content_type,
            finish_reason=exchange.finish_reason,
            losses=exchange.losses,
            cost_microusd=exchange.cost_microusd,
            times=() if self._times is None else self._times.taken(),
            error=error,
        )
        is_complete = error is None and not flight.is_partial
        pieces = flight.pieces
        try:
            if is_complete:
                await self._writer.store(exchange, self._request, flight, landing)
        finally:
            self._writer.release(exchange, flight)
            flight.land(landing)
        lookup = None if exchange.cache is None else exchange.cache.lookup
        if is_complete and lookup is not None and lookup.to_verify is not None:
            await self._writer.verify(exchange, self._request, pieces, lookup.to_verify)

    def fail(self, exchange: Exchange, error: BaseException) -> None:
        self._writer.release(exchange, self._flight)
        if isinstance(error, errors.GatewayError) and not isinstance(error, errors.ClientDisconnected):
            self._flight.fail(error, exchange.error_event)
        else:
            self._flight.fail(None, None)
