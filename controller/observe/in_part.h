// SPDX-License-Identifier: Apache-2.0
// Answers that are not whole. Pure and thread-safe.
#pragma once

#include <boost/json/value.hpp>
#include <string>

namespace faultline::controller::observe {

// An answer that may be of a part of what the source asks itself: Thanos, Mimir and others answer
// with what they have when a store does not answer them. What is there is true; what is not there
// says nothing.
template <class T>
struct InPart {
  T value{};
  std::string missing;  // why it is not whole, one line; empty: it is
};
// Why an answer is not whole: `isPartial`, or a warning that is not about the query itself. What
// Prometheus remarks on how a query is written ("PromQL warning: ...", "PromQL info: ...", and all
// `infos`) is none. Begins with api::kPartialAnswer; printable and bounded; empty: it is whole.
[[nodiscard]] std::string missing_words(const boost::json::value& answer);

}  // namespace faultline::controller::observe
