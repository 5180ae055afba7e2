#!/usr/bin/env bash
# Install the system libraries that the tests need, or list the missing ones if that is not permitted.
set -euo pipefail

missing=()
# The engine for local models needs OpenMP.
if ! ldconfig -p 2>/dev/null | grep -q 'libgomp\.so\.1'; then missing+=(libgomp1); fi
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing ${missing[*]} …" >&2
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null; then
    echo "Could not install ${missing[*]}. Tests with a local model may fail." >&2
  fi
else
  echo "Not installed: ${missing[*]}. Tests with a local model need it; install it with the package manager of your system." >&2
fi
