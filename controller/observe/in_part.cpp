// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/in_part.h"

#include <string_view>
#include <vector>

#include "api/gap_words.h"
#include "base/printable.h"
#include "report/format.h"

namespace faultline::controller::observe {
namespace {

constexpr std::size_t kMostWarnings = 3;      // that are told of one answer
constexpr std::size_t kLongestWarning = 150;  // bytes

// How Prometheus 2.48 and newer mark what they remark on a query. Of older versions, and of others
// that answer as Prometheus does, no warning is about the query.
bool is_of_query(std::string_view warning) {
  return warning.starts_with("PromQL info:") || warning.starts_with("PromQL warning:");
}

}  // namespace

std::string missing_words(const boost::json::value& answer) {
  const boost::json::object* object = answer.if_object();
  if (object == nullptr) return {};
  std::vector<std::string> told;
  std::size_t more = 0;
  const auto tell = [&](std::string_view words) {
    if (told.size() < kMostWarnings)
      told.push_back(printable(words, kLongestWarning));
    else
      ++more;
  };
  // VictoriaMetrics says no more than this.
  if (const boost::json::value* partial = object->if_contains("isPartial");
      partial != nullptr && partial->is_bool() && partial->get_bool())
    tell("its answer is partial");
  const boost::json::value* warnings = object->if_contains("warnings");
  if (warnings != nullptr && warnings->is_array()) {
    for (const boost::json::value& one : warnings->get_array()) {
      const boost::json::string* text = one.if_string();
      if (text == nullptr || text->empty())
        tell("a warning without words");
      else if (const std::string_view words(text->data(), text->size()); !is_of_query(words))
        tell(words);
    }
  } else if (warnings != nullptr && !warnings->is_null()) {
    tell("warnings that are no list");
  }
  if (told.empty()) return {};
  return std::string(api::kPartialAnswer) + report::join(told, "; ") +
         (more > 0 ? "; and " + std::to_string(more) + " more" : "");
}

}  // namespace faultline::controller::observe
