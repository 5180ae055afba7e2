"""`python -m bench.micro [NAME ...]`."""

import argparse
import sys

from bench.micro import REGISTRY, best_ns, core, dialects

_ROOMS = (core, dialects)
"""Importing them registers their benchmarks."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.micro", description="Measure single stages in this process.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="prefix of the names; default: all benchmarks")
    wanted = tuple(parser.parse_args().names) or ("",)
    chosen = {name: benchmark for name, benchmark in REGISTRY.items() if name.startswith(wanted)}
    if not chosen:
        print(f"There is no such benchmark. The benchmarks are: {', '.join(REGISTRY)}.", file=sys.stderr)
        return 2
    for name, (prepare, times) in chosen.items():
        print(f"{name:<48}{best_ns(prepare()) / times:>12,.0f} ns", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
