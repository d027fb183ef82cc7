// SPDX-License-Identifier: Apache-2.0
#include "kube/events.h"

#include <openssl/evp.h>

#include <array>
#include <boost/asio/use_awaitable.hpp>
#include <cstdio>
#include <list>
#include <map>
#include <random>
#include <tuple>

#include "base/printable.h"
#include "kube/json.h"
#include "kube/times.h"

namespace faultline::kube {
namespace json = boost::json;
using boost::asio::awaitable;
namespace {

constexpr std::size_t kMaxMessage = 1024;  // the API refuses longer ones

// The same in every process, so that of several who tell it one is the first.
std::string once_name(const ObjectReference& about, const std::string& once) {
  const std::string text = about.uid + " " + once;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  std::string name = about.name.substr(0, 253 - 17) + ".";
  for (std::size_t i = 0; i < 8; ++i) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", digest[i]);
    name += digits;
  }
  return name;
}

}  // namespace

ObjectReference reference_to(const json::object& object, std::string api_version,
                             std::string kind) {
  ObjectReference to;
  to.api_version = text_at(object, "apiVersion");
  to.kind = text_at(object, "kind");
  if (to.api_version.empty()) to.api_version = std::move(api_version);
  if (to.kind.empty()) to.kind = std::move(kind);
  to.ns = meta(object, "namespace");
  to.name = meta(object, "name");
  to.uid = meta(object, "uid");
  to.resource_version = meta(object, "resourceVersion");
  return to;
}

struct EventRecorder::Impl {
  using Key = std::tuple<std::string, std::string, std::string, std::string, std::string, bool,
                         std::string, std::string>;
  struct Known {
    std::string name;
    std::int64_t count;
    SteadyTime last;
    std::list<Key>::iterator place;
  };

  Impl(Client& c, const Clock& cl, EventOptions o)
      : client(c), clock(cl), options(std::move(o)), random(std::random_device{}()) {}

  Known* find(const Key& key) {
    const auto found = known.find(key);
    if (found == known.end()) return nullptr;
    if (clock.steady() - found->second.last < options.remember) return &found->second;
    forget(key);
    return nullptr;
  }
  void forget(const Key& key) {
    const auto found = known.find(key);
    if (found == known.end()) return;
    order.erase(found->second.place);
    known.erase(found);
  }
  void put(const Key& key, std::string name) {
    forget(key);
    if (known.size() >= options.entries) {
      const Key oldest = order.front();
      forget(oldest);
    }
    order.push_back(key);
    known[key] = {std::move(name), 1, clock.steady(), std::prev(order.end())};
  }
  std::string new_name(const std::string& about) {
    char suffix[24];
    std::snprintf(suffix, sizeof suffix, ".%016llx", static_cast<unsigned long long>(random()));
    return about.substr(0, 253 - 17) + suffix;
  }

  Client& client;
  const Clock& clock;
  EventOptions options;
  std::mt19937_64 random;
  std::map<Key, Known> known;
  std::list<Key> order;  // the oldest first
};

EventRecorder::EventRecorder(Client& client, const Clock& clock, EventOptions options)
    : impl_(std::make_shared<Impl>(client, clock, std::move(options))) {}
EventRecorder::~EventRecorder() = default;

namespace {

awaitable<Answer<>> record_event(std::shared_ptr<EventRecorder::Impl> self, ObjectReference about,
                                 EventText text) {
  text.message = printable(text.message, kMaxMessage);
  const std::string ns = about.ns.empty() ? "default" : about.ns;
  const std::string now = format_time(text.at.value_or(self->clock.utc()));
  const EventRecorder::Impl::Key key{about.api_version, about.kind,   about.ns,    about.name,
                                     about.uid,         text.warning, text.reason, text.message};
  if (auto* known = self->find(key)) {
    if (!text.once.empty()) co_return Answer<>{};
    known->last = self->clock.steady();
    const std::string name = known->name;
    const json::object patch{{"count", ++known->count}, {"lastTimestamp", now}};
    const auto patched = co_await self->client.merge_patch(events().in(ns).named(name), patch);
    if (patched) co_return Answer<>{};
    // The API server forgets events after an hour, and a person may have deleted it.
    if (patched.error().reason != Reason::kNotFound) co_return api_fail(patched.error());
    self->forget(key);
  }
  const std::string name =
      text.once.empty() ? self->new_name(about.name) : once_name(about, text.once);
  json::object object{
      {"apiVersion", "v1"},
      {"kind", "Event"},
      {"metadata", {{"name", name}, {"namespace", ns}}},
      {"involvedObject",
       {{"apiVersion", about.api_version}, {"kind", about.kind}, {"name", about.name}}},
      {"type", text.warning ? "Warning" : "Normal"},
      {"reason", text.reason},
      {"message", text.message},
      {"source", {{"component", self->options.component}, {"host", self->options.instance}}},
      {"firstTimestamp", now},
      {"lastTimestamp", now},
      {"count", 1}};
  json::object& involved = object["involvedObject"].get_object();
  for (const auto& [field, value] :
       std::initializer_list<std::pair<const char*, const std::string*>>{
           {"namespace", &about.ns},
           {"uid", &about.uid},
           {"resourceVersion", &about.resource_version}})
    if (!value->empty()) involved[field] = *value;
  self->put(key, name);  // before it is sent: the same text at the same time is one event
  const auto created = co_await self->client.create(events().in(ns), std::move(object));
  if (created) co_return Answer<>{};
  if (!text.once.empty() && created.error().reason == Reason::kAlreadyExists) co_return Answer<>{};
  self->forget(key);
  co_return api_fail(created.error());
}

}  // namespace

awaitable<Answer<>> EventRecorder::record(ObjectReference about, EventText text) {
  return record_event(impl_, std::move(about), std::move(text));
}

}  // namespace faultline::kube
