#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bonsai on this machine in one command: sudo deploy/quickstart.sh [up|down]
#   up    installs and builds what is missing, makes two pods and an outside client of network
#         namespaces, starts the agent between them, changes its ConfigMap and shows what that does
#   down  removes all of it (packages and build/ stay)
# Nothing of the machine's own is touched but the forwarding switches, which `down` sets back: all
# devices are named bqs-*, all addresses are from the ranges kept for documentation.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/preflight.sh
. deploy/preflight.sh

STATE=/run/bonsai-quickstart
BPF_ROOT=/sys/fs/bpf/bonsai-quickstart
BIN=$PWD/build/release/bin
LOG=$STATE/agent.log
export BONSAI_SOCKET=$STATE/agent.sock

POD_A4=198.51.100.10 POD_A6=2001:db8:1::a POD_B4=198.51.100.11 POD_B6=2001:db8:1::b
GATEWAY4=198.51.100.1 GATEWAY6=2001:db8:1::1
CLIENT4=203.0.113.2 CLIENT6=2001:db8:2::2 UPLINK4=203.0.113.1 UPLINK6=2001:db8:2::1
SERVICE4=192.0.2.10 SERVICE6=2001:db8:3::10
POD_A=bonsai-qs-pod-a POD_B=bonsai-qs-pod-b CLIENT=bonsai-qs-client

step() { printf '\n== %s\n' "$*"; }
die() { trap - ERR; echo "quickstart: $*" >&2; exit 1; }
trap 'die "\"$BASH_COMMAND\" failed (line $LINENO)"' ERR

in_netns() { nsenter --net="/run/netns/$1" "${@:2}"; }

# ---- the stage: namespaces, devices, switches ----

