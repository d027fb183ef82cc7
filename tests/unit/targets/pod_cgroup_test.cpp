// SPDX-License-Identifier: Apache-2.0
// Paths as real nodes have them. The shapes of cgroupfs with containerd were seen on a cluster of
// this project; the others are those of kubelet's pkg/kubelet/cm, containerd, CRI-O and Docker.
#include "agent/targets/pod_cgroup.h"

#include <gtest/gtest.h>

namespace faultline::agent {

void PrintTo(const PodCgroup& c, std::ostream* out) { *out << c.uid << " " << c.container_id; }

namespace {

const std::string kUid = "5b36c0f1-8c6e-4d0b-9a53-1b9df1d7c2aa";
const std::string kUnit = "5b36c0f1_8c6e_4d0b_9a53_1b9df1d7c2aa";
const std::string kHash = "9f0e8d7c6b5a49382716051423324150";
const std::string kId = "3f1c0f6f6f8e5a1f8f2b7d0c9e4a6b8d1f3c5e7a9b0d2f4c6e8a1b3d5f7c9e0b";
const std::string kOuter = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

struct Path {
  std::string path;
  PodCgroup expected;
};

const Path kPods[] = {
    // cgroupfs driver: containerd, Docker
    {"/kubepods/burstable/pod" + kUid + "/" + kId, {kUid, kId}},
    {"/kubepods/besteffort/pod" + kUid + "/" + kId, {kUid, kId}},
    {"/kubepods/pod" + kUid + "/" + kId, {kUid, kId}},  // Guaranteed
    {"/kubepods/pod" + kUid, {kUid, ""}},
    {"/kubepods/burstable/pod" + kUid + "/", {kUid, ""}},
    // cgroupfs driver, CRI-O
    {"/kubepods/burstable/pod" + kUid + "/crio-" + kId, {kUid, kId}},
    {"/kubepods/burstable/pod" + kUid + "/crio-" + kId + "/container", {kUid, kId}},
    // systemd driver: containerd, CRI-O, Docker
    {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kUnit +
         ".slice/cri-containerd-" + kId + ".scope",
     {kUid, kId}},
    {"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + kUnit + ".slice/crio-" +
         kId + ".scope",
     {kUid, kId}},
    {"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + kUnit + ".slice/crio-" +
         kId + ".scope/container",
     {kUid, kId}},
    {"/kubepods.slice/kubepods-pod" + kUnit + ".slice/docker-" + kId + ".scope", {kUid, kId}},
    {"/kubepods.slice/kubepods-pod" + kUnit + ".slice", {kUid, ""}},
    // systemd in the container
    {"/kubepods.slice/kubepods-pod" + kUnit + ".slice/cri-containerd-" + kId +
         ".scope/system.slice/sshd.service",
     {kUid, kId}},
    // static pods
    {"/kubepods/burstable/pod" + kHash + "/" + kId, {kHash, kId}},
    {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kHash +
         ".slice/cri-containerd-" + kId + ".scope",
     {kHash, kId}},
    // kind: cgroupRoot /kubelet, with and without systemd, in Docker or not
    {"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
     "kubelet-kubepods-burstable-pod" +
         kUnit + ".slice/cri-containerd-" + kId + ".scope",
     {kUid, kId}},
    {"/docker/" + kOuter + "/kubelet/kubepods/besteffort/pod" + kUid + "/" + kId, {kUid, kId}},
    {"/system.slice/docker-" + kOuter +
         ".scope/kubelet.slice/kubelet-kubepods.slice/"
         "kubelet-kubepods-pod" +
         kUnit + ".slice/cri-containerd-" + kId + ".scope",
     {kUid, kId}},
    {"/kn1/kubepods/burstable/pod" + kUid + "/" + kId, {kUid, kId}},  // cgroupRoot
    {"/system.slice/k3s.service/kubepods/burstable/pod" + kUid + "/" + kId, {kUid, kId}},
    // kubelet with systemd, containerd with cgroupfs
    {"/system.slice/containerd.service/kubepods-burstable-pod" + kUnit +
         ".slice:cri-containerd:" + kId,
     {kUid, kId}},
    {"/system.slice/containerd.service/kubepods-pod" + kUnit + ".slice:cri-containerd:" + kId,
     {kUid, kId}},
    // lines of /proc/PID/cgroup, v1 and v2
    {"0::/kubepods/burstable/pod" + kUid + "/" + kId, {kUid, kId}},
    {"4:memory:/kubepods/pod" + kUid + "/" + kId, {kUid, kId}},
    {"3:cpu,cpuacct:/kubepods.slice/kubepods-pod" + kUnit + ".slice/docker-" + kId + ".scope",
     {kUid, kId}},
    {"9:name=systemd:/kubepods/besteffort/pod" + kUid + "/" + kId, {kUid, kId}},
    // seen from another pod's cgroup namespace
    {"0::/../../pod" + kUid + "/" + kId, {kUid, kId}},
    {"0::/../../../besteffort/pod" + kUid + "/" + kId, {kUid, kId}},
    {"0::/../../kubepods-burstable-pod" + kUnit + ".slice/cri-containerd-" + kId + ".scope",
     {kUid, kId}},
    {"0::/../../../kubepods/burstable/pod" + kUid + "/" + kId, {kUid, kId}},
    // directories
    {"/sys/fs/cgroup/unified/kn1/kubepods/pod" + kUid + "/" + kId, {kUid, kId}},
    {"/host/sys/fs/cgroup/kubepods.slice/kubepods-pod" + kUnit + ".slice", {kUid, ""}},
    // a cluster in a pod: the node's own pod counts
    {"/kubepods/pod" + kUid + "/" + kId +
         "/kubelet/kubepods/pod00000000-0000-4000-8000-000000000000/" + kOuter,
     {kUid, kId}},
};

TEST(PodCgroup, PodAndContainerAreReadFromEveryShape) {
  for (const Path& path : kPods) EXPECT_EQ(parse_pod_cgroup(path.path), path.expected) << path.path;
}

const std::string kOthers[] = {
    "",
    "/",
    "0::/",
    "0::/..",
    "/kubepods",
    "/kubepods/burstable",
    "/kubepods.slice/kubepods-burstable.slice",
    "/system.slice/kubelet.service",
    "/system.slice/docker-" + kId + ".scope",
    "/docker/" + kId,
    "/machine.slice/libpod-" + kId + ".scope",
    "/user.slice/user-0.slice/session-1.scope",
    // no process of the pod: CRI-O's monitor
    "/kubepods.slice/kubepods-pod" + kUnit + ".slice/crio-conmon-" + kId + ".scope",
    "/kubepods/pod" + kUid + "/crio-conmon-" + kId,
    // nothing of a runtime
    "/kubepods/pod" + kUid + "/something",
    "/kubepods/pod" + kUid + "/" + kId.substr(1),
    "/kubepods/pod" + kUid + "/" + kId + "0",
    "/kubepods/pod" + kUid + "/" + kId + " (deleted)",
    // "pod..." where no kubelet puts it: anybody may name a cgroup so
    "/user.slice/pod" + kUid + "/" + kId,
    "/burstable/pod" + kUid + "/" + kId,
    "/pod" + kUid + "/" + kId,
    "/user.slice/burstable/pod" + kUid + "/" + kId,
    "/notkubepods/pod" + kUid + "/" + kId,
    // no uid
    "/kubepods/pod/" + kId,
    "/kubepods/pod5b36c0f1/" + kId,
    "/kubepods/pod" + kUnit + "/" + kId,
    "/kubepods/podXb36c0f1-8c6e-4d0b-9a53-1b9df1d7c2aa/" + kId,
    "/kubepods.slice/kubepods-pod" + kUid + ".slice/crio-" + kId + ".scope",
    "/kubepods.slice/mykubepods-pod" + kUnit + ".slice/crio-" + kId + ".scope",
    "/kubepods.slice/kubepods-guaranteed-pod" + kUnit + ".slice/crio-" + kId + ".scope",
    // half a driver mismatch
    "/system.slice/kubepods-pod" + kUnit + ".slice:cri-containerd:",
    "/system.slice/kubepods-pod" + kUnit + ".slice::" + kId,
    "/system.slice/kubepods-pod" + kUnit + ".slice:" + kId,
};

TEST(PodCgroup, OtherCgroupsAreNoPods) {
  for (const std::string& path : kOthers) EXPECT_EQ(parse_pod_cgroup(path), std::nullopt) << path;
}

}  // namespace
}  // namespace faultline::agent
