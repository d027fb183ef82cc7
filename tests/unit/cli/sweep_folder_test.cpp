// SPDX-License-Identifier: Apache-2.0
// The bisection, the folder of a sweep, and what the command refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/sweep/bisect.h"
#include "cli/sweep/progress_file.h"
#include "tests/unit/cli/sweeps.h"

namespace faultline::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Noticed from `threshold` on.
std::vector<std::int64_t> tried(std::int64_t last, std::int64_t threshold, Bisection& end) {
  Known known;
  std::vector<std::int64_t> order;
  while ((end = bisect(last, known)).end == BisectEnd::kNone) {
    EXPECT_FALSE(known.contains(end.next));
    order.push_back(end.next);
    known[end.next] = end.next >= threshold;
  }
  return order;
}

TEST(Bisect, FindsEveryThresholdToOneStep) {
  for (std::int64_t last = 1; last <= 40; ++last)
    for (std::int64_t threshold = 1; threshold <= last; ++threshold) {
      Bisection end;
      const auto order = tried(last, threshold, end);
      EXPECT_EQ(end.end, BisectEnd::kFound);
      EXPECT_EQ(end.noticed, threshold) << last;
      EXPECT_EQ(end.missed, threshold - 1) << last;
      EXPECT_FALSE(end.contradiction);
      EXPECT_LE(order.size(), 8U);
    }
}

