"""In-process micro-benchmarks of single stages: `python -m bench.micro [NAME ...]`.

A benchmark is a function with the `micro` decorator that prepares what it needs and returns the thing to repeat.
Best of several repetitions, garbage collection off: the cost of the code, not of the machine's day.
"""

import argparse
import sys
import timeit
from collections.abc import Callable
from typing import Final

import msgspec

from intellirouter.core import Attempt, Candidate, Decision, ExchangeRecord, Price, Usage, new_id

Work = Callable[[], object]
Preparation = Callable[[], Work]

REPEATS: Final = 5
REGISTRY: Final[dict[str, Preparation]] = {}


def micro(name: str) -> Callable[[Preparation], Preparation]:
    """Register a benchmark. Names are `room.operation`, and unique."""

    def register(preparation: Preparation) -> Preparation:
        if name in REGISTRY:
            raise ValueError(f"two micro-benchmarks are called {name}")
        REGISTRY[name] = preparation
        return preparation

    return register


def best_ns(work: Work) -> float:
    """Nanoseconds a call, best of `REPEATS` runs of at least 0.2 s each."""
    timer = timeit.Timer(work)
    number, _ = timer.autorange()
    return min(timer.repeat(REPEATS, number)) / number * 1e9


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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.micro", description="Time single stages in process.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="beginning of a name; all by default")
    wanted = tuple(parser.parse_args().names) or ("",)
    chosen = {name: preparation for name, preparation in REGISTRY.items() if name.startswith(wanted)}
    if not chosen:
        print(f"no such benchmark; there are: {', '.join(REGISTRY)}", file=sys.stderr)
        return 2
    for name, preparation in chosen.items():
        print(f"{name:<28}{best_ns(preparation()):>12,.0f} ns", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
