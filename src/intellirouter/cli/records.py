"""Records of exchanges for people: one line each, or one whole with its attempts drawn over time."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import cell, grid

if TYPE_CHECKING:
    import msgspec

    from intellirouter import client, core
else:
    core = LazyModule("intellirouter.core")
    msgspec = LazyModule("msgspec")

_BAR_CELLS: Final = 40


def as_data(record: "core.ExchangeRecord | client.RequestSummary") -> dict[str, Any]:
    """Return the record as the gateway sends it, with its cost in dollars."""
    data: dict[str, Any] = msgspec.to_builtins(record)
    data["cost_usd"] = cost(record)
    return data


def cost(record: "core.ExchangeRecord | client.RequestSummary") -> str | None:
    """Return US dollars as text; None when the price is unknown."""
    return None if record.cost_microusd is None else core.format_usd(record.cost_microusd)


def line(record: "core.ExchangeRecord") -> str:
    """Return one line of a feed, in columns that stay where they are."""
    time = local_time(record.started_us).strftime("%H:%M:%S")
    tokens = cell(None if record.usage is None else record.usage.total_tokens)
    error = f"  {record.error_code}" if record.error_code else ""
    tries = "1 try" if len(record.attempts) == 1 else f"{len(record.attempts)} tries"
    return (
        f"{time}  {record.status}  {record.duration_ms:>7.0f} ms  {tokens:>6} tokens  {cell(cost(record)):>8} USD"
        f"  {tries:<7}  {cell(record.model)} > {cell(record.deployment)}  {record.request_id}{error}"
    )


def is_failed(record: "core.ExchangeRecord") -> bool:
    return record.status >= 400 or record.error_code is not None


def local_time(epoch_us: int) -> datetime:
    """Return microseconds since the epoch as a moment in this machine's time zone."""
    return datetime.fromtimestamp(epoch_us / 1_000_000, tz=UTC).astimezone()


def whole(record: "core.ExchangeRecord") -> Iterator[Any]:
    """Yield a record's blocks: the facts, the candidates, the attempts."""
    yield grid(("REQUEST", record.request_id), _context(record))
    if record.decision is not None:
        yield ""
        rows = [(each.deployment, each.verdict, each.score, each.reason) for each in record.decision.candidates]
        yield grid(("CANDIDATE", "VERDICT", "SCORE", "REASON"), rows, right=("SCORE",))
    if record.attempts:
        yield ""
        yield waterfall(record.attempts, record.duration_ms)
        yield "░ waiting for the first byte   █ receiving"


def _context(record: "core.ExchangeRecord") -> Iterator[tuple[str, Any]]:
    yield "time", local_time(record.started_us).isoformat(sep=" ", timespec="milliseconds")
    yield "endpoint", f"{record.endpoint}{' (stream)' if record.is_stream else ''}"
    yield "tenant, key", (record.tenant, record.key_name or "anonymous")
    yield "model", record.model
    yield "served by", f"{cell(record.deployment)} ({cell(record.provider)}, {cell(record.upstream_model)})"
    if record.decision is not None:
        yield "decision", f"{record.decision.strategy}: {record.decision.reason}"
    yield "status", record.status
    if record.error_code or record.error_message:
        yield "error", f"{cell(record.error_code)}: {cell(record.error_message)}"
    yield "finish", record.finish_reason
    if record.usage is not None:
        estimated = " (estimated)" if record.usage.is_estimated else ""
        yield "tokens", f"{record.usage.total_input_tokens} in, {record.usage.total_output_tokens} out{estimated}"
    yield "cost", None if cost(record) is None else f"{cost(record)} USD (price: {cell(record.price_version)})"
    first = "" if record.first_token_ms is None else f", first token after {record.first_token_ms:.0f} ms"
    yield "duration", f"{record.duration_ms:.0f} ms{first}"
    if record.dropped:
        yield "dropped fields", record.dropped


def waterfall(attempts: "tuple[core.Attempt, ...]", duration_ms: float) -> Any:
    """Return a table with a bar for each attempt, all on the time scale of the exchange."""
    rows = [
        (
            number,
            attempt.kind,
            attempt.deployment,
            attempt.outcome if attempt.status is None else f"{attempt.outcome} ({attempt.status})",
            bar(attempt, duration_ms),
            f"{(duration_ms if attempt.ended_ms is None else attempt.ended_ms) - attempt.started_ms:.0f}",
            attempt.message or " ",
        )
        for number, attempt in enumerate(attempts, start=1)
    ]
    return grid(("#", "ATTEMPT", "DEPLOYMENT", "OUTCOME", "TIME", "MS", " "), rows, right=("#", "MS"))


def bar(attempt: "core.Attempt", duration_ms: float) -> str:
    """Draw one attempt over the exchange's `duration_ms`; at least one cell, never more than the scale."""
    scale = _BAR_CELLS / max(duration_ms, 0.001)
    ended_ms = duration_ms if attempt.ended_ms is None else attempt.ended_ms
    first_ms = ended_ms if attempt.first_byte_ms is None else attempt.first_byte_ms
    start = min(_BAR_CELLS - 1, max(0, int(attempt.started_ms * scale)))
    end = min(_BAR_CELLS, max(start + 1, round(ended_ms * scale)))
    first = min(end, max(start, round(first_ms * scale)))
    return "·" * start + "░" * (first - start) + "█" * (end - first) + "·" * (_BAR_CELLS - end)
