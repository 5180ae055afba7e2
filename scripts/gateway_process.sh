#!/usr/bin/env bash
# The gateway of `make run` and `make stop`.
#   scripts/gateway_process.sh run [serve options]   note who we are, then become the gateway (foreground)
#   scripts/gateway_process.sh stop                  end the gateways started from this tree, and nothing else
#
# .run/gateway.pid holds one line per gateway: process id, start time in clock ticks, port. A process id alone could
# have been given to somebody else since; with the start time it names one process.
set -euo pipefail
cd "$(dirname "$0")/.."
pid_file=.run/gateway.pid
venv="${VENV:-.venv}"

start_ticks() { # field 22 of /proc/PID/stat; the command name before it may hold spaces
  if [ -r "/proc/$1/stat" ]; then
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
  else
    ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' '_'
  fi
}

is_ours() { # is_ours PID TICKS: runs, and is the one we noted. One that has ended but was not waited for does not run.
  kill -0 "$1" 2>/dev/null && [ "$(start_ticks "$1")" = "$2" ] \
    && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

alive() { # the lines of the pid file whose process still runs
  [ -f "$pid_file" ] || return 0
  local pid ticks port
  while read -r pid ticks port; do
    if [ -n "$port" ] && is_ours "$pid" "$ticks"; then echo "$pid $ticks $port"; fi
  done <"$pid_file"
}

run() {
  local port="${API_PORT:-${ORCHESTRATOR_API_PORT:-8080}}" running
  mkdir -p .run
  running="$(alive)"
  if grep -q " $port\$" <<<"$running"; then
    echo "A gateway of this tree already serves port $port (process $(grep " $port\$" <<<"$running" | cut -d' ' -f1))." >&2
    echo "Stop it with 'make stop', or choose another port: make run API_PORT=8090" >&2
    exit 1
  fi
  { [ -z "$running" ] || echo "$running"; echo "$$ $(start_ticks $$) $port"; } >"$pid_file.new"
  mv "$pid_file.new" "$pid_file"
  exec "$venv/bin/intellirouter" serve "$@"
}

stop() {
  local running pid ticks port waited
  running="$(alive)"
  if [ -z "$running" ]; then
    echo "No gateway of this tree is running."
    rm -f "$pid_file"
    return 0
  fi
  while read -r pid ticks port; do
    echo "Stopping the gateway on port $port (process $pid) …"
    kill -TERM "$pid" 2>/dev/null || true
    waited=0 # requests in flight get their drain time (30 s by default) before we insist
    while is_ours "$pid" "$ticks" && [ "$waited" -lt 400 ]; do
      sleep 0.1
      waited=$((waited + 1))
    done
    if is_ours "$pid" "$ticks"; then
      echo "It did not end within 40 s; ending it now." >&2
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done <<<"$running"
  rm -f "$pid_file"
}

case "${1:-}" in
  run) shift; run "$@" ;;
  stop) stop ;;
  *) echo "usage: scripts/gateway_process.sh run|stop" >&2; exit 2 ;;
esac
