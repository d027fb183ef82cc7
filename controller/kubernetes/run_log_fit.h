// SPDX-License-Identifier: Apache-2.0
// Entries of runs cut to what one object may have, and put together again. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/run_log.h"

namespace faultline::controller {

// Bytes of RunLogObject::data. etcd takes requests of 1.5 MiB; the rest of an object is below 2
// KiB.
inline constexpr std::size_t kMostData = 1'200'000;

struct Fitted {
  std::vector<std::string> data;  // packed, each at most as large as asked, in order
  std::size_t left_out = 0;       // batches that lost measurements or words, heads that are missing
};

// Splits by batches. A batch that is too large alone loses its windows, then its words; a gap in it
// says so. A head that is too large alone is left out.
[[nodiscard]] Fitted fit(api::RunLogEntry entry, std::size_t most = kMostData);

// Reads the entries of one run in the order of their numbers. What is missing among them, or cannot
// be read, is told in the gaps of the newest head, which comes once more at the end.
class LogReader {
 public:
  explicit LogReader(std::string run) : run_(std::move(run)) {}
  // The next object. Nothing: it cannot be read, or the log has no beginning.
  std::optional<api::RunLogEntry> take(std::uint64_t number, const std::string& data);
  // After the last one. Nothing: nothing was missing.
  std::optional<api::RunLogEntry> end();
  // Without the first entry, which has a head, there is no run to speak of: what is there is what
  // a controller that was replaced wrote too late.
  [[nodiscard]] bool has_beginning() const { return begun_; }

 private:
  void missing(const std::string& what);

  std::string run_;
  std::uint64_t expected_ = 1;
  bool begun_ = false;
  UtcTime last_{};
  api::RunLogEntry head_;  // the newest, without batches
  std::vector<api::Gap> gaps_;
};

}  // namespace faultline::controller
