"""Implements `AnswerStore` with a Redis or Valkey server.

The gateway does not depend on it: whatever goes wrong is a miss, or an answer that is not stored. Writing is not
awaited. The server removes what has expired, and what does not fit.
"""

import asyncio
import hashlib
import logging
import random
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec import Struct

from intellirouter.cache.entries import Claim, StoredAnswer
from intellirouter.cache.redis.connection import ConnectionLost, Overdue, RedisConnection
from intellirouter.cache.redis.link import RedisHealth, RedisLink
from intellirouter.cache.redis.resp import Reply, ServerError, encode_command
from intellirouter.cache.redis.values import ClockOffset, decode_value, encode_answer, encode_claim
from intellirouter.config import RedisSpec
from intellirouter.core import Clock, TaskOwner

logger = logging.getLogger(__name__)

_CLAIM_S: Final = 15.0
"""How long a claim lasts if the process that has made it dies."""
_RENEW_S: Final = 5.0
_VALUE_OVERHEAD_BYTES: Final = 64 * 1024
_MAX_VALUE_BYTES: Final = 64 * 1024 * 1024
_LOG_INTERVAL_S: Final = 60.0
_MAX_TENANT_DIGESTS: Final = 10_000
_RENEW: Final = (
    b"if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('PEXPIRE',KEYS[1],ARGV[2]) else return 0 end"
)
_RELEASE: Final = b"if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) else return 0 end"
"""Both change a claim only if it is still the same one."""


class RedisCounts(Struct):
    """What has been asked of the server since the start, and how it has ended."""

    found: int = 0
    missing: int = 0
    unusable: int = 0
    """Values that are damaged, or of another version."""
    failed: int = 0
    """Requests for values without a usable reply: too late, an error, or a connection that broke."""
    skipped: int = 0
    """Requests for values that were not sent, because the server was not available."""
    replies: int = 0
    reply_seconds: float = 0.0
    """How long `replies` have taken together."""
    stored: int = 0
    rejected: int = 0
    """Answers that the server has not stored."""
    dropped: int = 0
    """Answers that were not sent, because the server was not available or too slow."""


