// SPDX-License-Identifier: Apache-2.0
// Entries of runs as custom resources (runlogs.faultline.dev, daemonset/base/run-log-crd.yaml). An
// entry is one object that never changes; its name says run and number, so that of two controllers
// who write the same entry one is told that the other was first. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "api/run_log.h"
#include "base/result.h"
#include "kube/resource.h"

namespace faultline::controller {

// runlogs.faultline.dev/v1alpha1
[[nodiscard]] inline kube::ResourceRef run_logs() {
  return {.group = "faultline.dev", .version = "v1alpha1", .plural = "runlogs"};
}

inline constexpr const char* kLogOpen = "open";          // of a run that goes on: written in order
inline constexpr const char* kLogFinished = "finished";  // all of a run that is over, in `parts`
inline constexpr const char* kLogLabel = "faultline.dev/run-log";

struct RunLogObject {
  std::string run;
  std::uint64_t number = 0;  // from 1
  // Of a finished run: how many there are, and which time it was written anew.
  std::uint64_t parts = 0, generation = 0;
  std::string writer;  // which process wrote it
  std::string data;    // the entry: JSON, compressed by zlib, base64

  [[nodiscard]] std::string name() const;
  [[nodiscard]] boost::json::object object(const std::string& ns) const;
  // kInvalid: it is none of ours.
  static Result<RunLogObject> of(const boost::json::object& object);
};

[[nodiscard]] std::string pack(const api::RunLogEntry& entry);
// kInvalid: nobody can read it.
[[nodiscard]] Result<api::RunLogEntry> unpack(const std::string& data);

// The entries of one run, by number; what is missing among them, or cannot be read, is told in the
// gaps of its newest head. Empty: its beginning is missing, so nothing can be said of it.
[[nodiscard]] std::vector<api::RunLogEntry> entries_of(
    const std::string& run, const std::map<std::uint64_t, RunLogObject>& objects);

}  // namespace faultline::controller
