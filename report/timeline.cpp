// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <boost/describe.hpp>

#include "report/analysis.h"
#include "report/format.h"
#include "report/noticed.h"

namespace faultline::report {
namespace {

using Entries = std::vector<api::TimelineEntry>;

void add(Entries& entries, std::string key, std::string name, UtcTime at, std::string detail = "") {
  if (at == UtcTime{}) return;  // never
  entries.push_back({std::move(key), std::move(name), {at}, std::nullopt, std::move(detail)});
}

std::string state_name(api::RunState state) {
  switch (state) {
    case api::RunState::Pending:
      return "asked";
    case api::RunState::Baseline:
      return "measuring the baseline";
    case api::RunState::Injecting:
      return "every node armed; the fault phase counts from here";
    case api::RunState::Recovering:
      return "faults ended; measuring the recovery";
    case api::RunState::Completed:
      return "completed";
    case api::RunState::Aborted:
      return "aborted";
    case api::RunState::Failed:
      break;
  }
  return "failed";
}

void add_states(Entries& entries, const api::RunRecord& record) {
  for (std::size_t i = 0; i < record.history.size(); ++i) {
    const api::PhaseMark& mark = record.history[i];
    std::string key = i == 0 ? "t0" : boost::describe::enum_to_string(mark.state, "state");
    if (i > 0) key.front() = static_cast<char>(key.front() - 'A' + 'a');
    std::string detail = mark.reason;
    if (i == 0 && detail.empty() && !record.requestedBy.empty())
      detail = "by " + record.requestedBy;
    add(entries, key, i == 0 ? "asked" : state_name(mark.state), mark.at.value, detail);
  }
}

// Only what a reader would not expect of every run.
void add_events(Entries& entries, const api::RunRecord& record) {
  for (const api::NodeRecord& node : record.nodes)
    for (const api::RunEvent& event : node.events) {
      const std::string where = (event.pod.empty() ? "" : event.pod + " ") + "on " + node.node;
      const std::string detail = where + (event.text.empty() ? "" : ": " + event.text);
      switch (event.kind) {
        case api::RunEventKind::pod_restarted:
          add(entries, "pod_restarted", "pod restarted", event.at.value, detail);
          break;
        case api::RunEventKind::pod_gone:
          add(entries, "pod_gone", "pod gone", event.at.value, detail);
          break;
        case api::RunEventKind::lease_expired:
          add(entries, "lease_expired", "lease expired, the kernel ended the fault", event.at.value,
              detail);
          break;
        case api::RunEventKind::blocked:
          add(entries, "blocked", "fault could not be armed", event.at.value, detail);
          break;
        case api::RunEventKind::disarmed:
          add(entries, "disarmed", "faults taken down", event.at.value, detail);
          break;
        case api::RunEventKind::closed:
          add(entries, "closed", "the node took the run down", event.at.value, detail);
          break;
        case api::RunEventKind::connected:
          add(entries, "connected", "control pod is connected with " + event.text, event.at.value,
              where);
          break;
        case api::RunEventKind::measuring:
        case api::RunEventKind::armed:
          break;  // the phases and t1 say so
      }
    }
}

const api::InjectionReport* row_at(const std::vector<api::InjectionReport>& rows, UtcTime at,
                                   api::Timestamp api::InjectionReport::*when) {
  const auto row = std::ranges::find_if(
      rows, [&](const api::InjectionReport& r) { return (r.*when).value == at; });
  return row == rows.end() ? nullptr : &*row;
}

// By time, with the seconds since the run was asked for.
void put_in_order(Entries& entries) {
  std::ranges::stable_sort(entries, {}, &api::TimelineEntry::at);
  const auto zero = std::ranges::find(entries, "t0", &api::TimelineEntry::key);
  if (zero == entries.end()) return;
  const UtcTime start = zero->at.value;
  for (api::TimelineEntry& entry : entries)
    entry.monotonic = std::chrono::duration<double>(entry.at.value - start).count();
}

}  // namespace

Entries timeline_of(const api::RunRecord& record,
                    const std::vector<api::InjectionReport>& injections, const BandResult& bands) {
  Entries entries;
  add_states(entries, record);
  if (const auto armed = armed_at(record))
    add(entries, "t1", "armed", *armed, "the last fault of the run");
  const auto describe = [&](UtcTime at, api::Timestamp api::InjectionReport::*when) {
    const api::InjectionReport* row = row_at(injections, at, when);
    return row == nullptr ? std::string() : row->fault + " on " + row->pod;
  };
  if (const auto first = first_injected(injections))
    add(entries, "t2", "first injected event", *first,
        describe(*first, &api::InjectionReport::firstInjectedAt));
  if (bands.first_out && first_injected(injections))
    add(entries, "t3", "first effect outside the baseline band", *bands.first_out,
        bands.first_what + ", in the window of 1 s that began here");
  if (const auto last = last_injected(injections))
    add(entries, "t9", "last injected event", *last,
        describe(*last, &api::InjectionReport::lastInjectedAt));
  if (bands.back)
    add(entries, "t10", "effects back in the baseline band", *bands.back,
        bands.last_what + " was the last");
  add_events(entries, record);

  put_in_order(entries);
  return entries;
}

void add_detections(const std::vector<api::DetectionReport>& detections, Entries& timeline) {
  for (const api::DetectionReport& detection : detections) {
    if (!detection.within) continue;  // it was not expected
    const std::string who = alert_words(detection);
    add(timeline, "t4", "alert pending", detection.pendingAt.value, who);
    add(timeline, "t5", "alert firing", detection.firingAt.value, who);
    add(timeline, "t6", "somebody was told", detection.notifiedAt.value,
        who + (detection.receivers.empty() ? "" : ": " + join(detection.receivers, ", ")));
    add(timeline, "t11", "alert resolved", detection.resolvedAt.value, who);
  }
  put_in_order(timeline);
}

}  // namespace faultline::report
