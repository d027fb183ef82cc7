// SPDX-License-Identifier: Apache-2.0
// What somebody does with `kubectl faultline` and a kubeconfig of their own: jane, known by a
// client certificate of the cluster's authority, may in namespace shop and nowhere else.
#include <signal.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>

#include "testbed/program.h"
#include "tests/cluster/faultline.h"
#include "tests/places.h"

namespace faultline::test {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

constexpr const char* kRoles = R"(
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: people, namespace: faultline}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: faultline-user}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: Group, name: on-call}
  - {kind: ServiceAccount, name: robot, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: people, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: faultline-experimenter}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: jane}
  - {kind: ServiceAccount, name: robot, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: robot-token, namespace: shop}
rules: [{apiGroups: [""], resources: [serviceaccounts/token], resourceNames: [robot], verbs: [create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: robot-token, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: robot-token}
subjects: [{kind: ServiceAccount, name: robot, namespace: shop}]
)";

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string base64(const fs::path& file) {
  return testbed::command({"base64", "-w0", file.string()}).output;
}

// Processes that `parent` started: their command lines, words parted by spaces.
std::map<pid_t, std::string> children_of(pid_t parent) {
  std::map<pid_t, std::string> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    if (!std::isdigit(static_cast<unsigned char>(entry.path().filename().native()[0]))) continue;
    const std::string stat = text_of(entry.path() / "stat");
    const auto name_end = stat.rfind(") ");
    if (name_end == std::string::npos || stat[name_end + 2] == 'Z') continue;
    if (std::strtol(stat.c_str() + name_end + 4, nullptr, 10) != parent) continue;
    std::string line = text_of(entry.path() / "cmdline");
    std::replace(line.begin(), line.end(), '\0', ' ');
    found[std::stoi(entry.path().filename())] = line;
  }
  return found;
}

