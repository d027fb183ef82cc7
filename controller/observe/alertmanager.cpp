// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/alertmanager.h"

#include "base/printable.h"
#include "kube/json.h"

namespace faultline::controller::observe {
namespace {

namespace json = boost::json;

tl::unexpected<Error> strange(std::string_view what) {
  return fail(Errc::kUnavailable,
              "the answer is none of Alertmanager's API v2: " + std::string(what));
}

Labels labels_in(const json::object& object) {
  Labels out;
  if (const json::object* labels = kube::object_at(object, "labels"))
    for (const auto& label : *labels)
      if (const json::string* value = label.value().if_string())
        out.emplace(std::string(label.key()), std::string(value->data(), value->size()));
  return out;
}

double time_in(const json::object& object, std::string_view key) {
  return parse_time(kube::text_at(object, key)).value_or(0);
}

std::vector<std::string> names_in(const json::object& object, std::string_view key) {
  std::vector<std::string> out;
  if (const json::array* all = kube::array_at(object, key))
    for (const json::value& one : *all)
      if (const json::object* named = one.if_object())
        out.emplace_back(kube::text_at(*named, "name"));
  return out;
}

// Applies `read` to each object of an array.
template <class T, class Read>
Result<std::vector<T>> each(const json::value& answer, std::string_view what, Read read) {
  const json::array* all = answer.if_array();
  if (all == nullptr) return strange("no list of " + std::string(what));
  std::vector<T> out;
  for (const json::value& one : *all) {
    const json::object* object = one.if_object();
    if (object == nullptr) return strange("one of the " + std::string(what) + " is no object");
    out.push_back(read(*object));
  }
  return out;
}

}  // namespace

Result<AlertmanagerStatus> parse_status(const json::value& answer) {
  const json::object* object = answer.if_object();
  const json::object* config = object != nullptr ? kube::object_at(*object, "config") : nullptr;
  if (config == nullptr || !config->contains("original")) return strange("no configuration");
  AlertmanagerStatus out;
  out.config = kube::text_at(*config, "original");
  if (const json::object* version = kube::object_at(*object, "versionInfo"))
    out.version = printable(kube::text_at(*version, "version"), 60);
  if (const auto at = parse_time(kube::text_at(*object, "uptime"))) out.started = to_ours(*at, {});
  return out;
}

Result<std::vector<HeldAlert>> parse_held(const json::value& answer) {
  return each<HeldAlert>(answer, "alerts", [](const json::object& object) {
    HeldAlert out;
    out.labels = labels_in(object);
    if (auto name = out.labels.extract("alertname"); !name.empty())
      out.alert = std::move(name.mapped());
    out.fingerprint = kube::text_at(object, "fingerprint");
    out.starts_at = time_in(object, "startsAt");
    out.receivers = names_in(object, "receivers");
    if (const json::object* status = kube::object_at(object, "status")) {
      out.silenced_by = kube::texts_at(*status, "silencedBy");
      out.inhibited_by = kube::texts_at(*status, "inhibitedBy");
      out.muted_by = kube::texts_at(*status, "mutedBy");
    }
    return out;
  });
}

Result<std::vector<AlertGroup>> parse_groups(const json::value& answer) {
  return each<AlertGroup>(answer, "groups", [](const json::object& object) {
    AlertGroup out;
    out.labels = labels_in(object);
    if (const json::object* receiver = kube::object_at(object, "receiver"))
      out.receiver = kube::text_at(*receiver, "name");
    return out;
  });
}

Result<std::vector<Silence>> parse_silences(const json::value& answer) {
  return each<Silence>(answer, "silences", [](const json::object& object) {
    Silence out;
    out.id = kube::text_at(object, "id");
    out.created_by = kube::text_at(object, "createdBy");
    out.comment = kube::text_at(object, "comment");
    out.starts_at = time_in(object, "startsAt");
    out.ends_at = time_in(object, "endsAt");
    if (const json::object* status = kube::object_at(object, "status"))
      out.active = kube::text_at(*status, "state") == "active";
    if (const json::array* matchers = kube::array_at(object, "matchers"))
      for (const json::value& one : *matchers)
        if (const json::object* matcher = one.if_object())
          out.matchers.push_back(
              {std::string(kube::text_at(*matcher, "name")),
               std::string(kube::text_at(*matcher, "value")), kube::flag_at(*matcher, "isRegex"),
               // Before 0.22 there was no such field, and no other than "equal".
               !matcher->contains("isEqual") || kube::flag_at(*matcher, "isEqual")});
    return out;
  });
}

Alertmanager::Task<json::value> Alertmanager::body(std::string target) {
  Result<Answer> answer = co_await source_.get(std::move(target));
  if (!answer) co_return fail(answer.error());
  if (answer->date)
    offset_ = offset_of(answer->asked, answer->answered,
                        std::chrono::duration<double>(answer->date->time_since_epoch()).count(), 1);
  co_return std::move(answer->body);
}

Alertmanager::Task<AlertmanagerStatus> Alertmanager::status() {
  const Result<json::value> answer = co_await body("/api/v2/status");
  if (!answer) co_return fail(answer.error());
  auto out = parse_status(*answer);
  if (!out) co_return fail(out.error().with_context(options().name));
  co_return out;
}

Alertmanager::Task<std::vector<HeldAlert>> Alertmanager::alerts() {
  const Result<json::value> answer = co_await body("/api/v2/alerts");
  if (!answer) co_return fail(answer.error());
  auto out = parse_held(*answer);
  if (!out) co_return fail(out.error().with_context(options().name));
  co_return out;
}

Alertmanager::Task<std::vector<AlertGroup>> Alertmanager::groups() {
  const Result<json::value> answer = co_await body("/api/v2/alerts/groups");
  if (!answer) co_return fail(answer.error());
  auto out = parse_groups(*answer);
  if (!out) co_return fail(out.error().with_context(options().name));
  co_return out;
}

Alertmanager::Task<std::vector<Silence>> Alertmanager::silences() {
  const Result<json::value> answer = co_await body("/api/v2/silences");
  if (!answer) co_return fail(answer.error());
  auto out = parse_silences(*answer);
  if (!out) co_return fail(out.error().with_context(options().name));
  co_return out;
}

}  // namespace faultline::controller::observe
