#!/bin/sh
# Installs overlayd from the folder that this file lies in, which stays where it is: links to it, the unit, manual pages,
# completions, the group `overlayd`. Again after a newer archive was unpacked beside it. `overlayd uninstall` takes it out.
set -eu
root=$(dirname "$(readlink -f "$0")")
manifest=$root/installed
say() { printf 'install: %s\n' "$*"; }

[ "$(id -u)" = 0 ] || {
  echo 'install: run it as root' >&2
  exit 1
}
before=$(readlink -f /usr/local/bin/overlayd 2>/dev/null || true)
old=${before%/dist/overlayd}
# What is made once, and taken away with the last release: what an earlier one has made is ours still.
made=
if [ -n "$before" ] && [ -e "$old/installed" ]; then made=$(grep -E '/$|^group ' "$old/installed" || true); fi
installed=${made:+$made
}
directory() {
  [ -d "$1" ] && return
  directory "$(dirname "$1")"
  mkdir "$1"
  installed="$installed$1/
"
}
link() {
  directory "$(dirname "$2")"
  ln -sfn "$root/$1" "$2"
  installed="$installed$2
"
}

link dist/overlayd /usr/local/bin/overlayd
link deploy/docker-setup.sh /usr/local/sbin/overlayd-docker-setup
for page in "$root"/man/*; do link "man/${page##*/}" "/usr/local/share/man/man1/${page##*/}"; done
link completions/bash /usr/local/share/bash-completion/completions/overlayd
link completions/zsh /usr/local/share/zsh/site-functions/_overlayd
link completions/fish /usr/local/share/fish/vendor_completions.d/overlayd.fish
if ! getent group overlayd >/dev/null; then
  groupadd --system overlayd
  installed="${installed}group overlayd
"
fi
unit=/etc/systemd/system/overlayd.service
if [ -d /etc/systemd/system ]; then
  rm -f $unit
  cp "$root/deploy/overlayd.service" $unit
  installed="$installed$unit
"
fi
printf '%s' "$installed" >"$manifest"

case $(ldconfig -p 2>/dev/null) in
  *libnftables.so.1*) ;;
  *) say 'the library libnftables is missing, which the agent needs (Debian: apt install libnftables1)' ;;
esac
command -v etcd >/dev/null || say 'etcd is missing, which the first hosts of a cluster run (Debian: apt install etcd-server; systemctl disable --now etcd)'
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl enable --quiet overlayd
  # Networks, names and etcd go on meanwhile.
  systemctl restart overlayd
  say 'overlayd runs. Next: overlayd init, or overlayd join'
else
  say 'no systemd here: run `overlayd agent` under your own supervisor. Next: overlayd init, or overlayd join'
fi
if [ -n "$before" ] && [ "$old" != "$root" ] && [ -e "$old/installed" ]; then say "the release before may be deleted: $old"; fi
