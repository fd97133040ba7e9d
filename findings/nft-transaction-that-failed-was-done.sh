#!/usr/bin/env bash
# A transaction of libnftables fails with "Interrupted system call" when a signal that the process handles comes in its midst, and was
# done all the same: the answer that says so lies unread in the socket. `mnl_batch_talk` (src/mnl.c) looks by select(2) whether more
# answers wait; select is never begun again after a handler, whatever SA_RESTART says (signal(7)), and what it says then is taken for
# the kernel's refusal. So who repeats what failed adds a rule twice, and has EEXIST of `create`. A thread that runs transactions had
# better block signals.
# Needs root, python3 and libnftables.so.1 (the version is printed); all of it happens in a namespace of its own, in a few seconds.
set -euo pipefail
[ "${1-}" = inside ] || exec unshare --net "$(readlink -f "$0")" inside
python3 - "$(dpkg-query -W -f '${Version}' libnftables1 2>/dev/null || echo unknown)" <<'END'
import ctypes, json, platform, signal, sys

nft = ctypes.CDLL("libnftables.so.1")
nft.nft_ctx_new.restype = ctypes.c_void_p
nft.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
nft.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
context = ctypes.c_void_p(nft.nft_ctx_new(0))
nft.nft_ctx_buffer_output(context)
nft.nft_ctx_buffer_error(context)
JSON_OUTPUT = 1 << 4


def run(command):
    if nft.nft_run_cmd_from_buffer(context, command.encode()) == 0:
        return None
    return nft.nft_ctx_get_error_buffer(context).decode().strip().splitlines()[0]


assert run("add table inet t; add set inet t s { type ipv4_addr; }") is None
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)
failed = {}
tried = 0
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.00013)
for number in range(30_000):
    if len(failed) == 5:
        break
    tried += 1
    address = f"10.0.{number >> 8}.{number & 255}"
    if error := run(f"add element inet t s {{ {address} }}"):
        failed[address] = error
signal.setitimer(signal.ITIMER_REAL, 0)
nft.nft_ctx_output_set_flags(context, JSON_OUTPUT)
assert run("list set inet t s") is None
listing = json.loads(nft.nft_ctx_get_output_buffer(context))
there = {item for each in listing["nftables"] for item in each.get("set", {}).get("elem", [])}
done = [address for address in failed if address in there]
print(f"kernel {'.'.join(platform.release().split('.')[:2])}, libnftables1 {sys.argv[1]}")
print(f"of {tried} transactions {len(failed)} failed: {next(iter(failed.values()), 'none')}")
print(f"of those {len(done)} were done")
if not failed:
    sys.exit("no signal came while the library looked for answers: that shows nothing, run it again")
sys.exit(0 if len(done) == len(failed) else 1)
END
