"""Mutation tests: which small bugs in a room do the room's own unit tests miss? `python -m scripts.mutants [ROOM…]`

mutmut changes one detail of one function at a time and runs the tests of tests/unit/ROOM that call the function. A
mutant survives if they all pass. At most 10 % of a room's mutants may survive. tests/unit/surviving_mutants.txt lists
the functions that have survivors, with the reason:

    room.module.function: reason

The run fails if a room exceeds the limit, if a function with survivors is not listed, or if a listed function has none.
Each room is tested in build/mutants/ROOM, which stays there until the next run, so that `mutmut show` works.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / "build" / "mutants"
REASONS = ROOT / "tests" / "unit" / "surviving_mutants.txt"
MUTMUT = Path(sys.executable).with_name("mutmut")
ROOMS = ("pipeline", "routing", "resilience", "governance")
LIMIT_PERCENT = 10.0
LINKED = ("src", "tests", "scripts", "docs", "examples", "README.md", "LICENSE")
KILLED = ("killed", "caught by type check")
TIMED_OUT = ("timeout", "segfault")
"""mutmut reports `segfault` for a mutant that ignored the signal of the timeout and was killed."""
WITHOUT_TESTS = "no tests"
NOT_CHECKED = ("not checked", "check was interrupted by user")
RESULT = re.compile(r"^ +intellirouter\.(?P<module>[\w.]+)\.(?P<function>x\S+)__mutmut_\d+: (?P<status>.+)$")
CONFIGURATION = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = ["src/intellirouter/{room}/*"]
also_copy = {copied}
pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "no:xdist"]
pytest_add_cli_args_test_selection = ["tests/unit/{room}"]
timeout_multiplier = 5.0
timeout_constant = 2.0
use_git_change_detection = false
"""

Results = Mapping[str, Counter[str]]
"""How many mutants of each function have each status. Functions are named `room.module.Class.method`."""


def prepare(room: str) -> Path:
    """Return a new folder in which mutmut tests a room. It links to the source tree; mutmut copies what it needs."""
    folder = SCRATCH / room
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    copied = [name for name in LINKED if name != "src"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    settings = CONFIGURATION.format(room=room, copied=copied)
    (folder / "pyproject.toml").write_text(project + settings, encoding="utf-8")
    return folder


def run_mutmut(folder: Path) -> None:
    """Run mutmut to its end. If it is interrupted, end all its processes."""
    command = [str(MUTMUT), "run", "--max-children", str(os.cpu_count() or 1)]
    process = subprocess.Popen(command, cwd=folder, start_new_session=True)
    try:
        status = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if status:
        raise SystemExit(f"mutmut failed with exit status {status}.")


def read_results(folder: Path) -> Results:
    command = [str(MUTMUT), "results", "--all", "true"]
    return parse_results(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout)


def parse_results(text: str) -> Results:
    """Return the results in the output of `mutmut results`."""
    results: dict[str, Counter[str]] = defaultdict(Counter)
    for match in filter(None, map(RESULT.match, text.splitlines())):
        # mutmut's names are `x_function` and `xǁClassǁmethod`.
        function = match["function"].removeprefix("xǁ").removeprefix("x_").replace("ǁ", ".")
        results[f"{match['module']}.{function}"][match["status"]] += 1
    return results


def survivors(counts: Counter[str]) -> int:
    """Return how many mutants were not detected, including those that no test runs."""
    return counts.total() - sum(counts[status] for status in (*KILLED, *TIMED_OUT))


def read_reasons(text: str) -> dict[str, str]:
    """Return the reason for each function that may have survivors."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: reason.strip() for name, _, reason in (line.partition(":") for line in lines)}


def problems(room: str, results: Results, reasons: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with the results of a room."""
    total = sum(results.values(), Counter[str]())
    if not total:
        yield f"{room}: there are no mutants."
        return
    if unchecked := sum(total[status] for status in NOT_CHECKED):
        yield f"{room}: {unchecked} mutants were not tested."
    if (percent := 100 * survivors(total) / total.total()) > LIMIT_PERCENT:
        yield f"{room}: {percent:.1f} % of the mutants survive, but at most {LIMIT_PERCENT:g} % may."
    with_survivors = {function for function, counts in results.items() if survivors(counts)}
    listed = {function for function in reasons if function.startswith(f"{room}.")}
    for function in sorted(with_survivors - listed):
        yield f"{function}: {survivors(results[function])} survivors without a reason in {REASONS.relative_to(ROOT)}."
    for function in sorted(listed - with_survivors):
        yield f"{function}: it is listed in {REASONS.relative_to(ROOT)}, but has no survivors. Remove its line."


def table(by_room: Mapping[str, Results]) -> Iterator[str]:
    """Yield the lines of the summary."""
    yield f"{'room':<12}{'mutants':>8}{'killed':>8}{'timed out':>11}{'no tests':>10}{'survived':>10}{'percent':>9}"
    for room, results in by_room.items():
        total = sum(results.values(), Counter[str]())
        alive, untested = survivors(total), total[WITHOUT_TESTS]
        killed, timed_out = (sum(total[status] for status in group) for group in (KILLED, TIMED_OUT))
        count = total.total()
        percent = 100 * alive / (count or 1)
        yield f"{room:<12}{count:>8}{killed:>8}{timed_out:>11}{untested:>10}{alive - untested:>10}{percent:>8.1f}%"


def survivor_lines(results: Results, reasons: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each function that has survivors."""
    for function, counts in sorted(results.items()):
        if alive := survivors(counts):
            yield f"  {alive:>3}  {function}: {reasons.get(function, '(no reason)')}"


def interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main(rooms: Iterable[str]) -> int:
    signal.signal(signal.SIGTERM, interrupt)
    reasons = read_reasons(REASONS.read_text(encoding="utf-8"))
    by_room: dict[str, Results] = {}
    for room in rooms:
        print(f"\nMutants of {room}", flush=True)
        folder = prepare(room)
        try:
            run_mutmut(folder)
        except KeyboardInterrupt:
            shutil.rmtree(SCRATCH)
            print("\nInterrupted.", file=sys.stderr)
            return 130
        by_room[room] = read_results(folder)
    print("", *table(by_room), "", sep="\n")
    for room, results in by_room.items():
        print(f"Survivors in {room}:", *survivor_lines(results, reasons), "", sep="\n")
    found = [problem for room, results in by_room.items() for problem in problems(room, results, reasons)]
    print(*found, f"To see a mutant: cd {SCRATCH.relative_to(ROOT)}/ROOM && mutmut results, mutmut show NAME", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rooms", nargs="*", choices=[*ROOMS, []], metavar="ROOM", help=f"some of: {', '.join(ROOMS)}")
    sys.exit(main(parser.parse_args().rooms or ROOMS))
