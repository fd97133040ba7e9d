#!/usr/bin/env bash
# npm test: what is missing first, then the suites. Whatever becomes of either, it ends with the line `N passed, N failed`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash deploy/setup.sh --test || {
  code=$?
  printf '\nfailed:\n  the set-up: it ended with %s\n\n0 passed, 1 failed\n' "$code"
  exit "$code"
}
exec node test/run.ts "$@"
