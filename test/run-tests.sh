#!/usr/bin/env bash
# One phase of the tests, or several. Usage: test/run-tests.sh PHASE… [--verbose]
set -uo pipefail
cd "$(dirname "$0")/.."
export VENV="${VENV:-.venv}"
bin="$VENV/bin"

usage() {
  cat <<'TEXT'
usage: test/run-tests.sh PHASE… [--verbose]

  structure     rooms, import contracts, sizes, documents
  dependencies  pinned requirements, what is installed, system libraries
  unit          each module alone, and the contracts that implementations share
  integration   rooms together and faults: real processes, sockets, database files
  business      what users were promised, through a running gateway
  performance   import and start-up costs, micro-benchmarks (no test asserts a time; `make bench` measures)
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
    *) echo "no such phase: $argument" >&2; usage >&2; exit 2 ;;
  esac
done
[ "${#phases[@]}" -gt 0 ] || { usage >&2; exit 2; }

suite() { # suite PATH…: those that exist; a phase whose suites are all absent says so and passes
  local path found=()
  for path in "$@"; do if [ -e "$path" ]; then found+=("$path"); fi; done
  if [ "${#found[@]}" -eq 0 ]; then echo "nothing to run yet in: $*"; return 0; fi
  "$bin/python" -m pytest "${pytest_options[@]}" "${found[@]}"
}

structure() { scripts/gate.sh imports sizes documents generated && suite tests/arch tests/docs; }
dependencies() {
  scripts/system_packages.sh && scripts/gate.sh dependencies && "$bin/python" -m pip check
}
unit() { suite tests/unit tests/contract; }
integration() { suite tests/integration tests/faults; }
business() { suite tests/e2e; }
performance() {
  suite tests/arch/test_import_cost.py && if [ -f bench/micro.py ]; then "$bin/python" -m bench.micro; fi
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
