"""The stage of the response cache: recalls stored answers, joins identical requests in flight, and stores answers.

It is built with one configuration. The store and the requests in flight are shared by all generations, because the keys
contain everything of the configuration that changes answers.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec import Struct, structs

from intellirouter.cache import (
    AnswerStore,
    CacheKeys,
    Flight,
    Flights,
    Follower,
    Lagging,
    Landing,
    StoredAnswer,
    exclusion_reason,
    idempotency_key_of,
    may_store,
)
from intellirouter.config import CacheSpec
from intellirouter.core import Clock, OffLoop, Usage, errors
from intellirouter.pipeline.exchange import CacheUse, Decoded, Exchange
from intellirouter.pipeline.recall import check_may_call
from intellirouter.pipeline.stages import Piece, StageAnswer

logger = logging.getLogger(__name__)

_SOURCE: Final = "cache"
_IDEMPOTENCY_KEY: Final = "idempotency-key"
_ONCE_S: Final = 86_400.0
"""How long an `Idempotency-Key` is remembered."""
_MAX_FOLLOWED: Final = 2
"""How many requests one follows at most. Each of them has made all its attempts before it fails."""


class SharedCache(Struct, frozen=True):
    """What survives reloads of the configuration."""

    store: AnswerStore
    flights: Flights


class CacheStage:
    """Implements `AnswerSource`, `AnswerStage` and `AnswerRescue`."""

    dialects: Final = None

    def __init__(
        self, settings: CacheSpec, shared: SharedCache, clock: Clock, off_loop: OffLoop, *, names_requested_model: bool
    ) -> None:
        self._settings = settings
        self._store = shared.store
        self._flights = shared.flights
        self._clock = clock
        self._off_loop = off_loop
        self._keys = CacheKeys(names_requested_model=names_requested_model)

    async def answer(self, exchange: Exchange, request: Decoded) -> StageAnswer | None:
        """Return a stored answer, or that of an identical request in flight. Otherwise this request leads others."""
        settings, directives = self._settings, exchange.cache_directives
        tenant = exchange.identity.tenant
        if not settings.applies(tenant, request.resolved.cache):
            return None
        use = exchange.cache = CacheUse()
        if directives is not None and directives.no_store:
            use.reason = "the client sent `Cache-Control: no-store`"
            return None
        if request.call.is_large:
            examine = partial(self._examine, exchange, request)
            reason, key = await self._off_loop.run(len(request.call.body), examine)
        else:
            reason, key = self._examine(exchange, request)
        if reason is not None:
            use.reason = reason
            return None
        if exchange.idempotency_key is not None:
            return await self._answer_once(exchange, request, use, key)
        if directives is None or not directives.no_cache:
            use.status = "miss"
            now_s = self._clock.monotonic_s()
            stored = await self._store.get(tenant, key, now_s)
            if stored is not None and (directives is None or directives.accepts(now_s - stored.stored_s)):
                if now_s < stored.expires_s:
                    return self._recalled(exchange, stored, "hit")
                use.expired = stored
            if self._may_join(request) and (directives is None or directives.max_age_s is None):
                answer = await self._joined(exchange, request, partial(self._joinable, key))
                if answer is not None:
                    return answer
        else:
            use.reason = "the client sent `Cache-Control: no-cache`"
        self._lead(exchange, request, key)
        return None

    async def _answer_once(
        self, exchange: Exchange, request: Decoded, use: CacheUse, content_key: bytes
    ) -> StageAnswer | None:
        """Answer a request with an `Idempotency-Key`: the answer of the first request with this key is repeated.

        Raises `InvalidRequest` if that was another request.
        """
        exchange.ignored = tuple([loss for loss in exchange.ignored if loss.field != _IDEMPOTENCY_KEY])
        use.status = "miss"
        identity, now_s = exchange.identity, self._clock.monotonic_s()
        key = idempotency_key_of(identity.tenant, identity.key_name, exchange.idempotency_key or b"")
        stored = await self._store.get(identity.tenant, key, now_s)
        if stored is not None and now_s < stored.expires_s:
            _check_same(stored.content_key, content_key)
            return self._recalled(exchange, stored, "hit")
        answer = await self._joined(exchange, request, partial(self._same_in_progress, key, content_key))
        if answer is not None:
            return answer
        check_may_call(exchange)
        self._begin(exchange, self._flights.lead_once(key, content_key, exchange.request_id, now_s))
        return None

    def _same_in_progress(self, key: bytes, content_key: bytes) -> Flight | None:
        """Return the request in flight with the same `Idempotency-Key`. Raises `InvalidRequest` if it differs."""
        if (flight := self._flights.in_progress(key)) is None:
            return None
        _check_same(flight.content_key, content_key)
        if flight.is_partial:
            raise errors.InvalidRequest(
                f"The request {flight.request_id} with the same `Idempotency-Key` is in progress, and its answer is "
                "too large to be shared.",
                code="idempotency_key_in_use",
                status=409,
                hint="Wait for its answer.",
            )
        return flight

    def tap(self, exchange: Exchange, request: Decoded) -> "CacheTap | None":
        """Return the tap of a request whose answer may be stored or followed."""
        use = exchange.cache
        if use is None or use.flight is None:
            return None
        return CacheTap(self, request, use.flight)

    async def rescue(self, exchange: Exchange, request: Decoded, error: errors.GatewayError) -> StageAnswer | None:
        """Return the answer that has expired, if the request failed because of an upstream or the gateway."""
        del request
        use = exchange.cache
        if use is None or use.expired is None or not _is_outage(error):
            return None
        if exchange.usage is None:
            exchange.deployment = None
        answer = self._recalled(exchange, use.expired, "stale")
        use.reason = error.message
        return answer

    async def store(self, exchange: Exchange, request: Decoded, flight: Flight, landing: Landing) -> None:
        """Store a complete answer, under the key of the request and under its `Idempotency-Key`."""
        settings, pieces = self._settings, flight.pieces
        is_once = flight.key != flight.content_key
        ttl_s = settings.ttl_s.get(request.call.operation, 0.0)
        if not may_store(request.call, settings, exchange.finish_reason, pieces):
            ttl_s = 0.0
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(body) > settings.max_entry_bytes or not (ttl_s or is_once):
            return
        now_s, tenant = self._clock.monotonic_s(), exchange.identity.tenant
        answer = StoredAnswer(
            body=body,
            content_type=landing.content_type,
            request_id=exchange.request_id,
            stored_s=now_s,
            expires_s=now_s + ttl_s,
            finish_reason=landing.finish_reason,
            losses=landing.losses,
            cost_microusd=landing.cost_microusd,
            content_key=flight.content_key,
        )
        try:
            if ttl_s:
                await self._store.put(tenant, flight.content_key, answer)
            if is_once:
                await self._store.put(tenant, flight.key, structs.replace(answer, expires_s=now_s + _ONCE_S))
        except errors.GatewayError as error:  # the client receives its answer even if it cannot be stored
            logger.warning("%s: The answer could not be cached. %s", exchange.request_id, error.full_message)

    def _examine(self, exchange: Exchange, request: Decoded) -> tuple[str | None, bytes]:
        """Return why the request cannot use the cache, or None, and its key."""
        call, local = request.call, exchange.endpoint.local
        if local is not None and local.applies(call):
            return "the gateway answers it itself", b""
        if (reason := exclusion_reason(call, self._settings)) is not None:
            return reason, b""
        return None, self._keys.key_of(exchange.identity.tenant, exchange.endpoint, call, request.resolved)

    def _joinable(self, key: bytes) -> Flight | None:
        return self._flights.joinable(key, self._clock.monotonic_s())

    def _may_join(self, request: Decoded) -> bool:
        """Return whether requests like this one share an answer. Each agent must get tool calls of its own."""
        return self._settings.tool_calls or "tools" not in request.call.needs

    def _lead(self, exchange: Exchange, request: Decoded, key: bytes) -> None:
        """Let identical requests follow this one, and store its answer."""
        directives = exchange.cache_directives
        if directives is not None and directives.only_if_cached:
            return
        flight = self._flights.lead(
            key, exchange.request_id, self._clock.monotonic_s(), can_be_joined=self._may_join(request)
        )
        self._begin(exchange, flight)

    def _begin(self, exchange: Exchange, flight: Flight) -> None:
        """Make a request the leader of a flight. It continues without its client while others wait for it."""
        if exchange.cache is not None:
            exchange.cache.flight = flight
        exchange.is_needed_by_others = flight.has_followers
        task = asyncio.current_task()
        if task is not None:
            flight.cancel = partial(_cancel_abandoned, exchange, task)

    async def _joined(
        self, exchange: Exchange, request: Decoded, find: Callable[[], Flight | None]
    ) -> StageAnswer | None:
        """Return the answer of an identical request in flight; None if this one must call the upstream itself.

        Raises the error of the other request if another call would fail as well.
        """
        directives, use = exchange.cache_directives, exchange.cache
        if directives is not None and directives.only_if_cached:
            return None
        for number in range(1, _MAX_FOLLOWED + 1):
            if (flight := find()) is None:
                return None
            if (answer := await self._follow_or_leave(exchange, request, flight)) is not None:
                return answer
            if (error := flight.error) is None:
                continue
            has_expired = use is not None and use.expired is not None
            if has_expired or not _is_outage(error) or number == _MAX_FOLLOWED:
                raise errors.without_frames(error)
        return None

    async def _follow_or_leave(self, exchange: Exchange, request: Decoded, flight: Flight) -> StageAnswer | None:
        """Return the answer of the flight once it has begun; None if it failed before that."""
        follower = flight.join()
        answer = None
        try:
            answer = await self._follow(exchange, request, follower)
        finally:
            if answer is None:
                follower.leave()
        return answer

    async def _follow(self, exchange: Exchange, request: Decoded, follower: Follower) -> StageAnswer | None:
        """Return the answer of the flight once it has begun; None if it failed before that."""
        limit_s, flight = request.resolved.request_timeout_s, follower.flight
        try:
            async with asyncio.timeout(limit_s):
                if request.call.is_stream:
                    return await self._follow_stream(exchange, follower)
                landing = await follower.ended()
        except TimeoutError:
            raise errors.UpstreamTimeout(
                f"The identical request {flight.request_id} was not answered within {limit_s:g} s (request_timeout_s)."
            ) from None
        if landing is None or landing.error is not None:
            return None
        body = b"".join(flight.pieces)
        follower.leave()
        _note(exchange, "joined", flight.request_id, landing)
        return StageAnswer(source=_SOURCE, body=body, content_type=landing.content_type)

    async def _follow_stream(self, exchange: Exchange, follower: Follower) -> StageAnswer | None:
        if not await follower.begun():
            return None
        try:
            first = await follower.next()
        except Lagging:
            return None
        use = exchange.cache
        if use is not None:
            use.status, use.source = "joined", follower.flight.request_id
        return StageAnswer(source=_SOURCE, pieces=FollowedStream(exchange, follower, first))

    def _recalled(self, exchange: Exchange, stored: StoredAnswer, status: str) -> StageAnswer:
        """Return a stored answer, and note it in the exchange."""
        use = exchange.cache or CacheUse()
        exchange.cache = use
        use.status, use.source = status, stored.request_id
        use.age_s = max(0.0, self._clock.monotonic_s() - stored.stored_s)
        use.saved_microusd = stored.cost_microusd
        if exchange.usage is None:
            exchange.usage = Usage()
        exchange.finish_reason, exchange.losses = stored.finish_reason, stored.losses
        if exchange.call is not None and exchange.call.is_stream:
            return StageAnswer(source=_SOURCE, pieces=StoredStream(stored.body))
        return StageAnswer(source=_SOURCE, body=stored.body, content_type=stored.content_type)


class CacheTap:
    """Implements `AnswerTap`: passes the answer of a leader to its followers, and stores it."""

    def __init__(self, stage: CacheStage, request: Decoded, flight: Flight) -> None:
        self._stage = stage
        self._request = request
        self._flight = flight

    def take(self, data: bytes) -> None:
        self._flight.take(data)

    async def finish(self, exchange: Exchange) -> None:
        flight, error = self._flight, exchange.error
        if flight.is_ended:  # the request has failed, and a stale answer was sent
            return
        if isinstance(error, errors.ClientDisconnected):  # the answer is complete, for the followers
            error = None
        landing = Landing(
            content_type=exchange.content_type,
            finish_reason=exchange.finish_reason,
            losses=exchange.losses,
            cost_microusd=exchange.cost_microusd,
            error=error,
        )
        try:
            if error is None and not flight.is_partial:
                await self._stage.store(exchange, self._request, flight, landing)
        finally:
            flight.land(landing)

    def fail(self, exchange: Exchange, error: BaseException) -> None:
        if isinstance(error, errors.GatewayError) and not isinstance(error, errors.ClientDisconnected):
            self._flight.fail(error, exchange.error_event)
        else:
            self._flight.fail(None, None)


class StoredStream:
    """Implements `Pieces` for a stored stream: one piece with all bytes."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body

    def __aiter__(self) -> "StoredStream":
        return self

    async def __anext__(self) -> Piece:
        body, self._body = self._body, None
        if body is None:
            raise StopAsyncIteration
        return Piece(body, is_last=True)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to release."""


class FollowedStream:
    """Implements `Pieces` for a follower: the stream as the leader receives it. Raises the error that ended it."""

    def __init__(self, exchange: Exchange, follower: Follower, first: bytes) -> None:
        self._exchange = exchange
        self._follower = follower
        self._next: bytes | None = first
        self._is_done = False

    def __aiter__(self) -> "FollowedStream":
        return self

    async def __anext__(self) -> Piece:
        if self._is_done:
            raise StopAsyncIteration
        exchange, follower, flight = self._exchange, self._follower, self._follower.flight
        try:
            data, self._next = self._next, None
            if data is None:
                data = await follower.next()
        except Lagging:
            raise errors.Overloaded(
                "The client has read the stream too slowly. It shares the answer of an identical request, of which "
                "only the last part is kept.",
                hint="Read faster, or send `Cache-Control: no-store` to get an answer of your own.",
            ) from None
        if data and not (flight.is_ended and follower.has_all and flight.landing is not None):
            return Piece(data, is_last=False)
        self._is_done = True
        if (landing := flight.landing) is None:
            raise _broken_off(exchange, flight)
        _note(exchange, "joined", flight.request_id, landing)
        exchange.error = landing.error
        return Piece(data, is_last=True)

    async def aclose(self) -> None:
        self._follower.leave()


def _broken_off(exchange: Exchange, flight: Flight) -> errors.GatewayError:
    """Return the error of a stream whose leader failed after the beginning."""
    if flight.error is None:
        return errors.UpstreamDisconnected(f"The identical request {flight.request_id} was canceled.")
    exchange.error_event = flight.error_event
    return errors.without_frames(flight.error)


def _note(exchange: Exchange, status: str, source: str, landing: Landing) -> None:
    """Note in the exchange that it has got the answer of another one."""
    use = exchange.cache
    if use is not None:
        use.status, use.source, use.saved_microusd = status, source, landing.cost_microusd
    exchange.usage = Usage()
    exchange.finish_reason, exchange.losses = landing.finish_reason, landing.losses


def _check_same(stored_key: bytes, content_key: bytes) -> None:
    """Raise `InvalidRequest` if an `Idempotency-Key` was used for another request."""
    if stored_key != content_key:
        raise errors.InvalidRequest(
            "The `Idempotency-Key` was used for another request in the last 24 hours.",
            code="idempotency_key_reused",
            status=422,
            hint="Use a new key for a new request, and the same key only to repeat the same request.",
        )


def _is_outage(error: errors.GatewayError) -> bool:
    """Return whether neither the client nor its request is to blame. Then a stale answer is better than none."""
    return error.blame != "client"


def _cancel_abandoned(exchange: Exchange, task: "asyncio.Task[object]") -> None:
    """Cancel a leader whose client has left, after its last follower has left, too."""
    if exchange.is_client_disconnected and exchange.record is None:
        task.cancel()
