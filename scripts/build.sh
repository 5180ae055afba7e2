#!/usr/bin/env bash
# Build the wheel and the source archive in dist/, then test the wheel in a new virtual environment.
set -euo pipefail
cd "$(dirname "$0")/.."
bin="$(pwd)/${VENV:-.venv}/bin"
rm -rf dist
log="$("$bin/python" -m hatchling build -d dist 2>&1)" || { echo "$log" >&2; exit 1; }
try="$(mktemp -d)"
trap 'rm -rf "$try"' EXIT
"$bin/python" -m venv "$try/env"
pip=("$try/env/bin/python" -m pip -qq --disable-pip-version-check --no-input install)
"${pip[@]}" --require-hashes -r requirements/base.txt
"${pip[@]}" --no-deps dist/intellirouter-*.whl
cd "$try" # outside the source tree, so that only the wheel is imported
"$try/env/bin/python" -c 'import intellirouter; print("installed intellirouter", intellirouter.__version__)'
"$try/env/bin/intellirouter" --help >/dev/null
cd "$OLDPWD"
ls -l dist | awk 'NR > 1 { printf "dist/%s  %d kB\n", $NF, $5 / 1000 }'
