# SPDX-License-Identifier: Apache-2.0
# Sourced by scripts/cluster: where the cluster is, its processes and control groups. Every process of it is in a group
# below $tree, its pods too, so that one write ends them all and nothing else.
# shellcheck shell=bash disable=SC2034
state=/var/cache/faultline-cluster
group=faultline-cluster
nodes=(n1 n2)
declare -A address=([n1]=10.99.0.1 [n2]=10.99.0.2 [control]=10.99.0.254)
declare -A pods=([n1]=10.244.1.0/24 [n2]=10.244.2.0/24)
services=10.96.0.0/24 dns=10.96.0.10 port=16443
control_parts=(etcd apiserver scheduler controller-manager proxy dns names gate-inside gate)
node_parts=(containerd kubelet proxy)

# Where cgroup2 is mounted, and every hierarchy there is (on machines with cgroup v1 too, one a controller).
hierarchies() { awk '{ for (i = 7; i < NF; i++) if ($i == "-") { if ($(i + 1) ~ "^('"$1"')$") print $5; next } }' /proc/self/mountinfo; }
tree=$(hierarchies cgroup2 | head -1)/$group

fail() { echo "cluster: $*" >&2; exit 5; }

# until_true SECONDS WHAT COMMAND...: a command that returns 99 knows that it never will be.
until_true() {
  local limit=$((${EPOCHREALTIME/./} / 1000 + $1 * 1000)) what=$2 code
  shift 2
  while :; do
    code=0
    "$@" >/dev/null 2>&1 || code=$?
    [ $code -ne 0 ] || return 0
    [ $code -ne 99 ] || fail "$what: has ended"
    [ $((${EPOCHREALTIME/./} / 1000)) -lt $limit ] || fail "$what: not within its time"
    sleep 0.1
  done
}

# pid PART: of the living process, if there is one. A number that another process took over is not it.
pid() {
  local number
  number=$(cat "$state/pid/$1" 2>/dev/null) && grep -qs "/$group/parts/$1\$" "/proc/$number/cgroup" && echo "$number"
}

# launch PART COMMAND...: in the background, in a group of its own, with a log of its own.
launch() {
  local part=$1
  shift
  mkdir -p "$tree/parts/$part"
  # shellcheck disable=SC2016
  setsid sh -c 'echo $$ >"$1/cgroup.procs" && echo $$ >"$2" && shift 2 && exec "$@"' sh "$tree/parts/$part" \
    "$state/pid/$part" "$@" </dev/null >>"$state/log/$part.log" 2>&1 8>&- &
  disown # its end is not for this shell to speak of
}

# inside NODE|control COMMAND...: in its namespaces.
inside() {
  local where=$1 holder
  shift
  holder=$(pid "$where") || fail "$where does not run; try: scripts/cluster up"
  if [ "$where" = control ]; then nsenter --target "$holder" --net "$@"; else
    nsenter --target "$holder" --net --mount --uts --wd=/ "$@"
  fi
}
# launch_inside NODE|control PART COMMAND...
launch_inside() {
  local where=$1 part=$2 holder ns=(--net)
  shift 2
  holder=$(pid "$where") || fail "$where does not run; try: scripts/cluster up"
  [ "$where" = control ] || ns+=(--mount --uts --wd=/)
  launch "$part" nsenter --target "$holder" "${ns[@]}" "$@"
}

proxy() { # proxy NODE|control PART
  launch_inside "$1" "$2" "$bin/kube-proxy" --kubeconfig="$state/pki/kube-proxy.kubeconfig" --proxy-mode=iptables \
    --hostname-override="$1" --bind-address="${address[$1]}" --healthz-bind-address=127.0.0.1:10256 \
    --metrics-bind-address=127.0.0.1:10249 --cluster-cidr=10.244.0.0/16 \
    --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
}

