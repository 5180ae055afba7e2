#!/usr/bin/env bash
# Run one or several phases of the tests. Usage: test/run-tests.sh PHASE… [--verbose]
set -uo pipefail
cd "$(dirname "$0")/.."
export VENV="${VENV:-.venv}"
bin="$VENV/bin"

usage() {
  cat <<'TEXT'
usage: test/run-tests.sh PHASE… [--verbose]

  structure     import contracts, size limits, documents
  dependencies  pinned requirements, installed packages, system libraries
  unit          each module on its own
  integration   faults: killed gateways, failing upstreams, disconnecting clients
  business      documented behavior, through a running gateway
  performance   import and start-up costs, micro-benchmarks (`make bench` compares with peers)
  all           every phase
TEXT
}

phases=()
pytest_options=(-q)
for argument in "$@"; do
  case "$argument" in
    --verbose | -v) pytest_options=(-v) ;;
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

structure() { scripts/gate.sh imports sizes documents generated && suite tests/arch tests/docs; }
dependencies() {
  scripts/system_packages.sh && scripts/gate.sh dependencies && "$bin/python" -m pip check
}
unit() { suite tests/unit; }
integration() { suite tests/faults; }
business() { suite tests/e2e; }
performance() {
  suite tests/arch/test_import_cost.py && "$bin/python" -m bench.micro
}

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
