#!/usr/bin/env bash
# Install the few system libraries that the tests need, where we may; say what is missing where we may not.
set -euo pipefail

missing=()
# The engine for local models is built with OpenMP.
if ! ldconfig -p 2>/dev/null | grep -q 'libgomp\.so\.1'; then missing+=(libgomp1); fi
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing ${missing[*]} …" >&2
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null; then
    echo "Could not install ${missing[*]}; tests with a local model may fail." >&2
  fi
else
  echo "Not found: ${missing[*]} (needed by tests with a local model; install with your system's package tool)." >&2
fi
