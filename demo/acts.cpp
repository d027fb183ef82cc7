// SPDX-License-Identifier: Apache-2.0
#include "demo/acts.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "api/codec.h"
#include "api/report.h"
#include "demo/program.h"
#include "demo/recovery.h"
#include "demo/run.h"
#include "demo/words.h"
#include "testbed/cluster.h"

namespace faultline::demo {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// The phases as the report has them, on the stopwatch's clock.
struct Phases {
  Steady::time_point baseline, fault, fault_end, recovery, end;
};

class Times {
 public:
  explicit Times(const api::Report& report)
      : report_(report), utc_(std::chrono::system_clock::now()), steady_(Steady::now()) {}
  [[nodiscard]] Steady::time_point of(const std::string& key) const {
    for (const api::TimelineEntry& entry : report_.timeline)
      if (entry.key == key)
        return steady_ - std::chrono::duration_cast<nanoseconds>(utc_ - entry.at.value);
    throw std::runtime_error("the report of " + report_.run + " has no time for " + key);
  }

 private:
  const api::Report& report_;
  std::chrono::system_clock::time_point utc_;
  Steady::time_point steady_;
};

Phases phases_of(const api::Report& report) {
  const Times times(report);
  // A request that straddles a border belongs to neither side.
  constexpr milliseconds kBorder{300};
  return {times.of("baseline"), times.of("t1") + kBorder, times.of("recovering") - kBorder,
          times.of("recovering") + kBorder, times.of("completed")};
}

struct Measured {
  std::vector<Probe> before, during, after;
};

Measured measured(const Prober& prober, const Phases& phases) {
  return {prober.between(phases.baseline, phases.fault - milliseconds(600)),
          prober.between(phases.fault, phases.fault_end),
          prober.between(phases.recovery, phases.end)};
}

const api::InjectionReport& only_injection(const api::Report& report) {
  if (report.injections.size() != 1)
    throw std::runtime_error("the report of " + report.run + " has " +
                             std::to_string(report.injections.size()) + " injections, not one");
  return report.injections.front();
}

bool confirmed(const Ran& ran) {
  const bool real = only_injection(ran.report).verdict == api::InjectionVerdict::confirmed;
  const bool clean = ran.report.residue && ran.report.residue->empty();
  if (ran.status == 0 && real && clean)
    return claim(true,
                 "Faultline ended with exit code 0: its fault is confirmed, nothing is left.");
  return claim(false,
               "Faultline ended with exit code " + std::to_string(ran.status) +
                   ": its report does not confirm the fault, or an expectation, or its end.");
}

std::vector<std::string> row(const std::string& name, const Measured& m) {
  return {name, ms_words(median(m.before)), ms_words(median(m.during)), ms_words(median(m.after))};
}

std::optional<std::vector<std::string>> reported_latency(const api::Report& report,
                                                         const std::string& pod,
                                                         const std::string& name) {
  const auto words = [](const std::optional<api::PhaseStats>& stats) {
    if (!stats || !stats->p50) return std::string("-");
    return ms_words(nanoseconds(static_cast<std::int64_t>(*stats->p50 * 1e9)));
  };
  for (const api::EffectReport& e : report.effects) {
    const auto side = e.labels.find("side");
    if (e.pod != pod || e.metric != "request.latency" || side == e.labels.end() ||
        side->second != "server")
      continue;
    return std::vector<std::string>{name, words(e.baseline), words(e.fault), words(e.recovery)};
  }
  return std::nullopt;
}

bool within(nanoseconds value, nanoseconds low, nanoseconds high) {
  return value >= low && value <= high;
}

}  // namespace

bool slow_payments(const Stage& stage) {
  heading("1. payments answers 50 ms late");
  paragraph(
      "The packets that payments sends from port 8080 arrive 50 ms late, give or take 5 ms. "
      "checkout "
      "opens a new connection to payments for each request, so it waits twice: for the handshake, "
      "and for the answer. Its customers should see about 100 ms more. catalog, on the same "
      "bridge, "
      "should see nothing.");
  const Ran ran = run(stage, "slow-payments");
  const Phases phases = phases_of(ran.report);
  const Measured checkout = measured(stage.shop.checkout(), phases);
  const Measured catalog = measured(stage.shop.catalog(), phases);

  blank();
  paragraph(
      "Meanwhile a stopwatch that knows nothing of Faultline asked checkout and catalog " +
      std::to_string(checkout.before.size() + checkout.during.size() + checkout.after.size()) +
      " times each. Medians:");
  std::vector<std::vector<std::string>> rows{{"", "before", "during", "after"},
                                             row("checkout, stopwatch", checkout)};
  if (auto reported = reported_latency(ran.report, "shop/checkout-0", "checkout, report"))
    rows.push_back(*reported);
  rows.push_back(row("catalog, stopwatch", catalog));
  table(rows);
  blank();

  const nanoseconds added = median(checkout.during) - median(checkout.before);
  bool good = confirmed(ran);
  good &= claim(within(added, milliseconds(90), milliseconds(130)),
                "The customers of checkout waited " + ms_words(added) +
                    " longer; 2 x 50 ms is what the fault should do.");
  good &= claim(median(checkout.after) < median(checkout.before) + milliseconds(10),
                "When the fault was over, checkout was as fast as before.");
  good &= claim(median(catalog.during) < median(catalog.before) + milliseconds(5),
                "catalog, which nothing was done to, felt nothing.");
  return good;
}

