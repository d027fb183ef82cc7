// SPDX-License-Identifier: Apache-2.0
// Debian's Prometheus and Alertmanager beside a controller. A service in the pod asks its database,
// which is outside, and tells Prometheus how long that takes: the fault on the pod is what the
// alerts are about.
#pragma once

#include <unistd.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "api/values.h"
#include "http/client.h"
#include "testbed/free_ports.h"
#include "tests/e2e/harness.h"
#include "tests/places.h"

namespace faultline::test {

using testbed::Child;

inline std::string free_port() { return std::to_string(testbed::free_ports(1).front()); }

inline std::string script(const std::string& name) { return source_dir() / "tests/e2e" / name; }

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

}  // namespace faultline::test
