// SPDX-License-Identifier: Apache-2.0
#include "tests/monitoring/ground.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "controller/observe/source.h"
#include "kube/json.h"
#include "testbed/free_ports.h"

namespace faultline::controller::observe::test {
namespace {

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string listen_on(int port) { return "--web.listen-address=127.0.0.1:" + std::to_string(port); }

std::vector<api::AlertNotification> read_notification(const std::string& body, UtcTime now) {
  std::vector<api::AlertNotification> out;
  const auto object = kube::parse_object(body);
  const auto* alerts = object ? kube::array_at(*object, "alerts") : nullptr;
  if (alerts == nullptr) return out;
  for (const auto& value : *alerts) {
    const auto& alert = value.as_object();
    api::AlertNotification one;
    one.receiver = kube::text_at(*object, "receiver");
    one.resolved = kube::text_at(alert, "status") == "resolved";
    one.at = {now};
    one.startsAt = to_ours(parse_time(kube::text_at(alert, "startsAt")).value_or(0), {});
    for (const auto& label : *kube::object_at(alert, "labels"))
      one.labels[std::string(label.key())] = label.value().get_string().c_str();
    one.alert = one.labels["alertname"];
    out.push_back(one);
  }
  return out;
}

}  // namespace

Program::Program(const std::vector<std::string>& command, const std::filesystem::path& log) {
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("no process");
  if (pid_ == 0) {
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out, 1);
    dup2(out, 2);
    execvp(words[0], words.data());
    _exit(127);
  }
}

Program::~Program() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Program::signal(int number) const { kill(pid_, number); }

Ground::Ground(const std::string& rules, std::string alertmanager, const std::string& labels)
    : server_([this](http::Server& server) {
        server.route("GET", "/metrics", {},
                     [this](http::Request) -> boost::asio::awaitable<http::Response> {
                       http::Response response;
                       response.content_type = "text/plain; version=0.0.4";
                       const std::lock_guard lock(mutex_);
                       for (const auto& [name, value] : gauges_)
                         response.body += name + " " + std::to_string(value) + "\n";
                       if (more_) response.body += more_();
                       co_return response;
                     });
        server.route("POST", "/hook", {},
                     [this](http::Request request) -> boost::asio::awaitable<http::Response> {
                       auto some = read_notification(request.body, SystemClock().utc());
                       const std::lock_guard lock(mutex_);
                       arrived_.insert(arrived_.end(), some.begin(), some.end());
                       co_return http::Response{};
                     });
      }) {
  std::string name =
      (std::filesystem::temp_directory_path() / "faultline-monitoring-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder");
  folder_ = name;
  const auto ports = testbed::free_ports(2);
  prometheus_port_ = ports[0];
  alertmanager_port_ = ports[1];
  const std::string hook = server_.client_options().base_url + "/hook";
  for (std::size_t at = 0; (at = alertmanager.find("HOOK", at)) != std::string::npos;)
    alertmanager.replace(at, 4, hook);
  write(folder_ / "alertmanager.yml", alertmanager);
  write(folder_ / "rules.yml", rules);
  write(folder_ / "prometheus.yml",
        "global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: " + labels +
            "}\nrule_files: [rules.yml]\n"
            "alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:" +
            std::to_string(alertmanager_port_) +
            "']}]}]}\nscrape_configs:\n- job_name: payments\n  static_configs: [{targets: "
            "['127.0.0.1:" +
            std::to_string(server_.port()) + "'], labels: {namespace: shop, pod: payments-0}}]\n");
  start_alertmanager();
  restart_prometheus();
}

void Ground::start_alertmanager() {
  alertmanager_ = std::make_unique<Program>(
      std::vector<std::string>{"prometheus-alertmanager",
                               "--config.file=" + (folder_ / "alertmanager.yml").string(),
                               "--storage.path=" + (folder_ / "am").string(),
                               "--cluster.listen-address=", listen_on(alertmanager_port_)},
      folder_ / "alertmanager.log");
}

void Ground::restart_prometheus() {
  prometheus_.reset();
  prometheus_ = std::make_unique<Program>(
      std::vector<std::string>{
          "prometheus", "--config.file=" + (folder_ / "prometheus.yml").string(),
          "--storage.tsdb.path=" + (folder_ / "tsdb").string(), listen_on(prometheus_port_)},
      folder_ / "prometheus.log");
}

Ground::~Ground() {
  prometheus_.reset();
  alertmanager_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

bool Ground::ready() const {
  const auto has = [](const std::string& base, const std::string& target, const char* words) {
    http::ClientOptions options;
    options.base_url = base;
    const auto answer = http::request_blocking(options, "GET", target, {}, std::chrono::seconds(2));
    return answer && answer->status == 200 && answer->body.find(words) != std::string::npos;
  };
  for (int i = 0; i < 300; ++i) {
    if (has(alertmanager(), "/api/v2/status", "original") &&
        has(prometheus(), "/api/v1/query?query=count_over_time(up[1m])%3E2", "payments"))
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return false;
}

void Ground::set(const std::string& name, double value) {
  const std::lock_guard lock(mutex_);
  gauges_[name] = value;
}

void Ground::text(std::function<std::string()> more) {
  const std::lock_guard lock(mutex_);
  more_ = std::move(more);
}

std::vector<api::AlertNotification> Ground::notifications() {
  const std::lock_guard lock(mutex_);
  return std::exchange(arrived_, {});
}

bool Ground::amtool(const std::string& arguments) const {
  const std::string command =
      "amtool --alertmanager.url=" + alertmanager() + " " + arguments + " >/dev/null";
  return std::system(command.c_str()) == 0;
}

}  // namespace faultline::controller::observe::test
