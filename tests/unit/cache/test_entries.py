"""The store in memory: bounded in bytes, fair between tenants, without scanning for what has expired."""

import random

from intellirouter.cache import MemoryAnswerStore, StoredAnswer

KIB = 1024


def answer(size: int = KIB, expires_s: float = 100.0) -> StoredAnswer:
    """Return an answer that takes this size, with its overhead."""
    return StoredAnswer(
        body=b"x" * (size - KIB), content_type=b"text/plain", request_id="r", stored_s=0.0, expires_s=expires_s
    )


def key(number: int) -> bytes:
    return b"%d" % number


async def test_answers_belong_to_their_tenant() -> None:
    store = MemoryAnswerStore(100 * KIB)
    await store.put("a", key(1), answer())
    assert await store.get("a", key(1), 0.0) is not None
    assert await store.get("b", key(1), 0.0) is None


async def test_expired_answers_are_removed_when_they_are_looked_up() -> None:
    store = MemoryAnswerStore(100 * KIB, stale_s=10.0)
    await store.put("a", key(1), answer(expires_s=100.0))
    assert await store.get("a", key(1), 110.0) is not None, "it may still replace an answer after an error"
    assert await store.get("a", key(1), 110.1) is None
    assert (store.used_bytes, store.entry_count) == (0, 0)


async def test_answer_used_longest_ago_is_removed_first() -> None:
    store = MemoryAnswerStore(3 * KIB)
    for number in range(3):
        await store.put("a", key(number), answer())
    await store.get("a", key(0), 0.0)
    await store.put("a", key(3), answer())
    assert [await store.get("a", key(number), 0.0) is not None for number in range(4)] == [True, False, True, True]


async def test_replaced_answer_is_counted_once() -> None:
    store = MemoryAnswerStore(100 * KIB)
    for size in (5, 2, 9):
        await store.put("a", key(1), answer(size * KIB))
    assert (store.used_bytes, store.entry_count) == (9 * KIB, 1)


async def test_busy_tenant_cannot_push_out_a_small_one() -> None:
    store = MemoryAnswerStore(10 * KIB)
    await store.put("small", key(1), answer(2 * KIB))
    for number in range(1000):
        await store.put("busy", key(number), answer())
    assert await store.get("small", key(1), 0.0) is not None
    assert store.used_bytes == 10 * KIB


async def test_answer_that_is_larger_than_the_store_is_not_stored() -> None:
    store = MemoryAnswerStore(10 * KIB)
    await store.put("a", key(1), answer())
    await store.put("a", key(2), answer(11 * KIB))
    assert store.entry_count == 1


async def test_smaller_limits_apply_at_once() -> None:
    store = MemoryAnswerStore(10 * KIB)
    for number in range(10):
        await store.put("a", key(number), answer())
    store.apply(4 * KIB, 0.0)
    assert (store.used_bytes, store.entry_count) == (4 * KIB, 4)
    store.apply(0, 0.0)
    assert (store.used_bytes, store.entry_count) == (0, 0)


async def test_size_is_exact_after_any_sequence() -> None:
    rng = random.Random(3)
    store = MemoryAnswerStore(50 * KIB, stale_s=1.0)
    for step in range(3000):
        tenant, number = rng.choice("abcdef"), key(rng.randrange(40))
        if rng.random() < 0.6:
            await store.put(tenant, number, answer(KIB * rng.randint(1, 9), expires_s=step + rng.randint(0, 200)))
        else:
            await store.get(tenant, number, float(step))
        held = [each for tenant_answers in store._tenants.values() for each in tenant_answers.answers.values()]
        assert store.used_bytes == sum(each.size_bytes for each in held) <= 50 * KIB