save_sysctl() {  # KEY NEW-VALUE
  local file=/proc/sys/${1//.//} old
  old=$(< "$file")
  [[ $old == "$2" ]] && return
  echo "$file $old" >> "$STATE/sysctls"
  echo "$2" > "$file"
}

# Forwarding for both families. A node that forwards IPv6 no longer listens to router
# advertisements unless told to: devices that did, still do.
enable_forwarding() {
  local conf
  save_sysctl net.ipv4.ip_forward 1
  [[ $(< /proc/sys/net/ipv6/conf/all/forwarding) == 0 ]] || return 0
  for conf in /proc/sys/net/ipv6/conf/*; do
    [[ $(< "$conf/accept_ra") == 1 ]] || continue
    echo "$conf/accept_ra 1" >> "$STATE/sysctls"
    echo 2 > "$conf/accept_ra"
  done
  for conf in /proc/sys/net/ipv6/conf/*; do
    echo "$conf/forwarding $(< "$conf/forwarding")" >> "$STATE/sysctls"
  done
  echo "/proc/sys/net/ipv6/conf/all/forwarding 0" >> "$STATE/sysctls"
  echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
}

# Backwards: the switch for all devices first, which sets each of them, then what each had.
restore_sysctls() {
  local file value
  [[ -f $STATE/sysctls ]] || return 0
  while read -r file value; do
    if [[ -e $file ]]; then echo "$value" > "$file"; fi
  done < <(tac "$STATE/sysctls")
}

# A firewall whose last word is DROP for forwarded packets (docker and ufw do that) lets ours pass.
open_firewall() {
  local tool
  for tool in iptables ip6tables; do
    command -v "$tool" > /dev/null || continue
    "$tool" -S FORWARD 2> /dev/null | grep -qx -- '-P FORWARD DROP' || continue
    "$tool" -I FORWARD -i bqs-+ -o bqs-+ -j ACCEPT
    echo "$tool" >> "$STATE/firewall"
  done
}

close_firewall() {
  local tool
  [[ -f $STATE/firewall ]] || return 0
  while read -r tool; do
    "$tool" -D FORWARD -i bqs-+ -o bqs-+ -j ACCEPT 2> /dev/null || true
  done < "$STATE/firewall"
}

add_namespace() {  # NAMESPACE DEVICE ADDRESS4/LEN ADDRESS6/LEN HOST4/LEN HOST6/LEN
  ip netns add "$1"
  ip link add "$2" type veth peer name eth0 netns "$1"
  echo 0 > "/proc/sys/net/ipv6/conf/$2/disable_ipv6"
  echo 0 > "/proc/sys/net/ipv6/conf/$2/accept_dad"
  ip addr add "$5" dev "$2"
  ip -6 addr add "$6" dev "$2" nodad
  ip link set "$2" up
  in_netns "$1" sh -e -c "
    echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6
    echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad
    ip link set lo up
    ip addr add $3 dev eth0
    ip -6 addr add $4 dev eth0 nodad
    ip link set eth0 up
    ip route add ${5%/*} dev eth0 2> /dev/null || true
    ip route add default via ${5%/*} dev eth0
    ip -6 route add ${6%/*} dev eth0 2> /dev/null || true
    ip -6 route add default via ${6%/*} dev eth0"
}

build_stage() {
  enable_forwarding
  open_firewall
  add_namespace $POD_A bqs-pod-a $POD_A4/32 $POD_A6/128 $GATEWAY4/32 $GATEWAY6/128
  add_namespace $POD_B bqs-pod-b $POD_B4/32 $POD_B6/128 $GATEWAY4/32 $GATEWAY6/128
  add_namespace $CLIENT bqs-uplink $CLIENT4/24 $CLIENT6/64 $UPLINK4/24 $UPLINK6/64
  ip route add $POD_A4/32 dev bqs-pod-a
  ip route add $POD_B4/32 dev bqs-pod-b
  ip -6 route add $POD_A6/128 dev bqs-pod-a
  ip -6 route add $POD_B6/128 dev bqs-pod-b
  # What no one translates stays on this machine.
  ip route add unreachable $SERVICE4/32
  ip -6 route add unreachable $SERVICE6/128
  # The server in pod-b: says who it is, in one line, over either family.
  in_netns $POD_B setsid socat TCP6-LISTEN:8080,ipv6only=0,reuseaddr,fork SYSTEM:'echo pod-b' \
    < /dev/null > "$STATE/server.log" 2>&1 &
  echo $! > "$STATE/server.pid"
}

# ---- what a cluster would tell the agent ----

pod_manifest() {  # NAME ADDRESS4 ADDRESS6
  cat << YAML
apiVersion: v1
kind: Pod
metadata: {name: $1, namespace: quickstart, labels: {app: $1}}
spec:
  nodeName: quickstart
  containers: [{name: main, ports: [{name: http, containerPort: 8080}]}]
status: {phase: Running, podIP: "$2", podIPs: [{ip: "$2"}, {ip: "$3"}]}
---
YAML
}

slice_manifest() {  # FAMILY ADDRESS
  cat << YAML
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: echo-${1,,}, namespace: quickstart, labels: {kubernetes.io/service-name: echo}}
addressType: $1
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints: [{addresses: ["$2"], conditions: {ready: true}}]
---
YAML
}

write_manifests() {
  mkdir -p "$STATE/manifests"
  {
    echo 'apiVersion: v1'
    echo 'kind: Namespace'
    echo 'metadata: {name: quickstart}'
    echo '---'
    pod_manifest pod-a $POD_A4 $POD_A6
    pod_manifest pod-b $POD_B4 $POD_B6
    slice_manifest IPv4 $POD_B4
    slice_manifest IPv6 $POD_B6
    cat << YAML
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: quickstart}
spec:
  selector: {app: pod-b}
  clusterIP: "$SERVICE4"
  clusterIPs: ["$SERVICE4", "$SERVICE6"]
  ipFamilies: [IPv4, IPv6]
  ports: [{name: http, port: 80, targetPort: 8080, protocol: TCP}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-pod-a, namespace: quickstart}
spec:
  podSelector: {matchLabels: {app: pod-b}}
  policyTypes: [Ingress]
  ingress:
    - from: [{podSelector: {matchLabels: {app: pod-a}}}]
YAML
  } > "$STATE/manifests/cluster.yaml"
}

# Swaps the ConfigMap as a kubelet does: a new directory, then the ..data link moved in one step.
swap_config() {  # KEY=VALUE...
  local config=$STATE/config version pair key old
  version=..$(date +%Y_%m_%d_%H_%M_%S.%N)
  mkdir -p "$config/$version"
  for pair in pod-devices='bqs-pod-*' uplink-devices=bqs-uplink metrics-address="127.0.0.1:$METRICS" "$@"; do
    printf '%s' "${pair#*=}" > "$config/$version/${pair%%=*}"
  done
  old=$(readlink "$config/..data" || true)
  ln -s "$version" "$config/..data_tmp"
  mv -T "$config/..data_tmp" "$config/..data"
  for key in "$config/$version"/*; do
    key=${key##*/}
    [[ -L $config/$key ]] || ln -s "..data/$key" "$config/$key"
  done
  for key in "$config"/*; do
    if [[ ! -e $key ]]; then rm "$key"; fi
  done
  if [[ -n $old ]]; then rm -rf "${config:?}/$old"; fi
}

# ---- the agent ----

status_json() { "$BIN/agentctl" status -o json 2> /dev/null || true; }

generation() { status_json | jq -r '.configuration.generation // 0' 2> /dev/null || echo 0; }

agent_is_alive() {
  local pid
  pid=$(cat "$STATE/agent.pid" 2> /dev/null) || return 1
  [[ $(readlink "/proc/$pid/exe" 2> /dev/null) == */bonsai-agent* ]]
}

