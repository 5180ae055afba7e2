#!/usr/bin/env bash
# Install what the tests need of the system, if that is permitted and missing. Tests whose program is missing are skipped.
#
#   libgomp1                  the engine for local models needs OpenMP
#   chromium-headless-shell   tests of web pages in a real browser (65 MB, up to 125 MB with its libraries)
#   nginx                     tests of the deployment guide: only the program, in .tools, because the package starts a server
#   redis-tools               tests of the shared response cache: its programs include the server, and it starts none
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
has_one_of() { local name; for name in "$@"; do if has "$name"; then return 0; fi; done; return 1; }

missing=()
has_openmp() { ldconfig -p 2>/dev/null | grep -q 'libgomp\.so\.1'; }
has_openmp || missing+=(libgomp1)
has_one_of chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable \
  || missing+=(chromium-headless-shell)
[ -x /usr/sbin/nginx ] || has nginx || [ -x .tools/nginx/usr/sbin/nginx ] || missing+=(nginx)
has_one_of redis-server redis-check-rdb || missing+=(redis-tools)
[ "${#missing[@]}" -gt 0 ] || exit 0

skipped() { # skipped PACKAGE
  case "$1" in
    libgomp1) say "Not installed: libgomp1. Tests with a local model need it. Install it with the package manager of your system." ;;
    chromium-headless-shell) say "Not installed: Chromium. Tests of web pages in a browser are skipped." ;;
    redis-tools) say "Not installed: Redis. Tests of the response cache in Redis are skipped; those with Valkey are not." ;;
    nginx) say "Not installed: nginx. Tests of the deployment guide are skipped." ;;
  esac
}

if [ "$(id -u)" != 0 ] || ! has apt-get; then
  for package in "${missing[@]}"; do skipped "$package"; done
  exit 0
fi

export DEBIAN_FRONTEND=noninteractive
log="$(mktemp)"
trap 'rm -rf "$log"' EXIT
limited() { timeout 240 "$@" >>"$log" 2>&1; }
apt() { limited apt-get -o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@"; }

unpack_nginx() {
  local folder=.tools/nginx
  mkdir -p "$folder"
  (cd "$folder" && apt download nginx && limited dpkg -x nginx_*.deb . && rm -f nginx_*.deb) \
    && "$folder/usr/sbin/nginx" -v >>"$log" 2>&1
}

say "Installing ${missing[*]} …"
apt update -qq || true
for package in "${missing[@]}"; do
  case "$package" in
    nginx) unpack_nginx || { rm -rf .tools/nginx; skipped nginx; } ;;
    *) apt install -y -qq --no-install-recommends "$package" || skipped "$package" ;;
  esac
done
