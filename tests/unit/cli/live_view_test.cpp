// SPDX-License-Identifier: Apache-2.0
#include "cli/live_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/codec.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

api::Experiment experiment(const std::string& fault) {
  auto parsed = api::parse_experiment(
      "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: x}\n"
      "spec:\n  target: {selector: {namespaces: [shop]}}\n  faults: [" +
          fault + "]\n",
      "x.yaml");
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed.value_or(api::Experiment{});
}

api::EffectWindow window(const std::string& pod, api::PodRole role, api::RunPhase phase, int second,
                         double latency, const std::string& side = "server") {
  api::EffectWindow w{.pod = {"shop", pod, "node-1", {}}, .role = role, .phase = phase};
  w.from.value = UtcTime(std::chrono::seconds(1'800'000'000 + second));
  w.to.value = w.from.value + std::chrono::seconds(1);
  api::EffectSample sample{.metric = "request.latency", .labels = {{"side", side}}};
  sample.histogram.emplace().add(latency, 100);
  api::EffectSample rate{.metric = "request.rate", .labels = {{"side", side}}, .value = 412};
  w.samples = {sample, rate};
  return w;
}

api::RunSummary summary(api::RunState state, std::vector<api::EffectWindow> effects) {
  api::RunSummary s{.run = "x-1", .name = "x", .state = state};
  s.phaseElapsed = 18.2;
  s.phaseTotal = 30;
  s.effects = std::move(effects);
  return s;
}

api::InjectionStatus injected(const std::string& fault, std::uint64_t matched, std::uint64_t hit) {
  api::InjectionStatus status{.fault = fault};
  status.matched = matched;
  status.injected = hit;
  return status;
}

constexpr auto kBase = api::RunPhase::baseline;
constexpr auto kFault = api::RunPhase::fault;

TEST(LiveView, ShowsTheEffectAgainstItsBaselineAndTheControl) {
  LiveView view(experiment("{networkLatency: {latency: 200ms}}"));
  for (int s = 0; s < 5; ++s)
    view.update(summary(api::RunState::Baseline,
                        {window("checkout-0", api::PodRole::observed, kBase, s, 0.012),
                         window("other-0", api::PodRole::control, kBase, s, 0.005)}));
  EXPECT_THAT(view.line(false), HasSubstr("checkout-0 p99 12.0 ms"));
  EXPECT_THAT(view.line(false), HasSubstr("412 req/s"));
  EXPECT_THAT(view.line(false), Not(HasSubstr("x1")));

  api::RunSummary now = summary(api::RunState::Injecting,
                                {window("checkout-0", api::PodRole::observed, kFault, 20, 0.42),
                                 window("other-0", api::PodRole::control, kFault, 20, 0.005)});
  now.injections = {injected("networkLatency", 7412, 7412)};
  now.injections[0].addedLatency.add(0.2003, 7412);
  view.update(now);
  const std::string line = view.line(true);
  EXPECT_THAT(line, StartsWith("  fault      18/30 s  ######----  "));
  EXPECT_THAT(line, HasSubstr("7 412 of 7 412 delayed, +200.3 ms (asked 200 ms)"));
  EXPECT_THAT(line, HasSubstr("(x35)"));
  EXPECT_THAT(line, HasSubstr("control +0.0 ms"));
  EXPECT_THAT(view.line(false), Not(HasSubstr("####")));
}

TEST(LiveView, ShowsARateWhereTheFaultHitsSome) {
  LiveView view(experiment("{networkLoss: {loss: 10%}}"));
  api::RunSummary now = summary(api::RunState::Injecting, {});
  now.injections = {injected("networkLoss", 48210, 4836)};
  view.update(now);
  EXPECT_THAT(view.line(false), HasSubstr("4 836 of 48 210 dropped = 10"));
}

TEST(LiveView, CountsAWindowOnceAlthoughItArrivesTwice) {
  LiveView view(experiment("{networkLatency: {latency: 50ms}}"));
  const auto slow = window("a", api::PodRole::target, kBase, 0, 1.0);
  for (int i = 0; i < 200; ++i) view.update(summary(api::RunState::Baseline, {slow}));
  for (int s = 1; s < 150; ++s)
    view.update(
        summary(api::RunState::Baseline, {window("a", api::PodRole::target, kBase, s, 0.010)}));
  view.update(
      summary(api::RunState::Injecting, {window("a", api::PodRole::target, kFault, 200, 0.010)}));
  // One slow window of 150 does not reach the p99; counted 200 times it would.
  EXPECT_THAT(view.line(false), HasSubstr("(x1.0)"));
}

TEST(LiveView, LostPacketsOfALatencyFaultAreLoud) {
  LiveView view(experiment("{networkLatency: {latency: 50ms}}"));
  api::RunSummary now = summary(api::RunState::Injecting, {});
  now.injections = {injected("networkLatency", 100, 90)};
  now.injections[0].lost = 10;
  view.update(now);
  EXPECT_THAT(view.line(false), HasSubstr("10 LOST"));
}

TEST(LiveView, AProxyIsJudgedAsAServer) {
  LiveView view(experiment("{networkLatency: {latency: 50ms}}"));
  api::EffectWindow both = window("proxy", api::PodRole::observed, kBase, 0, 0.5);
  const api::EffectWindow client =
      window("proxy", api::PodRole::observed, kBase, 0, 0.001, "client");
  both.samples.insert(both.samples.end(), client.samples.begin(), client.samples.end());
  view.update(summary(api::RunState::Baseline, {both}));
  EXPECT_THAT(view.line(false), HasSubstr("412 req/s"));
  EXPECT_THAT(view.line(false), HasSubstr("p99 500 ms"));
}

TEST(LiveView, ACallerDoesNotCountTheRequestsOfItsServerAgain) {
  LiveView view(experiment("{networkLatency: {latency: 50ms}}"));
  view.update(summary(api::RunState::Baseline,
                      {window("shop", api::PodRole::observed, kBase, 0, 0.012),
                       window("customer", api::PodRole::observed, kBase, 0, 0.5, "client")}));
  EXPECT_THAT(view.line(false), HasSubstr("shop p99 12.0 ms"));
  EXPECT_THAT(view.line(false), HasSubstr("412 req/s"));
}

TEST(LiveView, TellsTheConnectsThatTheTargetCouldNotMakeBesideWhatTheObservedFeel) {
  LiveView view(experiment("{socketError: {operations: [connect], errno: ECONNREFUSED}}"));
  api::EffectWindow target = window("proxy", api::PodRole::target, kFault, 0, 0.012);
  api::EffectSample connects{.metric = "connect.errors"};
  connects.numerator = 20;
  connects.denominator = 50;
  target.samples.push_back(connects);
  view.update(summary(api::RunState::Injecting,
                      {target, window("db", api::PodRole::observed, kFault, 0, 0.001)}));
  EXPECT_THAT(view.line(false), HasSubstr("db p99"));
  EXPECT_THAT(view.line(false), HasSubstr("proxy 40 % of connects fail"));
}

TEST(LiveView, SaysErrorsOnlyWhenThereAreSome) {
  LiveView view(experiment("{networkLatency: {latency: 50ms}}"));
  api::EffectWindow w = window("a", api::PodRole::observed, kBase, 0, 0.012);
  api::EffectSample errors{.metric = "request.errors", .labels = {{"side", "server"}}};
  errors.denominator = 50;
  w.samples.push_back(errors);
  view.update(summary(api::RunState::Baseline, {w}));
  EXPECT_THAT(view.line(false), Not(HasSubstr("errors")));
  w.samples.back().numerator = 5;
  view.update(summary(api::RunState::Baseline, {w}));
  EXPECT_THAT(view.line(false), HasSubstr("10 % errors"));
}

TEST(LiveView, TellsTheEndWithItsReason) {
  LiveView view(experiment("{networkLatency: {latency: 50ms}}"));
  api::RunSummary now = summary(api::RunState::Aborted, {});
  now.stateReason = "stopped by person";
  view.update(now);
  EXPECT_EQ(view.line(true), "  aborted   stopped by person");
  view.update(summary(api::RunState::Completed, {}));
  EXPECT_EQ(view.line(true), "  completed");
}

TEST(LiveView, WhatIsNotMeasuredIsNotShownAsNothing) {
  LiveView view(experiment("{networkLatency: {latency: 50ms}}"));
  api::EffectWindow cpu = window("a", api::PodRole::observed, kBase, 0, 1);
  cpu.samples = {{.metric = "cpu.usage", .value = 0.5}};
  view.update(summary(api::RunState::Baseline, {cpu}));
  EXPECT_EQ(view.line(false), "  baseline   18/30 s");
}

TEST(LiveView, SurvivesNothingAtAll) {
  LiveView view(experiment(""));
  view.update(api::RunSummary{});
  EXPECT_THAT(view.line(true), HasSubstr("waiting"));
  view.update(summary(api::RunState::Injecting, {}));
  EXPECT_THAT(view.line(true), HasSubstr("measuring"));
}

}  // namespace
}  // namespace faultline::cli
