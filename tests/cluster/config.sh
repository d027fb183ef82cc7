# SPDX-License-Identifier: Apache-2.0
# Sourced by scripts/cluster: the configuration files of the cluster and its network.
# shellcheck shell=bash disable=SC2154

control_config() {
  # Who did what, for tests of roles; no bodies.
  cat >"$state/audit.yaml" <<X
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: None, users: ["system:apiserver"]}, {level: None, userGroups: ["system:nodes"]}, {level: Metadata}]
X
  : >"$state/names"
}

node_config() { # node_config NODE
  local node=$1
  local folder=$state/$node
  # Host-side veths are routed, not bridged: then Services work on every kernel, also without br_netfilter.
  cat >"$folder/cni/10-ptp.conflist" <<X
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipam": {"type": "host-local", "ranges": [[{"subnet": "${pods[$node]}"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
X
  cat >"$folder/containerd.toml" <<X
version = 2
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:dev"
  # Machines without CAP_SYS_RESOURCE cannot lower it.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$folder/cni"
X
  cat >"$folder/kubelet.yaml" <<X
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
volumePluginDir: $folder/volume-plugins
address: 0.0.0.0
readOnlyPort: 0
staticPodPath: $folder/manifests
clusterDNS: [$dns]
clusterDomain: cluster.local
resolvConf: ""
cgroupDriver: cgroupfs
cgroupRoot: /$group/$node
enforceNodeAllocatable: []
makeIPTablesUtilChains: false
failSwapOn: false
oomScoreAdj: 0
syncFrequency: 2s
fileCheckFrequency: 2s
nodeStatusUpdateFrequency: 4s
evictionHard: {memory.available: 50Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
tlsCertFile: $state/pki/$node.crt
tlsPrivateKeyFile: $state/pki/$node.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $state/pki/ca.crt}}
authorization: {mode: Webhook}
X
}

# The API server's namespace is the switch between the nodes.
control_network() {
  inside control ip link set lo up
  inside control ip link add br0 type bridge
  inside control ip addr add "${address[control]}/24" dev br0
  inside control ip link set br0 up
  inside control ip route add $services dev br0
}
node_network() { # node_network NODE
  local node=$1 other
  inside control ip link add "$node" type veth peer name eth0 netns "$(pid "$node")"
  inside control ip link set "$node" master br0 up
  inside control ip route add "${pods[$node]}" via "${address[$node]}"
  inside "$node" ip addr add "${address[$node]}/24" dev eth0
  inside "$node" ip link set eth0 up
  inside "$node" ip route add default via "${address[control]}"
  inside "$node" sysctl -qw net.ipv4.ip_forward=1
  for other in "${nodes[@]}"; do
    [ "$other" = "$node" ] || inside "$node" ip route add "${pods[$other]}" via "${address[$other]}"
  done
}

# Pods find names by the usual address.
dns_service() {
  "$bin/kubectl" apply -f - <<X
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: $dns, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: kube-dns, namespace: kube-system}
subsets: [{addresses: [{ip: ${address[control]}}], ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]}]
X
}
