"""Benchmarks of prices, ids and records."""

import msgspec

from bench.micro import Work, micro
from intellirouter.core import Attempt, Candidate, Decision, ExchangeRecord, Price, Usage, new_id


@micro("core.price")
def price() -> Work:
    listed = Price(input=150_000, output=600_000, cache_read=75_000)
    usage = Usage(input_tokens=1_200, cache_read_tokens=800, output_tokens=300)
    return lambda: listed.cost_microusd(usage)


@micro("core.new_id")
def identity() -> Work:
    return lambda: new_id("req_")


@micro("core.encode_record")
def encode_record() -> Work:
    encoder = msgspec.json.Encoder()
    record = _record()
    return lambda: encoder.encode(record)


def _record() -> ExchangeRecord:
    candidates = (
        Candidate("mini", "lab", "bench-1", "chosen", "first by priority", 0.0),
        Candidate("big", "other", "bench-2", "eligible", "second by priority", 1.0),
    )
    return ExchangeRecord(
        request_id=new_id("req_"),
        started_us=1_760_000_000_000_000,
        endpoint="/v1/chat/completions",
        tenant="default",
        key_name="bench",
        model="assistant",
        status=200,
        deployment="mini",
        provider="lab",
        upstream_model="bench-1",
        decision=Decision("assistant", "priority", "first by priority", ("mini", "big"), 2, candidates),
        attempts=(
            Attempt(
                deployment="mini",
                kind="first",
                started_ms=0.2,
                first_byte_ms=1.1,
                ended_ms=1.3,
                status=200,
                outcome="ok",
            ),
        ),
        usage=Usage(input_tokens=57, output_tokens=118),
        cost_microusd=79,
        price_version="config",
        finish_reason="stop",
        duration_ms=1.4,
    )
