#!/usr/bin/env bash
# system-store.sh FOLDER AUTHORITY CMD... : runs CMD where the system's store of authorities is a copy, to which AUTHORITY
# (PEM) was added as its administrator would do it. The copy is made in FOLDER, without the hooks that tell other programs,
# and stands in the store's place in a mount namespace of its own: nobody else sees it.
set -euo pipefail
if [ "${1:-}" != --inside ]; then
  exec unshare --mount --propagation private bash "$0" --inside "$@"
fi
folder=$2 authority=$3
shift 3
mkdir -p "$folder/certs" "$folder/local"
cp "$authority" "$folder/local/urllib3-lab.crt"
update-ca-certificates --etccertsdir "$folder/certs" --localcertsdir "$folder/local" --hooksdir "$folder/none" >&2
mount --bind "$folder/certs" /etc/ssl/certs
"$@"
