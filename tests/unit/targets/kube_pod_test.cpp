// SPDX-License-Identifier: Apache-2.0
#include "agent/targets/kube_pod.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace faultline::agent {
namespace {

namespace json = boost::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// As the API server of Kubernetes 1.29 writes it, shortened.
constexpr const char* kPod = R"({
  "kind": "Pod", "apiVersion": "v1",
  "metadata": {
    "name": "payments-5c9f-x2x7k", "namespace": "shop",
    "uid": "5b36c0f1-8c6e-4d0b-9a53-1b9df1d7c2aa", "resourceVersion": "817",
    "creationTimestamp": "2026-11-23T10:15:00Z",
    "labels": {"app": "payments", "pod-template-hash": "5c9f"},
    "annotations": {"faultline.dev/protected": "true", "other.example/x": "y"},
    "ownerReferences": [
      {"apiVersion": "v1", "kind": "ConfigMap", "name": "no-controller", "uid": "u"},
      {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "payments-5c9f", "uid": "u",
       "controller": true, "blockOwnerDeletion": true}]},
  "spec": {
    "nodeName": "node-1", "hostNetwork": false,
    "initContainers": [{"name": "migrate"}, {"name": "proxy", "restartPolicy": "Always"}],
    "containers": [{"name": "app", "image": "x"}, {"name": "new"}],
    "ephemeralContainers": [{"name": "debugger-1"}]},
  "status": {
    "phase": "Running", "qosClass": "Burstable", "podIP": "10.244.1.7",
    "podIPs": [{"ip": "10.244.1.7"}, {"ip": "fd00::7"}],
    "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}],
    "initContainerStatuses": [
      {"name": "migrate", "restartCount": 0, "containerID":
       "containerd://0000000000000000000000000000000000000000000000000000000000000001",
       "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
      {"name": "proxy", "restartCount": 1, "containerID":
       "containerd://0000000000000000000000000000000000000000000000000000000000000002",
       "state": {"running": {"startedAt": "2026-11-23T10:15:01Z"}}}],
    "containerStatuses": [
      {"name": "app", "restartCount": 3, "ready": true, "containerID":
       "cri-o://0000000000000000000000000000000000000000000000000000000000000003",
       "state": {"running": {"startedAt": "2026-11-23T10:15:02Z"}}},
      {"name": "new", "restartCount": 0, "containerID": "",
       "state": {"waiting": {"reason": "ImagePullBackOff"}}}],
    "ephemeralContainerStatuses": [
      {"name": "debugger-1", "containerID":
       "docker://0000000000000000000000000000000000000000000000000000000000000005",
       "state": {"running": {"startedAt": "2026-11-23T10:16:00Z"}}}]}})";

json::object pod() { return json::parse(kPod).as_object(); }

