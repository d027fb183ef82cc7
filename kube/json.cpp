// SPDX-License-Identifier: Apache-2.0
#include "kube/json.h"

#include <boost/json.hpp>

namespace faultline::kube {

std::optional<boost::json::object> parse_object(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = 512;
  boost::system::error_code ec;
  boost::json::value parsed = boost::json::parse(text, ec, {}, options);
  if (ec || !parsed.is_object()) return std::nullopt;
  return std::move(parsed.get_object());
}

}  // namespace faultline::kube
