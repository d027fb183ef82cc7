// SPDX-License-Identifier: Apache-2.0
// faultline monitoring: what the controller reaches of the monitoring now.
#include <boost/json.hpp>
#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/commands/commands.h"
#include "cli/controller_api.h"
#include "cli/text.h"
#include "report/format.h"

namespace faultline::cli {
namespace {

// Ready to paste. The receiver's name is the one that the controller looks for from its start on.
void print_route(std::ostream& out, const std::string& url, const std::string& token_file) {
  out << "\nTo let a run know when somebody was told, add to Alertmanager's configuration (or add "
         "the\nwebhook to the receiver whose notifications count):\n\n"
         "  route:\n"
         "    routes:\n"
         "      - receiver: faultline    # the first of the routes\n"
         "        continue: true\n"
         "  receivers:\n"
         "    - name: faultline\n"
         "      webhook_configs:\n"
         "        - url: "
      << printable(url)
      << "/api/v1/alerts/notifications\n"
         "          send_resolved: true\n"
         "          max_alerts: 1000\n"
         "          http_config:\n"
         "            authorization: {credentials_file: "
      << printable(token_file) << "}\n";
}

std::string clock_words(const api::MonitoringSource& source) {
  return report::change_words(*api::find_metric("tcp.rtt"), source.clockOffset) + " +- " +
         report::seconds_words(source.clockUncertainty, 2);
}

std::string text_at(const boost::json::object& from, const char* key) {
  const auto* value = from.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

std::string count_at(const boost::json::object& from, const char* key) {
  const auto* value = from.if_contains(key);
  return value != nullptr && value->is_number() ? boost::json::serialize(*value) : "";
}

// Who is told of runs, and what became of it.
void print_destinations(std::ostream& out, const boost::json::object& answer) {
  const auto* all = answer.if_contains("events");
  if (all == nullptr || !all->is_array() || all->get_array().empty()) return;
  std::vector<Row> rows{{"TOLD OF RUNS", "KIND", "TOLD", "FAILED", "WAITING", "PROBLEM"}};
  for (const auto& one : all->get_array())
    if (const auto* object = one.if_object())
      rows.push_back({text_at(*object, "name"), text_at(*object, "kind"), count_at(*object, "told"),
                      count_at(*object, "failed"), count_at(*object, "waiting"),
                      text_at(*object, "problem")});
  out << table(rows) << "\n";
}

}  // namespace

Result<int> run_monitoring(Invocation& call, Console& console) {
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  const auto text = api->monitoring();
  if (!text) return fail(text.error());
  boost::system::error_code broken;
  const boost::json::value answer = boost::json::parse(*text, broken);
  const boost::json::object* object = broken ? nullptr : answer.if_object();
  if (object == nullptr || !object->contains("sources") || !object->contains("receivers"))
    return fail(Errc::kInternal, "the controller did not tell its monitoring");
  const auto record = api::from_json<api::MonitoringRecord>(
      boost::json::object{{"sources", object->at("sources")}});
  if (!record)
    return fail(record.error().with_context("the controller did not tell its monitoring"));
  if (call.json()) {
    print_json(console.out, answer);
    return kExitMet;
  }
  print_destinations(console.out, *object);
  if (record->sources.empty()) {
    console.out << "this controller has no monitoring: start it with --prometheus URL, "
                   "--alertmanager URL or --monitoring FILE (docs/monitoring.md)\n";
    return kExitMet;
  }
  std::vector<Row> rows{{"NAME", "KIND", "URL", "VERSION", "CLOCK", "PROBLEM"}};
  for (const api::MonitoringSource& source : record->sources)
    rows.push_back({source.name, source.kind, source.url, source.version,
                    source.problem.empty() ? clock_words(source) : "", source.problem});
  console.out << table(rows);
  if (const auto* rules = object->if_contains("rules"); rules != nullptr && rules->is_array())
    console.out << "\n"
                << report::plural(rules->get_array().size(), "alert rule", "alert rules") << "\n";
  std::string receivers;
  if (object->at("receivers").is_array())
    for (const auto& name : object->at("receivers").get_array())
      if (name.is_string())
        receivers += (receivers.empty() ? "" : ", ") + std::string(name.get_string());
  console.out << (receivers.empty()
                      ? "no notification has arrived here since the controller started"
                      : "notifications have arrived of: " + printable(receivers))
              << "\n";
  const auto* token = object->if_contains("notifications");
  if (token == nullptr || !token->is_string() || token->get_string().empty()) {
    console.out << "notifications are not taken: start the controller with --notifications-token "
                   "FILE\n";
    return kExitMet;
  }
  auto way = api->way().options();
  print_route(console.out, way ? way->base_url : "http://CONTROLLER:7878",
              std::string(token->get_string()));
  return kExitMet;
}

}  // namespace faultline::cli