class FaultlinePlugin : public Faultline {
 protected:
  static void SetUpTestSuite() {
    const TemporaryFile roles(kRoles);
    must_kubectl({"apply", "-f", roles.path()});
    std::string pattern = (fs::temp_directory_path() / "flplugin-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder = pattern;
    jane = certified("jane", "on-call");
    pods = web();
  }
  static void TearDownTestSuite() {
    fs::remove_all(folder);
    const TemporaryFile roles(kRoles);
    kubectl({"delete", "-f", roles.path(), "--ignore-not-found"});
  }

  static std::string kubeconfig(const std::string& name, const std::string& user) {
    const std::string path = folder + "/" + name + ".kubeconfig";
    std::ofstream(path) << "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:16443', "
                           "certificate-authority-data: " +
                               base64(state("pki/ca.crt")) + "}}]\nusers: [{name: " + name +
                               ", user: {" + user +
                               "}}]\ncontexts: [{name: dev, context: {cluster: "
                               "c, namespace: shop, user: " +
                               name + "}}]\ncurrent-context: dev\n";
    return path;
  }
  // A person with a key whose certificate the cluster's authority signed, as by a
  // CertificateSigningRequest.
  static std::string certified(const std::string& name, const std::string& group) {
    const std::string base = folder + "/" + name;
    std::ofstream(base + ".cnf") << "extendedKeyUsage=clientAuth\n";
    testbed::must({"openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                   "-nodes", "-keyout", base + ".key", "-subj", "/O=" + group + "/CN=" + name,
                   "-out", base + ".csr"});
    testbed::must({"openssl", "x509", "-req", "-in", base + ".csr", "-CA", state("pki/ca.crt"),
                   "-CAkey", state("pki/ca.key"), "-set_serial", std::to_string(getpid()), "-days",
                   "1", "-extfile", base + ".cnf", "-out", base + ".crt"});
    return kubeconfig(name, "client-certificate-data: " + base64(base + ".crt") +
                                ", client-key-data: " + base64(base + ".key"));
  }
  // `kubectl faultline WORDS...` with this kubeconfig.
  static std::vector<std::string> words(const std::string& config, std::vector<std::string> more) {
    const char* path = std::getenv("PATH");
    std::vector<std::string> all{"env",
                                 "PATH=" + (test::build_dir() / "bin:").string() + programs() +
                                     ":" + (path == nullptr ? "" : path),
                                 "KUBECONFIG=" + config,
                                 "HOME=" + folder,
                                 "kubectl",
                                 "faultline"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static testbed::CommandResult faultline(const std::string& config,
                                          std::vector<std::string> more) {
    return testbed::command(words(config, std::move(more)));
  }
  static std::string file(const std::string& name, const std::string& text) {
    std::ofstream(folder + "/" + name) << text;
    return folder + "/" + name;
  }
  // The kubectl that `command` started, or 0.
  static pid_t forward_of(pid_t command) {
    for (const auto& [pid, line] : children_of(command))
      if (line.find(" port-forward ") != line.npos) return pid;
    return 0;
  }
  // From the pods' own nodes: kubectl would take longer than some faults last.
  static bool somebody_feels_it() {
    for (const ShopPod& pod : pods)
      if (felt_on(pod.node, pod.ip) > kDelayed) return true;
    return false;
  }

  static inline std::string folder, jane;
  static inline std::vector<ShopPod> pods;
};

TEST_F(FaultlinePlugin, JaneRunsAnExperimentInHerNamespaceAndGetsItsReport) {
  const std::string said = folder + "/said";
  auto run = testbed::launch(
      words(jane, {"run", file("felt.yaml", slow("felt", "8s")), "--report", folder + "/out"}),
      {.file = said});
  EXPECT_TRUE(comes_true([] { return somebody_feels_it(); }, 40s)) << text_of(said);
  while (!testbed::has_ended(run)) somebody_feels_it();  // traffic, also afterwards
  EXPECT_EQ(run.wait(), 0) << text_of(said);
  for (const char* form : {"json", "md", "html"})
    EXPECT_TRUE(fs::exists(folder + "/out/report." + form)) << form;
  const auto report = boost::json::parse(text_of(folder + "/out/report.json"));
  EXPECT_THAT(boost::json::serialize(report), HasSubstr("\"namespace\":\"shop\""));
  EXPECT_THAT(faultline(jane, {"get", "felt"}).output, HasSubstr("jane"));
  // Everybody sees it.
  EXPECT_THAT(
      must_kubectl({"-n", "shop", "get", "flx", "felt", "-o", "jsonpath={.status.verdict}"}),
      HasSubstr("met"));
  EXPECT_THAT(must_kubectl({"-n", "shop", "get", "events"}), HasSubstr("FaultInjected"));
  const auto again = faultline(jane, {"run", file("felt.yaml", slow("felt", "8s"))});
  EXPECT_EQ(again.status, 5);
  EXPECT_THAT(again.output, HasSubstr("is there already, finished"));
}

TEST_F(FaultlinePlugin, AnotherNamespaceIsRefusedAndNotShown) {
  const Namespace bank("bank");
  bank.nginx("vault", "n1");
  const std::string reaching =
      file("reach.yaml",
           experiment("reach",
                      "  target: {selector: {namespaces: [bank], labelSelectors: {app: vault}}}\n"
                      "  faults: [{networkLatency: {latency: 1ms}}]\n"
                      "  phases: {baseline: 0s, fault: 20s, recovery: 0s}\n"));
  const auto refused = faultline(jane, {"run", reaching});
  EXPECT_EQ(refused.status, 5);
  EXPECT_EQ(refused.output,
            "faultline: jane may not create experiments.faultline.dev in bank: needs a Role with "
            "this verb there\n");
  const std::string own =
      file("own.yaml", experiment("own",
                                  "  target: {selector: {labelSelectors: {app: vault}}}\n"
                                  "  faults: [{networkLatency: {latency: 1ms}}]\n"));
  EXPECT_THAT(faultline(jane, {"run", own, "-n", "bank"}).output,
              HasSubstr("jane may not create experiments.faultline.dev in bank"));

  // An administrator's goes on there.
  auto run = testbed::launch(
      words(state("pki/admin.kubeconfig"), {"run", reaching, "--report", folder + "/admin"}),
      {.file = folder + "/admin-said"});
  const auto known = [](const std::string& config) {
    return faultline(config, {"get", "-o", "json"}).output;
  };
  ASSERT_TRUE(comes_true(
      [&] { return known(state("pki/admin.kubeconfig")).find("reach-") != std::string::npos; },
      30s))
      << text_of(folder + "/admin-said");
  EXPECT_THAT(known(jane), Not(HasSubstr("reach-")));
  EXPECT_NE(faultline(jane, {"get", "reach"}).status, 0);
  EXPECT_NE(faultline(jane, {"stop", "reach"}).status, 0);
  EXPECT_NE(faultline(jane, {"report", "reach"}).status, 0);
  EXPECT_THAT(faultline(jane, {"nodes", "-o", "json"}).output, Not(HasSubstr("vault")));
  EXPECT_THAT(faultline(state("pki/admin.kubeconfig"), {"nodes", "-o", "json"}).output,
              HasSubstr("vault"));
  EXPECT_FALSE(testbed::has_ended(run)) << "what jane said has not stopped it";
  EXPECT_EQ(faultline(state("pki/admin.kubeconfig"), {"stop", "reach"}).status, 0);
  run.wait();
}

TEST_F(FaultlinePlugin, ATokenSaysWhoItIsToo) {
  std::string token = must_kubectl({"-n", "shop", "create", "token", "robot", "--duration=10m"});
  token.erase(token.find_last_not_of('\n') + 1);
  token = token.substr(token.rfind('\n') + 1);  // behind a warning
  const std::string robot = kubeconfig("robot", "token: " + token);
  const auto refused = faultline(
      robot, {"explain", file("r.yaml", experiment("r",
                                                   "  target: {selector: {namespaces: [bank]}}\n"
                                                   "  faults: [{networkLatency: {latency: "
                                                   "1ms}}]\n"))});
  EXPECT_THAT(refused.output, HasSubstr("system:serviceaccount:shop:robot may not create "
                                        "experiments.faultline.dev in bank"));
  const auto allowed = faultline(robot, {"explain", file("e.yaml", slow("e"))});
  EXPECT_EQ(allowed.status, 0) << allowed.output;
  EXPECT_THAT(allowed.output, HasSubstr("web-"));
  EXPECT_EQ(faultline(robot, {"get"}).status, 0);
}

TEST_F(FaultlinePlugin, WhoMayNotComeInIsToldWhatIsNeeded) {
  const std::string joe = certified("joe", "nobodies");
  const auto said = faultline(joe, {"get"});
  EXPECT_EQ(said.status, 5);
  EXPECT_THAT(said.output, HasSubstr("needs the Role faultline-user in namespace faultline"));
  EXPECT_EQ(std::count(said.output.begin(), said.output.end(), '\n'), 1) << said.output;
}

TEST_F(FaultlinePlugin, CtrlCStopsTheRunAndItIsReported) {
  const std::string said = folder + "/stopped";
  auto run = testbed::launch(
      words(jane, {"run", file("stop.yaml", slow("stop", "60s")), "--report", folder + "/stop"}),
      {.file = said});
  ASSERT_TRUE(comes_true([] { return somebody_feels_it(); }, 40s)) << text_of(said);
  kill(-run.pid(), SIGINT);  // the whole foreground, as a terminal does
  EXPECT_EQ(run.wait(), 4) << text_of(said);
  EXPECT_FALSE(somebody_feels_it());
  EXPECT_TRUE(fs::exists(folder + "/stop/report.json"));
  EXPECT_THAT(text_of(folder + "/stop/report.json"), HasSubstr("stopped by jane"));
}

TEST_F(FaultlinePlugin, ABrokenPortForwardIsMadeAnew) {
  const std::string said = folder + "/broken";
  auto run = testbed::launch(words(jane, {"run", file("broken.yaml", slow("broken", "30s")),
                                          "--report", folder + "/broken-out"}),
                             {.file = said});
  ASSERT_TRUE(comes_true([] { return somebody_feels_it(); }, 40s)) << text_of(said);
  const pid_t first = forward_of(run.pid());
  ASSERT_NE(first, 0);
  kill(first, SIGKILL);
  EXPECT_TRUE(comes_true(
      [&] {
        const pid_t now = forward_of(run.pid());
        return now != 0 && now != first;
      },
      20s));
  while (!testbed::has_ended(run)) somebody_feels_it();
  EXPECT_EQ(run.wait(), 0) << text_of(said);
}

TEST_F(FaultlinePlugin, NothingIsLeftOfACommandThatWasKilled) {
  auto run = testbed::launch(
      words(jane, {"run", file("left.yaml", slow("left", "10s")), "--report", folder + "/left"}),
      {.file = folder + "/left-said"});
  pid_t forward = 0;
  ASSERT_TRUE(comes_true([&] { return (forward = forward_of(run.pid())) != 0; }, 30s));
  run.signal(SIGKILL);
  EXPECT_EQ(run.wait(), 128 + SIGKILL);
  EXPECT_TRUE(comes_true(
      [&] {
        return text_of("/proc/" + std::to_string(forward) + "/cmdline").find("port-forward") ==
               std::string::npos;
      },
      5s));
  // The run was not told to end, and ends by itself.
  faultline(jane, {"stop", "--all"});
}

}  // namespace
}  // namespace faultline::test
