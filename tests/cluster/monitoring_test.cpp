// SPDX-License-Identifier: Apache-2.0
// Did anyone notice, in a cluster: Debian's Prometheus, Alertmanager and blackbox exporter as pods.
// They find the shop's pods by a Service (Debian's Prometheus is built without discovery by the API
// server), Faultline finds them by theirs. What they see of a fault is how long their own scrapes
// take.
#include <boost/json.hpp>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "tests/cluster/faultline.h"
#include "tests/places.h"

namespace faultline::test {
namespace {

constexpr const char* kToken = "a-token-of-the-tests-alone";

constexpr const char* kPods = R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: files}
data:
  rules.yml: |
    groups:
    - name: web
      rules:
      - {alert: WebSlow, expr: 'scrape_duration_seconds{job="web"} > 0.25', for: 1s}
  prometheus.yml: |
    global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
    rule_files: [/etc/monitoring/rules.yml, /etc/days/rules.yml]
    alerting: {alertmanagers: [{static_configs: [{targets: ['alertmanager:9093']}]}]}
    scrape_configs:
    - job_name: web
      dns_sd_configs: [{names: [web.shop.svc.cluster.local], type: A, port: 80, refresh_interval: 1s}]
    - job_name: checkout
      metrics_path: /probe
      params: {module: [checkout], target: ['http://checkout.shop.svc.cluster.local:8080/']}
      static_configs: [{targets: ['blackbox:9115']}]
  blackbox.yml: |
    modules: {checkout: {prober: http, timeout: 1s, http: {preferred_ip_protocol: ip4}}}
  alertmanager.yml: |
    route: {receiver: faultline, group_by: [alertname], group_wait: 1s, group_interval: 1s}
    receivers:
    - name: faultline
      webhook_configs:
      - url: https://faultline-controller.faultline.svc:7878/api/v1/alerts/notifications
        http_config:
          tls_config: {ca_file: /etc/monitoring-ca/ca.crt}
          authorization: {credentials: a-token-of-the-tests-alone}
---
apiVersion: v1
kind: Pod
metadata: {name: blackbox, labels: {app: blackbox}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: blackbox
      image: localhost/monitoring:dev
      command: [/usr/bin/prometheus-blackbox-exporter, --config.file=/etc/monitoring/blackbox.yml, '--web.listen-address=:9115']
      readinessProbe: {httpGet: {path: /-/healthy, port: 9115}, periodSeconds: 1}
      volumeMounts: [{name: files, mountPath: /etc/monitoring}]
  volumes: [{name: files, configMap: {name: files}}]
---
apiVersion: v1
kind: Pod
metadata: {name: alertmanager, labels: {app: alertmanager}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: alertmanager
      image: localhost/monitoring:dev
      command: [/usr/bin/prometheus-alertmanager, --config.file=/etc/monitoring/alertmanager.yml, --storage.path=/tmp/alertmanager, '--web.listen-address=:9093', --cluster.listen-address=]
      readinessProbe: {httpGet: {path: /-/ready, port: 9093}, periodSeconds: 1}
      volumeMounts: [{name: files, mountPath: /etc/monitoring}, {name: ca, mountPath: /etc/monitoring-ca}, {name: data, mountPath: /tmp}]
  volumes: [{name: files, configMap: {name: files}}, {name: ca, configMap: {name: ca}}, {name: data, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: prometheus}
spec: {selector: {app: prometheus}, ports: [{port: 9090}]}
---
apiVersion: v1
kind: Service
metadata: {name: blackbox}
spec: {selector: {app: blackbox}, ports: [{port: 9115}]}
---
apiVersion: v1
kind: Service
metadata: {name: alertmanager}
spec: {selector: {app: alertmanager}, ports: [{port: 9093}]}
)";

constexpr const char* kPrometheus = R"(
apiVersion: v1
kind: Pod
metadata: {name: prometheus, labels: {app: prometheus}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: prometheus
      image: localhost/monitoring:dev
      command: [/usr/bin/prometheus, --config.file=/etc/monitoring/prometheus.yml, --storage.tsdb.path=/tmp/tsdb, '--web.listen-address=:9090', --rules.alert.resend-delay=1s]
      readinessProbe: {httpGet: {path: /-/ready, port: 9090}, periodSeconds: 1}
      volumeMounts: [{name: files, mountPath: /etc/monitoring}, {name: days, mountPath: /etc/days}, {name: data, mountPath: /tmp}]
  volumes: [{name: files, configMap: {name: files}}, {name: days, configMap: {name: days}}, {name: data, emptyDir: {}}]
)";

// Whose name has the address of each pod.
constexpr const char* kAllPods = R"(
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
)";

std::string example(const std::string& path) {
  return (source_dir() / "docs/examples/gamedays" / path).string();
}

std::string content(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// `kubectl faultline`, as a person has it.
testbed::CommandResult kubectl_faultline(std::vector<std::string> words) {
  const char* path = std::getenv("PATH");
  std::vector<std::string> all{
      "env",
      "PATH=" + (build_dir() / "bin:").string() + programs() + ":" + (path == nullptr ? "" : path),
      "KUBECONFIG=" + state("pki/admin.kubeconfig"), "kubectl", "faultline"};
  all.insert(all.end(), std::make_move_iterator(words.begin()),
             std::make_move_iterator(words.end()));
  return testbed::command(all);
}

// How often the controller read where the monitoring is, by its audit log.
std::size_t times_read() {
  const std::string log =
      must_kubectl({"-n", "faultline", "logs", "deployment/faultline-controller"});
  const std::string line = R"("via":"monitoring","verb":"load")";
  std::size_t found = 0;
  for (std::size_t at = 0; (at = log.find(line, at)) != log.npos; at += line.size()) ++found;
  return found;
}

// What the door of notifications says to the token with a body that is none.
bool door_answers(const std::string& status) {
  const auto said = ExistingNamespace("shop").kubectl(
      {"exec", "caller", "--", "curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-d", "{}",
       "-H", std::string("Authorization: Bearer ") + kToken,
       "https://faultline-controller.faultline.svc:7878/api/v1/alerts/notifications"});
  return said.output.find(status) != std::string::npos;
}

// The ConfigMap's text, as somebody edits it.
void configure(const std::string& monitoring) {
  boost::json::object data{{"monitoring.yaml", monitoring}};
  must_kubectl({"-n", "faultline", "patch", "configmap", "faultline-monitoring", "-p",
                boost::json::serialize(boost::json::object{{"data", std::move(data)}})});
}

class FaultlineMonitoring : public Faultline {
 protected:
  void SetUp() override {
    must_kubectl({"label", "namespace", "monitoring", "faultline.dev/clients=true", "--overwrite"});
    const std::string authority = must_kubectl(
        {"-n", "faultline", "get", "configmap", "faultline-ca", "-o", "jsonpath={.data.ca\\.crt}"});
    const TemporaryFile ca(authority);
    monitoring.must_kubectl({"create", "configmap", "ca", "--from-file=ca.crt=" + ca.path()});
    must_kubectl({"-n", "faultline", "create", "secret", "generic", "faultline-monitoring",
                  std::string("--from-literal=notifications.token=") + kToken});
    shop.apply(kAllPods);
    monitoring.apply(kPods);
    begin_prometheus("slow-dependency");
    const std::size_t before = times_read();
    configure(
        "monitoring:\n"
        "- {name: prometheus, kind: prometheus, url: 'http://prometheus.monitoring.svc:9090'}\n"
        "- {name: alertmanager, kind: alertmanager, url: "
        "'http://alertmanager.monitoring.svc:9093'}\n");
    for (const char* pod : {"prometheus", "alertmanager", "blackbox"}) await(pod);
    // The kubelet brings both files to the running controller, in its own time.
    ASSERT_TRUE(comes_true([&] { return times_read() > before; }, 90s));
    ASSERT_TRUE(comes_true([] { return door_answers("400"); }, 90s)) << "with the Secret's token";
  }
  void TearDown() override {
    Faultline::TearDown();
    configure("monitoring: []\n");
    must_kubectl(
        {"-n", "faultline", "delete", "secret", "faultline-monitoring", "--ignore-not-found"});
    shop.must_kubectl({"delete", "service", "web", "--ignore-not-found"});
  }

  static boost::json::value example_day(const std::string& name);
  static std::map<std::string, std::string> outcomes_of(const boost::json::value& status);
  // Another Prometheus, since the kubelet takes a minute to bring other rules to this one.
  void use_rules_of(const std::string& day) {
    monitoring.must_kubectl({"delete", "pod", "prometheus", "--wait"});
    monitoring.must_kubectl({"delete", "configmap", "days"});
    begin_prometheus(day);
    await("prometheus");
    // The Service leads to the new pod a moment after that is ready.
    ASSERT_TRUE(comes_true(
        [&] {
          return shop
              .kubectl({"exec", "caller", "--", "curl", "-s", "-m", "2", "-o", "/dev/null", "-w",
                        "%{http_code}", "http://prometheus.monitoring.svc:9090/-/ready"})
              .output.ends_with("200");
        },
        30s));
  }

 private:
  void begin_prometheus(const std::string& day) {
    monitoring.must_kubectl(
        {"create", "configmap", "days", "--from-file=rules.yml=" + example(day + "/rules.yml")});
    monitoring.apply(kPrometheus);
  }
  void await(const std::string& pod) {
    const auto ready =
        monitoring.kubectl({"wait", "--for=condition=Ready", "pod", pod, "--timeout=60s"});
    ASSERT_EQ(ready.status, 0) << ready.output << monitoring.kubectl({"logs", pod}).output;
  }

  const Namespace monitoring{"monitoring"};
};

// Each cell is an Experiment, whose status says who noticed.
TEST_F(FaultlineMonitoring, ASweepFindsWhichDelayIsNoticed) {
  const TemporaryFile document(
      "apiVersion: faultline.dev/v1alpha1\n"
      "kind: Sweep\n"
      "metadata: {name: web, namespace: shop}\n"
      "spec:\n"
      "  experiment:\n"
      "    target: {selector: {namespaces: [shop], labelSelectors: {app: web}}}\n"
      "    phases: {baseline: 2s, fault: 6s, recovery: 2s}\n"
      "    expect: {alerts: [{name: WebSlow, within: 5s}]}\n"
      "  faults:\n"
      "  - {name: latency, fault: {networkLatency: {}}, vary: latency, severities: [1ms, 400ms]}\n"
      "  rest: {most: 20s}\n");
  const TemporaryFile place("");
  const std::string folder = place.path() + ".sweep";
  const auto swept = kubectl_faultline({"sweep", document.path(), "--directory", folder, "--yes"});
  std::cout << swept.output;
  EXPECT_EQ(swept.status, 1) << "one cell is missed";
  const auto progress = boost::json::parse(content(folder + "/sweep.json"));
  const auto& cells = progress.at("cells").as_array();
  ASSERT_EQ(cells.size(), 2U) << progress;
  EXPECT_EQ(cells[0].at("alerts").at(0).at("verdict"), "missed") << progress;
  EXPECT_EQ(cells[1].at("alerts").at(0).at("verdict"), "detected") << progress;

  const auto mild = status("web-latency-1"), strong = status("web-latency-2");
  EXPECT_EQ(text(mild, "verdict"), "missed") << mild;
  EXPECT_EQ(mild.at("detections").at(0).at("verdict"), "missed") << mild;
  EXPECT_EQ(text(strong, "verdict"), "met") << strong;
  const auto& slow = strong.at("detections").at(0);
  EXPECT_EQ(slow.at("alert"), "WebSlow");
  EXPECT_EQ(slow.at("verdict"), "detected") << strong;
  EXPECT_GE(slow.at("seconds").to_number<double>(), 0.5) << "for: 1s";
  std::filesystem::remove_all(folder);
}

// The pods of the examples, with the images that there are here.
std::string shop_pods() {
  std::string text = content(example("shop.yaml"));
  for (const auto& [image, here] :
       {std::pair("image: nginx\n", "image: localhost/nginx:dev\n"),
        std::pair("image: busybox\n", "image: localhost/client:dev\n"),
        std::pair("image: curlimages/curl\n", "image: localhost/client:dev\n")})
    for (std::size_t at = 0; (at = text.find(image, at)) != text.npos; at += std::strlen(here))
      text.replace(at, std::strlen(image), here);
  return text;
}

// Runs an example as its README says, and gives the status of its object at the end.
boost::json::value FaultlineMonitoring::example_day(const std::string& name) {
  // Without what is said beside it.
  const auto made =
      testbed::command({"sh", "-c", "exec \"$0\" gameday manifest --unattended \"$1\" 2>/dev/null",
                        (build_dir() / "bin/faultline").string(), example(name + "/day.yaml")});
  EXPECT_EQ(made.status, 0) << made.output;
  shop.apply(made.output);
  const auto status = [&] {
    const auto said = shop.kubectl({"get", "gameday", name, "-o", "json"});
    if (said.status != 0) return boost::json::value(boost::json::object{});
    const auto object = boost::json::parse(said.output);
    const auto* found = object.as_object().if_contains("status");
    return found == nullptr ? boost::json::value(boost::json::object{}) : *found;
  };
  const auto over = [&] {
    const std::string phase = text(status(), "phase");
    return phase == "completed" || phase == "aborted" || phase == "failed";
  };
  EXPECT_TRUE(comes_true(over, 150s)) << status();
  auto last = status();
  shop.must_kubectl({"delete", "gamedays", "--all"});
  return last;
}

std::map<std::string, std::string> FaultlineMonitoring::outcomes_of(
    const boost::json::value& status) {
  std::map<std::string, std::string> out;
  for (const auto& step : status.at("steps").as_array())
    out[text(step, "name")] = text(step, "outcome");
  return out;
}

// The pods of the examples, as long as a test lasts.
class FaultlineExampleDay : public FaultlineMonitoring {
 protected:
  void SetUp() override {
    FaultlineMonitoring::SetUp();
    shop.must_kubectl({"apply", "-f", pods_.path()});
    for (const char* name : {"payments", "checkout", "catalog", "customers"})
      shop.must_kubectl(
          {"wait", "--for=condition=Ready", std::string("pod/") + name + "-0", "--timeout=60s"});
  }
  void TearDown() override {
    (void)shop.kubectl({"delete", "-f", pods_.path()});
    FaultlineMonitoring::TearDown();
  }

 private:
  const TemporaryFile pods_{shop_pods()};
};

TEST_F(FaultlineExampleDay, SlowDependencyRunsAsItIs) {
  const auto slow = example_day("slow-dependency");
  EXPECT_EQ(text(slow, "phase"), "completed") << slow;
  EXPECT_EQ(text(slow, "verdict"), "met") << slow;
  auto outcomes = outcomes_of(slow);
  EXPECT_EQ(outcomes["slow"], "met") << slow;
  EXPECT_EQ(outcomes["paged"], "met") << slow;
  EXPECT_EQ(outcomes["quiet"], "met") << slow;
  EXPECT_EQ(outcomes["unnoticed"], "skipped") << slow;
}

TEST_F(FaultlineExampleDay, RefusedConnectsRunsAsItIs) {
  use_rules_of("refused-connects");
  const auto refused = example_day("refused-connects");
  EXPECT_EQ(text(refused, "phase"), "aborted") << refused;
  EXPECT_THAT(text(refused, "reason"), testing::HasSubstr("request.errors above 70")) << refused;
  auto outcomes = outcomes_of(refused);
  EXPECT_EQ(outcomes["half"], "met") << refused;
  EXPECT_EQ(outcomes["mend"], "skipped") << refused;
  EXPECT_EQ(outcomes["quiet"], "met") << refused;
  EXPECT_EQ(outcomes["all"], "aborted") << refused;
  EXPECT_EQ(outcomes["too-far"], "") << refused;
}

TEST_F(FaultlineExampleDay, CpuCascadeRunsAsItIs) {
  use_rules_of("cpu-cascade");
  const auto cascade = example_day("cpu-cascade");
  EXPECT_EQ(text(cascade, "phase"), "completed") << cascade;
  EXPECT_EQ(text(cascade, "verdict"), "met") << cascade;
  auto outcomes = outcomes_of(cascade);
  EXPECT_EQ(outcomes["pressure"], "met") << cascade;
  EXPECT_EQ(outcomes["queueing"], "met") << cascade;
  EXPECT_EQ(outcomes["failing"], "met") << cascade;
  EXPECT_EQ(outcomes["recovered"], "met") << cascade;
}

}  // namespace
}  // namespace faultline::test