start_part() {
  local part=$1 node=${1%%-*} pki=$state/pki
  case $part in
  etcd)
    launch_inside control etcd etcd --data-dir "$state/etcd" --listen-client-urls http://127.0.0.1:2379 \
      --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 \
      --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380 --unsafe-no-fsync
    ;;
  apiserver)
    launch_inside control apiserver "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 \
      --advertise-address="${address[control]}" --secure-port=6443 --insecure-port=0 \
      --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
      --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
      --service-account-issuer=https://kubernetes.default.svc --service-account-signing-key-file="$pki/sa.key" \
      --service-account-key-file="$pki/sa.pub" --service-cluster-ip-range=$services \
      --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
      --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
      --feature-gates=BoundServiceAccountTokenVolume=true --audit-policy-file="$state/audit.yaml" \
      --audit-log-path="$state/log/audit.json" --max-requests-inflight=800
    ;;
  scheduler)
    launch_inside control scheduler "$bin/kube-scheduler" --kubeconfig="$pki/kube-scheduler.kubeconfig" \
      --leader-elect=false --port=0
    ;;
  controller-manager)
    # Else it makes a folder below /usr/libexec, as kubelet does (volumePluginDir in config.sh).
    launch_inside control controller-manager "$bin/kube-controller-manager" --leader-elect=false --port=0 \
      --flex-volume-plugin-dir="$state/volume-plugins" \
      --kubeconfig="$pki/kube-controller-manager.kubeconfig" --use-service-account-credentials=true \
      --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --node-monitor-grace-period=20s \
      --feature-gates=BoundServiceAccountTokenVolume=true
    ;;
  # Beside the API server, so that it reaches Services: admission webhooks are called by their address.
  proxy) proxy control proxy ;;
  dns)
    launch_inside control dns dnsmasq --keep-in-foreground --log-facility=- --conf-file=/dev/null --no-resolv --no-hosts \
      --user=root --group=root --pid-file --listen-address="${address[control]}" --bind-interfaces \
      --addn-hosts="$state/names" --local=/cluster.local/
    ;;
  names)
    launch_inside control names env KUBECONFIG="$pki/inside.kubeconfig" PATH="$bin:$PATH" "$helpers/names" \
      "$state/names" "$state/pid/dns"
    ;;
  # The one way in from the machine's own network: a port of loopback, through a socket file.
  gate-inside) launch_inside control gate-inside socat "UNIX-LISTEN:$state/api.sock,fork,unlink-early,mode=600" TCP:127.0.0.1:6443 ;;
  gate) launch gate socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork" "UNIX-CONNECT:$state/api.sock" ;;
  n?-containerd) launch_inside "$node" "$part" containerd --config "$state/$node/containerd.toml" ;;
  n?-kubelet)
    # Without the variable it asks a cloud for credentials for six seconds.
    launch_inside "$node" "$part" env AWS_EC2_METADATA_DISABLED=true "$bin/kubelet" --config="$state/$node/kubelet.yaml" \
      --kubeconfig="$pki/$node.kubeconfig" --hostname-override="$node" --node-ip="${address[$node]}" \
      --container-runtime=remote --container-runtime-endpoint=unix:///run/containerd/containerd.sock --runtime-cgroups=/
    ;;
  n?-proxy) proxy "$node" "$part" ;;
  esac
}

# Ends as a crash would end it. Pods run on without their kubelet and containerd.
stop_part() {
  local number
  number=$(pid "$1") || return 0
  kill -KILL "$number" 2>/dev/null || true
  until_true 10 "the end of $1" gone "$1"
}
gone() { ! pid "$1"; }

make_groups() {
  local top node file
  for top in $(hierarchies 'cgroup|cgroup2'); do
    for node in "${nodes[@]}"; do
      mkdir -p "$top/$group/$node"
      [ -e "$top/cpuset.cpus" ] || continue
      [ ! -e "$top/cgroup.controllers" ] || continue
      for file in cpuset.cpus cpuset.mems; do
        cat "$top/$file" >"$top/$group/$file"
        cat "$top/$file" >"$top/$group/$node/$file"
      done
    done
  done
}

# Everything of the cluster, whatever state it is in. Safe when there is nothing.
remove_all() {
  local top
  if [ -d "$tree" ]; then
    mapfile -t ending < <(find "$tree" -name cgroup.procs -exec cat {} +)
    echo 1 >"$tree/cgroup.kill"
    until_true 30 "the end of all processes" all_ended
  fi
  for top in $(hierarchies 'cgroup|cgroup2'); do
    [ ! -d "$top/$group" ] || until_true 10 "removing $top/$group" remove_groups "$top/$group"
  done
  # Namespaces and mounts ended with their processes; a mount that is still going is not entered.
  [ ! -e "$state" ] || until_true 10 "removing $state" rm -rf --one-file-system "$state"
}
# A group is empty a moment before the memory of its last process is free. What only waits to be reaped is gone.
all_ended() {
  local number
  grep -qx 'populated 0' "$tree/cgroup.events" || return 1
  for number in "${ending[@]}"; do grep -qs "/$group/" "/proc/$number/cgroup" && grep -qs "^State:.[^ZX]" "/proc/$number/status" && return 1; done
  return 0
}
remove_groups() { find "$1" -depth -type d -exec rmdir {} + 2>/dev/null || [ ! -d "$1" ]; }
