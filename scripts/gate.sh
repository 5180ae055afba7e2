#!/usr/bin/env bash
# All checks except the tests. Runs every check, prints the output of those that fail, and fails if any of them did.
#   scripts/gate.sh              all checks
#   scripts/gate.sh NAME…        some of: format lint types imports sizes wording documents generated dependencies shell
set -uo pipefail
cd "$(dirname "$0")/.."
bin="${VENV:-.venv}/bin"
failed=()

format() { "$bin/ruff" format --check --quiet . || { echo "Run: make format"; return 1; }; }
lint() { "$bin/ruff" check --quiet .; }
types() { "$bin/mypy"; }
imports() { "$bin/lint-imports" --no-logo; }
sizes() { "$bin/python" -m scripts.check_sizes; }
wording() { "$bin/python" -m scripts.check_wording; }
documents() { "$bin/python" -m scripts.check_docs; }
dependencies() { "$bin/python" -m scripts.check_requirements; }
generated() { # generated pages and data files must be up to date
  local script module status=0
  for script in scripts/gen_*.py scripts/build_*.py scripts/changelog.py; do
    [ -f "$script" ] || continue
    module="scripts.$(basename "$script" .py)"
    "$bin/python" -m "$module" --check || { echo "Out of date. Run: python -m $module"; status=1; }
  done
  return "$status"
}
shell() { # syntax only, which needs no further tools
  local script status=0
  for script in scripts/*.sh test/run-tests.sh .ci/run .githooks/*; do bash -n "$script" || status=1; done
  return "$status"
}

check() {
  local output started elapsed
  started="$(date +%s%N)"
  if output="$("$1" 2>&1)"; then
    elapsed=$((($(date +%s%N) - started) / 100000000))
    printf '  ok    %-13s %3d.%d s\n' "$1" $((elapsed / 10)) $((elapsed % 10))
  else
    printf '  FAIL  %s\n%s\n' "$1" "$output"
    failed+=("$1")
  fi
}

names=("$@")
[ "${#names[@]}" -gt 0 ] || names=(format lint types imports sizes wording documents generated dependencies shell)
for name in "${names[@]}"; do
  case "$name" in
    format | lint | types | imports | sizes | wording | documents | generated | dependencies | shell) check "$name" ;;
    *) echo "Unknown check: $name" >&2; exit 2 ;;
  esac
done
if [ "${#failed[@]}" -gt 0 ]; then
  echo "Failed checks: ${failed[*]}" >&2
  exit 1
fi
