// SPDX-License-Identifier: Apache-2.0
// Everything that is wrong with a document, collected in one pass. Not thread-safe; one per decode.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace faultline::api::detail {

// Line numbers (1-based) of a YAML document by path; 0 is unknown.
struct SourceMap {
  struct Lines {
    int key = 0;    // where the key stands; for list items where the item begins
    int value = 0;  // where its value begins
  };
  std::map<std::string, Lines, std::less<>> lines;  // "spec.faults[0].networkLatency.latency"
};

void append_key(std::string& path, std::string_view key);  // ".key", ["odd key"] where it needs it
void append_index(std::string& path, std::size_t index);   // "[3]"

class Problems {
 public:
  enum class Where { kKey, kValue };

  // `file` may be empty (then no line numbers are shown); `map` may be null and must outlive this.
  explicit Problems(std::string_view file = {}, const SourceMap* map = nullptr)
      : file_(file), map_(map) {}

  // `shown` is the path in the message; `subject`, where it differs, is what is really wrong (for a
  // missing key: that key, shown with its parent's path).
  void add(std::string shown, std::string message, Where where = Where::kValue,
           std::string subject = {});

  // A rule over several fields must stay silent where one of them is already known to be wrong: at
  // `path`, under it, above it or beside it.
  [[nodiscard]] bool spoiled(std::string_view path) const;

  [[nodiscard]] bool empty() const { return problems_.empty(); }
  // All problems, one line each, in the order of the document. kInvalid.
  [[nodiscard]] Error error() const;

 private:
  struct Problem {
    int line;
    std::string shown;
    std::string subject;
    std::string message;
  };
  std::string file_;
  const SourceMap* map_;
  std::vector<Problem> problems_;
};

}  // namespace faultline::api::detail