class RedisAnswerStore:
    """One per configured server. Use it on one event loop only. `start` it, and `stop` it."""

    def __init__(
        self,
        spec: RedisSpec,
        clock: Clock,
        rng: random.Random,
        tls_context: Callable[[str | None], ssl.SSLContext],
        *,
        stale_s: float,
        max_entry_bytes: int,
    ) -> None:
        """`stale_s`: how long expired answers are kept. `tls_context`: see `RedisLink`."""
        self.spec = spec
        self.counts = RedisCounts()
        self._clock = clock
        self._stale_s = stale_s
        # Other processes may store larger answers.
        max_value_bytes = max(_MAX_VALUE_BYTES, max_entry_bytes + _VALUE_OVERHEAD_BYTES)
        self._link = RedisLink(spec, tls_context, rng, max_value_bytes=max_value_bytes)
        self._owner = TaskOwner("redis-claims")
        self._claims: dict[bytes, bytes] = {}
        """The claims of requests in flight, by their keys in Redis."""
        self._tenants: dict[str, bytes] = {}
        self._logged_s: dict[str, float] = {}
        self._write_problem: str | None = None
        """Why the last answer was not stored."""

    def start(self) -> None:
        self._link.start()
        self._owner.start(self._renew_claims(), "renewal")

    async def stop(self) -> None:
        for key, value in list(self._claims.items()):
            self._release(key, value)
        await self._owner.stop()
        await self._link.stop()

    def apply(self, stale_s: float) -> None:
        """Keep expired answers for another time from now on."""
        self._stale_s = stale_s

    async def connected(self) -> None:
        """Wait until the first attempt to connect has ended, well or not."""
        await self._link.has_tried.wait()

    @property
    def is_available(self) -> bool:
        """Whether `get` would ask the server."""
        return self._link.connection is not None

    def health(self) -> RedisHealth:
        health = self._link.health()
        if health.state == "ok" and self._write_problem is not None:
            return RedisHealth("degraded", f"{self.spec.shown_address} does not store answers. {self._write_problem}")
        return health

    async def get(self, tenant: str, key: bytes, now_s: float) -> StoredAnswer | None:
        """Return an answer, even if it has expired, as long as it may replace one after an error."""
        connection = self._link.connection
        if connection is None:
            self.counts.skipped += 1
            return None
        found = await self._get(connection, tenant, key, self._key_of(tenant, key))
        if not isinstance(found, StoredAnswer) or now_s > found.expires_s + self._stale_s:
            return None
        return found

    async def put(self, tenant: str, key: bytes, answer: StoredAnswer) -> None:
        """Send an answer to the server. Whether it is stored is not awaited."""
        now, redis_key = self._now(), self._key_of(tenant, key)
        keep_s = answer.expires_s + self._stale_s - now.monotonic_s
        connection = self._link.connection
        if connection is None:
            self.counts.dropped += 1
            return
        if keep_s <= 0:
            return
        value = encode_answer(tenant, key, answer, now)
        command = encode_command(b"SET", redis_key, value, b"PX", b"%d" % max(1, int(keep_s * 1e3)))
        connection.tell(command, partial(self._on_stored, redis_key, self._claims.pop(redis_key, None)))

    async def claim(self, tenant: str, key: bytes, claim: Claim) -> StoredAnswer | Claim | None:
        """Announce the answer that will be stored under this key. Returns what is there already; None: nothing.

        If the server is not available, every process answers by itself.
        """
        connection = self._link.connection
        if connection is None:
            return None
        redis_key, value = self._key_of(tenant, key), encode_claim(tenant, key, claim)
        command = encode_command(b"SET", redis_key, value, b"NX", b"PX", b"%d" % int(_CLAIM_S * 1e3))
        try:
            reply = await connection.ask(command)
        except (Overdue, ConnectionLost, ServerError) as error:
            self._claims[redis_key] = value  # which the server may have stored
            self._log("claims", "An `Idempotency-Key` could not be claimed for all processes.", error)
            return None
        if reply is not None:
            self._claims[redis_key] = value
            return None
        found = await self._get(connection, tenant, key, redis_key)
        if isinstance(found, StoredAnswer) and self._clock.monotonic_s() >= found.expires_s:
            return None
        return found

    def release(self, tenant: str, key: bytes) -> None:
        """Give a claim up. Does nothing if the answer has been stored."""
        if self._claims and (value := self._claims.pop(redis_key := self._key_of(tenant, key), None)) is not None:
            self._release(redis_key, value)

    async def _get(
        self, connection: RedisConnection, tenant: str, key: bytes, redis_key: bytes
    ) -> StoredAnswer | Claim | None:
        counts, monotonic_s = self.counts, self._clock.monotonic_s
        began_s = monotonic_s()
        try:
            value = await connection.ask(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(redis_key), redis_key))
        except (Overdue, ConnectionLost, ServerError) as error:
            counts.failed += 1
            self._log("get", "Answers cannot be read from Redis.", error)
            return None
        counts.replies += 1
        counts.reply_seconds += monotonic_s() - began_s
        if value is None:
            counts.missing += 1
            return None
        try:
            found = decode_value(value if isinstance(value, bytes) else b"", tenant, key, self._now())
        except ValueError as error:
            counts.unusable += 1
            self._log("value", f"A value in Redis is not used: {error}.", None)
            return None
        counts.found += 1
        return found

    def _on_stored(self, redis_key: bytes, claim: bytes | None, reply: Reply | Exception) -> None:
        """Count what became of an answer. A claim whose answer was not stored is given up."""
        if not isinstance(reply, Exception):
            self.counts.stored += 1
            self._write_problem = None
            return
        self.counts.rejected += 1
        if isinstance(reply, ServerError):
            self._write_problem = self._link.masked(f"The server has answered: {reply}")
        self._log("put", "An answer was not stored in Redis.", reply)
        if claim is not None:
            self._release(redis_key, claim)

    def _release(self, redis_key: bytes, value: bytes) -> None:
        if (connection := self._link.connection) is not None:
            connection.tell(encode_command(b"EVAL", _RELEASE, b"1", redis_key, value), self._on_claim_reply)

    async def _renew_claims(self) -> None:
        """Renew the claims of requests in flight, until the task is canceled."""
        lifetime = b"%d" % int(_CLAIM_S * 1e3)
        while True:
            await asyncio.sleep(_RENEW_S)
            for redis_key, value in list(self._claims.items()):
                if (connection := self._link.connection) is None:
                    break
                connection.tell(encode_command(b"EVAL", _RENEW, b"1", redis_key, value, lifetime), self._on_claim_reply)

    def _on_claim_reply(self, reply: Reply | Exception) -> None:
        if isinstance(reply, Exception):
            self._log("claims", "A claim of an `Idempotency-Key` could not be changed in Redis.", reply)

    def _key_of(self, tenant: str, key: bytes) -> bytes:
        """Return the key in Redis. The digest of the tenant is a part of it, so that its answers can be found."""
        if (prefix := self._tenants.get(tenant)) is None:
            if len(self._tenants) >= _MAX_TENANT_DIGESTS:
                self._tenants.clear()
            digest = hashlib.sha256(tenant.encode("utf-8", "surrogatepass")).hexdigest()
            prefix = self._tenants[tenant] = f"{self.spec.prefix}{digest[:32]}:".encode()
        return prefix + key.hex().encode()

    def _now(self) -> ClockOffset:
        return ClockOffset(self._clock.monotonic_s(), self._clock.epoch_us())

    def _log(self, topic: str, text: str, error: Exception | None) -> None:
        """Log a problem, at most once a minute for each topic."""
        now_s = self._clock.monotonic_s()
        last_s = self._logged_s.get(topic)
        if last_s is None or now_s - last_s >= _LOG_INTERVAL_S:
            self._logged_s[topic] = now_s
            cause = "" if error is None else f" {self._link.masked(str(error))}"
            logger.warning("%s%s Further ones are not logged for a minute.", text, cause)
