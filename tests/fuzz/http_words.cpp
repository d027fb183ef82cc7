// SPDX-License-Identifier: Apache-2.0
// Targets of requests, and events of a stream that are cut anywhere.
#include <string>
#include <vector>

#include "http/event_parser.h"
#include "http/target.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {
namespace {

using Events = std::vector<std::string>;

Events events_of(std::string_view text, std::size_t piece) {
  http::EventParser parser(4096);
  Events all;
  for (std::size_t at = 0; at < text.size(); at += piece)
    if (parser.feed(text.substr(at, piece), [&](const http::ServerEvent& event) {
          all.push_back(event.event + "\n" + event.data + "\n" + event.id);
          return true;
        }) != http::EventParser::Fed::kMore)
      break;
  return all;
}

}  // namespace

void fuzz(std::string_view input) {
  if (choose(input, 2) == 0) {
    (void)http::parse_target(input).has_value();
    must(http::percent_decode(http::percent_encode(input), false).value_or("") == input ||
             input.find('\0') != std::string_view::npos,
         "what was escaped is read again");
    return;
  }
  must(events_of(input, 1) == events_of(input, 7), "events are the same wherever they are cut");
}

}  // namespace faultline::fuzz
