// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/alertmanager.h"

#include <algorithm>
#include <utility>

#include "base/printable.h"
#include "kube/json.h"

namespace faultline::controller::observe {
namespace {

namespace json = boost::json;

tl::unexpected<Error> strange(std::string_view what) {
  return fail(Errc::kUnavailable,
              "the answer is none of Alertmanager's API v2: " + std::string(what));
}

constexpr std::size_t kMostKept = 32 << 20;     // bytes of one list, once it is read
constexpr std::size_t kMostSilences = 4 << 20;  // those are held during the whole run
constexpr std::size_t kLongestComment = 1'024;  // bytes
constexpr std::size_t kLongestMatcher = 64 << 10;
constexpr std::size_t kMostNames = 64;  // of one list of an alert

// The labels of an alert or group. Empty: they are too much, or a text beside them is; then it is
// one of `left_out`.
std::optional<Labels> labels_taken(const json::object& object, std::string_view beside,
                                   NotTaken* left_out) {
  const json::object none;
  const json::object* labels = kube::object_at(object, "labels");
  if (labels == nullptr) labels = &none;
  std::string why = too_much(*labels);
  if (why.empty() && beside.size() > kLongestLabel) why = "a name of " + bytes_words(beside.size());
  if (why.empty()) return labels_of(*labels);
  if (left_out != nullptr) left_out->add(*labels, std::move(why));
  return std::nullopt;
}

double time_in(const json::object& object, std::string_view key) {
  return parse_time(kube::text_at(object, key)).value_or(0);
}

void add_name(std::vector<std::string>& to, std::string_view name) {
  if (to.size() < kMostNames) to.emplace_back(name.substr(0, kLongestLabel));
}

std::vector<std::string> names_in(const json::object& object, std::string_view key) {
  std::vector<std::string> out;
  if (const json::array* all = kube::array_at(object, key))
    for (const json::value& one : *all)
      if (const json::object* named = one.if_object()) add_name(out, kube::text_at(*named, "name"));
  return out;
}

std::vector<std::string> texts_in(const json::object& object, std::string_view key) {
  std::vector<std::string> out;
  if (const json::array* all = kube::array_at(object, key))
    for (const json::value& one : *all)
      if (const json::string* text = one.if_string()) add_name(out, {text->data(), text->size()});
  return out;
}

std::size_t bytes_of_texts(const std::vector<std::string>& texts) {
  std::size_t out = 0;
  for (const std::string& text : texts) out += sizeof text + text.size();
  return out;
}
std::size_t bytes_held(const HeldAlert& alert) {
  return sizeof alert + bytes_of_labels(alert.labels) + bytes_of_texts(alert.receivers) +
         bytes_of_texts(alert.silenced_by) + bytes_of_texts(alert.inhibited_by) +
         bytes_of_texts(alert.muted_by);
}
std::size_t bytes_held(const AlertGroup& group) {
  return sizeof group + group.receiver.size() + bytes_of_labels(group.labels);
}
std::size_t bytes_held(const Silence& silence) {
  std::size_t out = sizeof silence + silence.created_by.size() + silence.comment.size();
  for (const Matcher& one : silence.matchers)
    out += sizeof one + one.name.size() + one.value.size();
  return out;
}

// Applies `read` to each object of an array; what it gives nothing for is left out.
template <class T, class Read>
Result<std::vector<T>> each(const json::value& answer, std::string_view what, Read read,
                            std::size_t most = kMostKept) {
  const json::array* all = answer.if_array();
  if (all == nullptr) return strange("no list of " + std::string(what));
  std::vector<T> out;
  std::size_t bytes = 0;
  for (const json::value& one : *all) {
    const json::object* object = one.if_object();
    if (object == nullptr) return strange("one of the " + std::string(what) + " is no object");
    std::optional<T> taken = read(*object);
    if (!taken) continue;
    if ((bytes += bytes_held(*taken)) > most)
      return fail(Errc::kUnavailable, "the answer has more " + std::string(what) +
                                          " than can be kept: " + bytes_words(most));
    out.push_back(std::move(*taken));
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

Result<std::vector<HeldAlert>> parse_held(const json::value& answer, NotTaken* left_out) {
  return each<HeldAlert>(
      answer, "alerts", [&](const json::object& object) -> std::optional<HeldAlert> {
        const std::string_view fingerprint = kube::text_at(object, "fingerprint");
        auto labels = labels_taken(object, fingerprint, left_out);
        if (!labels) return std::nullopt;
        HeldAlert out;
        out.labels = std::move(*labels);
        if (auto name = out.labels.extract("alertname"); !name.empty())
          out.alert = std::move(name.mapped());
        out.fingerprint = fingerprint;
        out.starts_at = time_in(object, "startsAt");
        out.receivers = names_in(object, "receivers");
        if (const json::object* status = kube::object_at(object, "status")) {
          out.silenced_by = texts_in(*status, "silencedBy");
          out.inhibited_by = texts_in(*status, "inhibitedBy");
          out.muted_by = texts_in(*status, "mutedBy");
        }
        return out;
      });
}

Result<std::vector<AlertGroup>> parse_groups(const json::value& answer, NotTaken* left_out) {
  return each<AlertGroup>(
      answer, "groups", [&](const json::object& object) -> std::optional<AlertGroup> {
        const json::object* receiver = kube::object_at(object, "receiver");
        const std::string_view name =
            receiver != nullptr ? kube::text_at(*receiver, "name") : std::string_view();
        auto labels = labels_taken(object, name, left_out);
        if (!labels) return std::nullopt;
        return AlertGroup{.receiver = std::string(name), .labels = std::move(*labels)};
      });
}

Result<std::vector<Silence>> parse_silences(const json::value& answer) {
  return each<Silence>(
      answer, "silences",
      [](const json::object& object) -> std::optional<Silence> {
        Silence out;
        if (const json::object* status = kube::object_at(object, "status"))
          out.active = kube::text_at(*status, "state") == "active";
        if (!out.active) return std::nullopt;
        out.id = kube::text_at(object, "id").substr(0, kLongestComment);
        out.created_by = kube::text_at(object, "createdBy").substr(0, kLongestComment);
        out.comment = kube::text_at(object, "comment").substr(0, kLongestComment);
        out.starts_at = time_in(object, "startsAt");
        out.ends_at = time_in(object, "endsAt");
        if (const json::array* matchers = kube::array_at(object, "matchers"))
          for (const json::value& one : *matchers)
            if (const json::object* matcher = one.if_object())
              out.matchers.push_back(
                  {std::string(kube::text_at(*matcher, "name")),
                   std::string(kube::text_at(*matcher, "value")),
                   kube::flag_at(*matcher, "isRegex"),
                   // Before 0.22 there was no such field, and no other than "equal".
                   !matcher->contains("isEqual") || kube::flag_at(*matcher, "isEqual")});
        // The plan does not know of it then; alerts that it silences name it by its id.
        if (std::ranges::any_of(out.matchers, [](const Matcher& one) {
              return one.value.size() > kLongestMatcher || one.name.size() > kLongestLabel;
            }))
          return std::nullopt;
        return out;
      },
      kMostSilences);
}

template <class T>
Alertmanager::Task<T> Alertmanager::ask(std::string target,
                                        std::function<Result<T>(const json::value&)> read) {
  using Dated = std::pair<T, std::optional<Offset>>;
  std::function<Result<Dated>(const Answer&)> both =
      [read = std::move(read)](const Answer& answer) -> Result<Dated> {
    Result<T> out = read(answer.body);
    if (!out) return fail(out.error());
    std::optional<Offset> offset;
    if (answer.date)
      offset = offset_of(answer.asked, answer.answered,
                         std::chrono::duration<double>(answer.date->time_since_epoch()).count(), 1);
    return Dated(std::move(*out), offset);
  };
  Result<Dated> out = co_await source_.get(std::move(target), std::move(both));
  if (!out) co_return fail(out.error());
  if (out->second) offset_ = out->second;
  co_return std::move(out->first);
}

Alertmanager::Task<AlertmanagerStatus> Alertmanager::status() {
  std::function<Result<AlertmanagerStatus>(const json::value&)> read = parse_status;
  return ask("/api/v2/status", std::move(read));
}

Alertmanager::Task<HeldAlerts> Alertmanager::alerts() {
  std::function<Result<HeldAlerts>(const json::value&)> read =
      [](const json::value& answer) -> Result<HeldAlerts> {
    HeldAlerts out;
    auto alerts = parse_held(answer, &out.left_out);
    if (!alerts) return fail(alerts.error());
    out.alerts = std::move(*alerts);
    return out;
  };
  return ask("/api/v2/alerts", std::move(read));
}

Alertmanager::Task<AlertGroups> Alertmanager::groups() {
  std::function<Result<AlertGroups>(const json::value&)> read =
      [](const json::value& answer) -> Result<AlertGroups> {
    AlertGroups out;
    auto groups = parse_groups(answer, &out.left_out);
    if (!groups) return fail(groups.error());
    out.groups = std::move(*groups);
    return out;
  };
  return ask("/api/v2/alerts/groups", std::move(read));
}

Alertmanager::Task<std::vector<Silence>> Alertmanager::silences() {
  std::function<Result<std::vector<Silence>>(const json::value&)> read = parse_silences;
  return ask("/api/v2/silences", std::move(read));
}

}  // namespace faultline::controller::observe
