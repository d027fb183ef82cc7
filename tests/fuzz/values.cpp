// SPDX-License-Identifier: Apache-2.0
// The scalar values of the language. What is read and written is read as the same again.
#include "api/values.h"

#include <string>

#include "api/selector.h"
#include "report/report.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {
namespace {

template <class T>
void there_and_back(std::string_view text) {
  const auto read = T::parse(text);
  if (!read) return;
  const auto again = T::parse(read->format());
  must(again.has_value(), "what was written is read");
  must(*again == *read, "as the same");
}

}  // namespace

void fuzz(std::string_view input) {
  switch (choose(input, 8)) {
    case 0:
      return there_and_back<api::Duration>(input);
    case 1:
      return there_and_back<api::Probability>(input);
    case 2:
      return there_and_back<api::ErrnoName>(input);
    case 3:
      return there_and_back<api::BitRate>(input);
    case 4:
      return there_and_back<api::ByteSize>(input);
    case 5:
      return there_and_back<api::Cidr>(input);
    case 6:
      return there_and_back<api::Timestamp>(input);
    default:
      (void)api::parse_selector_words(input).has_value();
      for (const char* metric : {"request.latency", "cpu.usage", "tcp.connect.errors"})
        (void)report::parse_bound(metric, input).has_value();
  }
}

}  // namespace faultline::fuzz
