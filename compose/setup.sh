#!/usr/bin/env bash
# Brings a machine to where taskscope runs: a Python >= 3.12, .venv from uv.lock, redis-server
# and prometheus. Installs only what is missing, and leaves the system's own services alone.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

# A service package may start its service on installation: policy-rc.d is Debian's way to say no.
forbid_service_starts() {
  [ -e /usr/sbin/policy-rc.d ] && return 0
  printf '#!/bin/sh\nexit 101\n' | $SUDO tee /usr/sbin/policy-rc.d >/dev/null
  $SUDO chmod 755 /usr/sbin/policy-rc.d
  trap '$SUDO rm -f /usr/sbin/policy-rc.d' EXIT
}

install_packages() {
  local command="apt-get install -y --no-install-recommends $*"
  if [ "$(id -u)" = 0 ]; then SUDO=""
  elif sudo -n true 2>/dev/null; then SUDO="sudo"
  else
    say "missing: $*. Installing them needs root. Type this, then run make again:"
    printf '    sudo %s\n' "$command" >&2
    exit 3
  fi
  command -v apt-get >/dev/null || { say "missing: $*, and there is no apt-get: install them by hand"; exit 3; }
  say "installing $*"
  forbid_service_starts
  $SUDO env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null
  # shellcheck disable=SC2086
  $SUDO env DEBIAN_FRONTEND=noninteractive $command -q >/dev/null
  # What was just installed shall not come up at the next boot either.
  for unit in redis-server prometheus prometheus-node-exporter; do
    case " $* " in *" $unit "*) $SUDO systemctl disable "$unit" >/dev/null 2>&1 || true ;; esac
  done
}

find_python() {  # prints an interpreter that really runs: a pyenv shim may exist and exit 127
  local candidate
  for candidate in python3.12 python3.13 python3.14 python3 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python; do
    "$candidate" -c 'import sys; assert sys.version_info >= (3, 12); print(sys.executable)' 2>/dev/null && return 0
  done
  return 1
}

find_uv() {  # prints a uv that runs: the user's own, or one installed under .tools
  if uv --version >/dev/null 2>&1; then command -v uv; return 0; fi
  if [ ! -x .tools/bin/uv ]; then
    local python; python=$(find_python || command -v python3 || true)
    if [ -z "$python" ] || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
      install_packages python3 python3-venv
      python=/usr/bin/python3
    fi
    say "installing uv under .tools"
    "$python" -m venv .tools && .tools/bin/pip install -q --disable-pip-version-check uv
  fi
  echo .tools/bin/uv
}

services=()
command -v redis-server >/dev/null || services+=(redis-server)
command -v prometheus >/dev/null || services+=(prometheus)
[ ${#services[@]} = 0 ] || install_packages "${services[@]}"

fingerprint=$(cat pyproject.toml instrumentation/pyproject.toml uv.lock compose/setup.sh | sha256sum)
if [ "$(cat .venv/setup-done 2>/dev/null)" != "$fingerprint" ]; then
  uv=$(find_uv)
  python=$(find_python) || python=3.12  # none runs here: uv fetches one
  say "creating .venv with $python"
  # Where Python may keep nothing that it compiles, each start would compile all that it imports.
  "$uv" sync --quiet --frozen --python "$python" ${PYTHONDONTWRITEBYTECODE:+--compile-bytecode} || {
    [ "$python" != 3.12 ] || say "no Python >= 3.12 runs here, and none could be fetched: install one, run make again"
    exit 3
  }
  printf '%s\n' "$fingerprint" > .venv/setup-done
fi

# The same for our own modules, of which every process of a run imports some. Cheap where it is done.
if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then
  .venv/bin/python -m compileall -q \
    compose exporters extract grafana instrumentation loadgen prometheus queries tasks taskscope
fi
