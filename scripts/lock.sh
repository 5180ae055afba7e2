#!/usr/bin/env bash
# Resolve the dependencies anew and write requirements/*.txt: exact versions, hashes, no index named.
#   scripts/lock.sh            keep the versions that still satisfy pyproject.toml
#   scripts/lock.sh --upgrade  take the newest
# Needs uv (`pip install uv`); UV names another executable.
set -euo pipefail
cd "$(dirname "$0")/.."
uv="${UV:-uv}"
command -v "$uv" >/dev/null || { echo "lock: uv is not installed (pip install uv)" >&2; exit 2; }

resolve() { # resolve OUTPUT SOURCE [OPTIONS…]
  local output="requirements/$1.txt"
  shift
  "$uv" pip compile "$@" --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "scripts/lock.sh" --output-file "$output" >/dev/null
  echo "$output: $(grep -cE '^[A-Za-z0-9._-]+==' "$output") distributions"
}

resolve dev pyproject.toml requirements/build.in --extra local --group dev "$@"
# The rest are parts of the largest set, so that they can be installed together.
resolve base pyproject.toml --constraints requirements/dev.txt
resolve local pyproject.toml --extra local --constraints requirements/dev.txt
resolve build requirements/build.in --constraints requirements/dev.txt
