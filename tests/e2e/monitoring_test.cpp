// SPDX-License-Identifier: Apache-2.0
// Did anyone notice? Debian's Prometheus and Alertmanager beside real runs. A service in the pod
// asks its database, which is outside, and tells Prometheus how long that takes: the fault on the
// pod is what the alerts are about.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

#include "api/values.h"
#include "http/client.h"
#include "tests/e2e/harness.h"
#include "tests/places.h"

namespace faultline::test {
namespace {

using testbed::Child;
using testing::HasSubstr;

constexpr double kScrape = 1, kEvaluation = 1;  // seconds, of the configuration below
constexpr double kBeyondGrid = 0.5;             // seconds that times may differ beside their grid

// One that nobody listens on.
std::string free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (bind(fd, reinterpret_cast<sockaddr*>(&at), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    throw std::runtime_error("no free port");
  close(fd);
  return std::to_string(ntohs(at.sin_port));
}

std::string script(const std::string& name) { return source_dir() / "tests/e2e" / name; }

class Monitoring : public EndToEnd {
 protected:
  Monitoring() {
    outside_.emplace(std::vector<std::string>{"/usr/bin/python3", script("outside.py"),
                                              database_port_, receiver_port_, told_},
                     folder_, "outside", temp_);
    service_.emplace(a_.start([this] {
      execl("/usr/bin/python3", "python3", script("payments.py").c_str(), "8080",
            net_.host4().c_str(), database_port_.c_str(), nullptr);
      return 127;
    }));
    cluster_.emplace(folder_, pods_, temp_,
                     std::vector<std::string>{"--prometheus", prometheus_url(), "--alertmanager",
                                              alertmanager_url()});
    start_alertmanager();
    start_prometheus();
  }
  ~Monitoring() override {
    prometheus_.reset();
    alertmanager_.reset();
  }

  [[nodiscard]] std::string prometheus_url() const {
    return "http://127.0.0.1:" + prometheus_port_;
  }
  [[nodiscard]] std::string alertmanager_url() const {
    return "http://127.0.0.1:" + alertmanager_port_;
  }
  static boost::json::value ask(const std::string& url, const std::string& method,
                                const std::string& target, const std::string& body = "") {
    const auto answer =
        http::request_blocking({.base_url = url}, method, target, body, std::chrono::seconds(5));
    if (!answer || answer->status != 200) return {};
    return boost::json::parse(answer->body);
  }

  void start_prometheus() {
    const std::string rules = folder_.write(
        "rules.yml",
        "groups:\n- name: payments\n  rules:\n"
        "  - {alert: PaymentsSlow, expr: payments_database_newest_seconds > 0.1, for: 2s}\n"
        "  - {alert: PaymentsStuck, expr: payments_database_newest_seconds > 5, for: 2s}\n"
        "  - {alert: PaymentsUntold, expr: payments_database_newest_seconds > 0.1, for: 1s,\n"
        "     labels: {team: nobody}}\n"
        "  - {alert: PaymentsSilenced, expr: payments_database_newest_seconds > 0.1, for: 1s}\n"
        "  - {alert: PaymentsThere, expr: payments_database_newest_seconds >= 0}\n"
        "  - {alert: PaymentsPatient, expr: payments_database_newest_seconds > 0.1, for: 5m}\n");
    const std::string config =
        folder_.write("prometheus.yml",
                      "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
                      "rule_files: ['" +
                          rules +
                          "']\n"
                          "alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:" +
                          alertmanager_port_ +
                          "']}]}]}\n"
                          "scrape_configs:\n- job_name: payments\n  static_configs:\n"
                          "  - targets: ['" +
                          a_.ip4() + ":8080']\n");
    prometheus_.emplace(
        std::vector<std::string>{"/usr/bin/prometheus", "--config.file=" + config,
                                 "--storage.tsdb.path=" + folder_.file("tsdb"),
                                 "--web.listen-address=127.0.0.1:" + prometheus_port_,
                                 "--rules.alert.resend-delay=1s"},
        folder_, "prometheus", temp_);
    // Until the alert that always fires does: then everything has been seen once.
    if (!comes_true([&] { return holds("PaymentsThere"); }, 30s))
      throw std::runtime_error("the monitoring does not come: " + prometheus_->err() +
                               alertmanager_->err());
  }

  void start_alertmanager() {
    const std::string config =
        folder_.write("alertmanager.yml",
                      "route:\n  receiver: pager\n  group_by: [alertname]\n  group_wait: 1s\n"
                      "  group_interval: 1s\n  routes:\n"
                      "  - {receiver: nobody, matchers: ['team=nobody']}\n"
                      "receivers:\n- name: nobody\n- name: pager\n  webhook_configs:\n"
                      "  - {url: 'http://127.0.0.1:" +
                          receiver_port_ +
                          "/'}\n"
                          "  - url: '" +
                          cluster_->url() +
                          "/api/v1/alerts/notifications'\n"
                          "    http_config: {authorization: {credentials_file: '" +
                          folder_.file("state") + "/notifications.token'}}\n");
    alertmanager_.emplace(
        std::vector<std::string>{"/usr/bin/prometheus-alertmanager", "--config.file=" + config,
                                 "--storage.path=" + folder_.file("alertmanager"),
                                 "--web.listen-address=127.0.0.1:" + alertmanager_port_,
                                 "--cluster.listen-address="},
        folder_, "alertmanager", temp_);
  }

  // Whether Alertmanager has heard of an alert of this name.
  [[nodiscard]] bool holds(const std::string& alert) const {
    const boost::json::value held =
        ask(alertmanager_url(), "GET", "/api/v2/alerts?filter=alertname%3D" + alert);
    return held.is_array() && !held.get_array().empty();
  }

  // `alerts` as in YAML: "{name: PaymentsSlow, within: 8s}".
  [[nodiscard]] std::string expecting(const std::string& name, const std::string& alerts,
                                      const Phases& phases, const std::string& more = "") const {
    const std::string file = experiment(name, "networkLatency: {latency: 300ms}", phases);
    std::ofstream(file, std::ios::app) << "  expect: {alerts: [" << alerts << "]}\n" << more;
    return file;
  }

  // When an ALERTS series of that state was there first, by Prometheus itself.
  [[nodiscard]] double first_in_series(const std::string& alert, const std::string& state,
                                       double from) const {
    const double to = static_cast<double>(time(nullptr)) + 1;
    std::ostringstream target;
    target.precision(15);
    target << "/api/v1/query?query=ALERTS%7Balertname%3D%22" << alert << "%22%2Calertstate%3D%22"
           << state << "%22%7D%5B" << std::ceil(to - from) << "s%5D&time=" << to;
    const boost::json::value answer = ask(prometheus_url(), "GET", target.str());
    double first = 0;
    for (const auto& series : answer.at_pointer("/data/result").as_array())
      for (const auto& value : series.at("values").as_array()) {
        const double at = value.at(0).to_number<double>();
        if (at >= from && (first == 0 || at < first)) first = at;
      }
    return first;
  }

  // When the independent receiver was told of a firing alert.
  [[nodiscard]] double told_at(const std::string& alert, double from) const {
    std::istringstream lines(content(told_));
    for (std::string line; std::getline(lines, line);) {
      const boost::json::value told = boost::json::parse(line);
      const double at = told.at("at").to_number<double>();
      if (at < from) continue;
      for (const auto& one : told.at_pointer("/body/alerts").as_array())
        if (one.at_pointer("/labels/alertname") == alert.c_str() && one.at("status") == "firing")
          return at;
    }
    return 0;
  }

  // Of a report: seconds since the epoch; 0: null.
  static double seconds_of(const boost::json::value& time) {
    if (!time.is_string()) return 0;
    const auto read = api::Timestamp::parse(time.as_string().c_str());
    return read ? std::chrono::duration<double>(read->value.time_since_epoch()).count() : 0;
  }
  static const boost::json::value& detection(const boost::json::value& report,
                                             const std::string& alert) {
    for (const auto& one : report.at("detections").as_array())
      if (one.at("alert") == alert.c_str()) return one;
    throw std::runtime_error("no detection of " + alert);
  }

  const std::string prometheus_port_ = free_port(), alertmanager_port_ = free_port(),
                    receiver_port_ = free_port(), database_port_ = free_port();
  const std::string told_ = folder_.file("told.jsonl");
  std::optional<Program> outside_, prometheus_, alertmanager_;
  std::optional<Child> service_;
  std::optional<Cluster> cluster_;
};

TEST_F(Monitoring, EachVerdictIsTheOneThatTheConfigurationDeserves) {
  const double now = static_cast<double>(time(nullptr));
  char ends[32];
  const time_t later = time(nullptr) + 600;
  strftime(ends, sizeof ends, "%Y-%m-%dT%H:%M:%SZ", gmtime(&later));
  const auto silenced = ask(
      alertmanager_url(), "POST", "/api/v2/silences",
      R"({"matchers":[{"name":"alertname","value":"PaymentsSilenced","isRegex":false}],"startsAt":)"
      R"("2026-01-01T00:00:00Z","endsAt":")" +
          std::string(ends) + R"(","createdBy":"ops","comment":"night"})");
  ASSERT_TRUE(silenced.is_object());

