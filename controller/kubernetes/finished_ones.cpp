// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/finished_ones.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "api/experiment.h"
#include "controller/kubernetes/experiment_object.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

constexpr std::chrono::minutes kDeleteAgain{1};
// Also when the time is far, or there is none: policy and clock change.
constexpr std::chrono::hours kLookAgain{1};

}  // namespace

FinishedOnes::FinishedOnes(kube::Client& client, const Clock& clock, FinishedKind kind,
                           KeptFor kept_for)
    : client_(client), clock_(clock), kind_(std::move(kind)), kept_for_(std::move(kept_for)) {}

// What the object says itself goes before the policy. Nothing: without end.
std::optional<UtcTime> FinishedOnes::until(const boost::json::object& object) const {
  const auto finished = kind_.finished_at(object);
  if (!finished) return std::nullopt;
  std::optional<std::chrono::seconds> ttl = kept_for_ ? kept_for_() : std::nullopt;
  if (const auto* spec = kube::object_at(object, "spec"))
    if (const auto said = kube::text_at(*spec, "ttlAfterFinished"); !said.empty())
      ttl = api::read_ttl(said);
  if (!ttl) return std::nullopt;
  return *finished + *ttl;
}

void FinishedOnes::keep(const boost::json::object& object) {
  const auto end = until(object);
  std::chrono::nanoseconds left = kLookAgain;
  if (end)
    left = std::clamp<std::chrono::nanoseconds>(*end - clock_.utc(), std::chrono::nanoseconds(0),
                                                kLookAgain);
  queue_.put(kube::key_of(object), clock_.steady() + left);
}

boost::asio::awaitable<void> FinishedOnes::look(boost::json::object object) {
  const auto end = until(object);
  if (!end || clock_.utc() < *end) {
    keep(object);
    co_return;
  }
  const kube::ObjectKey key = kube::key_of(object);
  kube::RemoveOptions how;
  how.uid = kube::meta(object, "uid");
  how.propagation = "Background";
  auto ref = kind_.collection.in(key.ns).named(key.name);
  const auto removed = co_await client_.remove(std::move(ref), std::move(how));
  if (removed) {
    ++deleted_;
    spdlog::info("{} {}: deleted, its ttlAfterFinished is over", kind_.what, name_of(object));
    co_return;
  }
  // Another one has its name by now, or none: the watch tells.
  if (removed.error().reason == kube::Reason::kNotFound ||
      removed.error().reason == kube::Reason::kConflict)
    co_return;
  if (last_error_ != removed.error().message) spdlog::warn("{}", removed.error().message);
  last_error_ = removed.error().message;
  queue_.put(key, clock_.steady() + kDeleteAgain);
}

}  // namespace faultline::controller
