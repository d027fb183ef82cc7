// SPDX-License-Identifier: Apache-2.0
#include "tests/kills/checks.h"

#include <algorithm>
#include <boost/describe/enum_to_string.hpp>
#include <map>
#include <set>

namespace faultline::kills {
namespace {

using Problems = std::vector<std::string>;

std::string ms(Steady::duration d) {
  return std::to_string(std::chrono::duration_cast<milliseconds>(d).count()) + " ms";
}

// From the first to the last sample that felt the fault, and the longest time in between without
// one.
struct Felt {
  std::size_t count = 0;
  Steady::time_point first, last;
  Steady::duration hole{0};
};
Felt felt(const std::vector<Sample>& samples) {
  Felt out;
  for (const Sample& sample : samples) {
    if (!sample.felt) continue;
    if (out.count++ == 0)
      out.first = sample.at;
    else
      out.hole = std::max(out.hole, sample.at - out.last);
    out.last = sample.at;
  }
  return out;
}

// No fault past its lease, nor past its own length.
void check_times(const Seen& seen, const Felt& fault, Problems& out) {
  if (fault.count == 0) return;
  const auto most = seen.round.fault_length + kLease + kSlack;
  if (fault.last - fault.first > most)
    out.push_back("felt for " + ms(fault.last - fault.first) + ", at most " + ms(most) +
                  " was allowed");
  for (const Silence& silence : seen.silences)
    for (const Sample& sample : seen.samples)
      if (sample.felt && sample.at > silence.from + silence.grace && sample.at < silence.to) {
        out.push_back("felt " + ms(sample.at - silence.from) + " after " + silence.why +
                      ", allowed were " + ms(silence.grace));
        break;
      }
}

// The clock of a node was set, and the run's gaps say that times around that moment may be wrong.
bool clock_was_set(const api::RunRecord& record) {
  return std::ranges::any_of(record.gaps, [](const api::Gap& gap) {
    return gap.reason.starts_with("the clock of the node was set");
  });
}

// Windows of one pod never overlap: a batch that was stored twice would. Where times are wrong they
// may, but no two took the same time to the nanosecond.
void check_windows(const api::RunRecord& record, Problems& out) {
  const bool wrong_times = clock_was_set(record);
  for (const api::NodeRecord& node : record.nodes) {
    std::map<std::string, std::vector<const api::EffectWindow*>> of;
    for (const api::EffectWindow& window : node.windows) of[window.pod.id()].push_back(&window);
    for (auto& [pod, windows] : of) {
      std::ranges::sort(windows, {}, [](const auto* w) { return w->from.value; });
      std::string times;
      std::set<Steady::duration> lengths;
      bool overlap = false, twice = false;
      for (std::size_t i = 0; i < windows.size(); ++i) {
        const auto length = windows[i]->to.value - windows[i]->from.value;
        twice = twice || (length.count() > 0 && !lengths.insert(length).second);
        overlap = overlap ||
                  (i > 0 && windows[i]->from.value + milliseconds(5) < windows[i - 1]->to.value);
        times += " " + ms(windows[i]->from.value - windows[0]->from.value) + " to " +
                 ms(windows[i]->to.value - windows[0]->from.value) + ",";
      }
      if (overlap && (twice || !wrong_times))
        out.push_back("windows of " + pod + " overlap: a batch was stored twice:" + times);
    }
  }
}

// What agents counted is what the applications saw: never more, and all of it where nobody
// disturbed.
void check_counts(const Seen& seen, Problems& out) {
  if (seen.round.fault.felt_by != Feels::kConnects && seen.round.fault.felt_by != Feels::kCalls)
    return;
  std::uint64_t injected = 0;
  for (const api::NodeRecord& node : seen.record->nodes)
    for (const api::InjectionStatus& status : node.injections) injected += status.injected;
  const std::string counts =
      std::to_string(injected) + " were counted, " + std::to_string(seen.felt) + " were seen";
  // One may be under way when it is looked at.
  if (injected > seen.felt + 1) out.push_back("more than happened: " + counts);
  if (!seen.disturbed && injected + 1 < seen.felt) out.push_back("less than happened: " + counts);
}

// "met" is said of a run only that was whole, by the stopwatch.
void check_verdict(const Seen& seen, const Felt& fault, Problems& out) {
  const api::Report& report = *seen.report;
  const std::string state = boost::describe::enum_to_string(report.state, "?");
  const bool over = report.state == api::RunState::Completed ||
                    report.state == api::RunState::Aborted || report.state == api::RunState::Failed;
  if (!over) out.push_back("the run does not end: " + state + " " + report.stateReason);
  const bool met = over && report.verdict == api::RunVerdict::met;
  if (!met) {
    if (!seen.disturbed)
      out.push_back("nobody disturbed it, but it is " + state + ", " +
                    boost::describe::enum_to_string(report.verdict, "?") + ": " +
                    report.stateReason);
    return;
  }
  // A fault that is not felt at once (a queue must fill) begins late.
  const auto late = seen.round.fault.name == "networkBandwidth" ? milliseconds(1500) : kSlack;
  if (fault.count == 0 || fault.last - fault.first + late < seen.round.fault_length)
    out.push_back("is told as met, but was felt for " + ms(fault.last - fault.first) + " of " +
                  ms(seen.round.fault_length));
  if (fault.count > 0 && fault.hole > milliseconds(1200) && report.gaps.empty())
    out.push_back("is told as met without a gap, but was not felt for " + ms(fault.hole));
}

}  // namespace

std::vector<std::string> broken(const Seen& seen) {
  Problems out;
  const Felt fault = felt(seen.samples);
  check_times(seen, fault, out);
  if (seen.record) {
    check_windows(*seen.record, out);
    check_counts(seen, out);
  }
  if (seen.report) check_verdict(seen, fault, out);
  return out;
}

}  // namespace faultline::kills
