// SPDX-License-Identifier: Apache-2.0
#include "demo/monitoring/monitoring.h"

#include <boost/json/parse.hpp>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "demo/program.h"
#include "demo/run.h"
#include "http/client.h"
#include "testbed/free_ports.h"
#include "testbed/patience.h"
#include "testbed/program.h"

namespace faultline::demo {
namespace {

using std::chrono::milliseconds;

std::string write(const std::string& path, const std::string& text) {
  std::ofstream out(path);
  out << text;
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path);
  return path;
}

std::string loopback(std::uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

// `result` of a query at a time; null: there is no answer.
boost::json::value ask(const std::string& url, const std::string& target) {
  const auto answer = http::request_blocking({.base_url = url}, "GET", "/api/v1/query?" + target,
                                             "", milliseconds(2'000));
  if (!answer || answer->status != 200) return {};
  boost::system::error_code broken;
  const boost::json::value body = boost::json::parse(answer->body, broken);
  if (broken) return {};
  const auto* result = body.find_pointer("/data/result", broken);
  return result == nullptr ? boost::json::value() : *result;
}

}  // namespace

Monitoring::Monitoring(const Shop& shop, const std::string& rules)
    : folder_(shop.folder() + "/monitoring") {
  std::filesystem::create_directory(folder_);
  const auto ports = testbed::free_ports(3);
  const std::string prober = loopback(ports[2]);
  prometheus_ = "http://" + loopback(ports[0]);
  alertmanager_ = "http://" + loopback(ports[1]);
  const std::string modules = write(
      folder_ + "/blackbox.yml",
      "modules:\n  checkout: {prober: http, timeout: 1s, http: {preferred_ip_protocol: ip4}}\n");
  const std::string routes = write(folder_ + "/alertmanager.yml",
                                   "route: {receiver: pager, group_wait: 1s, group_interval: 1s}\n"
                                   "receivers:\n"
                                   "- name: pager\n"
                                   "  webhook_configs: [{url: 'http://127.0.0.1:9/'}]\n");
  const std::string config =
      write(folder_ + "/prometheus.yml",
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
            "rule_files: ['" +
                std::filesystem::absolute(rules).string() +
                "']\n"
                "alerting: {alertmanagers: [{static_configs: [{targets: ['" +
                loopback(ports[1]) +
                "']}]}]}\n"
                "scrape_configs:\n"
                "- job_name: checkout\n"
                "  metrics_path: /probe\n"
                "  params: {module: [checkout], target: ['http://" +
                shop.checkout_address() +
                "/']}\n"
                "  static_configs: [{targets: ['" +
                prober + "'], labels: {namespace: shop, pod: checkout-0}}]\n");
  start("blackbox", {"prometheus-blackbox-exporter", "--config.file=" + modules,
                     "--web.listen-address=" + prober});
  start("alertmanager",
        {"prometheus-alertmanager", "--config.file=" + routes,
         "--storage.path=" + folder_ + "/alertmanager",
         "--web.listen-address=" + loopback(ports[1]), "--cluster.listen-address="});
  start("prometheus",
        {"prometheus", "--config.file=" + config, "--storage.tsdb.path=" + folder_ + "/tsdb",
         "--web.listen-address=" + loopback(ports[0]), "--rules.alert.resend-delay=1s"});
  const auto probed = [&] { return holds("probe_success%20%3D%3D%201"); };
  if (wait_for(probed, testbed::patience(milliseconds(60'000)))) return;
  std::string said;
  for (const char* name : {"blackbox", "alertmanager", "prometheus"})
    said += "\n" + std::string(name) + ": " + read_file(folder_ + "/" + name + ".log");
  throw std::runtime_error("the monitoring does not come; its programs said:" + said);
}

void Monitoring::start(const std::string& name, const std::vector<std::string>& words) {
  programs_.push_back(testbed::launch(words, {folder_ + "/" + name + ".log"}));
}

bool Monitoring::holds(const std::string& query) const {
  const auto result = ask(prometheus_, "query=" + query);
  return result.is_array() && !result.get_array().empty();
}

double Monitoring::first_fired(const std::string& alert, double from) const {
  const double to = static_cast<double>(time(nullptr)) + 1;
  const boost::json::value result =
      ask(prometheus_, "query=ALERTS%7Balertname%3D%22" + alert + "%22%2Calertstate%3D%22firing" +
                           "%22%7D%5B" + std::to_string(std::lround(to - from)) +
                           "s%5D&time=" + std::to_string(std::lround(to)));
  double first = 0;
  if (!result.is_array()) return first;
  for (const auto& series : result.get_array())
    for (const auto& value : series.at("values").as_array())
      if (const double at = value.at(0).to_number<double>();
          at >= from && (first == 0 || at < first))
        first = at;
  return first;
}

}  // namespace faultline::demo
