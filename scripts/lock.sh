#!/usr/bin/env bash
# Regenerate requirements/*.txt: exact versions with hashes, and no package index.
#   scripts/lock.sh            keep versions that still satisfy pyproject.toml
#   scripts/lock.sh --upgrade  use the newest versions
# Needs uv (`pip install uv`); UV sets another executable.
set -euo pipefail
cd "$(dirname "$0")/.."
uv="${UV:-uv}"
command -v "$uv" >/dev/null || { echo "uv is not installed. Run: pip install uv" >&2; exit 2; }

resolve() { # resolve OUTPUT SOURCE [OPTIONS…]
  local output="requirements/$1.txt"
  shift
  "$uv" pip compile "$@" --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "scripts/lock.sh" --output-file "$output" >/dev/null
  echo "$output: $(grep -cE '^[A-Za-z0-9._-]+==' "$output") distributions"
}

resolve dev pyproject.toml requirements/build.in --extra local --extra semantic --group dev "$@"
# The other sets are subsets of the largest one, so that they can be installed together.
resolve base pyproject.toml --constraints requirements/dev.txt
resolve local pyproject.toml --extra local --constraints requirements/dev.txt
resolve build requirements/build.in --constraints requirements/dev.txt
resolve mutants requirements/mutants.in --constraints requirements/dev.txt
