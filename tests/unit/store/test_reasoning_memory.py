"""The memory for reasoning: tenants are separate, and entries, bytes and age are bounded."""

import pytest

from intellirouter.config import ReasoningMemorySpec
from intellirouter.store import ReasoningMemories
from intellirouter.testing import FakeClock


def memories(**limits: float | bool) -> tuple[ReasoningMemories, FakeClock]:
    clock = FakeClock()
    return ReasoningMemories(ReasoningMemorySpec(**limits), clock), clock  # type: ignore[arg-type]


def test_a_value_is_returned_to_its_tenant_only() -> None:
    memory, _ = memories()
    memory.of("north").put("id:call_1", b"north")
    memory.of("south").put("id:call_1", b"south")
    assert memory.of("north").get("id:call_1") == b"north"
    assert memory.of("south").get("id:call_1") == b"south"
    assert memory.of("west").get("id:call_1") is None
    assert memory.of("west").is_empty


def test_a_value_replaces_the_one_with_the_same_key() -> None:
    memory, _ = memories()
    tenant = memory.of("north")
    tenant.put("k", b"first")
    tenant.put("k", b"second")
    assert tenant.get("k") == b"second"
    assert memory.entry_count == 1


def test_the_entry_that_was_not_used_for_the_longest_time_is_forgotten() -> None:
    memory, _ = memories(max_entries=2)
    tenant = memory.of("north")
    tenant.put("a", b"1")
    tenant.put("b", b"2")
    assert tenant.get("a") == b"1"
    tenant.put("c", b"3")
    assert [tenant.get(key) for key in "abc"] == [b"1", None, b"3"]
    assert memory.entry_count == 2


def test_bytes_are_bounded() -> None:
    memory, _ = memories(max_bytes=64 * 1024)
    tenant = memory.of("north")
    for number in range(100):
        tenant.put(f"k{number}", bytes(4000))
        assert memory.used_bytes <= 64 * 1024
    assert tenant.get("k99") is not None
    assert tenant.get("k0") is None


def test_a_value_that_exceeds_the_limit_is_not_stored() -> None:
    memory, _ = memories(max_bytes=64 * 1024)
    tenant = memory.of("north")
    tenant.put("small", b"1")
    tenant.put("large", bytes(64 * 1024))
    assert tenant.get("large") is None
    assert tenant.get("small") == b"1"


def test_a_value_is_forgotten_some_time_after_its_last_use() -> None:
    memory, clock = memories(max_age_s=10.0)
    tenant = memory.of("north")
    tenant.put("k", b"1")
    clock.advance(9)
    assert tenant.get("k") == b"1"
    clock.advance(9)
    assert tenant.get("k") == b"1"
    clock.advance(11)
    assert tenant.get("k") is None
    assert (tenant.is_empty, memory.used_bytes, memory.entry_count) == (True, 0, 0)


@pytest.mark.parametrize("limits", [{"max_entries": 20}, {"max_bytes": 64 * 1024}])
def test_a_tenant_with_more_than_its_share_makes_no_other_one_forget(limits: dict[str, int]) -> None:
    memory, _ = memories(**limits)
    modest, greedy = memory.of("modest"), memory.of("greedy")
    for number in range(5):
        modest.put(f"k{number}", bytes(1000))
    for number in range(200):
        greedy.put(f"k{number}", bytes(4000))
    assert all(modest.get(f"k{number}") is not None for number in range(5))
    assert greedy.get("k199") is not None


def test_a_newcomer_gets_its_share_from_the_tenant_with_the_most() -> None:
    memory, _ = memories(max_entries=20)
    greedy, newcomer = memory.of("greedy"), memory.of("newcomer")
    for number in range(20):
        greedy.put(f"k{number}", b"")
    for number in range(10):
        newcomer.put(f"k{number}", b"")
    assert all(newcomer.get(f"k{number}") is not None for number in range(10))
    assert len(greedy.entries) == 10


def test_lower_limits_apply_at_once_and_disabling_forgets_everything() -> None:
    memory, _ = memories()
    tenant = memory.of("north")
    for number in range(10):
        tenant.put(f"k{number}", b"")
    memory.apply(ReasoningMemorySpec(max_entries=3))
    assert memory.entry_count == 3
    assert tenant.get("k9") is not None
    memory.apply(ReasoningMemorySpec(enabled=False))
    assert tenant.is_empty
    assert memory.used_bytes == 0
