// SPDX-License-Identifier: Apache-2.0
// What agents and controllers say to each other, and the engine behind a sync that was read: three
// messages one after the other, separated by a zero byte.
#include <boost/json/parse.hpp>
#include <string>

#include "api/codec.h"
#include "base/clock.h"
#include "controller/engine/engine.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {
namespace {

template <class T>
void there_and_back(std::string_view text) {
  const auto read = api::from_json_text<T>(text);
  if (!read) return;
  const std::string written = api::to_json_text(*read);
  const auto again = api::from_json_text<T>(written);
  must(again.has_value(), "what was read and written is read again");
  must(api::to_json_text(*again) == written, "as the same");
}

void run_engine(std::string_view text) {
  controller::Engine engine(
      {.times = {}, .first_revision = 1, .random = [] { return std::uint64_t{7}; }});
  const SystemClock clock;
  std::string node = "n1";
  for (std::size_t at = 0, messages = 0; at <= text.size() && messages < 4; ++messages) {
    const std::string_view one = text.substr(at, text.find('\0', at) - at);
    at += one.size() + 1;
    auto request = api::from_json_text<api::SyncRequest>(one);
    if (!request) continue;
    const controller::Instant now{clock.steady(), clock.utc()};
    (void)engine.hello(node, *request, now).has_value();
    for (auto& numbered : request->batches) engine.correct(node, numbered.batch, now);
    (void)engine.admit(node, request->batches, now);
    (void)engine.apply(node, request->instance, request->batches, now);
    engine.tick(now);
    (void)engine.desired(node, request->instance, now);
    (void)engine.nodes(now);
  }
}

}  // namespace

void fuzz(std::string_view input) {
  switch (choose(input, 4)) {
    case 0:
      return run_engine(input);
    case 1:
      return there_and_back<api::SyncRequest>(input);
    case 2:
      return there_and_back<api::SyncResponse>(input);
    default:
      return there_and_back<api::NodeInfo>(input);
  }
}

}  // namespace faultline::fuzz
