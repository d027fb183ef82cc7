// SPDX-License-Identifier: Apache-2.0
// What the operator keeps and reads of an Experiment as the API server has it. Pure and
// thread-safe.
#pragma once

#include <boost/json/object.hpp>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "api/experiment_status.h"
#include "base/clock.h"

namespace faultline::controller {

// "shop/slow", for messages.
[[nodiscard]] std::string name_of(const boost::json::object& experiment);
[[nodiscard]] std::int64_t generation_of(const boost::json::object& experiment);

// Bytes of JSON that spec, labels and annotations of an Experiment may have together. A larger one
// is never begun, and is not kept in memory either.
inline constexpr std::size_t kLargestExperiment = 128 << 10;
// Why an object of that size is refused, in one line; empty: it is not too large.
[[nodiscard]] std::string why_too_large(const boost::json::object& experiment);

// Takes away what the operator does not need, before the object is kept: managed fields, kubectl's
// copy of the document, of a finished Experiment everything but who it is and when it ended, and of
// one that is too large spec, labels and annotations.
void keep_what_is_needed(boost::json::object& experiment);

// After keep_what_is_needed(): why_too_large() of what was thrown away; empty: nothing was.
[[nodiscard]] std::string too_large(const boost::json::object& experiment);

// The last of these of any object with spec, labels and annotations.
void drop_too_large(boost::json::object& object);

// Takes away all members but these.
void keep_only(boost::json::object& object, std::initializer_list<std::string_view> keys);

struct SeenStatus {
  api::ExperimentStatus status;  // empty: there is none, or it cannot be read
  // Not empty: a status is there that this version cannot read, and why.
  std::string problem;
  bool fresh = true;  // nothing was ever written there: the Experiment has not begun
};
[[nodiscard]] SeenStatus status_of(const boost::json::object& experiment);

// Its status can be read, and says that nothing happens any more.
[[nodiscard]] bool is_finished(const boost::json::object& experiment);
// When it was; nothing: it is not, or its status does not say when.
[[nodiscard]] std::optional<UtcTime> finished_at(const boost::json::object& experiment);

}  // namespace faultline::controller
