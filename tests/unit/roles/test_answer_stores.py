"""Which store a configuration uses, and what a reload changes."""

import random

from msgspec import structs

from intellirouter.cache import MemoryAnswerStore, RedisAnswerStore, StoredAnswer
from intellirouter.config import CacheSpec, RedisSpec
from intellirouter.core import SYSTEM_CLOCK, SYSTEM_TRUST
from intellirouter.roles.answer_stores import AnswerStores
from tests.support.redis_server import RedisServer, until

MEMORY = CacheSpec(default_mode="exact", is_used=True)


def answer() -> StoredAnswer:
    now_s = SYSTEM_CLOCK.monotonic_s()
    return StoredAnswer(body=b"hi", content_type=b"x", request_id="r", stored_s=now_s, expires_s=now_s + 100)


async def test_a_reload_changes_the_store_and_keeps_a_connection_that_it_does_not_change() -> None:
    stores = AnswerStores(SYSTEM_CLOCK, random.Random(1), SYSTEM_TRUST)
    stores.apply(MEMORY)
    assert stores.shared.store is stores.memory
    assert stores.health().state == "ok"
    assert list(stores.metrics()) == []
    await stores.memory.put("t", b"k", answer())
    with RedisServer() as server:
        redis = structs.replace(MEMORY, redis=RedisSpec(uds=server.socket, timeout_s=1.0))
        stores.apply(redis)
        await stores.start()
        first = stores.shared.store
        assert isinstance(first, RedisAnswerStore)
        assert (stores.memory.used_bytes, stores.health().state) == (0, "ok")
        assert "intellirouter_cache_redis_up" in [each.name for each in stores.metrics()]
        stores.apply(structs.replace(redis, stale_if_error_s=60.0))
        assert stores.shared.store is first
        stores.apply(structs.replace(redis, redis=RedisSpec(uds=server.socket, database=2)))
        assert stores.shared.store is not first
        await until(lambda: stores.health().state == "ok")
        assert not first.is_available
        stores.apply(structs.replace(redis, is_used=False))
        assert isinstance(stores.shared.store, MemoryAnswerStore)
        await stores.stop()


async def test_a_server_that_cannot_be_reached_does_not_prevent_the_start() -> None:
    stores = AnswerStores(SYSTEM_CLOCK, random.Random(1), SYSTEM_TRUST)
    stores.apply(structs.replace(MEMORY, redis=RedisSpec(uds="/none", connect_timeout_s=0.2)))
    await stores.start()
    assert stores.health().state == "degraded"
    assert await stores.shared.store.get("t", b"k", 0.0) is None
    await stores.stop()


async def test_a_file_of_authorities_that_cannot_be_read_is_reported() -> None:
    stores = AnswerStores(SYSTEM_CLOCK, random.Random(1), SYSTEM_TRUST)
    spec = RedisSpec(host="127.0.0.1", port=1, is_tls=True, ca_file="/none/ca.pem", connect_timeout_s=1.0)
    stores.apply(structs.replace(MEMORY, redis=spec))
    await stores.start()
    assert "/none/ca.pem" in stores.health().detail
    await stores.stop()
