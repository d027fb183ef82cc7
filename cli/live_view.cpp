// SPDX-License-Identifier: Apache-2.0
#include "cli/live_view.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <vector>

#include "cli/controller_api.h"
#include "cli/text.h"
#include "report/format.h"
#include "report/story.h"

namespace faultline::cli {
namespace {

using report::count_words;
using report::seconds_words;

std::string label(const api::EffectSample& sample, const std::string& name) {
  const auto it = sample.labels.find(name);
  return it == sample.labels.end() ? "" : it->second;
}

// A pod that answers requests is judged by what its callers feel, any other by what it feels, so
// that a proxy does not count twice; as report::metric_value does.
std::string side_of(const api::EffectWindow& window) {
  for (const api::EffectSample& sample : window.samples)
    if (sample.metric == "request.rate" && label(sample, "side") == "server" && sample.value > 0)
      return "server";
  return "client";
}

api::Histogram latency_of(const api::EffectWindow& window) {
  api::Histogram all;
  const std::string side = side_of(window);
  for (const api::EffectSample& sample : window.samples)
    if (sample.metric == "request.latency" && sample.histogram && label(sample, "side") == side)
      all.merge(*sample.histogram);
  return all;
}

// The newest windows of a role. When some of its pods answer requests these stand for all: what
// their callers feel is the same request once more.
std::vector<const api::EffectWindow*> telling(const api::RunSummary& now, api::PodRole role) {
  std::vector<const api::EffectWindow*> all, answering;
  for (const api::EffectWindow& window : now.effects) {
    if (window.role != role) continue;
    all.push_back(&window);
    if (side_of(window) == "server") answering.push_back(&window);
  }
  return answering.empty() ? all : answering;
}

double seconds_of(const api::EffectWindow& window) {
  return std::chrono::duration<double>(window.to.value - window.from.value).count();
}

std::string whole_seconds(double seconds) {
  return std::to_string(static_cast<long>(std::llround(std::max(0.0, seconds))));
}

// "+1.2 ms", "-0.3 ms"; the sign is what is looked at.
std::string drift_words(double seconds) {
  char text[48];
  const double ms = seconds * 1000;
  std::snprintf(text, sizeof text, std::abs(ms) < 100 ? "%+.1f ms" : "%+.0f ms",
                std::abs(ms) < 0.05 ? 0.0 : ms);
  return text;
}

std::string factor_words(double factor) {
  char text[32];
  std::snprintf(text, sizeof text, factor < 10 ? "x%.1f" : "x%.0f", factor);
  return text;
}

// The latency that a fault asks for, in words.
std::string asked_latency(const api::Fault& fault) {
  if (const auto* f = std::get_if<api::NetworkLatency>(&fault.spec))
    return report::exact_seconds_words(f->latency.seconds());
  if (const auto* f = std::get_if<api::SyscallLatency>(&fault.spec))
    return report::exact_seconds_words(f->latency.seconds());
  return "";
}

}  // namespace

void LiveView::update(const api::RunSummary& summary) {
  now_ = summary;
  for (const api::PodRole role :
       {api::PodRole::target, api::PodRole::observed, api::PodRole::control})
    for (const api::EffectWindow* window : telling(now_, role)) {
      if (window->phase != api::RunPhase::baseline) continue;
      const auto [it, fresh] = counted_.try_emplace(window->pod.id(), window->from);
      if (!fresh && window->from <= it->second) continue;
      it->second = window->from;
      if (const api::Histogram latency = latency_of(*window); latency.count() > 0)
        baseline_[role].merge(latency);
    }
}

std::string LiveView::phase() const {
  switch (now_.state) {
    case api::RunState::Pending:
      return "waiting";
    case api::RunState::Baseline:
      return "baseline";
    case api::RunState::Injecting:
      return experiment_.spec.faults.empty() ? "measuring" : "fault";
    case api::RunState::Recovering:
      return "recovery";
    case api::RunState::Completed:
      return "completed";
    case api::RunState::Aborted:
      return "aborted";
    case api::RunState::Failed:
      break;
  }
  return "failed";
}

LiveView::Figures LiveView::figures(api::PodRole role) const {
  Figures sum;
  for (const api::EffectWindow* window : telling(now_, role)) {
    if (seconds_of(*window) <= 0) continue;
    const std::string side = side_of(*window);
    sum.latency.merge(latency_of(*window));
    for (const api::EffectSample& sample : window->samples) {
      const bool ours = label(sample, "side") == side;
      if (sample.metric == "request.rate" && ours)
        sum.requests_per_second =
            sum.requests_per_second.value_or(0) + sample.value / seconds_of(*window);
      if (sample.metric == "request.errors" && ours) {
        sum.failed += sample.numerator;
        sum.asked += sample.denominator;
      }
      if (sample.metric == "connect.errors") {
        sum.connects_failed += sample.numerator;
        sum.connects += sample.denominator;
      }
    }
  }
  sum.any =
      sum.latency.count() > 0 || sum.requests_per_second > 0 || sum.asked > 0 || sum.connects > 0;
  return sum;
}

std::optional<api::PodRole> LiveView::shown_role() const {
  for (const api::PodRole role : {api::PodRole::observed, api::PodRole::target}) {
    const bool there = std::ranges::any_of(
        now_.effects, [&](const api::EffectWindow& window) { return window.role == role; });
    if (there && (figures(role).any || baseline_.contains(role))) return role;
  }
  return std::nullopt;
}

std::string LiveView::who(api::PodRole role) const {
  std::set<std::string> names;
  for (const api::EffectWindow* window : telling(now_, role)) names.insert(window->pod.name);
  if (names.size() == 1) return *names.begin();
  return std::to_string(names.size()) +
         (role == api::PodRole::observed ? " observed pods" : " targets");
}

std::string LiveView::acted() const {
  std::string out;
  for (std::size_t i = 0; i < experiment_.spec.faults.size(); ++i) {
    const api::Fault& fault = experiment_.spec.faults[i];
    std::uint64_t matched = 0, injected = 0, lost = 0;
    std::size_t rows = 0;
    api::Histogram added;
    for (const api::InjectionStatus& status : now_.injections) {
      if (status.index != static_cast<std::int64_t>(i) || status.fault != fault.name()) continue;
      ++rows;
      matched += status.matched;
      injected += status.injected;
      lost += status.lost;
      added.merge(status.addedLatency);
    }
    if (rows == 0) continue;
    if (!out.empty()) out += "; ";
    out += count_words(injected) + " of " + count_words(matched) + " " +
           std::string(report::done_word(fault.name()));
    const std::string asked = asked_latency(fault);
    if (const auto p50 = added.quantile(0.5); p50 && !asked.empty())
      out += ", +" + seconds_words(*p50, 4) + " (asked " + asked + ")";
    else if (matched > 0 && asked.empty())
      out += " = " +
             report::percent_words(static_cast<double>(injected) / static_cast<double>(matched), 3);
    if (lost > 0) out += ", " + count_words(lost) + " LOST";
  }
  return out;
}

std::string LiveView::effect() const {
  const auto role = shown_role();
  if (!role) return "";
  std::string out = effect_on(*role);
  // What the targets cannot open is the nearest cause of what the others feel.
  if (const Figures hit = figures(api::PodRole::target);
      *role != api::PodRole::target && hit.connects_failed > 0)
    out += (out.empty() ? "" : "  ") + who(api::PodRole::target) + " " +
           report::percent_words(hit.connects_failed / hit.connects, 3) + " of connects fail";
  return out;
}

std::string LiveView::effect_on(api::PodRole role) const {
  const Figures now = figures(role);
  std::vector<std::string> parts;
  if (const auto p99 = now.latency.quantile(0.99)) {
    std::string text = "p99 " + seconds_words(*p99, 3);
    const auto it = baseline_.find(role);
    const auto before = it == baseline_.end() ? std::nullopt : it->second.quantile(0.99);
    if (before && *before > 0 && now_.state != api::RunState::Baseline)
      text += " (" + factor_words(*p99 / *before) + ")";
    parts.push_back(text);
  }
  if (now.requests_per_second)
    parts.push_back(report::number_words(*now.requests_per_second) + " req/s");
  if (now.failed > 0) parts.push_back(report::percent_words(now.failed / now.asked, 2) + " errors");
  if (now.connects_failed > 0)
    parts.push_back(report::percent_words(now.connects_failed / now.connects, 3) +
                    " of connects fail");
  return parts.empty() ? "" : who(role) + " " + report::join(parts, ", ");
}

std::string LiveView::control() const {
  if (now_.state == api::RunState::Baseline) return "";
  const auto before = baseline_.find(api::PodRole::control);
  if (before == baseline_.end()) return "";
  const auto p50_before = before->second.quantile(0.5);
  const auto p50_now = figures(api::PodRole::control).latency.quantile(0.5);
  if (!p50_before || !p50_now) return "";
  return "control " + drift_words(*p50_now - *p50_before);
}

std::string LiveView::line(bool bar) const {
  std::string out = "  " + padded(phase(), 10);
  if (ended(now_.state)) {
    out += now_.stateReason;
    out.erase(out.find_last_not_of(' ') + 1);
    return out;
  }
  const double elapsed = now_.phaseElapsed.value_or(0), total = now_.phaseTotal.value_or(0);
  std::string time;
  if (total > 0) time = whole_seconds(std::min(elapsed, total)) + "/" + whole_seconds(total) + " s";
  out += std::string(time.size() < 8 ? 8 - time.size() : 0, ' ') + time;
  if (bar && total > 0) {
    const auto full = static_cast<std::size_t>(std::clamp(elapsed / total, 0.0, 1.0) * 10 + 0.5);
    out += "  " + std::string(full, '#') + std::string(10 - full, '-');
  }
  const bool acting = now_.state == api::RunState::Injecting;
  for (const std::string& part : {acting ? acted() : "", effect(), control()})
    if (!part.empty()) out += "  " + part;
  if (now_.state == api::RunState::Pending)
    out += now_.stateReason.empty() ? "  for the agents to measure" : "  " + now_.stateReason;
  return out;
}

}  // namespace faultline::cli
