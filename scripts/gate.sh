#!/usr/bin/env bash
# The gate without the tests. Each check is quiet when it holds; all run, and one that fails makes the whole fail.
#   scripts/gate.sh              every check
#   scripts/gate.sh NAME…        some of: format lint types imports sizes documents generated dependencies shell
set -uo pipefail
cd "$(dirname "$0")/.."
bin="${VENV:-.venv}/bin"
failed=()

format() { "$bin/ruff" format --check --quiet . || { echo "run: make format"; return 1; }; }
lint() { "$bin/ruff" check --quiet .; }
types() { "$bin/mypy"; }
imports() { "$bin/lint-imports" --no-logo; }
sizes() { "$bin/python" -m scripts.check_sizes; }
documents() { "$bin/python" -m scripts.check_docs; }
dependencies() { "$bin/python" -m scripts.check_requirements; }
generated() { # pages and data files that are written by scripts must be what the scripts write
  local script module status=0
  for script in scripts/gen_*.py scripts/build_*.py scripts/changelog.py; do
    [ -f "$script" ] || continue
    module="scripts.$(basename "$script" .py)"
    "$bin/python" -m "$module" --check || { echo "stale: run python -m $module"; status=1; }
  done
  return "$status"
}
shell() { # syntax only: nothing to install
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
[ "${#names[@]}" -gt 0 ] || names=(format lint types imports sizes documents generated dependencies shell)
for name in "${names[@]}"; do
  case "$name" in
    format | lint | types | imports | sizes | documents | generated | dependencies | shell) check "$name" ;;
    *) echo "no such check: $name" >&2; exit 2 ;;
  esac
done
if [ "${#failed[@]}" -gt 0 ]; then
  echo "The gate is closed: ${failed[*]}" >&2
  exit 1
fi
