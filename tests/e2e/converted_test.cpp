// SPDX-License-Identifier: Apache-2.0
// Manifests of Chaos Mesh, converted and run, with a Service between the pods: another pod gives
// packets to the Service's address the server's, as kube-proxy does on a node. The client sees the
// Service's address, the server the client's.
#include <fstream>

#include "testbed/shell.h"
#include "tests/e2e/harness.h"

namespace faultline::test {
namespace {

using testbed::TestPod;

constexpr const char* kService = "10.96.0.7";
constexpr double kDelayMs = 100;

class Converted : public EndToEnd {
 protected:
  void SetUp() override {
    pods_ = folder_.write("pods.yaml", "pods:\n" + entry(a_, "payments") + entry(web_, "web") +
                                           entry(other_, "other"));
    proxy_.in_netns([] {
      const std::string v4 = "/proc/sys/net/ipv4/";
      std::ofstream(v4 + "ip_forward") << 1;
      // Way in and way out are one device: nobody is to be told of a shorter way.
      for (const char* device : {"all", "eth0"})
        std::ofstream(v4 + "conf/" + device + "/send_redirects") << 0;
    });
    const auto said = proxy_.exec({"iptables", "-t", "nat", "-A", "PREROUTING", "-d", kService,
                                   "-j", "DNAT", "--to-destination", a_.ip4()});
    if (said.status != 0) GTEST_SKIP() << "needs: NAT (" << said.output << ")";
    for (const TestPod* client : {&web_, &other_}) {
      route(*client, kService);
      route(a_, client->ip4());  // answers go back by the same way
      ASSERT_TRUE(round_trip(*client, kService)) << "the Service does not work";
    }
  }

  // The files that one manifest becomes, which begin at once.
  std::vector<std::string> converted(const std::string& action, const std::string& direction) {
    const std::string manifest =
        folder_.write("manifest.yaml",
                      "apiVersion: chaos-mesh.org/v1alpha1\nkind: NetworkChaos\n"
                      "metadata: {name: x, namespace: shop}\nspec:\n  mode: all\n  duration: 12s\n"
                      "  selector: {labelSelectors: {app: web}}\n"
                      "  target: {mode: all, selector: {labelSelectors: {app: payments}}}\n"
                      "  direction: " +
                          direction + "\n" + action);
    const std::string out = folder_.file("converted");
    Program convert({"faultline", "convert", manifest, "--directory", out}, folder_, "convert",
                    temp_);
    EXPECT_EQ(convert.wait(), 0) << convert.err();
    std::vector<std::string> files;
    for (const char* name : {"x", "x-at-target"}) {
      std::string text = content(out + "/" + name + ".yaml");
      if (text.empty()) continue;
      const std::string phases = "  phases:\n";
      EXPECT_NE(text.find(phases), std::string::npos) << text;
      text.insert(text.find(phases) + phases.size(), "    baseline: 0s\n    recovery: 0s\n");
      files.push_back(folder_.write(std::string(name) + ".yaml", text));
    }
    return files;
  }

  // In ms; nothing when there is no answer within 400 ms.
  static std::optional<double> round_trip(const TestPod& from, const std::string& to) {
    return from.in_netns([&] { return one_ping(to); });
  }
  static double median(const TestPod& from, const std::string& to) {
    return from.in_netns([&] { return testbed::ping(to, 20).median(); });
  }
  static bool slow(const TestPod& from, const std::string& to, double at_least_ms) {
    const auto took = round_trip(from, to);
    return took && *took >= at_least_ms;
  }
  // `times` the delay, and no more.
  static void expect_felt(double ms, int times, const char* way) {
    std::cout << way << ": " << ms << " ms\n";
    EXPECT_GE(ms, times * kDelayMs) << way;
    EXPECT_LT(ms, times * kDelayMs + kUntouchedMs) << way;
  }
  void expect_neighbours_unhurt() const {
    expect_felt(median(other_, kService), 0, "a neighbour by the Service");
    expect_felt(median(other_, a_.ip4()), 0, "a neighbour");
    expect_felt(median(web_, other_.ip4()), 0, "to a neighbour");
  }