bool refused_connects(const Stage& stage) {
  heading("3. Every second connection to payments is refused");
  paragraph(
      "Half of the connect() calls of checkout fail with ECONNREFUSED, as if payments were "
      "restarting. No packet is touched: the kernel refuses before it sends one. nginx answers 502 "
      "then.");
  const Ran ran = run(stage, "refused-connects");
  const Measured checkout = measured(stage.shop.checkout(), phases_of(ran.report));
  blank();
  paragraph("The stopwatch counted the requests that were not answered with 200:");
  const double during = failed_share(checkout.during);
  table(
      {{"", "before", "during", "after"},
       {"checkout, stopwatch", percent_words(failed_share(checkout.before)), percent_words(during),
        percent_words(failed_share(checkout.after))},
       {"connect(), report", "", percent_words(only_injection(ran.report).rate.value_or(0)), ""}});
  blank();
  bool good = confirmed(ran);
  // About 360 requests: 35 to 65 % is more than five standard deviations.
  good &= claim(
      during > 0.35 && during < 0.65,
      percent_words(during) + " of the requests failed; half of the connects is what was asked.");
  good &= claim(failed_share(checkout.before) < 0.01 && failed_share(checkout.after) < 0.01,
                "None failed before or after.");
  return good;
}

namespace {

constexpr milliseconds kStep{5};  // of the stopwatch around the kill

// Of the run whose agent died. The controller must notice by itself.
bool closed_truthfully(testbed::Child& run, const std::string& report_folder) {
  if (!wait_for([&] { return testbed::has_ended(run); }, std::chrono::seconds(15)))
    return claim(false, "The controller did not notice within 15 s that the agent is gone.");
  finish(run);
  const auto report = api::from_json_text<api::Report>(read_file(report_folder + "/report.json"));
  const bool truthful = report && report->state == api::RunState::Failed && !report->residue;
  return claim(truthful,
               truthful ? "The controller noticed, closed the run as failed, and does not claim to "
                          "know what it could not check."
                        : "The run of a killed agent should have failed and did not.");
}

}  // namespace

bool killed_agent(const Stage& stage) {
  heading("4. The agent is killed in the middle of a fault");
  paragraph(
      "A controller and an agent run as processes of their own now, and payments gets its 50 ms "
      "again, for a minute. Then the agent gets kill -9: nobody is left who could clean up. But "
      "all "
      "that it put into the kernel hangs on its file descriptors and ends with them.");
  const std::string state = stage.shop.folder() + "/cluster";
  std::filesystem::create_directory(state);
  testbed::Cluster cluster(stage.programs, state, stage.shop.pods_file(), "payments-0");
  const auto faultline = [&](const std::vector<std::string>& words, const testbed::Output& output) {
    std::vector<std::string> all{stage.programs + "/faultline"};
    all.insert(all.end(), words.begin(), words.end());
    for (const std::string& word : {std::string("--controller"), cluster.url(),
                                    std::string("--token-file"), cluster.token_file()})
      all.push_back(word);
    return testbed::launch(all, output);
  };
  const auto checkout = stage.shop.ask_checkout(kStep);
  const auto start = Steady::now();
  const std::string file = stage.experiments + "/orphaned-fault.yaml";
  const std::string folder = stage.reports + "/orphaned-fault";
  std::filesystem::remove_all(folder);
  typed("faultline run " + file + " --controller " + cluster.url() + " --yes &");
  auto run = faultline({"run", file, "--report", folder, "--yes"}, {state + "/run.log"});
  const auto ended = [&] { return testbed::has_ended(run); };
  const auto before = wait_until_slow(*checkout, ended, start);
  if (!before)
    throw std::runtime_error("the fault does not come; faultline run said:\n" +
                             read_file(state + "/run.log"));
  const auto now = Steady::now();
  paragraph("checkout took " + ms_words(*before) + ", and takes " +
            ms_words(median(checkout->between(now - milliseconds(900), now))) + " now.");

  typed("kill -9 " + std::to_string(cluster.agent_pid()) + "    # faultline-agent");
  const auto kill = Steady::now();
  cluster.kill_agent();
  pause(milliseconds(3200));  // what was under way ends, or gives up
  bool good = fast_again(*checkout, kill, kStep);
  good &= closed_truthfully(run, folder);
  typed("faultline report orphaned-fault --controller " + cluster.url());
  auto report = faultline({"report", "orphaned-fault"}, {});
  finish(report);
  return good;
}

}  // namespace faultline::demo
