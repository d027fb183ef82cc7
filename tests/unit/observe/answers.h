// SPDX-License-Identifier: Apache-2.0
// Answers of Debian's Prometheus 2.42 and Alertmanager 0.25, as they came: one exporter scraped
// each second by the job payments, one that is not there by the job gone, the first broken for 28
// s.
#pragma once

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "document/json.h"
#include "tests/places.h"

namespace faultline::controller::observe::test {

inline std::string answer_text(const std::string& name) {
  std::ifstream in(faultline::test::source_dir() / "tests/unit/observe/answers" / (name + ".json"),
                   std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (text.empty()) throw std::runtime_error("no answer " + name);
  return text;
}
inline boost::json::value answer(const std::string& name) {
  auto value = document::parse_json(answer_text(name), document::Budget{});
  if (!value) throw std::runtime_error(value.error().message);
  return std::move(*value);
}

// When the exporter was broken and healed, by the clock of the machine: all ran on one.
inline constexpr double kBroken = 1795929482.452, kHealed = 1795929510.332, kAsked = 1795929538.059;

}  // namespace faultline::controller::observe::test