  TestPod web_{net_, "w"}, other_{net_, "o"}, proxy_{net_, "p"};

 private:
  static std::string entry(const TestPod& pod, const std::string& app) {
    return "  - {namespace: shop, name: " + app + "-0, labels: {app: " + app +
           "}, cgroup: " + pod.cgroup_path() + ", netns: " + pod.netns_path() + "}\n";
  }
  void route(const TestPod& from, const std::string& to) const {
    testbed::must({"ip", "-n", from.name(), "route", "add", to + "/32", "via", proxy_.ip4()});
  }
};

constexpr const char* kDelay = "  action: delay\n  delay: {latency: 100ms}\n";

TEST_F(Converted, FromIsFeltOnceBehindAServiceAndByNobodyElse) {
  const auto files = converted(kDelay, "from");
  ASSERT_EQ(files.size(), 1U);
  Program run = run_privately(files[0]);
  ASSERT_TRUE(comes_true([&] { return slow(web_, kService, kDelayMs) || run.ended(); }, 15s));
  ASSERT_FALSE(run.ended()) << run.err();
  expect_felt(median(web_, kService), 1, "by the Service");
  expect_felt(median(web_, a_.ip4()), 1, "without it");
  expect_neighbours_unhurt();
  ASSERT_EQ(run.wait(), 0) << run.err();
  const auto injection = report_json().at("injections").at(0);
  EXPECT_EQ(injection.at("verdict"), "confirmed") << injection.at("reason");
  expect_nothing_left();
}

// Without a Service each end delays what it sends. By the Service the client's end sees an address
// that is no pod's, as in Chaos Mesh, and nobody has told here to whom it leads.
TEST_F(Converted, BothIsFeltOnceEachWayAndBehindAServiceOnce) {
  const auto files = converted(kDelay, "both");
  ASSERT_EQ(files.size(), 2U);
  {
    Cluster cluster = this->cluster();
    const auto run = [&](const std::string& file) {
      return cluster.command({"run", file, "--yes", "--report", file + ".report"});
    };
    Program one = run(files[0]), two = run(files[1]);
    ASSERT_TRUE(comes_true(
        [&] { return slow(web_, a_.ip4(), 2 * kDelayMs) || one.ended() || two.ended(); }, 15s));
    ASSERT_FALSE(one.ended()) << one.out() << one.err();
    ASSERT_FALSE(two.ended()) << two.out() << two.err();
    expect_felt(median(web_, kService), 1, "by the Service");
    expect_felt(median(web_, a_.ip4()), 2, "without it");
    expect_neighbours_unhurt();
    EXPECT_EQ(one.wait(), 0) << one.out() << one.err();
    EXPECT_EQ(two.wait(), 0) << two.out() << two.err();
  }
  expect_nothing_left();
}

// No agent arms a partition yet: a loss of all that it would cut does the same.
TEST_F(Converted, APartitionCutsWhatComesByAServiceToo) {
  const auto files = converted("  action: partition\n", "to");
  ASSERT_EQ(files.size(), 1U);
  std::string text = content(files[0]);
  const std::string partition = "networkPartition:\n";
  const std::size_t at = text.find(partition), next = at + partition.size();
  ASSERT_NE(at, std::string::npos) << text;
  const std::string indent(text.find_first_not_of(' ', next) - next, ' ');
  text.replace(at, partition.size(), "networkLoss:\n" + indent + "loss: 100%\n");
  Program run = run_privately(folder_.write("cut.yaml", text));
  ASSERT_TRUE(comes_true([&] { return !round_trip(web_, kService) || run.ended(); }, 15s));
  ASSERT_FALSE(run.ended()) << run.out() << run.err();
  EXPECT_FALSE(round_trip(web_, kService));
  EXPECT_FALSE(round_trip(web_, a_.ip4()));
  expect_neighbours_unhurt();
  ASSERT_EQ(run.wait(), 0) << run.err();
  EXPECT_TRUE(round_trip(web_, kService));
  expect_nothing_left();
}

}  // namespace
}  // namespace faultline::test
