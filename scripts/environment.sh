#!/usr/bin/env bash
# Make .venv ready, or find it ready. Usage: scripts/environment.sh run|dev
#
#   run   what the gateway needs, with the engine for local models (requirements/local.txt)
#   dev   run, and the tools of the gate (requirements/dev.txt)
#
# A stamp inside .venv holds a digest of everything that decides its content, so a second call does nothing and costs
# some milliseconds. VENV moves the environment; PYTHON names the interpreter it is made from.
set -euo pipefail
cd "$(dirname "$0")/.."

profile="${1:-run}"
case "$profile" in
  run) requirements=requirements/local.txt ;;
  dev) requirements=requirements/dev.txt ;;
  *) echo "usage: scripts/environment.sh run|dev" >&2; exit 2 ;;
esac
venv="${VENV:-.venv}"

say() { printf '%s\n' "$*" >&2; }

is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14; do
    if command -v "$candidate" >/dev/null 2>&1 && is_recent "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  say "IntelliRouter needs Python 3.11 or newer; found: $(python3 --version 2>&1 || echo none)."
  say "Install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name it: make run PYTHON=/path/to/python3.12"
  return 1
}

digest() { # what the environment was made from; the location counts because scripts inside name it
  { cat requirements/local.txt "$requirements" requirements/build.txt pyproject.toml scripts/environment.sh; pwd; echo "$venv"; } \
    | sha256sum | cut -d' ' -f1
}

wanted="$(digest)"
stamp="$venv/.ready-$profile"
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null || true)" = "$wanted" ] && is_recent "$venv/bin/python"; then
  exit 0
fi

if ! { [ -x "$venv/bin/python" ] && is_recent "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
  python="$(find_python)"
  say "Creating $venv with $("$python" --version) …"
  rm -rf "$venv"
  "$python" -m venv "$venv" || {
    say "Python's venv module does not work here (Debian, Ubuntu: apt-get install python3-venv)."
    exit 1
  }
fi

rm -f "$venv"/.ready-*
started="$(date +%s)"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }
say "Installing $(grep -cE '^[A-Za-z0-9._-]+==' "$requirements") distributions from $requirements (once; about a minute) …"
pip install --quiet --require-hashes -r "$requirements" -r requirements/build.txt
say "Installing intellirouter from this tree …"
pip install --quiet --no-deps --no-build-isolation --editable .
echo "$wanted" >"$stamp"
say "Environment ready in $(($(date +%s) - started)) s."
