"""The stage of the response cache: recalls stored answers, joins identical requests in flight, and stores answers.

The order is: the answer to the same request, the same request in flight, an answer to a similar request, the upstream.

It is built with one configuration. The store and the requests in flight are shared by all generations, because the keys
contain everything of the configuration that changes answers.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from intellirouter.cache import (
    CacheKeys,
    Claim,
    Flight,
    Follower,
    Lagging,
    SharedCache,
    StoredAnswer,
    exclusion_reason,
    idempotency_key_of,
)
from intellirouter.config import CacheSpec
from intellirouter.core import Clock, OffLoop, Usage, errors
from intellirouter.dialects import ChatUpstream
from intellirouter.pipeline.cache_streams import FollowedStream, PacedStream, StoredStream, note_shared
from intellirouter.pipeline.cache_writer import AnswerWriter, CacheTap
from intellirouter.pipeline.exchange import CacheUse, Decoded, Exchange
from intellirouter.pipeline.recall import check_may_call
from intellirouter.pipeline.stages import StageAnswer

_SOURCE: Final = "cache"
_IDEMPOTENCY_KEY: Final = "idempotency-key"
_FIRST_PAUSE_S: Final = 0.02
_MAX_PAUSE_S: Final = 0.5
"""How long to wait between two looks at what another process does with the same `Idempotency-Key`."""
_MAX_FOLLOWED: Final = 2
"""How many requests one follows at most. Each of them has made all its attempts before it fails."""


class CacheStage:
    """Implements `AnswerSource`, `AnswerStage` and `AnswerRescue`."""

    dialects: Final = None

    def __init__(
        self,
        settings: CacheSpec,
        shared: SharedCache,
        clock: Clock,
        off_loop: OffLoop,
        *,
        names_requested_model: bool,
        codecs: Mapping[str, ChatUpstream],
    ) -> None:
        """`codecs` reads the texts of answers, by dialect."""
        self._settings = settings
        self._similar = shared.similar
        self._writer = AnswerWriter(settings, shared, clock, off_loop, codecs)
        self._shared = shared
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
            if (answer := await self._answer_of_identical(exchange, request, use, key)) is not None:
                return answer
        else:
            use.reason = "the client sent `Cache-Control: no-cache`"
        if settings.uses_similar(tenant, request.resolved.cache):
            answer = await self._answer_of_similar(exchange, request, use)
            if answer is not None:
                return answer
        self._lead(exchange, request, key)
        return None

    async def _answer_of_identical(
        self, exchange: Exchange, request: Decoded, use: CacheUse, key: bytes
    ) -> StageAnswer | None:
        """Return the stored answer to the same request, or that of the same request in flight."""
        directives, now_s = exchange.cache_directives, self._clock.monotonic_s()
        use.status = "miss"
        stored = await self._shared.store.get(exchange.identity.tenant, key, now_s)
        if stored is not None and (directives is None or directives.accepts(now_s - stored.stored_s)):
            if now_s < stored.expires_s:
                return self._recalled(exchange, stored, "hit")
            use.expired = stored
        if self._may_join(request) and (directives is None or directives.max_age_s is None):
            return await self._joined(exchange, request, partial(self._joinable, key))
        return None

    async def _answer_of_similar(self, exchange: Exchange, request: Decoded, use: CacheUse) -> StageAnswer | None:
        """Return the stored answer to a similar request, unless it has to be verified."""
        similar, directives, now_s = self._similar, exchange.cache_directives, self._clock.monotonic_s()
        tenant = exchange.identity.tenant
        lookup = similar.examine(self._keys, tenant, exchange.endpoint, request.call, request.resolved, now_s)
        if isinstance(lookup, str):
            use.reason = use.reason or f"No answer to a similar request was used. {lookup}"
            return None
        use.lookup = lookup
        if directives is not None and directives.no_cache:
            return None
        max_age_s = None if directives is None else directives.max_age_s
        found = await similar.find(lookup, self._shared.store, now_s, max_age_s)
        if found is None:
            return None
        can_be_verified = directives is None or not directives.only_if_cached
        if similar.may_serve(lookup.model, exchange.request_id, can_be_verified=can_be_verified):
            use.similarity = found.similarity
            return self._recalled(exchange, found.stored, "similar")
        lookup.to_verify = found
        use.reason = f"The answer to the similar request {found.stored.request_id} is compared with the new one."
        return None

    async def _answer_once(
        self, exchange: Exchange, request: Decoded, use: CacheUse, content_key: bytes
    ) -> StageAnswer | None:
        """Answer a request with an `Idempotency-Key`: the answer of the first request with this key is repeated.

        Raises `InvalidRequest` if that was another request.
        """
        exchange.ignored = tuple([loss for loss in exchange.ignored if loss.field != _IDEMPOTENCY_KEY])
        use.status = "miss"
        identity, now_s, call = exchange.identity, self._clock.monotonic_s(), request.call
        key_of_client = partial(self._keys.client_key_of, identity.tenant, exchange.endpoint, call)
        client_key = await self._off_loop.run(len(call.body), key_of_client) if call.is_large else key_of_client()
        key = idempotency_key_of(identity.tenant, identity.key_name, exchange.idempotency_key or b"")
        stored = await self._shared.store.get(identity.tenant, key, now_s)
        if stored is not None and now_s < stored.expires_s:
            _check_same(stored.client_key, client_key)
            return self._recalled(exchange, stored, "hit")
        find = partial(self._same_in_progress, key, client_key)
        if (answer := await self._joined(exchange, request, find)) is not None:
            return answer
        check_may_call(exchange)
        if (stored := await self._claim(exchange, request, key, client_key)) is not None:
            return self._recalled(exchange, stored, "hit")
        flight = self._flights.lead_once(key, content_key, exchange.request_id, self._clock.monotonic_s())
        flight.client_key = client_key
        self._begin(exchange, flight)
        return None

    async def _claim(self, exchange: Exchange, request: Decoded, key: bytes, client_key: bytes) -> StoredAnswer | None:
        """Claim an `Idempotency-Key` for this process. While another one has it, wait for the answer, and return it.

        Raises `InvalidRequest` if it was another request, or if the answer does not come in time.
        """
        tenant, claim = exchange.identity.tenant, Claim(client_key=client_key, request_id=exchange.request_id)
        ends_s, pause_s = self._clock.monotonic_s() + request.resolved.request_timeout_s, _FIRST_PAUSE_S
        while (found := await self._shared.store.claim(tenant, key, claim)) is not None:
            _check_same(found.client_key, client_key)
            if isinstance(found, StoredAnswer):
                return found
            if self._clock.monotonic_s() >= ends_s:
                raise _in_use(found.request_id, "was not answered in time")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)
        return None

    def _same_in_progress(self, key: bytes, client_key: bytes) -> Flight | None:
        """Return the request in flight with the same `Idempotency-Key`. Raises `InvalidRequest` if it differs."""
        if (flight := self._flights.in_progress(key)) is None:
            return None
        _check_same(flight.client_key, client_key)
        if flight.is_partial:
            raise _in_use(flight.request_id, "is in progress, and its answer is too large to be shared")
        return flight

    def tap(self, exchange: Exchange, request: Decoded) -> "CacheTap | None":
        """Return the tap of a request whose answer may be stored or followed."""
        use = exchange.cache
        if use is None or use.flight is None:
            return None
        return self._writer.tap(request, use.flight)

    async def rescue(
        self, exchange: Exchange, request: Decoded, error: errors.GatewayError, stale_s: float | None
    ) -> StageAnswer | None:
        """Return the answer that has expired, if the request failed because of an upstream or the gateway.

        A ladder (`stale_s`) also uses it for a request that was too long.
        """
        del request
        use = exchange.cache
        if use is None or use.expired is None or not (_is_outage(error) or stale_s is not None):
            return None
        limit_s = self._settings.stale_if_error_s if stale_s is None else stale_s
        if self._clock.monotonic_s() > use.expired.expires_s + limit_s:
            return None
        if exchange.usage is None:
            exchange.deployment = None
        answer = self._recalled(exchange, use.expired, "stale")
        use.reason = error.message
        return answer

    def _examine(self, exchange: Exchange, request: Decoded) -> tuple[str | None, bytes]:
        """Return why the request cannot use the cache, or None, and its key."""
        call, local = request.call, exchange.endpoint.local
        if not call.is_edited:
            known = self._keys.known_key_of(exchange.identity.tenant, exchange.endpoint, call, request.resolved)
            if known is not None:  # nothing else is examined but what the key contains
                return None, known
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
        note_shared(exchange, "joined", flight.request_id, landing)
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
            max_s = self._settings.max_replay_s
            if max_s is not None and len(stored.pieces) > 1:
                return StageAnswer(source=_SOURCE, pieces=PacedStream(stored.body, stored.pieces, max_s))
            return StageAnswer(source=_SOURCE, pieces=StoredStream(stored.body))
        return StageAnswer(source=_SOURCE, body=stored.body, content_type=stored.content_type)


def _check_same(stored_key: bytes, client_key: bytes) -> None:
    """Raise `InvalidRequest` if an `Idempotency-Key` was used for another request."""
    if stored_key != client_key:
        raise errors.InvalidRequest(
            "The `Idempotency-Key` was used for another request in the last 24 hours.",
            code="idempotency_key_reused",
            status=422,
            hint="Use a new key for a new request, and the same key only to repeat the same request.",
        )


def _in_use(request_id: str, problem: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"The request {request_id} with the same `Idempotency-Key` {problem}.",
        code="idempotency_key_in_use",
        status=409,
        hint="Wait for its answer.",
    )


def _is_outage(error: errors.GatewayError) -> bool:
    """Return whether neither the client nor its request is to blame. Then a stale answer is better than none."""
    return error.blame != "client"


def _cancel_abandoned(exchange: Exchange, task: "asyncio.Task[object]") -> None:
    """Cancel a leader whose client has left, after its last follower has left, too."""
    if exchange.is_client_disconnected and exchange.record is None:
        task.cancel()
