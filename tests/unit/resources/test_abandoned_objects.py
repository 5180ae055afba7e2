"""Which unfinished objects a gateway takes over from processes that have ended."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from intellirouter.resources import object_store
from intellirouter.resources.object_store import AsyncObjectStore
from intellirouter.store import ObjectStore, StoredObject
from intellirouter.store.migrate import upgrade
from intellirouter.testing import FakeClock

WAIT_S = 10.0


class World:
    def __init__(self, url: str) -> None:
        self.clock = FakeClock()
        self.store = ObjectStore(url, lambda: None)
        self.looks: list[bool] = [True]
        """What each look for other gateways finds; the last one repeats itself."""
        self.save("old", "running")
        self.save("done", "completed")
        self.clock.advance(1)
        self.objects = AsyncObjectStore(self.store, self.clock, self.is_only_gateway)
        self.clock.advance(1)

    def save(self, name: str, status: str) -> None:
        each = StoredObject(kind="batch", id=name, tenant="acme", created_us=self.clock.epoch_us(), status=status)
        self.store.put(each)

    async def is_only_gateway(self) -> bool:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    async def abandoned(self) -> list[str]:
        found = await asyncio.wait_for(self.objects.abandoned("batch", ["running"]), WAIT_S)
        return [each.id for each in found]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(object_store, "_ABANDONED_EVERY_S", 0.01)
    url = f"sqlite:///{tmp_path}/objects.db"
    upgrade(url)
    made = World(url)
    yield made
    made.store.close()


async def test_unfinished_objects_of_earlier_processes_are_taken_over(world: World) -> None:
    assert await world.abandoned() == ["old"]


async def test_objects_from_after_the_start_are_not(world: World) -> None:
    world.save("new", "running")
    assert await world.abandoned() == ["old"]


async def test_objects_of_a_running_gateway_are_taken_over_when_it_has_ended(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.looks = [False, False, True]
    assert await world.abandoned() == ["old"]
    assert [each.message for each in caplog.records] == [
        "Each unfinished batch is left to the other gateway that uses the store."
    ]


async def test_what_the_other_gateway_finishes_is_not_taken_over(world: World) -> None:
    world.looks = [False]
    waiting = asyncio.create_task(world.abandoned())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    world.save("old", "completed")
    assert await waiting == []
