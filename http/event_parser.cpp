// SPDX-License-Identifier: Apache-2.0
#include "http/event_parser.h"

namespace faultline::http {

EventParser::Fed EventParser::feed(std::string_view bytes,
                                   const std::function<bool(const ServerEvent&)>& on_event) {
  while (!bytes.empty()) {
    if (after_cr_ && bytes.front() == '\n') bytes.remove_prefix(1);
    after_cr_ = false;
    const std::size_t end = bytes.find_first_of("\r\n");
    line_ += bytes.substr(0, end);
    if (line_.size() > max_event_ || event_.data.size() > max_event_) return Fed::kTooLong;
    if (end == bytes.npos) return Fed::kMore;
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    if (!end_of_line(on_event)) return Fed::kStopped;
  }
  return Fed::kMore;
}

bool EventParser::end_of_line(const std::function<bool(const ServerEvent&)>& on_event) {
  std::string line = std::move(line_);
  line_.clear();
  if (first_line_ && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  first_line_ = false;

  if (line.empty()) {
    ServerEvent event = std::move(event_);
    const bool complete = has_data_;
    event_ = {};
    event_.id = event.id;  // the last id holds for the events after it
    has_data_ = false;
    if (!complete) return true;
    if (event.event.empty()) event.event = "message";
    return on_event(event);
  }
  const std::size_t colon = line.find(':');
  if (colon == 0) return true;  // a comment
  const std::string_view field = std::string_view(line).substr(0, colon);
  std::string_view value =
      colon == line.npos ? std::string_view{} : std::string_view(line).substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") event_.event = value;
  if (field == "id") event_.id = value;
  if (field == "data") {
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  }
  return true;
}

std::string format_event(std::string_view event, std::string_view data, std::string_view id) {
  const auto line = [](std::string& out, std::string_view field, std::string_view value) {
    out += field;
    out += ": ";
    for (const char c : value)
      if (c != '\r' && c != '\n' && c != '\0') out += c;
    out += '\n';
  };
  std::string out;
  out.reserve(data.size() + event.size() + id.size() + 32);
  if (!event.empty()) line(out, "event", event);
  if (!id.empty()) line(out, "id", id);
  while (true) {
    const std::size_t end = data.find('\n');
    line(out, "data", data.substr(0, end));
    if (end == data.npos) break;
    data.remove_prefix(end + 1);
  }
  out += '\n';
  return out;
}

}  // namespace faultline::http
