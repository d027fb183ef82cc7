// SPDX-License-Identifier: Apache-2.0
// text/event-stream as the HTML standard defines it (section 9.2.6), fed in pieces that may be cut
// anywhere, also between CR and LF. Not thread-safe.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "http/client.h"

namespace faultline::http {

class EventParser {
 public:
  // `max_event`: bytes of one event, and of one line.
  explicit EventParser(std::size_t max_event) : max_event_(max_event) {}

  enum class Fed { kMore, kStopped, kTooLong };
  // Calls `on_event` for each event that `bytes` completes; kStopped as soon as that returns false.
  Fed feed(std::string_view bytes, const std::function<bool(const ServerEvent&)>& on_event);

 private:
  bool end_of_line(const std::function<bool(const ServerEvent&)>& on_event);

  std::size_t max_event_;
  std::string line_;
  ServerEvent event_;
  bool has_data_ = false;
  bool after_cr_ = false;  // a LF now belongs to the CR before it
  bool first_line_ = true;
};

// One event as bytes. Line breaks in `data` become further data lines; in `event` and `id`, where
// they cannot be told, they are left out.
[[nodiscard]] std::string format_event(std::string_view event, std::string_view data,
                                       std::string_view id);

}  // namespace faultline::http
