// SPDX-License-Identifier: Apache-2.0
// A name of the command line becomes one run, or is refused with the candidates.
#include "cli/run_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/harness.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

api::RunSummary run(const std::string& id, const std::string& ns,
                    api::RunState state = api::RunState::Injecting) {
  api::RunSummary summary;
  summary.run = id;
  summary.name = "slow";
  summary.namespace_ = ns;
  summary.state = state;
  return summary;
}
RunName name(const std::string& text, const std::string& home = "shop", bool said = false) {
  const auto made = run_name(text, home, said);
  EXPECT_TRUE(made) << text;
  return made ? *made : RunName{};
}

TEST(RunNames, ANamespaceBeforeTheNameCountsMoreThanTheContexts) {
  EXPECT_EQ(name("slow").ns, "shop");
  EXPECT_FALSE(name("slow").said);
  EXPECT_EQ(name("bank/slow").ns, "bank");
  EXPECT_TRUE(name("bank/slow").said);
  for (const char* wrong : {"", "/", "a/", "/b", "a/b/c"})
    EXPECT_FALSE(run_name(wrong, "shop", false)) << wrong;
  EXPECT_THAT(run_name("bank/slow", "shop", true).error().message, HasSubstr("not of shop"));
}
TEST(RunNames, AStopTakesTheContextsNamespaceAndNeverAnother) {
  const std::vector runs{run("slow-3", "bank"), run("slow-2", "shop"), run("slow-1", "ops")};
  EXPECT_EQ(run_to_stop(runs, name("slow")).value_or(""), "slow-2");
  EXPECT_EQ(run_to_stop(runs, name("bank/slow")).value_or(""), "slow-3");
  EXPECT_EQ(run_to_stop(runs, name("slow-1")).value_or(""), "slow-1") << "an id is clear";
  const auto elsewhere = run_to_stop(runs, name("slow", "dev"));
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().code, Errc::kInvalid);
  EXPECT_THAT(elsewhere.error().message, HasSubstr("bank/slow (run slow-3)"));
  EXPECT_THAT(elsewhere.error().message, HasSubstr("ops/slow (run slow-1)"));
  const auto nothing = run_to_stop(runs, name("slow", "dev", true));
  EXPECT_EQ(nothing.error().message, "there is no run dev/slow");
}
TEST(RunNames, AStopOfSeveralRunsOfANameIsRefused) {
  const std::vector runs{run("slow-2", "shop"), run("slow-1", "shop")};
  EXPECT_THAT(run_to_stop(runs, name("slow")).error().message,
              HasSubstr("'slow' could mean shop/slow (run slow-2), shop/slow (run slow-1)"));
  const std::vector spaces{run("slow-2", "shop"), run("slow-1", "bank")};
  EXPECT_FALSE(run_to_stop(spaces, name("slow", ""))) << "without a context all are as near";
}
TEST(RunNames, AStopOfWhatIsOverIsNoSuccess) {
  const std::vector runs{run("slow-2", "shop", api::RunState::Completed)};
  for (const char* asked : {"slow", "slow-2", "shop/slow"}) {
    const auto none = run_to_stop(runs, name(asked));
    ASSERT_FALSE(none) << asked;
    EXPECT_EQ(none.error().code, Errc::kNotFound);
    EXPECT_EQ(none.error().message, "nothing to stop: run slow-2 is over: Completed");
  }
}
TEST(RunNames, AReaderGetsTheNewestOfTheNamespace) {
  const std::vector runs{run("slow-3", "bank"), run("slow-2", "shop"),
                         run("slow-1", "shop", api::RunState::Completed)};
  EXPECT_EQ(run_to_read(runs, name("slow")).value_or(""), "slow-2");
  EXPECT_EQ(run_to_read(runs, name("slow", "")).value_or(""), "slow-3");
  EXPECT_EQ(run_to_read(runs, name("slow-1")).value_or(""), "slow-1");
  EXPECT_FALSE(run_to_read(runs, name("slow", "dev"))) << "two namespaces have it";
  EXPECT_EQ(run_to_read({run("slow-3", "bank")}, name("slow")).value_or(""), "slow-3");
  EXPECT_FALSE(run_to_read({run("slow-3", "bank")}, name("shop/slow")));
}
TEST(RunNames, WhatIsNamedInAnErrorCannotSteerTheTerminal) {
  api::RunSummary evil = run("slow-1", "ba\x1b[2Jnk");
  const auto refused = run_to_stop({evil}, name("slow"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, Not(HasSubstr("\x1b")));
}

TEST(StopByName, OfSeveralNamespacesIsRefusedWithTheCandidatesAndStopsNothing) {
  const Folder folder;
  Shell shell;
  ControllerDouble controller({.others = {run("slow-3", "bank"), run("slow-2", "shop")}});
  controller.use(shell, folder);
  EXPECT_EQ(shell.run({"stop", "slow"}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("bank/slow (run slow-3), shop/slow (run slow-2)"));
  EXPECT_EQ(controller.stops(), 0);
  EXPECT_EQ(shell.run({"get"}), 0);
  EXPECT_THAT(shell.out.str(), HasSubstr("NAMESPACE"));
  EXPECT_THAT(shell.out.str(), HasSubstr("bank"));
}

}  // namespace
}  // namespace faultline::cli
