#!/usr/bin/env bash
# Create or update the virtual environment .venv. Usage: scripts/environment.sh run|dev
#
#   run   dependencies of the gateway, including the engine for local models (requirements/local.txt)
#   dev   the same plus the development tools (requirements/dev.txt)
#
# A stamp file in .venv holds a digest of its inputs, so running this again does nothing if they have not changed.
# VENV sets another directory than .venv; PYTHON sets the interpreter.
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

find_python() { # the first interpreter that is recent enough and has the venv and ensurepip modules
  local candidate incomplete=""
  for candidate in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14; do
    if command -v "$candidate" >/dev/null 2>&1 && is_recent "$candidate"; then
      if "$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        command -v "$candidate"
        return
      fi
      incomplete="$candidate"
    fi
  done
  if [ -n "$incomplete" ]; then
    say "$("$incomplete" --version) has no venv module. On Debian and Ubuntu, run: apt-get install python3-venv"
    return 1
  fi
  say "IntelliRouter needs Python 3.11 or newer. Found: $(python3 --version 2>&1 || echo none)"
  say "Install it (Debian, Ubuntu: apt-get install python3 python3-venv), or set its path: make run PYTHON=/path/to/python3.12"
  return 1
}

digest() { # of the inputs of an environment, including its location, which the scripts in it contain
  { cat "$1" requirements/build.txt pyproject.toml scripts/environment.sh; pwd; echo "$venv"; } | sha256sum | cut -d' ' -f1
}

is_ready() { # is_ready PROFILE REQUIREMENTS
  [ "$(cat "$venv/.ready-$1" 2>/dev/null || true)" = "$(digest "$2")" ] && is_recent "$venv/bin/python"
}

# A dev environment also serves for run: it contains the same versions.
if is_ready "$profile" "$requirements" || is_ready dev requirements/dev.txt; then
  exit 0
fi

has_pip() { "$venv/bin/python" -m pip --version >/dev/null 2>&1; }

if ! { [ -x "$venv/bin/python" ] && is_recent "$venv/bin/python" \
  && { has_pip || "$venv/bin/python" -m ensurepip >/dev/null 2>&1; }; }; then
  python="$(find_python)"
  say "Creating $venv with $("$python" --version) …"
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi

rm -f "$venv"/.ready-*
started="$(date +%s)"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }
say "Installing $(grep -cE '^[A-Za-z0-9._-]+==' "$requirements") packages from $requirements. This takes about a minute, the first time only …"
pip install -qq --require-hashes -r "$requirements" -r requirements/build.txt
say "Installing IntelliRouter from this source tree …"
pip install -qq --no-deps --no-build-isolation --editable .
digest "$requirements" >"$venv/.ready-$profile"
say "The environment is ready after $(($(date +%s) - started)) s."
