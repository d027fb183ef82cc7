// SPDX-License-Identifier: Apache-2.0
// The day for those who train or judge people and root-cause tools.
#include "report/gameday/incident.h"

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "base/printable.h"
#include "report/gameday/gameday.h"
#include "report/gameday/words.h"
#include "report/noticed.h"
#include "report/story.h"

namespace faultline::report {
namespace gameday {
namespace {

namespace json = boost::json;

json::value time_json(api::Timestamp at) {
  if (!at.set()) return nullptr;
  return json::value(at.format());
}

json::value seconds_json(const std::optional<double>& seconds) {
  if (!seconds) return nullptr;
  return *seconds;
}

// "no-traffic" as report.json has it.
json::value word_json(std::string_view word) {
  std::string text(word);
  std::ranges::replace(text, '_', '-');
  std::ranges::replace(text, ' ', '-');
  return json::value(text);
}

std::string file_text(const json::value& value) {
  return printable_json(json::serialize(value)) + "\n";
}

json::array ground_truth(const api::GameDayReport& report) {
  std::set<std::string> hidden;
  for (const api::DayStep& step : report.steps)
    if (step.surprise) hidden.insert(step.name);
  json::array out;
  for (const api::DayRun& run : report.runs)
    for (const api::DayInjection& row : run.injections)
      out.push_back({{"run", run.run},
                     {"step", run.step},
                     {"surprise", hidden.contains(run.step)},
                     {"fault", row.fault},
                     {"asked", row.asked},
                     {"pod", row.pod},
                     {"node", row.node},
                     {"verdict", word_json(verdict_word(row.verdict))},
                     {"injected", row.injected},
                     {"firstInjectedAt", time_json(row.firstInjectedAt)},
                     {"lastInjectedAt", time_json(row.lastInjectedAt)}});
  return out;
}

// Nodes, pods with their roles in the runs, which ports they answer and ask, and which pods were
// seen to be connected: as measured, nothing is concluded.
class Topology {
 public:
  void add(const api::Report& report) {
    for (const api::ReportNode& node : report.nodes)
      nodes_.emplace(node.name, std::pair(node.kernel, node.arch));
    for (const api::InjectionReport& row : report.injections)
      if (!row.node.empty()) pods_[row.pod].node = row.node;
    for (const api::EffectReport& effect : report.effects) {
      pods_[effect.pod].roles.emplace(role_word(effect.role));
      const auto side = effect.labels.find("side"), port = effect.labels.find("port");
      if (effect.metric != "request.rate" || side == effect.labels.end() ||
          port == effect.labels.end())
        continue;
      endpoints_.try_emplace(std::tuple(effect.pod, side->second, port->second),
                             effect.baseline ? effect.baseline->rate : std::nullopt);
    }
    constexpr std::string_view kConnected = "control pod is connected with ", kOn = " on ";
    for (const api::TimelineEntry& entry : report.timeline) {
      if (entry.key != "connected" || !entry.name.starts_with(kConnected)) continue;
      const std::size_t on = entry.detail.rfind(kOn);
      if (on == entry.detail.npos) continue;
      add_edge(entry.detail.substr(0, on), entry.name.substr(kConnected.size()));
    }
  }

  void add(const api::RunRecord& record) {
    for (const api::RunPod& pod : record.pods) {
      Pod& one = pods_[pod.pod.id()];
      one.roles.emplace(role_word(pod.role));
      if (!pod.pod.node.empty()) one.node = pod.pod.node;
    }
    for (const api::NodeRecord& node : record.nodes)
      for (const api::RunEvent& event : node.events)
        if (event.kind == api::RunEventKind::connected) add_edge(event.pod, event.text);
  }

  [[nodiscard]] json::object to_json() const {
    json::array nodes, pods, endpoints, edges;
    for (const auto& [name, about] : nodes_)
      nodes.push_back({{"name", name}, {"kernel", about.first}, {"arch", about.second}});
    for (const auto& [name, pod] : pods_) {
      json::array roles;
      for (const std::string& role : pod.roles) roles.emplace_back(role);
      pods.push_back({{"pod", name},
                      {"node", pod.node.empty() ? json::value(nullptr) : json::value(pod.node)},
                      {"roles", std::move(roles)}});
    }
    for (const auto& [at, rate] : endpoints_)
      endpoints.push_back({{"pod", std::get<0>(at)},
                           {"side", std::get<1>(at)},
                           {"port", std::get<2>(at)},
                           {"requestsPerSecond", seconds_json(rate)}});
    for (const auto& [a, b] : edges_) edges.push_back({{"a", a}, {"b", b}});
    return {{"nodes", std::move(nodes)},
            {"pods", std::move(pods)},
            {"endpoints", std::move(endpoints)},
            {"edges", std::move(edges)}};
  }

 private:
  struct Pod {
    std::string node;
    std::set<std::string> roles;
  };
  void add_edge(std::string a, std::string b) {
    if (b < a) std::swap(a, b);
    edges_.emplace(std::move(a), std::move(b));
  }

