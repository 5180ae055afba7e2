"""Who has created what: by tenant, across restarts, and what happens without the database."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from intellirouter.core import Pin, errors
from intellirouter.resources import AsyncObjectStore, PinStore
from intellirouter.resources import object_store as object_store_module
from intellirouter.store import ObjectStore
from intellirouter.store.migrate import upgrade
from intellirouter.testing import FakeClock

ONE, TWO = Pin("p", "one", "0123abcd"), Pin("p", "two")
DAY_S = 86_400.0


async def is_only_gateway() -> bool:
    return True


class Pins:
    def __init__(self, url: str) -> None:
        self.clock = FakeClock()
        self.problem: str | None = None
        self.objects = ObjectStore(url, lambda: self.problem)
        self.writes = 0
        put_all = self.objects.put_all

        def counted(several: object) -> None:
            self.writes += 1
            put_all(several)  # type: ignore[arg-type]

        self.objects.put_all = counted  # type: ignore[method-assign]
        self.store = self.restarted()

    def restarted(self) -> PinStore:
        return PinStore(AsyncObjectStore(self.objects, self.clock, is_only_gateway), self.clock)


@pytest.fixture
def pins(tmp_path: Path) -> Iterator[Pins]:
    url = f"sqlite:///{tmp_path}/objects.db"
    upgrade(url)
    made = Pins(url)
    yield made
    made.objects.close()


async def test_last_known_id_counts(pins: Pins) -> None:
    await pins.store.note("t", ["a"], ONE)
    await pins.store.note("t", ["b", "c"], TWO)
    assert await pins.store.find("t", ["a"]) == ("a", ONE)
    assert await pins.store.find("t", ["a", "c", "unknown"]) == ("c", TWO)
    assert await pins.store.find("t", ["unknown"]) is None
    assert await pins.store.find("t", []) is None


async def test_restart_forgets_nothing_and_tenants_are_separate(pins: Pins) -> None:
    await pins.store.note("t", ["a", "ä\ud800"], ONE)
    again = pins.restarted()
    assert await again.find("t", ["ä\ud800"]) == ("ä\ud800", ONE)
    assert await again.find("other", ["a"]) is None
    assert await pins.store.find("other", ["a"]) is None


async def test_known_pins_are_written_again_only_after_a_day(pins: Pins) -> None:
    for _ in range(3):
        await pins.store.note("t", ["a"], ONE)
    assert pins.writes == 1
    pins.clock.advance(DAY_S)
    await pins.store.note("t", ["a"], ONE)
    assert pins.writes == 2
    await pins.store.note("t", ["a"], TWO)
    assert pins.writes == 3
    assert await pins.restarted().find("t", ["a"]) == ("a", TWO)


async def test_pins_expire_a_month_after_their_last_use(pins: Pins) -> None:
    await pins.store.note("t", ["a"], ONE)
    pins.clock.advance(29 * DAY_S)
    again = pins.restarted()
    assert await again.find("t", ["a"]) == ("a", ONE)
    await again.note("t", ["a"], ONE)
    pins.clock.advance(29 * DAY_S)
    assert await pins.restarted().find("t", ["a"]) == ("a", ONE)
    pins.clock.advance(2 * DAY_S)
    assert await pins.restarted().find("t", ["a"]) is None


async def test_without_the_database_what_is_in_memory_is_known_and_the_rest_is_an_error(
    pins: Pins, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(object_store_module, "_AVAILABLE_WITHIN_S", 0.0)
    pins.problem = "It is locked."
    with caplog.at_level(logging.WARNING):
        await pins.store.note("t", ["a"], ONE)
    assert "could not be stored. It is locked." in caplog.text
    assert await pins.store.find("t", ["a"]) == ("a", ONE)
    with pytest.raises(errors.Overloaded) as caught:
        await pins.store.find("t", ["b"])
    assert caught.value.code == "store_unavailable"
