// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/watcher.h"

#include <algorithm>
#include <cmath>

#include "base/printable.h"
#include "controller/observe/others.h"
#include "controller/observe/watcher_impl.h"

namespace faultline::controller::observe {
namespace {

constexpr std::size_t kMostGaps = 500;
constexpr std::size_t kMostTold = 50;
constexpr std::size_t kLongestTold = 500;  // bytes of one

}  // namespace

WantedRules expected_rules(std::vector<api::ExpectAlert> alerts) {
  return [alerts = std::move(alerts)](const std::string& alert, const Labels& labels) {
    return std::ranges::any_of(alerts, [&](const api::ExpectAlert& one) {
      return one.name == alert && std::ranges::all_of(one.labels, [&](const auto& label) {
               const auto own = labels.find(label.first);
               // A template is filled in by each instance.
               return own == labels.end() || own->second == label.second ||
                      own->second.find("{{") != std::string::npos;
             });
    });
  };
}

Watcher::Impl::Impl(boost::asio::any_io_executor executor, MonitoringSources from,
                    api::Experiment of, const Clock& its_clock)
    : clock(its_clock),
      experiment(std::move(of)),
      observed(from.observed_receivers.begin(), from.observed_receivers.end()),
      rooms(from.room),
      made(its_clock.utc()) {
  // An Experiment of a namespace is read by whoever may in that namespace.
  namespaces = own_namespaces(experiment);
  const auto add = [&](Reached& side, const SourceOptions& options, const char* kind) {
    side.index = record.sources.size();
    record.sources.push_back({.name = options.name, .kind = kind, .url = options.url});
    record.sources.back().problem = "it was not asked yet";
  };
  for (const SourceOptions& options : from.prometheus) {
    prometheus.push_back(std::make_unique<PrometheusSide>(executor, options, clock));
    add(*prometheus.back(), options, "prometheus");
  }
  for (const SourceOptions& options : from.alertmanager) {
    alertmanager.push_back(std::make_unique<AlertmanagerSide>(executor, options, clock, from.room));
    add(*alertmanager.back(), options, "alertmanager");
  }
  const auto& conditions = experiment.spec.abortWhen;
  for (std::size_t i = 0; !from.prometheus.empty() && i < conditions.size(); ++i) {
    if (conditions[i].promql.empty()) continue;
    SourceOptions options = from.prometheus.front();
    options.max_body = std::min(options.max_body, kShortAnswer);  // it is one number
    abort_queries.push_back(std::make_unique<AbortQuery>(static_cast<std::int64_t>(i), executor,
                                                         std::move(options), clock));
  }
}

bool Watcher::Impl::expected(const std::string& alert) const {
  return std::ranges::any_of(experiment.spec.expect.alerts,
                             [&](const api::ExpectAlert& one) { return one.name == alert; });
}

void Watcher::Impl::reached(Reached& side, const std::string& missing) {
  api::MonitoringSource& source = source_of(side);
  const UtcTime now = clock.utc();
  if (side.away_since) add_gap({source.name, {*side.away_since}, {now}, source.problem});
  side.away_since.reset();
  if (missing.empty())
    end_part(side, now);
  else if (!side.part)
    side.part = {side.answered.value_or(now), missing};
  side.answered = now;
  source.problem.clear();
}

void Watcher::Impl::end_part(Reached& side, UtcTime at) {
  if (!side.part) return;
  add_gap({source_of(side).name, {std::min(side.part->from, at)}, {at}, side.part->missing});
  side.part.reset();
}

void Watcher::Impl::missed(Reached& side, const Error& error) {
  api::MonitoringSource& source = source_of(side);
  std::string words = error.message;
  if (words.starts_with(source.name + ": ")) words.erase(0, source.name.size() + 2);
  source.problem = printable(words, 400);
  away(side);
}

void Watcher::Impl::away(Reached& side) const {
  if (!side.away_since) side.away_since = side.answered.value_or(clock.utc());
}

void Watcher::Impl::note_waiting(Reached& side) {
  if (!side.looking || clock.steady() - *side.looking < kBeat) return;
  source_of(side).problem = "it had not answered a question when the run ended";
  away(side);
}

void Watcher::Impl::tell(const std::vector<std::string>& words) {
  for (const std::string& one : words) {
    std::string text = printable(one, kLongestTold);
    if (record.notes.size() < kMostTold &&
        std::ranges::find(record.notes, text) == record.notes.end())
      record.notes.push_back(std::move(text));
  }
}

void Watcher::Impl::add_gap(api::MonitoringGap gap) {
  if (record.gaps.size() < kMostGaps) {
    record.gaps.push_back(std::move(gap));
    return;
  }
  // What has more of them than are kept is away from its last one on: longer than it was, never
  // shorter.
  for (auto last = record.gaps.rbegin(); last != record.gaps.rend(); ++last)
    if (last->source == gap.source) {
      last->to = std::max(last->to, gap.to);
      return;
    }
  record.gaps.push_back(std::move(gap));
}

void Watcher::Impl::grow_gap(const std::string& source, const std::string& kind, UtcTime from,
                             UtcTime to, std::string reason) {
  const auto [known, added] = growing.emplace(std::pair(source, kind), record.gaps.size());
  if (added) {
    record.gaps.push_back({source, {from}, {to}, std::move(reason)});
    return;
  }
  api::MonitoringGap& gap = record.gaps[known->second];
  gap.from = std::min(gap.from, {from});
  gap.to = std::max(gap.to, {to});
  gap.reason = std::move(reason);
}

void Watcher::Impl::note_not_taken(const std::string& source, const NotTaken& left_out,
                                   UtcTime from, UtcTime to) {
  if (left_out.empty()) return;
  tell({source + ": " + left_out.words()});
  const auto& alerts = experiment.spec.expect.alerts;
  if (std::ranges::any_of(alerts,
                          [&](const api::ExpectAlert& one) { return left_out.may_be(one.name); }))
    grow_gap(source, "labels", from, to, left_out.words());
}

Watcher::Watcher(boost::asio::any_io_executor executor, MonitoringSources sources,
                 api::Experiment experiment, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(executor), std::move(sources), std::move(experiment),
                                   clock)) {}
Watcher::~Watcher() = default;

const std::vector<AbortAnswer>& Watcher::abort_answers() const { return impl_->abort_answers; }
const api::MonitoringRecord& Watcher::record() const { return impl_->record; }
api::MonitoringRecord Watcher::take() {
  impl_->leave_out_others();
  impl_->tell_left_off();  // also what came after finish(), or without it
  return std::move(impl_->record);
}

}  // namespace faultline::controller::observe
