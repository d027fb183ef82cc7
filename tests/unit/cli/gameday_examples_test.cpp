// SPDX-License-Identifier: Apache-2.0
// The days of docs/examples/gamedays/ as objects of a cluster: each is one that the webhook takes,
// with what its surprises are, and what it hits and observes is a pod of the list beside them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>

#include "api/gameday_status.h"
#include "tests/places.h"
#include "tests/unit/cli/harness.h"

namespace faultline::cli {
namespace {

namespace fs = std::filesystem;

const fs::path& examples() {
  static const fs::path kFolder = test::source_dir() / "docs/examples/gamedays";
  return kFolder;
}

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// The pods of the README: "| `shop/payments-0` | `app: payments` |".
std::vector<api::PodRef> listed_pods() {
  const std::string text = text_of(examples() / "README.md");
  const std::regex row(R"(\| `(\w+)/([\w-]+)` \| `(\w+): (\w+)` \|)");
  std::vector<api::PodRef> pods;
  for (std::sregex_iterator at(text.begin(), text.end(), row), end; at != end; ++at)
    pods.push_back(
        {.namespace_ = (*at)[1], .name = (*at)[2], .node = "n1", .labels = {{(*at)[3], (*at)[4]}}});
  return pods;
}

// As the controller has it: the day of the printed list, with what its Secret says.
api::GameDay whole_day(const boost::json::value& printed) {
  boost::json::value object = printed;
  std::map<std::string, std::string> secrets;  // by NAME/KEY
  if (printed.at("kind") == "List") {
    for (const auto& item : printed.at("items").as_array()) {
      if (item.at("kind") == "GameDay") object = item;
      if (item.at("kind") != "Secret") continue;
      const std::string name(item.at_pointer("/metadata/name").as_string());
      for (const auto& [key, text] : item.at("stringData").as_object())
        secrets[name + "/" + std::string(key)] = std::string(text.as_string());
    }
  }
  object.at("metadata").as_object()["namespace"] = "shop";
  EXPECT_LT(boost::json::serialize(object).size(), 128U << 10);
  const auto read = api::gameday_from_cluster_json(object);
  if (!read) throw std::runtime_error(read.error().message);
  EXPECT_EQ(api::not_for_an_object(read->day), "");
  std::map<std::string, std::string> texts;  // by step
  for (const api::SecretOfStep& secret : api::unread_secrets(read->day))
    texts[secret.at] = secrets.at(secret.name + "/" + secret.key);
  auto whole = api::with_secrets(read->day, texts);
  if (!whole) throw std::runtime_error(whole.error().message);
  return std::move(*whole);
}

TEST(ExampleGameDays, AreObjectsOfAClusterAndHitPodsThatAreThere) {
  const auto pods = listed_pods();
  ASSERT_EQ(pods.size(), 4U);
  const auto there = [&](const api::Selector& selector) {
    return std::ranges::any_of(pods,
                               [&](const api::PodRef& pod) { return api::matches(selector, pod); });
  };
  std::size_t days = 0, surprises = 0, experiments = 0;
  for (const auto& entry : fs::directory_iterator(examples())) {
    if (!entry.is_directory()) continue;
    const std::string name = entry.path().filename();
    Shell shell;
    ASSERT_EQ(shell.run({"gameday", "manifest", "-o", "json", entry.path() / "day.yaml"}), 0)
        << name << ": " << shell.err.str();
    ++days;
    const api::GameDay day = whole_day(shell.json());
    EXPECT_EQ(day.metadata.name, name);
    api::for_each_step(day, [&](const api::Step& step, const std::string&) {
      surprises += step.surprise ? 1 : 0;
      if (step.task && step.task->runbook) {
        EXPECT_FALSE(api::runbook_steps(step.task->runbook->text).empty()) << name;
      }
      if (!step.experiment) return;
      ++experiments;
      ASSERT_TRUE(step.experiment->spec) << name << ", " << step.name;
      const api::ExperimentSpec& spec = *step.experiment->spec;
      EXPECT_TRUE(there(spec.target.selector)) << name << ", " << step.name;
      for (const api::Selector& selector : spec.observe)
        EXPECT_TRUE(there(selector)) << name << ", " << step.name;
      for (const api::Fault& fault : spec.faults)
        if (const api::NetworkFilter* filter = api::network_filter(fault); filter && filter->peer) {
          EXPECT_TRUE(there(*filter->peer)) << name << ", " << step.name;
        }
      for (const api::ExpectEffect& effect : spec.expect.effects)
        EXPECT_TRUE(there(effect.selector)) << name << ", " << step.name;
    });
  }
  EXPECT_EQ(days, 4U);
  EXPECT_GE(surprises, 1U);
  EXPECT_GE(experiments, 4U);
}

}  // namespace
}  // namespace faultline::cli
