// SPDX-License-Identifier: Apache-2.0
// Rules of the messages between programs and of what is stored. Only what a receiver cannot do
// without is required: an older or newer peer may leave the rest out.
#pragma once

#include "api/detail/rules.h"
#include "api/run_record.h"

namespace faultline::api::detail {

// Far above what a node has (Kubernetes: some hundred pods), so that no honest agent meets them;
// what they bound is how much one message can make its reader keep and compare.
inline constexpr std::size_t kMostPodsOfNode = 10'000;
inline constexpr std::size_t kMostName = 253;  // of pods, nodes and runs
inline constexpr std::size_t kMostWord = 128;  // fault, mechanism, metric, errno, system call
inline constexpr FieldRule kWordKey{.not_empty = true, .max_length = kMostWord};
inline constexpr FieldRule kMessageLabelKey{.not_empty = true, .max_length = 317};
inline constexpr FieldRule kMessageLabelValue{.max_length = 256};

template <>
struct Rules<PodRef> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {
      {.key = "namespace", .required = true, .not_empty = true, .max_length = 63},
      {.key = "name", .required = true, .not_empty = true, .max_length = kMostName},
      {.key = "node", .max_length = kMostName},
      {.key = "labels", .max_items = 256, .keys = &kMessageLabelKey, .values = &kMessageLabelValue},
      {.key = "containers", .max_items = 256, .max_length = kMostName},
      {.key = "workload", .max_length = 2 * kMostName},
      {.key = "addresses", .max_items = 16, .max_length = 45}};  // INET6_ADDRSTRLEN
  static constexpr std::string_view schema{};
};

template <>
struct Rules<Feature> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "name", .max_length = 256}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<FaultSupport> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "fault", .max_length = kMostWord},
                                         {.key = "mechanism", .max_length = kMostWord}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<NodeInfo> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {
      {.key = "name", .max_length = kMostName}, {.key = "kernel", .max_length = 256},
      {.key = "arch", .max_length = 256},       {.key = "agentVersion", .max_length = 256},
      {.key = "features", .max_items = 256},    {.key = "faults", .max_items = 256}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<RunPod> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "pod", .required = true}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<InjectionStatus> {
  static constexpr std::string_view help{};
  // Without its pod it could be written into the journal of runs and not be read from there.
  static constexpr FieldRule fields[] = {{.key = "pod", .required = true},
                                         {.key = "fault", .max_length = kMostWord},
                                         {.key = "mechanism", .max_length = kMostWord},
                                         {.key = "byErrno", .max_items = 4096, .keys = &kWordKey},
                                         {.key = "byCall", .max_items = 1024, .keys = &kWordKey}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<EffectSample> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {
      {.key = "metric", .max_length = kMostWord},
      {.key = "labels", .max_items = 32, .keys = &kWordKey, .values = &kMessageLabelValue}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<EffectWindow> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "pod", .required = true},
                                         {.key = "samples", .max_items = 20'000}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<Gap> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "node", .max_length = kMostName},
                                         {.key = "pod", .max_length = 2 * kMostName},
                                         {.key = "metric", .max_length = kMostWord}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<RunEvent> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "pod", .max_length = 2 * kMostName},
                                         {.key = "residue", .max_items = 10'000}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<SyncRequest> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {
      {.key = "instance", .required = true, .not_empty = true, .max_length = kMostName},
      {.key = "waitSeconds", .min = 0, .max = 3600},
      {.key = "pods", .max_items = kMostPodsOfNode},
      {.key = "batches", .max_items = 10'000}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<SyncResponse> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "runs", .max_items = 10'000}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<PeerAddresses> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {
      {.key = "index", .required = true, .min = 0},
      {.key = "addresses", .max_items = 20'000, .max_length = 45}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<DesiredRun> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {
      {.key = "run", .required = true, .not_empty = true, .max_length = kMostName},
      {.key = "experiment", .required = true},
      {.key = "phase", .required = true},
      {.key = "pods", .max_items = kMostPodsOfNode},
      {.key = "matching", .min = 0},
      {.key = "targets", .min = 0},
      {.key = "leaseSeconds", .min = 0, .max = 3600, .more_than_min = true},
      {.key = "faultSecondsLeft", .min = 0},
      {.key = "peers", .max_items = 32}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<RunBatch> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {
      {.key = "run", .required = true, .not_empty = true, .max_length = kMostName},
      {.key = "injections", .max_items = 16 * kMostPodsOfNode},
      {.key = "windows", .max_items = 3 * kMostPodsOfNode},
      {.key = "gaps", .max_items = kMostPodsOfNode},
      {.key = "events", .max_items = 3 * kMostPodsOfNode}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<NumberedBatch> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "number", .required = true, .min = 1},
                                         {.key = "batch", .required = true}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<Report> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "residue", .empty_word = "none"}};
  static constexpr std::string_view schema{};
};

}  // namespace faultline::api::detail
