// SPDX-License-Identifier: Apache-2.0
// Two targets that talk with each other get a fault twice, and the plan says so; and whoever is
// told when a fault ends is told the lease in force.
#include "cli/between.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/codec.h"
#include "cli/plan_text.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

api::Experiment experiment(const std::string& fault, const std::string& target = "mode: all") {
  const auto parsed = api::parse_experiment(
      "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: a}\nspec:\n"
      "  target: {selector: {namespaces: [shop], labelSelectors: {app: web}}, " +
          target + "}\n  faults: [{" + fault + "}]\n",
      "f");
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed ? *parsed : api::Experiment{};
}
api::PodRef pod(const std::string& name, const std::string& app = "web") {
  return {"shop", name, "n1", {{"app", app}}};
}
std::string planned(const std::string& fault, const std::vector<api::PodRef>& targets) {
  return between_words(experiment(fault).spec.faults[0], targets);
}
std::string before(const std::string& fault, const std::string& target = "mode: all") {
  const api::ExperimentSpec spec = experiment(fault, target).spec;
  return between_words(spec.faults[0], spec);
}

TEST(Between, TwoTargetsDelayEachOthersPackets) {
  const std::vector<api::PodRef> two{pod("a"), pod("b")};
  EXPECT_THAT(planned("networkLatency: {latency: 50ms}", two),
              HasSubstr("2 x 50 ms, 100 ms in all"));
  EXPECT_THAT(planned("networkLatency: {latency: 50ms, direction: from}", two),
              HasSubstr("2 x 50 ms, 100 ms in all"));
  EXPECT_THAT(planned("networkLatency: {latency: 50ms, direction: both}", two),
              HasSubstr("4 x 50 ms, 200 ms in all"));
  EXPECT_THAT(planned("networkLatency: {latency: 50ms, probability: 10%}", two),
              HasSubstr("up to 2 x 50 ms"));
  EXPECT_THAT(planned("networkLatency: {latency: 50ms, ports: [80]}", two), HasSubstr("2 x 50 ms"));
}

TEST(Between, PacketsThatPassTwoDiceAreLostMoreOften) {
  const std::vector<api::PodRef> two{pod("a"), pod("b")};
  EXPECT_THAT(planned("networkLoss: {loss: 10%, direction: both}", two),
              HasSubstr("19 % of them vanish"));
  EXPECT_THAT(planned("networkCorrupt: {corrupt: 50%, direction: both}", two),
              HasSubstr("75 % of them are damaged"));
  EXPECT_THAT(planned("networkLoss: {loss: 10%}", two), HasSubstr("in both directions"));
  EXPECT_EQ(planned("networkPartition: {}", two), "") << "twice nothing is nothing";
  EXPECT_EQ(planned("socketError: {operations: [connect], errno: EIO}", two), "");
  EXPECT_EQ(planned("syscallLatency: {syscalls: [read], latency: 1ms}", two), "");
}

TEST(Between, NothingIsSaidWhereItDoesNotHappenOrCannotBeKnown) {
  const std::string latency = "networkLatency: {latency: 50ms";
  const std::vector<api::PodRef> two{pod("a"), pod("b", "db")};
  EXPECT_EQ(planned(latency + "}", {pod("a")}), "");
  EXPECT_EQ(planned(latency + ", peer: {labelSelectors: {app: db}}}", two), "")
      << "of the other one this one is no peer";
  EXPECT_NE(planned(latency + ", peer: {namespaces: [shop]}}", two), "");
  EXPECT_EQ(planned(latency + ", podPorts: [80]}", two), "") << "the other's port is another";
  EXPECT_EQ(planned(latency + ", peerPorts: [80]}", two), "");
  EXPECT_EQ(planned(latency + ", cidrs: [10.0.0.0/8]}", two), "");
  EXPECT_EQ(planned(latency + ", except: {cidrs: [10.0.0.0/8]}}", two), "");
  EXPECT_EQ(planned(latency + ", except: {peer: {labelSelectors: {app: db}}}}", two), "")
      << "what goes between them is left alone at one of them";
  EXPECT_NE(planned(latency + ", except: {ports: [22], peer: {namespaces: [ops]}}}", two), "");
}

TEST(Between, WithoutAPlanTheSelectorsTell) {
  const std::string latency = "networkLatency: {latency: 50ms";
  EXPECT_NE(before(latency + "}"), "");
  EXPECT_EQ(before(latency + "}", "mode: one"), "");
  EXPECT_EQ(before(latency + "}", "mode: fixed, value: 1"), "");
  EXPECT_NE(before(latency + "}", "mode: fixed, value: 2"), "");
  EXPECT_NE(before(latency + ", peer: {namespaces: [shop]}}"), "");
  EXPECT_NE(before(latency + ", peer: {namespaces: [shop], labelSelectors: {app: web}}}"), "");
  EXPECT_EQ(before(latency + ", peer: {labelSelectors: {app: db}}}"), "");
  EXPECT_EQ(before(latency + ", peer: {namespaces: [db]}}"), "");
  EXPECT_EQ(before(latency + ", except: {peer: {namespaces: [shop]}}}"), "");
  EXPECT_NE(before(latency + ", except: {peer: {namespaces: [ops]}}}"), "");
  EXPECT_EQ(before(latency + ", peer: {pods: {shop: [web-0]}}}"), "");
}

TEST(Between, IsALineOfThePlanAndOfExplain) {
  const api::Experiment two = experiment("networkLatency: {latency: 50ms, direction: both}");
  api::RunPlan plan{.matching = 2, .allowed = 2, .targets = {pod("a"), pod("b")}};
  EXPECT_THAT(plan_text(two, plan, {}, 400), HasSubstr("4 x 50 ms, 200 ms in all"));
  EXPECT_THAT(explain_text(two, std::nullopt, 400), HasSubstr("4 x 50 ms, 200 ms in all"));
  api::PodsFile one;
  one.pods.push_back({.namespace_ = "shop", .name = "a", .labels = {{"app", "web"}}});
  EXPECT_THAT(explain_text(two, one, 400), Not(HasSubstr("4 x 50 ms")));
}

TEST(Promises, AreThoseInForceAndTheDefaultIsCalledOne) {
  const api::Experiment one = experiment("networkLoss: {loss: 5%}");
  api::RunPlan plan{.matching = 1, .allowed = 1, .targets = {pod("a")}};
  plan.leaseSeconds = 15;
  EXPECT_THAT(plan_text(one, plan, {}, 400), HasSubstr("; 15 s after we lose touch; at once if"));
  EXPECT_THAT(explain_text(one, std::nullopt, 400),
              HasSubstr("; 3 s after we lose touch by default (with --controller or --kubernetes "
                        "the plan has the lease in force)"));
}

}  // namespace
}  // namespace faultline::cli
