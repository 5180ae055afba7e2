"""Records of exchanges for people: one line each, or one whole with its attempts drawn over time."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import cell, grid

if TYPE_CHECKING:
    import msgspec

    from intellirouter import core
else:
    core = LazyModule("intellirouter.core")
    msgspec = LazyModule("msgspec")

HEADINGS: Final = ("TIME", "REQUEST", "MODEL", "DEPLOYMENT", "STATUS", "TRIES", "TOKENS", "USD", "MS")
NUMBERS: Final = ("STATUS", "TRIES", "TOKENS", "USD", "MS")
_BAR_CELLS: Final = 40


def as_data(record: "core.ExchangeRecord") -> dict[str, Any]:
    """Return the record as the gateway sends it, with its cost in dollars."""
    data: dict[str, Any] = msgspec.to_builtins(record)
    data["cost_usd"] = cost(record)
    return data


def cost(record: "core.ExchangeRecord") -> str | None:
    """Return US dollars as text; None when the price is unknown."""
    return None if record.cost_microusd is None else core.format_usd(record.cost_microusd)


def row(record: "core.ExchangeRecord") -> tuple[Any, ...]:
    """Return the cells under `HEADINGS`."""
    return (
        local_time(record).strftime("%H:%M:%S"),
        record.request_id,
        record.model,
        record.deployment,
        record.status,
        len(record.attempts),
        None if record.usage is None else record.usage.total_tokens,
        cost(record),
        f"{record.duration_ms:.0f}",
    )


def line(record: "core.ExchangeRecord") -> str:
    """Return one line of a feed, in columns that stay where they are."""
    time, request_id, model, deployment, status, tries, tokens, usd, ms = (cell(each) for each in row(record))
    error = f"  {cell(record.error_code)}" if record.error_code else ""
    return (
        f"{time}  {status}  {ms:>7} ms  {tokens:>7} tokens  {usd:>9} USD  {tries} tries"
        f"  {model} > {deployment}  {request_id}{error}"
    )


def is_failed(record: "core.ExchangeRecord") -> bool:
    return record.status >= 400 or record.error_code is not None


def local_time(record: "core.ExchangeRecord") -> datetime:
    return datetime.fromtimestamp(record.started_us / 1_000_000, tz=UTC).astimezone()


def whole(record: "core.ExchangeRecord") -> Iterator[Any]:
    """Yield a record's blocks: the facts, the candidates, the attempts."""
    yield grid(("REQUEST", record.request_id), _facts(record))
    if record.decision is not None:
        yield ""
        rows = [(each.deployment, each.verdict, each.score, each.reason) for each in record.decision.candidates]
        yield grid(("CANDIDATE", "VERDICT", "SCORE", "REASON"), rows, right=("SCORE",))
    if record.attempts:
        yield ""
        yield waterfall(record.attempts, record.duration_ms)
        yield "░ waiting for the first byte   █ receiving"


def _facts(record: "core.ExchangeRecord") -> Iterator[tuple[str, Any]]:
    yield "time", local_time(record).isoformat(sep=" ", timespec="milliseconds")
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
