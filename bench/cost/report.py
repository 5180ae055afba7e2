"""Writes the cost report. The section on changes that were tried is kept by hand and preserved."""

from typing import Any, Final

from bench.cost.callgrind import LIBRARIES, OTHER
from bench.cost.measure import CONNECTIONS, Cost, CostRun
from bench.cost.server import CASES, CostCase
from bench.cost.steps import STEPS
from bench.pairs import PAIRS
from bench.report import Column, describe, markdown_table
from bench.run import UNITS, Figures
from bench.targets import Target

CHANGES: Final = "## Changes tried"
EMPTY_CHANGES: Final = f"""{CHANGES}

This section is kept by hand: `make bench-cost` rewrites only what is above it. Costs are from one run with both states
(`make bench-cost ARGS="--against CHECKOUT"`).

| change | measured | before | after | result |
|---|---|---:|---:|---|
"""
METHOD: Final = """
All cases are served by one process with authentication, prices, the ledger and SQLite, in front of an nginx with fixed
answers. CPU time is the user and system time of its threads, without a profiler: the median over the rounds. A sampler
in the process (every tick of user time, in other rounds) shows in which function the main thread is; the stack decides
to which step the time belongs. Time in C code counts for the function that calls it: writing to a socket for the step
that writes, reading from it for the event loop. When the event loop continues a coroutine that has waited, its own time
can count for that coroutine. Modules that are compiled have no frames: their time counts for the function of the
interpreter that called them. Instructions are counted by callgrind in user space over one connection, with those of
the drain. They do not depend on other load of the machine.
"""
_FUNCTIONS: Final = 20

CaseFigures = dict[CostCase, dict[str, float]]


def render(run: CostRun, machine: dict[str, Any], date: str) -> str:
    """Return the report without the section on changes."""
    facts = (
        f"{date}. {describe(machine)} {run.plan.rounds} rounds of {run.plan.seconds:g} s, {CONNECTIONS} connections, "
        "one core for the gateway."
    )
    parts = ["# Cost of a request", facts, METHOD.strip()]
    own = run.targets[0]
    for unit in UNITS:
        noun = "request" if unit == "request" else "stream of 30 events"
        costs = {case: run.cost(own, case) for case in CASES if case.unit == unit}
        parts += [f"## CPU µs per {noun}", _steps_table(costs)]
        parts += [f"### The {_FUNCTIONS} most expensive functions", _functions_table(costs)]
        if table := _instructions_table(costs):
            parts += [f"## Instructions per {noun}", table]
    for other in run.targets[1:]:
        parts += [f"## Compared with {other.title}", _comparison(run, own, other)]
    notes = [*run.notes, *_error_notes(run)]
    if notes:
        parts += ["## Remarks", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def _steps_table(costs: dict[CostCase, Cost]) -> str:
    steps = {case: cost.steps_us() for case, cost in costs.items()}
    rows: list[tuple[tuple[str, ...], Figures]] = [
        ((title,), _by_pair({case: found[step] for case, found in steps.items()})) for step, title in STEPS.items()
    ]
    rows.append((("**total**",), _by_pair({case: cost.cpu_us for case, cost in costs.items()})))
    rows.append((("lowest round",), _by_pair({case: min(cost.per_round_us) for case, cost in costs.items()})))
    rows.append((("highest round",), _by_pair({case: max(cost.per_round_us) for case, cost in costs.items()})))
    return _table("step", rows, "{:,.1f}")


def _functions_table(costs: dict[CostCase, Cost]) -> str:
    """Return the functions with the highest sum over all pairs."""
    functions = {case: cost.functions_us() for case, cost in costs.items()}
    names = {name for found in functions.values() for name in found}
    sums = {name: sum(found.get(name, 0.0) for found in functions.values()) for name in names}
    highest = sorted(names, key=lambda name: (-sums[name], name))[:_FUNCTIONS]
    rows: list[tuple[tuple[str, ...], Figures]] = [
        ((_short(name),), _by_pair({case: found.get(name, 0.0) for case, found in functions.items()}))
        for name in highest
    ]
    return _table("function", rows, "{:,.1f}")


def _short(function: str) -> str:
    return f"`{function.removeprefix('intellirouter.')}`"


def _instructions_table(costs: dict[CostCase, Cost]) -> str | None:
    counted = {case: cost.instructions for case, cost in costs.items() if cost.instructions}
    if not counted:
        return None
    rows: list[tuple[tuple[str, ...], Figures]] = []
    for title in (*(title for title, _ in LIBRARIES), OTHER):
        figures = {case: found[title] for case, found in counted.items() if title in found}
        if figures:
            rows.append(((title,), _by_pair(figures)))
    rows.append((("**total**",), _by_pair({case: sum(found.values()) for case, found in counted.items()})))
    return _table("library", rows, "{:,.0f}")


def _by_pair(figures: dict[CostCase, float]) -> Figures:
    return {case.pair.name: figure for case, figure in figures.items()}


def _table(label: str, rows: list[tuple[tuple[str, ...], Figures]], form: str) -> str:
    columns: list[Column] = [(pair.title, pair.name, form) for pair in PAIRS]
    return markdown_table((label,), rows, columns) or ""


def _comparison(run: CostRun, own: Target, other: Target) -> str:
    rows: list[tuple[tuple[str, ...], Figures]] = []
    for case in CASES:
        now, before = run.cost(own, case), run.cost(other, case)
        rounds = zip(now.per_round_us, before.per_round_us, strict=False)
        figures = {"before": before.cpu_us, "now": now.cpu_us, "ratio": median_of_ratios(list(rounds))}
        if now.instructions and before.instructions:
            sums = sum(now.instructions.values()), sum(before.instructions.values())
            figures |= {"instructions": sums[0], "instructions_before": sums[1], "instruction_ratio": sums[0] / sums[1]}
        rows.append(((case.unit, case.pair.title), figures))
    columns: list[Column] = [
        ("CPU µs there", "before", "{:,.1f}"),
        ("here", "now", "{:,.1f}"),
        ("ratio", "ratio", "{:.2f}"),
        ("instructions there", "instructions_before", "{:,.0f}"),
        ("here", "instructions", "{:,.0f}"),
        ("ratio", "instruction_ratio", "{:.3f}"),
    ]
    return markdown_table(("", "dialects"), rows, columns) or ""


def median_of_ratios(rounds: list[tuple[float, float]]) -> float:
    """Return the median of the ratios in the same round."""
    ordered = sorted(now / before for now, before in rounds)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _error_notes(run: CostRun) -> list[str]:
    return [
        f"{name}, {case.unit}, {case.pair.title}: {cost.errors} errors."
        for (name, case), cost in run.costs.items()
        if cost.errors
    ]


def combine(report: str, previous: str) -> str:
    """Return the new report with the section on changes of the previous one."""
    at = previous.find(f"\n{CHANGES}\n")
    kept = previous[at + 1 :] if at >= 0 else EMPTY_CHANGES
    return f"{report.rstrip()}\n\n{kept.rstrip()}\n"
