// SPDX-License-Identifier: Apache-2.0
// What the controller's tests share: a clock by hand, experiments and pods in few words.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "api/codec.h"
#include "controller/engine/engine.h"

namespace faultline::controller::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

// 2026-11-23T10:15:02Z, and a steady clock that began elsewhere.
class HandClock {
 public:
  [[nodiscard]] Instant now() const { return now_; }
  Instant after(std::chrono::nanoseconds d) {
    now_.steady += d;
    now_.utc += d;
    return now_;
  }
  void set_wall(std::chrono::nanoseconds by) { now_.utc += by; }

 private:
  Instant now_{SteadyTime(std::chrono::hours(7)), UtcTime(seconds(1795428902))};
};

inline api::PodRef pod(std::string space, std::string name, std::string node = "n1",
                       std::map<std::string, std::string> labels = {}) {
  return {std::move(space), std::move(name), std::move(node), std::move(labels)};
}

// payments of shop are slow for a while; `more` is YAML of the spec, indented by two.
inline api::Experiment experiment(const std::string& more = "") {
  const auto parsed = api::parse_experiment(
      "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: slow}\nspec:\n" +
          (more.find("  target:") == std::string::npos
               ? std::string("  target: {selector: {namespaces: [shop], labelSelectors: {app: "
                             "payments}}, mode: all}\n")
               : "") +
          (more.find("  faults:") == std::string::npos
               ? std::string("  faults: [{networkLatency: {latency: 50ms}}]\n")
               : "") +
          (more.find("  seed:") == std::string::npos ? "  seed: 42\n" : "") + more,
      "test");
  if (!parsed) {
    ADD_FAILURE() << parsed.error().message;
    return {};
  }
  return *parsed;
}

inline api::RunEvent event(api::RunEventKind kind, UtcTime at = UtcTime(seconds(1795428903))) {
  return {.kind = kind, .at = {at}};
}

inline api::InjectionStatus injection(const api::PodRef& where, std::uint64_t matched,
                                      std::uint64_t injected, std::int64_t index = 0) {
  return {.pod = where,
          .fault = "networkLatency",
          .index = index,
          .mechanism = "delay-line",
          .matched = matched,
          .injected = injected,
          .armedAt = {UtcTime(seconds(1795428903))}};
}

inline api::NodeInfo node_info(std::string name, std::vector<std::string> faults = {
                                                     "networkLatency", "networkLoss"}) {
  api::NodeInfo info{.name = std::move(name), .kernel = "6.18", .arch = "x86_64"};
  for (std::string& fault : faults) info.faults.push_back({std::move(fault), true, "tcx", ""});
  return info;
}

// A folder of its own that is gone afterwards.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flt-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace faultline::controller::test