  Program run = cluster_->command(
      {"run",
       expecting("verdicts",
                 "{name: PaymentsSlow, within: 8s}, {name: PaymentsStuck, within: 8s}, {name: "
                 "PaymentsUntold, within: 8s}, {name: PaymentsSilenced, within: 8s}, {name: "
                 "PaymentsThere, within: 8s}",
                 {.baseline = "3s", .fault = "9s", .recovery = "4s"}),
       "--yes", "--anyway", "--report", report_folder()});
  EXPECT_EQ(run.wait(std::chrono::seconds(60)), 1) << run.err();
  const boost::json::value report = report_json();
  EXPECT_EQ(report.at("verdict"), "missed");

  const auto& slow = detection(report, "PaymentsSlow");
  EXPECT_EQ(slow.at("verdict"), "detected") << slow;
  const auto& timeline = report.at("timeline").as_array();
  const auto t2 = std::ranges::find_if(timeline, [](const auto& e) { return e.at("key") == "t2"; });
  ASSERT_NE(t2, timeline.end());
  const double injected = seconds_of(t2->at("at"));
  const double firing = seconds_of(slow.at("firingAt"));
  EXPECT_NEAR(firing, first_in_series("PaymentsSlow", "firing", now), kEvaluation + kBeyondGrid);
  EXPECT_NEAR(seconds_of(slow.at("pendingAt")), first_in_series("PaymentsSlow", "pending", now),
              kEvaluation + kBeyondGrid);
  EXPECT_NEAR(seconds_of(slow.at("notifiedAt")), told_at("PaymentsSlow", injected), kBeyondGrid);
  EXPECT_NEAR(slow.at("seconds").to_number<double>(), firing - injected, 0.01);
  EXPECT_LE(slow.at("floor").to_number<double>(),
            slow.at("seconds").to_number<double>() + kBeyondGrid);
  EXPECT_GE(slow.at("floor").to_number<double>(), 2 - kBeyondGrid) << "for: 2s";
  std::cout << "fired after " << slow.at("seconds") << " s, floor " << slow.at("floor")
            << " s, told after " << seconds_of(slow.at("notifiedAt")) - injected
            << " s, the other receiver after " << told_at("PaymentsSlow", injected) - injected
            << " s; steps " << slow.at("steps") << "\n";

