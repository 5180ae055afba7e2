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
    assert lines[0] == "Refused an unidentified caller of /test from 192.0.2.7. Incorrect API key provided: ********."
    assert "wrong" not in lines[0]
    assert len(world.in_flight) == 0


async def test_log_line_has_the_address_and_the_number_of_refusals_that_were_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    world = World(keys=(KeySpec(digest=b"x" * 32, tenant="t", name="k"),))
    wrong = errors.Unauthenticated("No key.")
    for _ in range(25):
        world.entry.count_refusal("/v1/models", ("2001:db8::1", 5), wrong)
    world.clock.advance(10.0)
    await world.serve(key=b"wrong", peer=None)
    lines = [each for each in caplog.records if "unidentified caller" in each.getMessage()]
    assert lines[0].getMessage() == "Refused an unidentified caller of /v1/models from 2001:db8::1. No key."
    assert lines[-1].getMessage() == (
        "Refused an unidentified caller of /test. Incorrect API key provided: ********. "
        "(Not logged since the last such line: 5.)"
    )
    fields = [(each.endpoint, each.client_address, each.error_code, each.unlogged_refusals) for each in lines]  # type: ignore[attr-defined]
    assert fields[0] == ("/v1/models", "2001:db8::1", "invalid_api_key", 0)
    assert fields[-1] == ("/test", None, "invalid_api_key", 5)


async def test_refusals_of_identified_callers_are_all_recorded() -> None:
    wrong = Response(b'{"error":{"message":"no"}}', status=400)
    world = World(resolved("a"), a=[wrong for _ in range(50)])
    for _ in range(50):
        await world.serve(b'{"model":"unknown","messages":[{"role":"user","content":"x"}]}')
    assert len(world.journal.records) == 50
    assert world.entry.refusals.total == 0