# In force means: a generation after OLD, all that is on disk, and healthy.
wait_in_force() {  # OLD-GENERATION
  local tries facts
  for ((tries = 0; tries < 300; tries++)); do
    agent_is_alive || die "the agent has stopped: $(tail -n 1 "$LOG"); its log is $LOG"
    facts=$(status_json | jq -r '[(.configuration.generation // 0 | tonumber), .configuration.in_sync == true,
      .health == "HEALTH_HEALTHY"] | @tsv' 2> /dev/null || true)
    read -r now in_sync healthy <<< "$facts"
    if [[ ${now:-0} -gt $1 && $in_sync == true && $healthy == true ]]; then return; fi
    sleep 0.1
  done
  die "the configuration is not in force after 30 s: $(status_json |
    jq -r '.problems // [] | map(.message) | join("; ")'); the agent's log is $LOG"
}

start_agent() {
  setsid "$BIN/bonsai-agent" --config-dir "$STATE/config" --manifests-dir "$STATE/manifests" \
    --bpf-dir "$PWD/build/release/bpf" --bpf-root "$BPF_ROOT" --socket "$BONSAI_SOCKET" \
    --node-name quickstart < /dev/null > "$LOG" 2>&1 &
  local pid=$! tries
  echo "$pid" > "$STATE/agent.pid"
  # Until setsid has become the agent, /proc would say that no agent runs.
  for ((tries = 0; tries < 100; tries++)); do
    if agent_is_alive || [[ ! -d /proc/$pid ]]; then return; fi
    sleep 0.05
  done
}

free_port() {
  local port
  for ((port = 9962; port < 9990; port++)); do
    if [[ -z $(ss -Hltn "sport = :$port") ]]; then echo $port; return; fi
  done
  die "no free port for metrics from 9962 to 9989"
}

# ---- traffic ----

ask() { in_netns "$1" socat -T 2 - "TCP:$2,connect-timeout=1" < /dev/null 2> /dev/null | grep -q pod-b; }
echo_request() { in_netns "$1" ping -n -q -c 2 -i 0.2 -W 1 "$2" > /dev/null 2>&1; }

