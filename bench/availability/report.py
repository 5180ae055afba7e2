"""The report on availability."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.availability.faults import AFTER_CONTENT
from bench.availability.gateway import STRATEGY
from bench.availability.judge import SHAPES, Verdict
from bench.report import describe


def silent_faults(verdicts: Sequence[Verdict]) -> int:
    """Return the number of answers that were wrong without saying so."""
    return sum(each.outcome not in {"ok", "error"} for each in verdicts)


def success_percent(verdicts: Sequence[Verdict]) -> float:
    return 100 * sum(each.outcome == "ok" for each in verdicts) / max(1, len(verdicts))


def summary(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(each.outcome for each in verdicts)
    return ", ".join(f"{outcome} {count}" for outcome, count in sorted(counts.items(), key=lambda item: -item[1]))


def render(results: Mapping[str, Mapping[str, list[Verdict]]], machine: dict[str, Any], date: str, at_once: int) -> str:
    """Return the report as Markdown. `results` holds the verdicts by program and fault."""
    return "\n".join(_lines(results, machine, date, at_once)) + "\n"


def _lines(
    results: Mapping[str, Mapping[str, list[Verdict]]], machine: dict[str, Any], date: str, at_once: int
) -> Iterator[str]:
    yield f"# Availability, {date}"
    yield ""
    yield (
        f"{describe(machine)} A model with three deployments, each a MockVendor process; strategy `{STRATEGY}`, two "
        f"retries. One of the three misbehaves at any time, in turn, each time in another way. Every fault has a new "
        f"model, whose deployments have not failed yet. {at_once} requests at once, in equal parts: "
        f"{'; '.join(shape.title for shape in SHAPES)}. Every answer is compared with the expected text. A fault after "
        "the first content of a stream cannot be hidden from the client; it must be reported."
    )
    for program, by_fault in results.items():
        everything = list(itertools.chain(*by_fault.values()))
        hideable = [each for title, some in by_fault.items() if title not in AFTER_CONTENT for each in some]
        yield ""
        yield f"## {program}"
        yield ""
        yield (
            f"{len(everything):,} requests: {success_percent(everything):.3f} % succeeded; without the faults after "
            f"the first content {success_percent(hideable):.3f} % of {len(hideable):,}. Silently truncated, "
            f"duplicated or wrong answers: {silent_faults(everything)}."
        )
        yield ""
        yield "| fault | requests | succeeded | errors | silently wrong | attempts per request | p50 ms | p99 ms |"
        yield "|---|--:|--:|--:|--:|--:|--:|--:|"
        for title, verdicts in by_fault.items():
            yield _row(title, verdicts)


def _row(title: str, verdicts: list[Verdict]) -> str:
    errors = sum(each.outcome == "error" for each in verdicts)
    attempts = sum(each.attempts for each in verdicts) / max(1, len(verdicts))
    seconds = sorted(each.seconds for each in verdicts)
    p50_ms, p99_ms = (1000 * seconds[int(share * (len(seconds) - 1))] for share in (0.5, 0.99))
    return (
        f"| {title} | {len(verdicts):,} | {success_percent(verdicts):.2f} % | {errors} | {silent_faults(verdicts)} | "
        f"{attempts:.2f} | {p50_ms:,.1f} | {p99_ms:,.1f} |"
    )