  EXPECT_EQ(detection(report, "PaymentsStuck").at("verdict"), "missed");
  const auto& untold = detection(report, "PaymentsUntold");
  EXPECT_EQ(untold.at("verdict"), "not-notified") << untold;
  EXPECT_THAT(untold.at("reason").as_string().c_str(), HasSubstr("nobody"));
  const auto& quiet = detection(report, "PaymentsSilenced");
  EXPECT_EQ(quiet.at("verdict"), "not-notified") << quiet;
  EXPECT_THAT(quiet.at("reason").as_string().c_str(), HasSubstr("silence"));
  EXPECT_EQ(detection(report, "PaymentsThere").at("verdict"), "before-fault");
  const auto& hints = detection(report, "PaymentsStuck").at("hints").as_array();
  EXPECT_FALSE(hints.empty());
  std::cout << "hints of the missed alert: " << boost::json::value(hints) << "\n";

  // What this run showed of the rules, and one of them as a test for promtool.
  const boost::json::value alerts = cluster_->ask({"alerts"});
  EXPECT_EQ(alerts.at("rules"), 6) << alerts;
  for (const auto& one : alerts.at("alerts").as_array()) {
    if (one.at("alert") == "PaymentsStuck") {
      EXPECT_TRUE(one.at("lastFiredAt").is_null()) << one;
    }
    if (one.at("alert") == "PaymentsSlow") {
      EXPECT_EQ(one.at("run"), report.at("run")) << one;
      EXPECT_EQ(one.at("verdict"), "detected") << one;
    }
  }
  Program made = cluster_->command(
      {"rule-test", "verdicts", "PaymentsSlow", "--directory", folder_.file("rule-test")});
  EXPECT_EQ(made.wait(), 0) << made.err();
  const std::string rules = folder_.file("rule-test") + "/PaymentsSlow.rules.yml";
  const std::string promtool =
      "promtool test rules " + folder_.file("rule-test") + "/PaymentsSlow.test.yml";
  EXPECT_EQ(std::system(promtool.c_str()), 0) << content(rules);
  std::string raised = content(rules);
  const std::size_t threshold = raised.find("> 0.1");
  ASSERT_NE(threshold, std::string::npos) << raised;
  std::ofstream(rules) << raised.replace(threshold, 5, "> 50");
  EXPECT_NE(std::system((promtool + " >/dev/null 2>&1").c_str()), 0);

