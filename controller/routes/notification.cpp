// SPDX-License-Identifier: Apache-2.0
#include "controller/routes/notification.h"

#include <cmath>

#include "controller/observe/source.h"
#include "document/json.h"

namespace faultline::controller {
namespace {

constexpr std::size_t kMostLabels = 64, kLongestText = 1024;
// A notification of 10 000 alerts with 20 labels and annotations each.
constexpr document::Budget kNotification{kLongestNotification, 600'000, 16};

std::string text_of(const boost::json::object& from, std::string_view key) {
  const boost::json::value* value = from.if_contains(key);
  if (value == nullptr || !value->is_string() || value->get_string().size() > kLongestText)
    return {};
  return std::string(value->get_string());
}

std::map<std::string, std::string> labels_of(const boost::json::object& alert) {
  std::map<std::string, std::string> labels;
  const boost::json::value* all = alert.if_contains("labels");
  if (all == nullptr || !all->is_object()) return labels;
  for (const auto& [key, value] : all->get_object()) {
    if (!value.is_string() || labels.size() >= kMostLabels) continue;
    if (key.size() > kLongestText || value.get_string().size() > kLongestText) continue;
    labels.emplace(std::string(key), std::string(value.get_string()));
  }
  return labels;
}

api::Timestamp time_of(const std::string& text) {
  const std::optional<double> seconds = observe::parse_time(text);
  return seconds ? observe::to_ours(*seconds, {}) : api::Timestamp{};
}

}  // namespace

Result<Notification> parse_notification(std::string_view body, UtcTime at) {
  const auto value = document::parse_json(body, kNotification);
  if (!value) return fail(value.error().with_context("a notification of Alertmanager"));
  const boost::json::object* object = value->if_object();
  if (object == nullptr) return fail(Errc::kInvalid, "expected an object, as Alertmanager sends");
  Notification out{.receiver = text_of(*object, "receiver"), .alerts = {}};
  if (out.receiver.empty())
    return fail(Errc::kInvalid, "receiver: expected the name of a receiver, as Alertmanager sends");
  const boost::json::value* alerts = object->if_contains("alerts");
  if (alerts == nullptr || !alerts->is_array())
    return fail(Errc::kInvalid, "alerts: expected a list, as Alertmanager sends");
  for (const boost::json::value& item : alerts->get_array()) {
    const boost::json::object* alert = item.if_object();
    if (alert == nullptr) return fail(Errc::kInvalid, "alerts: expected objects");
    api::AlertNotification told{.receiver = out.receiver, .labels = labels_of(*alert)};
    const auto name = told.labels.find("alertname");
    if (name == told.labels.end()) continue;
    told.alert = name->second;
    told.resolved = text_of(*alert, "status") == "resolved";
    told.at = {at};
    told.startsAt = time_of(text_of(*alert, "startsAt"));
    out.alerts.push_back(std::move(told));
  }
  return out;
}

}  // namespace faultline::controller
