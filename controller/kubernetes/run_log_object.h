// SPDX-License-Identifier: Apache-2.0
// Entries of runs as custom resources (runlogs.faultline.dev, daemonset/base/run-log-crd.yaml). An
// entry is one object that never changes; its name says run and number, so that of two controllers
// who write the same entry one is told that the other was first. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>

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
// The same of game days (day_log_store.h).
inline constexpr const char* kDayLogOpen = "gameday";
inline constexpr const char* kDayLogOver = "gameday-over";
inline constexpr const char* kLogLabel = "faultline.dev/run-log";
inline constexpr const char* kFenceLabel = "faultline.dev/run-log-fence";

struct RunLogObject {
  std::string run;
  std::uint64_t number = 0;  // from 1
  // Of a part of a finished run: how many there are, or, where that was not known yet, a greater
  // number than its own; and which time the run was written anew.
  std::uint64_t parts = 0, generation = 0;
  // The first entry of a controller that took the run over. It stays as long as anything of the
  // run, because this is the number that the controller before would write next: while it is taken,
  // nothing of that one comes into being, however late it arrives.
  bool fence = false;
  bool day = false;    // it is of a game day, whose id is `run`
  std::string writer;  // which process wrote it
  std::string data;    // the entry: JSON, compressed by zlib, base64

  [[nodiscard]] std::string name() const;
  [[nodiscard]] boost::json::object object(const std::string& ns) const;
  // kInvalid: it is none of ours.
  static Result<RunLogObject> of(const boost::json::object& object);
};

[[nodiscard]] std::string pack(const api::RunLogEntry& entry);
[[nodiscard]] std::string pack_text(const std::string& text);
// kInvalid: nobody can read it.
[[nodiscard]] Result<api::RunLogEntry> unpack(const std::string& data);
[[nodiscard]] Result<std::string> unpack_text(const std::string& data);

}  // namespace faultline::controller
