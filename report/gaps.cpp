// SPDX-License-Identifier: Apache-2.0
// What was not measured: what nodes and controller say, and what the windows themselves show.
#include <algorithm>
#include <set>
#include <tuple>

#include "report/analysis.h"
#include "report/format.h"

namespace faultline::report {
namespace {

using std::chrono::milliseconds;

// Less between two windows is the cost of reading collectors; at the edge of a phase the agent also
// has to be told, and its clock to be corrected.
constexpr milliseconds kBetween{250};
constexpr milliseconds kAtEdge{1500};

struct Measured {
  std::string node;
  std::vector<std::pair<UtcTime, UtcTime>> windows;
};

bool told(const std::vector<api::Gap>& gaps, const std::string& pod, UtcTime from, UtcTime to) {
  return std::ranges::any_of(gaps, [&](const api::Gap& gap) {
    return (gap.pod.empty() || gap.pod == pod) && gap.metric.empty() && gap.from.value <= from &&
           (!gap.to.set() || gap.to.value >= to);
  });
}

void add_uncovered(const std::string& pod, const Measured& measured, UtcTime begin, UtcTime end,
                   std::vector<api::Gap>& gaps) {
  const auto add = [&](UtcTime from, UtcTime to, std::string reason) {
    if (!told(gaps, pod, from, to))
      gaps.push_back({measured.node, pod, "", {from}, {to}, std::move(reason)});
  };
  if (measured.windows.empty()) {
    add(begin, end, "nothing was measured on this pod");
    return;
  }
  UtcTime covered = begin;
  bool first = true;
  for (const auto& [from, to] : measured.windows) {
    if (from - covered > (first ? kAtEdge : kBetween))
      add(covered, from, first ? "measuring began late" : "no window covers this time");
    covered = std::max(covered, to);
    first = false;
  }
  if (end - covered > kAtEdge) add(covered, end, "measuring ended early");
}

}  // namespace

std::vector<api::Gap> gaps_of(const api::RunRecord& record) {
  std::vector<api::Gap> gaps = record.gaps;
  std::map<std::string, Measured> pods;
  for (const api::RunPod& pod : record.pods) pods[pod.pod.id()].node = pod.pod.node;
  std::set<std::string> known;
  for (const api::NodeRecord& node : record.nodes) {
    known.insert(node.node);
    for (api::Gap gap : node.gaps) {
      if (gap.node.empty()) gap.node = node.node;
      gaps.push_back(std::move(gap));
    }
    for (const api::EffectWindow& window : node.windows)
      pods[window.pod.id()].windows.emplace_back(window.from.value, window.to.value);
  }

  // From the begin of the baseline (or what came first) to the end of the last phase.
  UtcTime begin{}, end{};
  for (const api::PhaseMark& mark : record.history) {
    if (mark.state != api::RunState::Pending && begin == UtcTime{}) begin = mark.at.value;
    end = std::max(end, mark.at.value);
  }
  const bool over = record.state == api::RunState::Completed ||
                    record.state == api::RunState::Aborted || record.state == api::RunState::Failed;
  const bool measured_at_all = std::ranges::any_of(record.history, [](const api::PhaseMark& mark) {
    return mark.state == api::RunState::Baseline || mark.state == api::RunState::Injecting;
  });
  if (measured_at_all && end > begin)
    for (auto& [pod, measured] : pods) {
      std::ranges::sort(measured.windows);
      add_uncovered(pod, measured, begin, end, gaps);
    }

  if (over && measured_at_all) {
    for (const api::NodeRecord& node : record.nodes)
      if (!node.closed)
        gaps.push_back({node.node,
                        "",
                        "",
                        {end},
                        {},
                        "the node never reported the end of the run; what it left could not be "
                        "checked"});
    for (const api::RunPod& pod : record.pods)
      if (known.insert(pod.pod.node).second)
        gaps.push_back({pod.pod.node, "", "", {begin}, {end}, "the node sent nothing"});
  }

  const auto place = [](const api::Gap& gap) {
    return std::tuple(gap.from, gap.node, gap.pod, gap.metric, gap.to, gap.reason);
  };
  std::ranges::sort(gaps, {}, place);
  const auto same = [&](const api::Gap& a, const api::Gap& b) { return place(a) == place(b); };
  const auto rest = std::ranges::unique(gaps, same);
  gaps.erase(rest.begin(), rest.end());
  return gaps;
}

}  // namespace faultline::report