TEST(Bisect, LooksAtTheEndsFirst) {
  Bisection end;
  EXPECT_THAT(tried(10, 11, end), ElementsAre(10));
  EXPECT_EQ(end.end, BisectEnd::kNotEvenLast);
  EXPECT_THAT(tried(10, 0, end), ElementsAre(10, 0));
  EXPECT_EQ(end.end, BisectEnd::kAlreadyFirst);
  EXPECT_THAT(tried(1'000'000, 777'777, end), testing::SizeIs(testing::Le(22U)));
  EXPECT_EQ(end.noticed, 777'777);
}

TEST(Bisect, AGapAndAContradictionAreSaid) {
  const Bisection gap = bisect(8, {{8, true}, {0, false}, {4, std::nullopt}});
  EXPECT_EQ(gap.end, BisectEnd::kGap);
  EXPECT_EQ(gap.gap, 4);
  EXPECT_EQ(gap.missed, 0);
  EXPECT_EQ(gap.noticed, 8);
  const Bisection odd = bisect(8, {{8, true}, {0, false}, {2, true}, {4, false}});
  ASSERT_TRUE(odd.contradiction);
  EXPECT_EQ(*odd.contradiction, std::pair(std::int64_t{2}, std::int64_t{4}));
}

TEST(SweepFolder, IsOneCommandsAtATime) {
  const Folder folder;
  const std::string path = folder.path() + "/out";
  auto first = SweepFolder::open(path);
  ASSERT_TRUE(first);
  const auto second = SweepFolder::open(path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kConflict);
  EXPECT_THAT(second.error().message, HasSubstr("another sweep is at work in"));
  first = SweepFolder::open(folder.path() + "/other");
  EXPECT_TRUE(SweepFolder::open(path));
}

TEST(SweepFolder, WhatItCannotReadStaysAsItIs) {
  const Folder folder;
  const auto sweeps = SweepFolder::open(folder.path());
  ASSERT_TRUE(sweeps);
  EXPECT_EQ(*sweeps->read(), std::nullopt);
  for (const std::string& text :
       {std::string(), std::string("{\"kind\": \"Sweep"), std::string("[]"),
        std::string("{\"apiVersion\": \"faultline.dev/v1alpha1\"}"), std::string(100, '\0'),
        std::string("\x1b[2J")}) {
    folder.file("sweep.json", text);
    const auto read = sweeps->read();
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Errc::kInvalid);
    EXPECT_THAT(read.error().message, HasSubstr("nothing was changed"));
    EXPECT_EQ(folder.read("sweep.json"), text);
  }
  std::filesystem::remove(folder.path() + "/sweep.json");
  std::filesystem::create_directory(folder.path() + "/sweep.json");
  EXPECT_FALSE(sweeps->read());
}

TEST(SweepFolder, AWriteThatFailsLeavesTheFileBefore) {
  const Folder folder;
  const auto sweeps = SweepFolder::open(folder.path());
  api::SweepProgress progress{.apiVersion = "faultline.dev/v1alpha1",
                              .kind = "SweepProgress",
                              .id = "0123456789abcdef",
                              .document = *api::parse_sweep(kSweep, "s")};
  ASSERT_TRUE(sweeps->write(progress));
  const std::string before = folder.read("sweep.json");
  // Somebody's folder in the way of the new file.
  std::filesystem::create_directory(folder.path() + "/sweep.json.new");
  EXPECT_FALSE(sweeps->write(progress));
  EXPECT_EQ(folder.read("sweep.json"), before);
  std::filesystem::remove(folder.path() + "/sweep.json.new");
  // A link there is not followed: it goes.
  const std::string victim = folder.file("victim", "precious");
  std::filesystem::create_symlink(victim, folder.path() + "/sweep.json.new");
  EXPECT_TRUE(sweeps->write(progress));
  EXPECT_EQ(folder.read("victim"), "precious");
  EXPECT_FALSE(
      std::filesystem::exists(std::filesystem::symlink_status(folder.path() + "/sweep.json.new")));
  EXPECT_TRUE(sweeps->read()->has_value());
}

class SweepCommand : public testing::Test {
 protected:
  Folder folder_;
  Shell shell_;
  std::string file_ = folder_.file("pay.yaml", kSweep);
  std::string out_ = folder_.path() + "/out";
};

TEST_F(SweepCommand, ValidateExplainAndSchemaKnowIt) {
  EXPECT_EQ(shell_.run({"validate", file_}), 0) << shell_.err.str();
  EXPECT_THAT(shell_.out.str(), HasSubstr("valid: pay, a sweep of 2 faults, 5 cells, at least 15"));
  EXPECT_EQ(shell_.run({"validate", file_, "-o", "json"}), 0);
  EXPECT_EQ(shell_.json().at("cells"), 5);
  EXPECT_EQ(shell_.run({"explain", file_}), 0) << shell_.err.str();
  EXPECT_THAT(shell_.out.str(), HasSubstr("latency: networkLatency, latency 10ms, 50ms, 200ms"));
  EXPECT_EQ(shell_.run({"schema", "--sweep"}), 0);
  EXPECT_EQ(shell_.json().at("title"), "Faultline sweep");
  EXPECT_EQ(shell_.run({"run", file_, "--yes"}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("is a Sweep: 'faultline sweep' runs it"));
  EXPECT_EQ(shell_.run({"sweep", folder_.file("slow.yaml", kExperiment)}), 3);
}

TEST_F(SweepCommand, WordsThatContradictAreRefusedBeforeAnything) {
  EXPECT_EQ(shell_.run({"sweep", file_, "-d", out_, "--fault", "latencies"}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("did you mean 'latency'?"));
  EXPECT_EQ(shell_.run({"sweep", file_, "-d", out_, "--threshold"}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("--threshold of loss needs its resolution"));
  EXPECT_EQ(shell_.run({"sweep", file_, "-d", out_, "--resolution", "1ms"}), 3);
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(SweepCommand, AnotherDocumentIsRefusedAndNothingIsOverwritten) {
  std::filesystem::create_directory(out_);
  api::SweepProgress progress{.apiVersion = "faultline.dev/v1alpha1",
                              .kind = "SweepProgress",
                              .id = "0123456789abcdef",
                              .document = *api::parse_sweep(kSweep, "s")};
  progress.document.metadata.name = "theirs";
  const std::string text = api::sweep_progress_text(progress);
  folder_.file("out/sweep.json", text);
  EXPECT_EQ(shell_.run({"sweep", file_, "-d", out_, "--yes"}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("holds a sweep of another document (theirs"));
  EXPECT_EQ(folder_.read("out/sweep.json"), text);
}

TEST_F(SweepCommand, ADryRunChecksAllCellsAndMakesNothing) {
  ControllerDouble controller({});
  controller.use(shell_, folder_);
  EXPECT_EQ(shell_.run({"sweep", file_, "-d", out_, "--dry-run"}), 0) << shell_.err.str();
  EXPECT_THAT(shell_.out.str(), HasSubstr("5 cells at most"));
  EXPECT_FALSE(std::filesystem::exists(out_));
  EXPECT_EQ(controller.starts(), 0);
}

}  // namespace
}  // namespace faultline::cli
