"""Refusals of strangers are counted, and only some of them are recorded."""

import pytest

from intellirouter.config.runtime import KeySpec
from intellirouter.core import errors
from intellirouter.pipeline.refusals import Refusals
from tests.support.pipeline import Response, World, resolved


def test_first_twenty_are_recorded_and_then_one_every_ten_seconds() -> None:
    refusals = Refusals()
    assert sum(refusals.is_recorded(100.0) for _ in range(9000)) == 20
    assert (refusals.total, refusals.unrecorded) == (9000, 8980)
    assert not refusals.is_recorded(109.9)
    assert refusals.is_recorded(110.0)
    assert not refusals.is_recorded(110.0)
    assert sum(refusals.is_recorded(110.0 + second) for second in range(1, 1001)) in {99, 100}


def test_burst_is_limited_after_a_pause() -> None:
    refusals = Refusals()
    refusals.is_recorded(0.0)
    assert sum(refusals.is_recorded(1e9) for _ in range(100)) == 20


async def test_strangers_cannot_fill_the_request_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = World(keys=(KeySpec(digest=b"x" * 32, tenant="t", name="k"),))
    for _ in range(200):
        exchange = await world.serve(key=b"wrong")
        assert isinstance(world.reply.error, errors.Unauthenticated)
        assert exchange.attempts == []
    assert (world.entry.refusals.total, world.entry.refusals.unrecorded) == (200, 180)
    assert len(world.journal.records) == len(world.emitted) == 20
    assert {record.status for record in world.journal.records} == {401}
    lines = [each.getMessage() for each in caplog.records if "unidentified caller" in each.getMessage()]
    assert len(lines) == 20
    assert lines[0].startswith("Refused an unidentified caller of /test. Incorrect API key")
    assert "wrong" not in lines[0]
    assert len(world.in_flight) == 0


async def test_refusals_of_identified_callers_are_all_recorded() -> None:
    wrong = Response(b'{"error":{"message":"no"}}', status=400)
    world = World(resolved("a"), a=[wrong for _ in range(50)])
    for _ in range(50):
        await world.serve(b'{"model":"unknown","messages":[{"role":"user","content":"x"}]}')
    assert len(world.journal.records) == 50
    assert world.entry.refusals.total == 0