expect() {  # passes|blocked WHAT COMMAND...
  local wanted=$1 what=$2 got=blocked
  shift 2
  if "$@"; then got=passes; fi
  printf '  %-58s %s\n' "$what" "$got"
  [[ $got == "$wanted" ]] || die "$what: $got, but $wanted was expected; the agent's log is $LOG"
}

ROWS=()
record() {  # NAME
  ROWS+=("$(status_json | jq -r --arg name "$1" '
    def mib: (. // 0 | tonumber) / 1048576 * 10 | round / 10;
    [$name, (.features_on | length), "\(.memory.maps_created // 0)/\(.memory.maps_total)",
     "\((.datapath.entry_programs_loaded // 0) + (.datapath.tail_calls_loaded // 0))",
     (.memory.loaded_bytes | mib), (.memory.saved_bytes | mib)] | map(tostring) | join("|")')")
}

print_rows() {
  local row name features maps programs used saved
  printf '  %-34s %8s %8s %9s %12s %11s\n' configuration features maps programs 'used (MiB)' 'saved (MiB)'
  for row in "${ROWS[@]}"; do
    IFS='|' read -r name features maps programs used saved <<< "$row"
    printf '  %-34s %8s %8s %9s %12s %11s\n' "$name" "$features" "$maps" "$programs" "$used" "$saved"
  done
}

OFF=(enable-ipv4=true enable-ipv6=false enable-conntrack=false enable-policy=false enable-load-balancer=false
  enable-prefilter=false enable-flow-events=false enable-datapath-metrics=false)

change() {  # NAME KEY=VALUE...
  local name=$1 before
  shift
  before=$(generation)
  step "ConfigMap: $name"
  swap_config "$@"
  wait_in_force "$before"
  record "$name"
}

play() {
  step "starting the agent with every feature on"
  swap_config enable-ipv4=true enable-ipv6=true enable-conntrack=true enable-policy=true \
    enable-load-balancer=true enable-prefilter=true prefilter-cidrs=$CLIENT4/32,$CLIENT6/128 \
    enable-flow-events=true enable-datapath-metrics=true
  start_agent
  wait_in_force 0
  record "everything on"
  expect passes "pod-a pings pod-b, IPv4" echo_request $POD_A $POD_B4
  expect passes "pod-a pings pod-b, IPv6" echo_request $POD_A $POD_B6
  expect passes "pod-a reaches the service, IPv4" ask $POD_A $SERVICE4:80
  expect passes "pod-a reaches the service, IPv6" ask $POD_A "[$SERVICE6]:80"
  expect blocked "client pings pod-a: its address is prefiltered" echo_request $CLIENT $POD_A4
  echo
  "$BIN/agentctl" status

  change "prefilter off" enable-policy=true enable-load-balancer=true enable-flow-events=true
  expect passes "client pings pod-a, IPv4" echo_request $CLIENT $POD_A4
  expect passes "client pings pod-a, IPv6" echo_request $CLIENT $POD_A6
  expect blocked "client reaches pod-b: a NetworkPolicy forbids it" ask $CLIENT $POD_B4:8080
  expect passes "pod-a reaches pod-b: the NetworkPolicy allows it" ask $POD_A $POD_B4:8080

  change "policy off, too" enable-load-balancer=true enable-flow-events=true
  expect passes "client reaches pod-b, IPv4" ask $CLIENT $POD_B4:8080
  expect passes "client reaches pod-b, IPv6" ask $CLIENT "[$POD_B6]:8080"
  expect passes "pod-a reaches the service, IPv4" ask $POD_A $SERVICE4:80

  change "load balancer off, too" enable-flow-events=true
  expect blocked "pod-a reaches the service: no one translates it" ask $POD_A $SERVICE4:80
  expect passes "pod-a reaches pod-b, IPv4" ask $POD_A $POD_B4:8080

  change "everything off but IPv4" "${OFF[@]}"
  expect passes "pod-a pings pod-b, IPv4" echo_request $POD_A $POD_B4
  expect passes "client reaches pod-b, IPv4" ask $CLIENT $POD_B4:8080
  echo
  "$BIN/agentctl" status

  change "the defaults, policy and load balancer" enable-policy=true enable-load-balancer=true
  expect passes "pod-a reaches the service, IPv4" ask $POD_A $SERVICE4:80
  expect blocked "client reaches pod-b: a NetworkPolicy forbids it" ask $CLIENT $POD_B4:8080

  step "what each configuration took of the kernel's memory, and what cutting the rest away saved"
  print_rows
}

# ---- up and down ----

remove_all() {
  local pid tries namespace device
  if agent_is_alive; then
    pid=$(< "$STATE/agent.pid")
    kill -TERM "$pid" 2> /dev/null || true
    for ((tries = 0; tries < 100; tries++)); do
      agent_is_alive || break
      sleep 0.1
    done
    if agent_is_alive; then kill -KILL "$pid"; fi
  fi
  if [[ -d $BPF_ROOT && -x $BIN/bonsai-agent ]]; then
    "$BIN/bonsai-agent" --uninstall --bpf-root "$BPF_ROOT" --socket "$BONSAI_SOCKET" > /dev/null ||
      echo "quickstart: removing the datapath failed; its devices go anyway" >&2
  fi
  pid=$(cat "$STATE/server.pid" 2> /dev/null || true)
  if [[ -n $pid && $(readlink "/proc/$pid/exe" 2> /dev/null) == */socat* ]]; then kill "$pid" || true; fi
  for device in bqs-pod-a bqs-pod-b bqs-uplink; do
    ip link del "$device" 2> /dev/null || true
  done
  for namespace in $POD_A $POD_B $CLIENT; do
    ip netns del "$namespace" 2> /dev/null || true
  done
  ip route del unreachable $SERVICE4/32 2> /dev/null || true
  ip -6 route del unreachable $SERVICE6/128 2> /dev/null || true
  close_firewall
  restore_sysctls
  rm -rf "$BPF_ROOT"
  if [[ -e $STATE/mounted-bpffs && -z $(ls -A /sys/fs/bpf) ]]; then umount /sys/fs/bpf || true; fi
  rm -rf "$STATE"
}

up() {
  preflight_root || exit 1
  preflight_kernel || exit 1
  preflight_bpf || exit 1
  [[ -d /proc/sys/net/ipv6 ]] || die "the kernel runs without IPv6, which the quickstart shows as well"
  if [[ -d $STATE ]]; then
    step "removing what an earlier run left"
    remove_all
  fi
  preflight_bpffs || exit 1

  step "installing what is missing"
  deploy/install-deps.sh build run
  step "building (preset release)"
  mkdir -p build
  cmake --preset release > build/configure.log 2>&1 ||
    { tail -n 20 build/configure.log >&2; die "cmake failed: see the lines above"; }
  cmake --build --preset release
  if [[ -n ${SUDO_UID:-} ]]; then chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" build; fi

  step "making two pods and a client"
  mkdir -p "$STATE"
  if [[ $PREFLIGHT_MOUNTED == 1 ]]; then touch "$STATE/mounted-bpffs"; fi
  METRICS=$(free_port)
  build_stage
  write_manifests
  expect passes "pod-a pings pod-b without Bonsai, IPv4" echo_request $POD_A $POD_B4
  expect passes "client pings pod-b without Bonsai, IPv6" echo_request $CLIENT $POD_B6
  play

  step "it keeps running"
  cat << HINT
  look:    sudo BONSAI_SOCKET=$BONSAI_SOCKET $BIN/agentctl status | features | maps | flows
  metrics: curl http://127.0.0.1:$METRICS/metrics
  traffic: sudo ip netns exec $POD_A ping $POD_B4
  change:  a file of $STATE/config/..data, then look again
  remove:  sudo deploy/quickstart.sh down
HINT
}

case ${1:-up} in
  up) up ;;
  down)
    preflight_root || exit 1
    remove_all
    echo "quickstart: removed"
    ;;
  *) die "usage: quickstart.sh [up|down]" ;;
esac