  EXPECT_THAT(content(report_folder() + "/report.md"), HasSubstr("Did anyone notice?"));
  EXPECT_THAT(content(report_folder() + "/report.html"), HasSubstr("Did anyone notice?"));
}

TEST_F(Monitoring, AnAlertThatCannotFireIsRefusedBeforeAnythingIsHit) {
  const std::string file = expecting("patient", "{name: PaymentsPatient, within: 10m}",
                                     {.baseline = "1s", .fault = "10s", .recovery = "1s"});
  Program run = cluster_->command({"run", file, "--yes", "--report", report_folder()});
  EXPECT_EQ(run.wait(), 3) << run.err();
  EXPECT_THAT(run.out(), HasSubstr("PaymentsPatient cannot be noticed"));
  EXPECT_THAT(run.out(), HasSubstr("set phases.fault"));
  EXPECT_THAT(run.out(), HasSubstr("--anyway"));
  EXPECT_TRUE(cluster_->ask({"get"}).at("runs").as_array().empty());

  Program misspelt = cluster_->command(
      {"run", expecting("misspelt", "{name: PaymentSlow, within: 8s}", {.fault = "10s"}), "--yes"});
  EXPECT_EQ(misspelt.wait(), 3) << misspelt.err();
  EXPECT_THAT(misspelt.out(), HasSubstr("PaymentsSlow"));
  EXPECT_FALSE(delayed(kUntouchedMs));
}

TEST_F(Monitoring, AMonitoringThatIsAwayInMidRunIsNotAPass) {
  Program run = cluster_->command({"run",
                                   expecting("away", "{name: PaymentsSlow, within: 6s}",
                                             {.baseline = "2s", .fault = "7s", .recovery = "1s"}),
                                   "--yes", "--report", report_folder()});
  ASSERT_TRUE(comes_true([&] { return delayed(200) || run.ended(); }, 20s));
  prometheus_->signal(SIGKILL);
  EXPECT_EQ(run.wait(std::chrono::seconds(60)), 1) << run.err();
  const boost::json::value report = report_json();
  EXPECT_EQ(report.at("verdict"), "missed");
  const auto& slow = detection(report, "PaymentsSlow");
  EXPECT_EQ(slow.at("verdict"), "unknown") << slow;
  std::cout << slow.at("reason") << "\n";
  EXPECT_THAT(boost::json::serialize(report.at("gaps")), HasSubstr("prometheus"));
}

TEST_F(Monitoring, AQueryThatHoldsOrCannotBeAskedEndsTheFault) {
  const Phases phases{.baseline = "1s", .fault = "30s", .recovery = "1s"};
  const auto aborting = [&](const std::string& name, const std::string& above) {
    const std::string file = experiment(name, "networkLatency: {latency: 300ms}", phases);
    std::ofstream(file, std::ios::app)
        << "  abortWhen: [{promql: 'max(payments_database_newest_seconds)', above: '" << above
        << "'}]\n";
    return cluster_->command({"run", file, "--yes", "--report", report_folder()});
  };
  Program holds = aborting("holds", "0.2");
  EXPECT_EQ(holds.wait(), 4) << holds.err();
  EXPECT_THAT(report_json().at("stateReason").as_string().c_str(),
              HasSubstr("abortWhen max(payments_database_newest_seconds) above 0.2: it was 0."));

  Program away = aborting("away", "10");
  ASSERT_TRUE(comes_true([&] { return delayed(200) || away.ended(); }, 20s));
  prometheus_->signal(SIGSTOP);
  EXPECT_EQ(away.wait(), 4) << away.err();
  EXPECT_THAT(report_json().at("stateReason").as_string().c_str(), HasSubstr("no answer"));
  prometheus_->signal(SIGCONT);
}

}  // namespace
}  // namespace faultline::test
