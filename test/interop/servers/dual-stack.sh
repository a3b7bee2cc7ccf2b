#!/usr/bin/env bash
# dual-stack.sh FOLDER CMD... : runs CMD in a network of its own (unshare -n -m), with its own DNS (dnsmasq) and hosts.
# Nothing outside changes, and all of it is gone when CMD ends.
#   ipv6dead.test  AAAA 2001:db8::dead, whose packets vanish;  A 127.0.0.1, which answers
#   ipv4dead.test  A 198.51.100.99, whose packets vanish;      AAAA 2001:db8::2, which answers
#   alldead.test   both vanish
# PREFER_IPV4=1 has the resolver give A records first, as on a machine whose IPv6 is not to be trusted.
set -euo pipefail
if [ "${1:-}" != --inside ]; then
  exec unshare --net --mount --propagation private bash "$0" --inside "$@"
fi
folder=$2
shift 2
ip link set lo up
ip link add near type veth peer name far
ip link set near up
ip link set far up
ip addr add 198.51.100.2/24 dev near
ip -6 addr add 2001:db8::2/64 dev near nodad
# Neighbours that are known and do not exist: a SYN to them leaves, and is never answered.
for address in 2001:db8::dead 198.51.100.99; do
  ip neigh add "$address" lladdr 02:00:00:00:00:99 dev near nud permanent
done
printf '127.0.0.1 localhost\n' >"$folder/hosts"
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$folder/resolv.conf"
printf 'hosts: files dns\n' >"$folder/nsswitch.conf"
[ "${PREFER_IPV4:-}" = 1 ] && printf 'precedence ::ffff:0:0/96 100\n' >"$folder/gai.conf" || : >"$folder/gai.conf"
for name in hosts resolv.conf nsswitch.conf gai.conf; do
  [ -e "/etc/$name" ] && mount --bind "$folder/$name" "/etc/$name"
done
dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --port=53 --listen-address=127.0.0.1 --bind-interfaces \
  --user=root --group= --pid-file="$folder/dnsmasq.pid" --local=/test/ \
  --host-record=ipv6dead.test,127.0.0.1,2001:db8::dead \
  --host-record=ipv4dead.test,198.51.100.99,2001:db8::2 \
  --host-record=alldead.test,198.51.100.99,2001:db8::dead
trap 'kill "$(cat "$folder/dnsmasq.pid")"' EXIT
"$@"
