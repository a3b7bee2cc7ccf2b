#!/usr/bin/env bash
# private-etc.sh FOLDER CMD... : runs CMD where each file of FOLDER/etc stands in the place of its namesake in /etc, and /run is
# empty but for what sshd wants there. All in a mount namespace of its own: nobody else sees it, and nothing is left of it.
# The process becomes CMD, so that whoever started it can stop it.
set -euo pipefail
if [ "${1:-}" != --inside ]; then
  exec unshare --mount --propagation private bash "$0" --inside "$@"
fi
folder=$2
shift 2
for file in "$folder"/etc/*; do
  mount --bind "$file" "/etc/${file##*/}"
done
mount -t tmpfs tmpfs /run
mkdir -m 755 /run/sshd
exec "$@"
