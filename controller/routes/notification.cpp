// SPDX-License-Identifier: Apache-2.0
#include "controller/routes/notification.h"

#include <cmath>

#include "controller/observe/source.h"
#include "document/json.h"

namespace faultline::controller {
namespace {

constexpr std::size_t kLongestText = 1024;  // bytes of a receiver's name and the like
// A notification of 10 000 alerts with 20 labels and annotations each.
constexpr document::Budget kNotification{kLongestNotification, 600'000, 16};

std::string text_of(const boost::json::object& from, std::string_view key) {
  const boost::json::value* value = from.if_contains(key);
  if (value == nullptr || !value->is_string() || value->get_string().size() > kLongestText)
    return {};
  return std::string(value->get_string());
}

// A number that is not there is none; one that is no number may be any.
std::uint64_t number_of(const boost::json::object& from, std::string_view key) {
  const boost::json::value* value = from.if_contains(key);
  if (value == nullptr || value->is_null()) return 0;
  if (const auto* number = value->if_int64()) return *number > 0 ? std::uint64_t(*number) : 0;
  if (const auto* number = value->if_uint64()) return *number;
  return 1;
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
  Notification out;
  out.receiver = text_of(*object, "receiver");
  if (out.receiver.empty())
    return fail(Errc::kInvalid, "receiver: expected the name of a receiver, as Alertmanager sends");
  const boost::json::value* alerts = object->if_contains("alerts");
  if (alerts == nullptr || !alerts->is_array())
    return fail(Errc::kInvalid, "alerts: expected a list, as Alertmanager sends");
  out.left_off = number_of(*object, "truncatedAlerts");
  if (const boost::json::value* group = object->if_contains("groupLabels");
      group != nullptr && group->is_object())
    out.alert = text_of(group->get_object(), "alertname");
  const boost::json::object none;
  for (const boost::json::value& item : alerts->get_array()) {
    const boost::json::object* alert = item.if_object();
    if (alert == nullptr) return fail(Errc::kInvalid, "alerts: expected objects");
    const boost::json::value* all = alert->if_contains("labels");
    const boost::json::object& labels =
        all != nullptr && all->is_object() ? all->get_object() : none;
    if (std::string why = observe::too_much(labels); !why.empty()) {
      out.not_taken.add(labels, std::move(why));
      continue;
    }
    api::AlertNotification told{.receiver = out.receiver, .labels = observe::labels_of(labels)};
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
