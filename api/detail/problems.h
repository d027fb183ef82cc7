// SPDX-License-Identifier: Apache-2.0
// Everything that is wrong with a document, collected in one pass. Not thread-safe; one per decode.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "document/path.h"
#include "document/tree.h"

namespace faultline::api::detail {

using document::append_index;
using document::append_key;
using SourceMap = document::LineMap;

class Problems {
 public:
  enum class Where { kKey, kValue };
  static constexpr std::size_t kShown = 20;

  // `file` may be empty (then no line numbers are shown); `map` may be null and must outlive this.
  explicit Problems(std::string_view file = {}, const SourceMap* map = nullptr)
      : file_(file), map_(map) {}

  // `shown` is the path in the message; `subject`, where it differs, is what is really wrong (for a
  // missing key: that key, shown with its parent's path).
  void add(std::string shown, std::string message, Where where = Where::kValue,
           std::string subject = {});

  // What a reader of the document found, which knows the line itself.
  void add(document::Problem found);

  // What was found in a document that was made of this one. `place` tells where something of it
  // stands here. What is known already is not told again.
  void take(const Problems& other, const std::function<std::string(const std::string&)>& place);

  // A rule over several fields must stay silent where one of them is already known to be wrong: at
  // `path`, under it, above it or beside it.
  [[nodiscard]] bool spoiled(std::string_view path) const;

  [[nodiscard]] bool empty() const { return problems_.empty(); }
  // The problems, one line each, in the order of the document; beyond kShown only how many more
  // there are. kInvalid.
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
  void keep(Problem problem);
  std::vector<Problem> problems_;  // the first kKept of them
  std::size_t more_ = 0;           // that were not kept
};

}  // namespace faultline::api::detail
