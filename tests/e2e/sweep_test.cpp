// SPDX-License-Identifier: Apache-2.0
// Sweeps on the three programs, with Prometheus and Alertmanager. A question of the service crosses
// the delayed way twice, once to connect and once to ask: the alert over 100 ms is over a delay of
// 50 ms.
#include <thread>

#include "tests/e2e/monitoring.h"

namespace faultline::test {
namespace {

using testing::HasSubstr;

class Sweeps : public Monitoring {
 protected:
  // `rows` as in YAML.
  [[nodiscard]] std::string document(const std::string& rows) const {
    return folder_.write("sweep.yaml",
                         "apiVersion: faultline.dev/v1alpha1\nkind: Sweep\nmetadata: {name: pay}\n"
                         "spec:\n  experiment:\n    target: {selector: {namespaces: [shop]}}\n"
                         "    phases: {baseline: 2s, fault: 6s, recovery: 2s}\n"
                         "    expect: {alerts: [{name: PaymentsSlow, within: 6s}]}\n"
                         // Where the machine is busy, effects are not back in their band for long.
                         "  rest: {most: 12s}\n  faults:\n" +
                             rows);
  }
  Program sweep(const std::string& file, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"sweep", file, "-d", out_, "--yes"});
    return cluster_->command(more);
  }
  [[nodiscard]] boost::json::value progress() const {
    const std::string text = content(out_ + "/sweep.json");
    return text.empty() ? boost::json::value() : boost::json::parse(text);
  }
  [[nodiscard]] std::size_t cells_begun() const {
    const auto now = progress();
    return now.is_object() && now.as_object().contains("cells") ? now.at("cells").as_array().size()
                                                                : 0;
  }
  const std::string out_ = folder_.file("out");
};

constexpr const char* kGrid =
    "  - {name: there, fault: {networkLatency: {direction: to}}, vary: latency, severities: [10ms, "
    "120ms]}\n"
    "  - {name: back, fault: {networkLatency: {direction: from}}, vary: latency, severities: "
    "[10ms, "
    "120ms]}\n";

TEST_F(Sweeps, AKilledCommandGoesOnWithTheRunThatItLeft) {
  const std::string file = document(kGrid);
  Program first = sweep(file);
  ASSERT_TRUE(comes_true([&] { return cells_begun() == 2 || first.ended(); }, 60s)) << first.err();
  ASSERT_TRUE(comes_true([&] { return delayed(100) || first.ended(); }, 20s)) << first.err();
  Program second = sweep(file);
  EXPECT_EQ(second.wait(), 5) << "one command at a time";
  EXPECT_THAT(second.out(), HasSubstr("another sweep is at work"));
  first.signal(SIGKILL);
  first.wait();
  Program again = sweep(file);
  // 2: on a machine that is busy a delay of 10 ms may be partial.
  EXPECT_THAT(again.wait(std::chrono::seconds(150)), testing::AnyOf(1, 2)) << again.err();
  EXPECT_THAT(again.err(), HasSubstr("pay-there-2 was begun before this command"));
  EXPECT_THAT(again.err(), HasSubstr("its report is taken"));
  const boost::json::value answer = boost::json::parse(again.out());
  const auto& cells = answer.at("progress").at("cells").as_array();
  ASSERT_EQ(cells.size(), 4U);
  for (const auto& cell : cells) {
    const bool strong = cell.at("severity") == "120ms";
    EXPECT_EQ(cell.at("state"), "done") << cell;
    EXPECT_EQ(cell.at("attempts"), 1) << cell;
    EXPECT_FALSE(cell.as_object().contains("gap")) << cell;
    std::string verdict;
    for (const auto& alert : cell.at("alerts").as_array())
      if (std::string_view(alert.at("alert").as_string()).starts_with("PaymentsSlow"))
        verdict = alert.at("verdict").as_string().c_str();
    EXPECT_EQ(verdict, strong ? "detected" : "missed") << cell;
    const std::string folder = out_ + "/" + cell.at("experiment").as_string().c_str();
    EXPECT_TRUE(std::filesystem::exists(folder + "/report.html")) << folder;
  }
  EXPECT_EQ(cluster_->ask({"get"}).at("runs").as_array().size(), 4U);
  EXPECT_THAT(content(out_ + "/sweep.md"), HasSubstr("| missed | detected"));
  EXPECT_THAT(content(out_ + "/sweep.html"), HasSubstr("pay-back-2/report.html"));
  Program done = sweep(file);
  EXPECT_EQ(done.wait(), again.wait()) << done.err();
  EXPECT_EQ(cluster_->ask({"get"}).at("runs").as_array().size(), 4U);
  std::cout << content(out_ + "/sweep.md") << "\n";
}

TEST_F(Sweeps, ACellThatTheControllerLostIsRunOnceMore) {
  Program sweeping = sweep(document(
      "  - {name: there, fault: {networkLatency: {direction: to}}, vary: latency, severities: "
      "[120ms]}\n"));
  ASSERT_TRUE(comes_true([&] { return delayed(100) || sweeping.ended(); }, 30s)) << sweeping.err();
  cluster_->controller().signal(SIGKILL);
  std::this_thread::sleep_for(4s);  // longer than the lease: the run is lost
  cluster_->start_controller();
  EXPECT_EQ(sweeping.wait(std::chrono::seconds(60)), 0) << sweeping.err();
  EXPECT_THAT(sweeping.err(), HasSubstr("; once more"));
  const boost::json::value now = progress();
  const auto& cell = now.at("cells").as_array().at(0);
  EXPECT_EQ(cell.at("attempts"), 2) << cell;
  EXPECT_FALSE(cell.as_object().contains("gap")) << cell;
}

TEST_F(Sweeps, TheThresholdOfAnAlertIsFoundToOneStep) {
  Program search = sweep(document("  - name: there\n    fault: {networkLatency: {direction: to}}\n"
                                  "    vary: latency\n    severities: [15ms, 95ms]\n"
                                  "    resolution: 20ms\n"),
                         {"--threshold"});
  // 2: on a machine that is busy a delay of 15 ms may not be as asked, which is no matter here.
  EXPECT_THAT(search.wait(std::chrono::seconds(150)), testing::AnyOf(0, 2)) << search.err();
  const boost::json::value answer = boost::json::parse(search.out());
  EXPECT_EQ(answer.at("thresholds").as_array().at(0).at("text"),
            "not noticed at 35ms, noticed at 55ms (step 20ms)")
      << answer;
  EXPECT_EQ(answer.at("progress").at("cells").as_array().size(), 4U);
  std::cout << content(out_ + "/sweep.md") << "\n";
}

}  // namespace
}  // namespace faultline::test
