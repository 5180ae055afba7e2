#!/usr/bin/env bash
# The gateway of `make run` and `make stop`.
#   scripts/gateway_process.sh run [serve options]   record this process, then run the gateway in it (foreground)
#   scripts/gateway_process.sh stop                  stop the gateways that were started from this source tree
#
# .run/gateway.pid has one line per gateway: process ID, start time in clock ticks, port. The start time is needed
# because the system may reuse a process ID.
set -euo pipefail
cd "$(dirname "$0")/.."
pid_file=.run/gateway.pid
venv="${VENV:-.venv}"

start_ticks() { # field 22 of /proc/PID/stat; the command name before it may contain spaces
  if [ -r "/proc/$1/stat" ]; then
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
  else
    ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' '_'
  fi
}

is_ours() { # is_ours PID TICKS: whether the recorded process is still running. A zombie is not.
  kill -0 "$1" 2>/dev/null && [ "$(start_ticks "$1")" = "$2" ] \
    && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

alive() { # the lines of the PID file whose process is still running
  [ -f "$pid_file" ] || return 0
  local pid ticks port
  while read -r pid ticks port; do
    if [ -n "$port" ] && is_ours "$pid" "$ticks"; then echo "$pid $ticks $port"; fi
  done <"$pid_file"
}

configured_port() { # like `serve`: the first variable that is set and not the address of a Service (tcp://…)
  local value
  for value in "${INTELLIR_SERVER__PORT:-}" "${ORCHESTRATOR_API_PORT:-}" "${API_PORT:-}"; do
    case "$value" in "" | *://*) ;; *) echo "$value"; return ;; esac
  done
  echo 8080
}

run() {
  local port running
  port="$(configured_port)"
  mkdir -p .run
  running="$(alive)"
  if grep -q " $port\$" <<<"$running"; then
    echo "A gateway from this source tree is already running on port $port (process $(grep " $port\$" <<<"$running" | cut -d' ' -f1))." >&2
    echo "Stop it with 'make stop', or use another port: make run API_PORT=8090" >&2
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
    echo "No gateway from this source tree is running."
    rm -f "$pid_file"
    return 0
  fi
  while read -r pid ticks port; do
    echo "Stopping the gateway on port $port (process $pid) …"
    kill -TERM "$pid" 2>/dev/null || true
    waited=0 # give the requests in flight their drain time (30 s by default) first
    while is_ours "$pid" "$ticks" && [ "$waited" -lt 400 ]; do
      sleep 0.1
      waited=$((waited + 1))
    done
    if is_ours "$pid" "$ticks"; then
      echo "It did not stop within 40 s. Killing it." >&2
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