  std::map<std::string, std::pair<std::string, std::string>> nodes_;
  std::map<std::string, Pod> pods_;
  std::map<std::tuple<std::string, std::string, std::string>, std::optional<double>> endpoints_;
  std::set<std::pair<std::string, std::string>> edges_;
};

json::array impact(const api::GameDayReport& report) {
  json::array out;
  for (const api::DayRun& run : report.runs)
    for (const api::DayPod& pod : run.spread) {
      json::array moved;
      for (const std::string& one : pod.moved) moved.emplace_back(one);
      out.push_back({{"run", run.run},
                     {"pod", pod.pod},
                     {"role", role_word(pod.role)},
                     {"firstChangeAt", time_json(pod.firstChangeAt)},
                     {"moved", std::move(moved)}});
    }
  return out;
}

json::array runs_json(const api::GameDayReport& report,
                      const std::map<std::string, api::RunRecord>& records) {
  json::array out;
  for (const api::DayRun& run : report.runs)
    out.push_back({{"run", run.run},
                   {"step", run.step},
                   {"begunAt", time_json(run.begunAt)},
                   {"overAt", time_json(run.overAt)},
                   {"recoveredAt", time_json(run.recoveredAt)},
                   {"detectionSeconds", seconds_json(run.detection.seconds)},
                   {"acknowledgementSeconds", seconds_json(run.acknowledgement.seconds)},
                   {"repairSeconds", seconds_json(run.repair.seconds)},
                   {"metrics", records.contains(run.run) ? "windows"
                               : run.known               ? "phases"
                                                         : "none"}});
  return out;
}

json::value incident_json(const api::GameDayReport& report,
                          const std::map<std::string, api::Report>& runs,
                          const std::map<std::string, api::RunRecord>& records) {
  Topology topology;
  json::array gaps;
  for (const api::DayRun& run : report.runs) {
    if (const auto one = runs.find(run.run); one != runs.end()) topology.add(one->second);
    if (const auto one = records.find(run.run); one != records.end()) topology.add(one->second);
  }
  for (const api::DayGap& gap : report.gaps)
    gaps.push_back({{"where", gap.where},
                    {"what", gap.what},
                    {"from", time_json(gap.from)},
                    {"to", time_json(gap.to)},
                    {"reason", gap.reason}});
  return json::object{{"schema", kIncidentVersion},
                      {"kind", "Incident"},
                      {"id", report.day},
                      {"name", report.name},
                      {"title", report.title},
                      {"state", word_json(state_word(report.state))},
                      {"startedAt", time_json(report.startedAt)},
                      {"overAt", time_json(report.overAt)},
                      {"groundTruth", ground_truth(report)},
                      {"topology", topology.to_json()},
                      {"impact", impact(report)},
                      {"runs", runs_json(report, records)},
                      {"gaps", std::move(gaps)}};
}

json::value alerts_json(const api::GameDayReport& report) {
  json::array out;
  for (const api::DayRun& run : report.runs)
    for (const api::DetectionReport& d : run.detections) {
      json::object labels;
      for (const auto& [name, value] : d.labels) labels.emplace(name, value);
      out.push_back({{"run", run.run},
                     {"step", run.step},
                     {"alert", d.alert},
                     {"labels", std::move(labels)},
                     {"source", d.source},
                     {"group", d.group},
                     {"expected", d.within.has_value()},
                     {"verdict", word_json(detection_word(d.verdict))},
                     {"pendingAt", time_json(d.pendingAt)},
                     {"firingAt", time_json(d.firingAt)},
                     {"notifiedAt", time_json(d.notifiedAt)},
                     {"resolvedAt", time_json(d.resolvedAt)}});
    }
  return json::object{{"schema", kIncidentVersion}, {"kind", "Alerts"}, {"alerts", std::move(out)}};
}

json::value timeline_json(const api::GameDayReport& report) {
  json::array out;
  for (const api::DayLine& line : report.timeline)
    out.push_back({{"at", time_json(line.at)},
                   {"lane", lane_word(line.lane)},
                   {"event", word_json(line.event)},
                   {"step", line.step},
                   {"run", line.run},
                   {"who", line.who},
                   {"text", line.text},
                   {"lateSeconds", seconds_json(line.late)}});
  return json::object{
      {"schema", kIncidentVersion}, {"kind", "Timeline"}, {"entries", std::move(out)}};
}

}  // namespace
}  // namespace gameday

std::vector<IncidentFile> gameday_incident(const api::GameDayReport& report,
                                           const std::map<std::string, api::Report>& runs,
                                           const std::map<std::string, api::RunRecord>& records) {
  using namespace gameday;  // NOLINT(google-build-using-namespace)
  return {{"README.md", std::string(incident_readme())},
          {"schema.json", std::string(incident_schema())},
          {"incident.json", file_text(incident_json(report, runs, records))},
          {"alerts.json", file_text(alerts_json(report))},
          {"timeline.json", file_text(timeline_json(report))},
          {"metrics.prom", open_metrics(report, runs, records)}};
}

}  // namespace faultline::report
