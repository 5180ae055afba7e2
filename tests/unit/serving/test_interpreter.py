"""When free memory is returned to the system."""

import pytest

from intellirouter.serving import interpreter
from intellirouter.serving.interpreter import MemoryKeeper

MIB = 1024 * 1024


class Memory:
    """Replaces what the system and glibc report."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.resident = 60 * MIB
        self.free = 0
        self.calls: list[str] = []
        monkeypatch.setattr(interpreter, "_resident_bytes", lambda: self.resident)
        monkeypatch.setattr(interpreter, "_free_bytes", lambda: self.free)
        monkeypatch.setattr(interpreter, "_call_libc", lambda name, *_: self.calls.append(name))


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    return Memory(monkeypatch)


@pytest.mark.parametrize(
    ("resident", "free", "is_returned"),
    [(160, 80, True), (160, 5, False), (70, 80, False)],
    ids=["much is free", "memory in use", "already returned"],
)
def test_memory_is_returned_if_much_is_free_and_resident(
    memory: Memory, resident: int, free: int, *, is_returned: bool
) -> None:
    keeper = MemoryKeeper()
    keeper.start(0.0)
    memory.resident, memory.free = resident * MIB, free * MIB
    keeper.check(2.0)
    assert memory.calls == (["malloc_trim"] if is_returned else [])


def test_memory_is_returned_at_most_every_two_seconds(memory: Memory) -> None:
    keeper = MemoryKeeper()
    keeper.start(0.0)
    memory.resident, memory.free = 160 * MIB, 80 * MIB
    for now_s in (0.5, 1.9, 2.0, 2.5, 3.9, 4.1):
        keeper.check(now_s)
    assert memory.calls == ["malloc_trim", "malloc_trim"]


def test_system_is_asked() -> None:
    assert interpreter._resident_bytes() > MIB
    assert interpreter._free_bytes() > 0
    interpreter._call_libc("no_such_function", 1)  # another C library
