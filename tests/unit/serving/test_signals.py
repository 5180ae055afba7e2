"""Signals before, in and after the event loop."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from intellirouter.serving import Signals, StoppedEarly

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@pytest.fixture(autouse=True)
def previous_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_before_the_event_loop_stops_the_start(number: signal.Signals) -> None:
    Signals().install()
    with pytest.raises(StoppedEarly):
        send(number)


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0.01)


async def test_reload_that_arrives_early_happens_once_when_the_gateway_is_ready() -> None:
    signals, events = Signals(), list[str]()
    signals.install()
    send(signal.SIGHUP)
    signals.attach(lambda: events.append("stop"), lambda: events.append("reload"))
    send(signal.SIGHUP)
    await settle()
    assert events == []
    signals.begin_reloads()
    assert events == ["reload"]
    send(signal.SIGHUP)
    await settle()
    assert events == ["reload", "reload"]
    signals.end_reloads()
    send(signal.SIGHUP)
    await settle()
    assert events == ["reload", "reload"]
    send(signal.SIGTERM)
    await settle()
    assert events[2:] == ["stop"]
    signals.ignore()


async def test_signals_for_log_rotation_have_no_effect(caplog: pytest.LogCaptureFixture) -> None:
    signals, events = Signals(), list[str]()
    signals.install()
    send(signal.SIGUSR1)
    caplog.set_level("INFO", "intellirouter")
    signals.attach(lambda: events.append("stop"), lambda: events.append("reload"))
    send(signal.SIGUSR2)
    await settle()
    assert events == []
    assert [record.getMessage() for record in caplog.records] == [
        "SIGUSR2 has no effect. SIGHUP reloads the configuration."
    ]
    signals.ignore()


async def test_no_signal_ends_the_process_after_everything_has_stopped() -> None:
    signals, events = Signals(), list[str]()
    signals.attach(lambda: events.append("stop"), lambda: events.append("reload"))
    signals.ignore()
    for number in NUMBERS:
        send(number)
    await settle()
    assert events == []


async def test_duplicate_of_the_first_signal_does_not_kill_while_the_store_is_closed() -> None:
    signals = Signals()
    signals.attach(lambda: None, lambda: None)
    signals.allow_kill(asyncio.get_running_loop().time())
    send(signal.SIGTERM)
    await settle()
    signals.ignore()
