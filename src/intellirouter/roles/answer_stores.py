"""Where the response cache stores answers: in memory, or in a Redis server. A reload can change it."""

import asyncio
import contextlib
import random
import ssl
from collections.abc import Iterator

from prometheus_client.core import Metric

from intellirouter.cache import Flights, MemoryAnswerStore, RedisAnswerStore, RedisHealth, SharedCache, SimilarAnswers
from intellirouter.config import CacheSpec, RedisSpec
from intellirouter.core import Clock, TaskOwner, TrustFiles
from intellirouter.providers import TlsFileProblem, build_context
from intellirouter.telemetry import RedisCacheView, redis_cache_metrics

_UNUSED = RedisHealth("ok", "Answers are stored in memory.")


class AnswerStores:
    """One per process. `shared` has the store in use. Call `apply` with each configuration, then `start` and `stop`."""

    def __init__(self, clock: Clock, rng: random.Random, trust: TrustFiles) -> None:
        self._clock = clock
        self._rng = rng
        self._trust = trust
        self._owner = TaskOwner("answer-stores")
        self._is_started = False
        self._redis: RedisAnswerStore | None = None
        self.memory = MemoryAnswerStore()
        self.shared = SharedCache(self.memory, Flights(), SimilarAnswers())

    def apply(self, settings: CacheSpec) -> None:
        """Use these settings from now on. If the cache is off, everything in memory is removed."""
        max_bytes = settings.max_bytes if settings.is_used else 0
        spec = settings.redis if settings.is_used else None
        self.memory.apply(0 if spec is not None else max_bytes, settings.kept_stale_s)
        self.shared.similar.apply(settings.semantic if settings.is_used else None)
        self.shared.flights.apply(
            max_bytes=max_bytes // 4, max_entry_bytes=settings.max_entry_bytes, window_s=settings.join_window_s
        )
        self._use(spec, settings)

    def _use(self, spec: RedisSpec | None, settings: CacheSpec) -> None:
        """Connect to this server, unless it is the same as before, and close the connection to another one."""
        former = self._redis
        if former is not None and former.spec == spec:
            former.apply(settings.kept_stale_s)
            return
        self._redis = None
        if spec is not None:
            self._redis = RedisAnswerStore(
                spec,
                self._clock,
                self._rng,
                self._tls_context,
                stale_s=settings.kept_stale_s,
                max_entry_bytes=settings.max_entry_bytes,
            )
            if self._is_started:
                self._redis.start()
        self.shared.store = self._redis or self.memory
        if former is not None and self._is_started:
            self._owner.start(former.stop(), "former")

    async def start(self) -> None:
        """Connect. A server that cannot be reached delays the start by the timeout of one attempt."""
        self._is_started = True
        if (redis := self._redis) is not None:
            redis.start()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(redis.spec.connect_timeout_s):
                    await redis.connected()

    async def stop(self) -> None:
        if self._redis is not None:
            await self._redis.stop()
        await self._owner.stop()

    def health(self) -> RedisHealth:
        """Return the state for the health report. Reading it does no I/O."""
        return _UNUSED if self._redis is None else self._redis.health()

    def metrics(self) -> Iterator[Metric]:
        """Yield the metrics of the server; none if answers are stored in memory."""
        if (redis := self._redis) is None:
            return
        counts = redis.counts
        yield from redis_cache_metrics(
            RedisCacheView(
                is_up=redis.is_available,
                reads={
                    "found": counts.found,
                    "missing": counts.missing,
                    "unusable": counts.unusable,
                    "failed": counts.failed,
                    "skipped": counts.skipped,
                },
                writes={"stored": counts.stored, "rejected": counts.rejected, "dropped": counts.dropped},
                replies=counts.replies,
                reply_seconds=counts.reply_seconds,
            )
        )

    def _tls_context(self, ca_file: str | None) -> ssl.SSLContext:
        """Return the context for a server with TLS. Raises ValueError if a file cannot be used."""
        try:
            context = build_context(self._trust, ca_file)
        except TlsFileProblem as problem:
            raise ValueError(problem.message) from None
        context.set_alpn_protocols([])
        return context
