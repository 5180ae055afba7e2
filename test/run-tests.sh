#!/usr/bin/env bash
# Run one or more phases of the tests. Usage: test/run-tests.sh PHASE… [--verbose]
# `make test-clients` is not among them: it installs the client libraries of others.
set -uo pipefail
cd "$(dirname "$0")/.."
export VENV="${VENV:-.venv}"
bin="$VENV/bin"

usage() {
  cat <<'TEXT'
usage: test/run-tests.sh PHASE… [--verbose]

  structure     rooms, import contracts, sizes, wording, documentation, generated files
  dependencies  pinned requirements, installed packages, system libraries
  unit          each module separately
  integration   failures that the gateway must survive: real processes, sockets, database files
  business      the features of a running gateway
  performance   modules that an import loads, and micro-benchmarks (no test depends on a time; `make bench` measures)
  all           all phases
TEXT
}

phases=()
pytest_options=(-q -n auto --maxprocesses 4)
for argument in "$@"; do
  case "$argument" in
    --verbose | -v) pytest_options[0]=-v ;;
    --help | -h) usage; exit 0 ;;
    all) phases+=(structure dependencies unit integration business performance) ;;
    structure | dependencies | unit | integration | business | performance) phases+=("$argument") ;;
    *) echo "Unknown phase: $argument" >&2; usage >&2; exit 2 ;;
  esac
done
[ "${#phases[@]}" -gt 0 ] || { usage >&2; exit 2; }

suite() { # suite PATH…
  "$bin/python" -m pytest "${pytest_options[@]}" "$@"
}

structure() { scripts/gate.sh imports sizes wording documents generated && suite tests/arch tests/docs; }
dependencies() {
  scripts/system_packages.sh && scripts/gate.sh dependencies && "$bin/python" -m pip check
}
unit() { suite tests/unit; }
integration() { suite tests/faults; }
business() { suite tests/e2e; }
performance() { suite tests/arch/test_import_cost.py && "$bin/python" -m bench.micro; }

scripts/environment.sh dev || exit 1
failed=()
for phase in "${phases[@]}"; do
  printf '== %s\n' "$phase"
  "$phase" || failed+=("$phase")
done
if [ "${#failed[@]}" -gt 0 ]; then
  echo "Failed: ${failed[*]}"
  exit 1
fi
echo "Passed: ${phases[*]}"
