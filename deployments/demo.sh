#!/usr/bin/env bash
# The demo: an embedded database of its own, a small market, one daily rebalance, its targets.
set -euo pipefail
bin=${1:-.venv/bin}
export EVENKEEL_DATABASE_URL=${EVENKEEL_DATABASE_URL:-sqlite:///var/demo/evenkeel.db}
export EVENKEEL_TARGETS=${EVENKEEL_TARGETS:-var/demo/targets}
export PREFECT_HOME=${PREFECT_HOME:-$PWD/var/prefect}
as_of=2026-11-20

"$bin/evenkeel" init
"$bin/evenkeel" demo-data --as-of "$as_of"
"$bin/evenkeel" run --as-of "$as_of" --policy conservative
echo
echo "Next: README.md says how to watch this in the Prefect UI, and how to bring your own tables."
