// SPDX-License-Identifier: Apache-2.0
// What an API server answers: events of a watch and the objects that are kept of them, experiments,
// errors, reviews, times, base64.
#include <string>

#include "api/codec.h"
#include "kube/base64.h"
#include "kube/error.h"
#include "kube/json.h"
#include "kube/object_cache.h"
#include "kube/reviews.h"
#include "kube/times.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {
namespace {

// One event a line, as in a watch.
void watch(std::string_view text) {
  kube::ObjectCache cache;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view line = text.substr(at, text.find('\n', at) - at);
    at += line.size() + 1;
    auto event = kube::parse_object(line);
    if (!event) continue;
    auto* object = event->if_contains("object");
    if (object == nullptr || !object->is_object()) continue;
    const auto word = kube::text_at(*event, "type");
    if (word == "ERROR") {
      (void)kube::error_of(object->get_object(), "watch");
      continue;
    }
    const auto type =
        word == "DELETED" ? kube::WatchEvent::Type::kDeleted : kube::WatchEvent::Type::kModified;
    cache.apply({type, object->get_object()}, [](kube::Change) {});
  }
  for (const auto& [key, object] : cache.objects())
    if (const auto read = api::from_cluster_json(object)) (void)api::to_json_text(read->experiment);
}

}  // namespace

void fuzz(std::string_view input) {
  switch (choose(input, 4)) {
    case 0:
      return watch(input);
    case 1:
      (void)kube::error_of(500, input, {{"retry-after", std::string(input.substr(0, 20))}}, "list");
      return;
    case 2:
      if (const auto object = kube::parse_object(input)) {
        (void)kube::identity_of(*object, {"faultline-controller"});
        (void)kube::access_of(*object);
      }
      return;
    default:
      (void)kube::parse_time(input);
      if (const auto bytes = kube::base64_decode(input))
        must(kube::base64_decode(kube::base64_encode(*bytes)) == bytes, "base64 there and back");
  }
}

}  // namespace faultline::fuzz
