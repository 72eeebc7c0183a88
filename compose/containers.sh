#!/usr/bin/env bash
# `make up`, `make down`, `make logs`: the stack of compose.yaml, with whichever engine there is.
set -euo pipefail
cd "$(dirname "$0")"

fail() { printf 'taskscope: %s\n%s\n' "$1" "$2" >&2; exit 3; }

find_engine() {  # sets compose=(...), the command that speaks Compose
  local without="Or run without containers: \`make bench\` needs none."
  if command -v docker >/dev/null; then
    if ! docker compose version >/dev/null 2>&1; then
      command -v podman >/dev/null || fail "docker is here, but not its Compose plugin." \
        "Install docker-compose-plugin (Compose 2.20 or newer). $without"
    elif docker info >/dev/null 2>&1; then
      compose=(docker compose); return
    elif ! command -v podman >/dev/null; then
      fail "docker is here, but its engine does not answer: $(docker info 2>&1 | tail -n 1)" \
        "Start it (\`sudo systemctl start docker\`), or let this user reach it (group docker). $without"
    fi
  fi
  if command -v podman >/dev/null; then
    command -v podman-compose >/dev/null || fail "podman is here, but not podman-compose." \
      "Install it (\`pipx install podman-compose\`). $without"
    compose=(podman-compose); return
  fi
  fail "There is no container engine: neither docker nor podman is on PATH." \
    "Install Docker Engine with its Compose plugin, or podman with podman-compose. $without"
}

write_passwords() {  # once: nothing has a default password
  [ -e .env ] && return
  password() { head -c 18 /dev/urandom | base64 | tr '+/' '-_'; }
  (umask 077; printf 'GRAFANA_ADMIN_PASSWORD=%s\nREDIS_PASSWORD=%s\n' "$(password)" "$(password)" > .env)
  echo "taskscope: made passwords for Grafana (user admin) and Redis: see compose/.env" >&2
}

main() {
  local action=$1; shift
  local profiles=()
  for profile in ${PROFILES:-monitoring workers}; do profiles+=(--profile "$profile"); done
  case $action in
    up)
      find_engine; write_passwords
      "${compose[@]}" -f compose.yaml "${profiles[@]}" up -d --build "$@"
      echo "Grafana: http://127.0.0.1:${GRAFANA_PORT:-3000}, Prometheus: http://127.0.0.1:${PROMETHEUS_PORT:-9090}" ;;
    down) find_engine; write_passwords
      "${compose[@]}" -f compose.yaml --profile monitoring --profile workers --profile bench down "$@" ;;
    logs) find_engine; write_passwords
      "${compose[@]}" -f compose.yaml --profile monitoring --profile workers --profile bench logs --tail 200 "$@" ;;
    *) fail "containers.sh: no such action: $action" "Say up, down or logs." ;;
  esac
}

main "$@"