TEST(KubePod, EverythingAnAgentNeedsIsRead) {
  const auto parsed = parse_kube_pod(pod());
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->id(), "shop/payments-5c9f-x2x7k");
  EXPECT_EQ(parsed->uid, "5b36c0f1-8c6e-4d0b-9a53-1b9df1d7c2aa");
  EXPECT_EQ(parsed->cgroup_uid(), parsed->uid);
  EXPECT_EQ(parsed->node, "node-1");
  EXPECT_EQ(parsed->phase, "Running");
  EXPECT_EQ(parsed->qos_class, "Burstable");
  EXPECT_TRUE(parsed->ready);
  EXPECT_FALSE(parsed->host_network);
  EXPECT_FALSE(parsed->deleted);
  EXPECT_EQ(parsed->owner, (PodOwner{"ReplicaSet", "payments-5c9f"}));
  EXPECT_THAT(parsed->ips, ElementsAre("10.244.1.7", "fd00::7"));
  EXPECT_THAT(parsed->labels,
              ElementsAre(Pair("app", "payments"), Pair("pod-template-hash", "5c9f")));
  EXPECT_THAT(parsed->annotations, ElementsAre(Pair("faultline.dev/protected", "true")));
  using Kind = KubeContainer::Kind;
  using State = KubeContainer::State;
  ASSERT_EQ(parsed->containers.size(), 5U);
  const auto& c = parsed->containers;
  EXPECT_EQ(c[0].kind, Kind::kInit);
  EXPECT_EQ(c[0].state, State::kTerminated);
  EXPECT_EQ(c[0].reason, "Completed");
  EXPECT_EQ(c[1].kind, Kind::kSidecar);
  EXPECT_EQ(c[1].restarts, 1);
  EXPECT_EQ(c[2].name, "app");
  EXPECT_EQ(c[2].kind, Kind::kRegular);
  EXPECT_EQ(c[2].state, State::kRunning);
  EXPECT_EQ(c[2].id, std::string(63, '0') + "3");
  EXPECT_EQ(c[2].restarts, 3);
  EXPECT_EQ(c[2].started_at, UtcTime(std::chrono::sys_days(std::chrono::year(2026) / 11 / 23)) +
                                 std::chrono::hours(10) + std::chrono::minutes(15) +
                                 std::chrono::seconds(2));
  EXPECT_EQ(c[3].state, State::kWaiting);
  EXPECT_EQ(c[3].reason, "ImagePullBackOff");
  EXPECT_EQ(c[3].id, "");
  EXPECT_EQ(c[4].kind, Kind::kEphemeral);
  EXPECT_EQ(c[4].id, std::string(63, '0') + "5");
}

TEST(KubePod, PodThatWasJustMadeHasNoStatus) {
  const auto parsed = parse_kube_pod(
      json::parse(R"({"metadata": {"name": "a", "namespace": "b", "uid": "1-2", "labels": null},
                      "spec": {"hostNetwork": true, "containers": [{"name": "app"}]}})")
          .as_object());
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_TRUE(parsed->host_network);
  EXPECT_EQ(parsed->phase, "");
  EXPECT_EQ(parsed->owner, std::nullopt);
  ASSERT_EQ(parsed->containers.size(), 1U);
  EXPECT_EQ(parsed->containers[0].state, KubeContainer::State::kWaiting);
}

TEST(KubePod, MirrorOfAStaticPodHasTheHashThatItsCgroupsAreNamedBy) {
  json::object object = pod();
  const std::string hash = "9f0e8d7c6b5a49382716051423324150";
  object["metadata"].as_object()["annotations"] = {{"kubernetes.io/config.hash", hash},
                                                   {"kubernetes.io/config.mirror", hash},
                                                   {"kubernetes.io/config.source", "file"}};
  EXPECT_EQ(parse_kube_pod(object)->cgroup_uid(), hash);
  // Whoever makes a pod may write annotations: another pod's uid in one leads nowhere.
  object["metadata"].as_object()["annotations"] = {
      {"kubernetes.io/config.mirror", "00000000-0000-4000-8000-000000000000"}};
  const auto forged = parse_kube_pod(object);
  ASSERT_FALSE(forged);
  EXPECT_EQ(
      forged.error().message,
      "pod shop/payments-5c9f-x2x7k: metadata.annotations.kubernetes.io/config.hash: expected "
      "32 hexadecimal digits, got \"00000000-0000-4000-8000-000000000000\"");
  object["metadata"].as_object()["annotations"] = {{"kubernetes.io/config.hash", hash}};
  EXPECT_EQ(parse_kube_pod(object)->cgroup_uid(), parse_kube_pod(pod())->uid);
}

TEST(KubePod, PodThatIsBeingDeletedIsMarked) {
  json::object object = pod();
  object["metadata"].as_object()["deletionTimestamp"] = "2026-11-23T10:20:00Z";
  EXPECT_TRUE(parse_kube_pod(object)->deleted);
}

