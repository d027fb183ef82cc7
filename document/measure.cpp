// SPDX-License-Identifier: Apache-2.0
#include "document/measure.h"

#include <algorithm>

namespace faultline::document {
namespace {

// False at the first that is too much; never deeper than the budget.
bool count(const boost::json::value& value, const Budget& budget, std::size_t depth, Budget& sum) {
  sum.depth = std::max(sum.depth, depth);
  sum.bytes += 8;
  sum.values += 1;
  if (value.is_string()) sum.bytes += value.get_string().size();
  if (depth > budget.depth || sum.bytes > budget.bytes || sum.values > budget.values) return false;
  if (value.is_array())
    for (const auto& item : value.get_array())
      if (!count(item, budget, depth + 1, sum)) return false;
  if (value.is_object())
    for (const auto& [key, item] : value.get_object()) {
      sum.bytes += key.size();
      if (!count(item, budget, depth + 1, sum)) return false;
    }
  return true;
}

}  // namespace

std::string beyond(const boost::json::value& value, const Budget& budget) {
  Budget sum{0, 0, 0};
  if (count(value, budget, 0, sum)) return {};
  if (sum.depth > budget.depth) return "nested more than " + std::to_string(budget.depth) + " deep";
  if (sum.values > budget.values) return "more than " + std::to_string(budget.values) + " values";
  return "larger than " + size_words(budget.bytes);
}

}  // namespace faultline::document
