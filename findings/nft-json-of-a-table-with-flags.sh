#!/usr/bin/env bash
# `nft -j list table` of a table with a flag (dormant, owner) writes JSON out of memory that libnftables has freed (1.0.6, Debian 12):
# valgrind tells, and a program with another heap than `nft` has may end by it ("corrupted double-linked list", SIGABRT).
# Needs root, nft and valgrind (Debian: nftables, valgrind). Acts in a network namespace of its own.
set -euo pipefail
nft --version
seen=$(unshare --net sh -ec '
  nft "add table inet flagged { flags dormant; }"
  valgrind -q --undef-value-errors=no nft -j list table inet flagged 2>&1')
echo "$seen" | head -12
grep -q 'Invalid read' <<<"$seen"