// What is put where, and what is said.
struct Wrong {
  const char* pointer;
  const char* value;
  const char* words;
};
constexpr Wrong kWrong[] = {
    {"/metadata", "[]", "pod: metadata: expected an object, got an array"},
    {"/metadata", "null", "pod: metadata.name: is missing"},
    {"/metadata/name", "7", "pod: metadata.name: expected a string, got a number"},
    {"/metadata/name", "\"../../etc\"",
     "pod: metadata.name: no such name is allowed: \"../../etc\""},
    {"/metadata/namespace", "\"a\\nb\"",
     "pod: metadata.namespace: no such name is allowed: \"a?b\""},
    {"/metadata/uid", "\"\"", "metadata.uid: is missing"},
    {"/metadata/labels", "\"app\"", "metadata.labels: expected an object, got a string"},
    {"/metadata/labels/app", "{}", "metadata.labels.app: expected a string, got an object"},
    {"/metadata/ownerReferences/1/controller", "\"yes\"",
     "metadata.ownerReferences[1].controller: expected a boolean, got a string"},
    {"/metadata/ownerReferences/0", "4",
     "metadata.ownerReferences[0]: expected an object, got a number"},
    {"/spec", "true", "spec: expected an object, got a boolean"},
    {"/spec/hostNetwork", "\"true\"", "spec.hostNetwork: expected a boolean, got a string"},
    {"/spec/containers", "{}", "spec.containers: expected an array, got an object"},
    {"/spec/containers/0/name", "null", "spec.containers[0].name: is missing"},
    {"/status/phase", "[]", "status.phase: expected a string, got an array"},
    {"/status/podIPs/0/ip", "1", "status.podIPs[0].ip: expected a string, got a number"},
    {"/status/containerStatuses/0/name", "\"other\"",
     "status.containerStatuses[0].name: no container of the pod is named \"other\""},
    {"/status/containerStatuses/0/restartCount", "-1",
     "status.containerStatuses[0].restartCount: expected a count, got a number"},
    {"/status/containerStatuses/0/containerID", "\"containerd://../../etc\"",
     "status.containerStatuses[0].containerID: expected containerd://, cri-o:// or docker:// and "
     "64 "
     "hexadecimal digits, got \"containerd://../../etc\""},
    {"/status/containerStatuses/0/state/running/startedAt", "\"now\"",
     "status.containerStatuses[0].state.running.startedAt: no time: \"now\""},
};

TEST(KubePod, WhatIsWrongIsSaidInOneLine) {
  for (const Wrong& wrong : kWrong) {
    json::value object = pod();
    boost::json::error_code none;
    json::value* at = object.find_pointer(wrong.pointer, none);
    ASSERT_NE(at, nullptr) << wrong.pointer;
    *at = json::parse(wrong.value);
    const auto parsed = parse_kube_pod(object.as_object());
    ASSERT_FALSE(parsed) << wrong.pointer;
    EXPECT_EQ(parsed.error().code, Errc::kInvalid);
    EXPECT_THAT(parsed.error().message, HasSubstr(wrong.words));
    EXPECT_EQ(parsed.error().message.find('\n'), std::string::npos);
  }
}

// Every value of the object, replaced by one of each kind, is read or refused; nothing is thrown.
void mutate(json::value& whole, json::value& at, int& refused) {
  const json::value kept = at;
  for (const char* other : {"null", "1", "-1.5", "\"\\u0001x\"", "true", "[[]]", "{\"a\": {}}"}) {
    at = json::parse(other);
    const auto parsed = parse_kube_pod(whole.as_object());
    if (!parsed) {
      ++refused;
      EXPECT_FALSE(parsed.error().message.empty());
      EXPECT_EQ(parsed.error().message.find_first_of("\n\x01"), std::string::npos);
    }
  }
  at = kept;
  if (at.is_object())
    for (auto& entry : at.as_object()) mutate(whole, entry.value(), refused);
  if (at.is_array())
    for (auto& element : at.as_array()) mutate(whole, element, refused);
}

TEST(KubePod, NothingThatAServerCouldSendThrows) {
  json::value object = pod();
  int refused = 0;
  for (auto& entry : object.as_object()) mutate(object, entry.value(), refused);
  EXPECT_GT(refused, 100);
  EXPECT_FALSE(parse_kube_pod({}));
}

}  // namespace
}  // namespace faultline::agent
