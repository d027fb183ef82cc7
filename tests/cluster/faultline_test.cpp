// SPDX-License-Identifier: Apache-2.0
// What somebody with nothing but kubectl does with Faultline; what is felt is measured by curl in
// the caller's pod.
#include "tests/cluster/faultline.h"

#include <algorithm>
#include <boost/json.hpp>
#include <iostream>
#include <sstream>

namespace faultline::test {
namespace {

using testing::HasSubstr;

// Lines of the controller's audit log with all of these.
std::size_t audited(const std::vector<std::string>& words) {
  std::istringstream lines(
      must_kubectl({"-n", "faultline", "logs", "deployment/faultline-controller"}));
  std::size_t found = 0;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(R"({"audit":true,)"))
      found += std::ranges::all_of(
          words, [&](const std::string& word) { return line.find(word) != std::string::npos; });
  return found;
}

TEST_F(Faultline, AFaultIsFeltByTheCallerAndByNobodyElse) {
  shop.apply(slow("felt-by-one", "8s"));
  ASSERT_TRUE(comes_true([] { return phase("felt-by-one") == "Injecting"; }, 30s))
      << status("felt-by-one");
  const std::string hit = target("felt-by-one");
  for (const ShopPod& pod : web()) {
    const double waited = felt(pod.ip);
    std::cout << pod.name << " on " << pod.node << ": " << waited * 1e3 << " ms\n";
    if (pod.name == hit)
      EXPECT_GT(waited, kDelayed) << pod.name;
    else
      EXPECT_LT(waited, kUntouched) << pod.name;
    EXPECT_GT(waited, 0) << pod.name;
  }
  ASSERT_TRUE(comes_true([] { return phase("felt-by-one") == "Completed"; }, 30s))
      << status("felt-by-one");
  EXPECT_LT(felt(pod_of(hit).ip), kUntouched);
  const auto done = status("felt-by-one");
  EXPECT_EQ(text(done, "verdict"), "met") << done;
  EXPECT_GT(done.at("injected").to_number<int>(), 0);
  const std::string run = text(done, "run");
  EXPECT_EQ(audited({R"("via":"operator","verb":"start",)", R"("experiment":"shop/felt-by-one")",
                     R"("decision":"allowed","state":"Pending")"}),
            1U);
  for (const char* state : {"Baseline", "Injecting", "Recovering", "Completed"})
    EXPECT_EQ(audited({R"("verb":"state")", R"("run":")" + run + "\"",
                       R"("state":")" + std::string(state) + "\""}),
              1U)
        << state;
  EXPECT_EQ(condition("felt-by-one", "Selected"), "True TargetsChosen");
  EXPECT_EQ(condition("felt-by-one", "Recovered"), "True NothingLeft");
  EXPECT_EQ(condition("felt-by-one", "Verdict"), "True Met");
  EXPECT_THAT(shop.must_kubectl({"get", "flx"}), HasSubstr("Completed"));
  EXPECT_TRUE(comes_true(
      [&] {
        return shop.must_kubectl({"describe", "pod", hit}).find("FaultInjected") !=
               std::string::npos;
      },
      10s));
}

TEST_F(Faultline, WhatIsWrongOrForbiddenIsRefusedByKubectlInOneLine) {
  const auto refused = [](const std::string& document) {
    const TemporaryFile file(document);
    const auto said = shop.kubectl({"apply", "-f", file.path()});
    EXPECT_NE(said.status, 0) << document;
    return said.output;
  };
  EXPECT_THAT(refused(experiment("wrong",
                                 "  target: {selector: {labelSelectors: {app: web}}}\n"
                                 "  faults: [{networkLatency: {latency: 300ms, port: [80]}}]\n")),
              HasSubstr("unknown key"));
  EXPECT_THAT(refused(experiment("system",
                                 "  target: {selector: {namespaces: [kube-system]}}\n"
                                 "  faults: [{networkLatency: {latency: 300ms}}]\n")),
              HasSubstr("namespace kube-system is protected"));
  EXPECT_THAT(refused(experiment("long",
                                 "  target: {selector: {labelSelectors: {app: web}}}\n"
                                 "  faults: [{networkLatency: {latency: 300ms}}]\n"
                                 "  phases: {fault: 2h}\n")),
              HasSubstr("rule maxDuration of ConfigMap faultline/faultline-policy"));
}

TEST_F(Faultline, KubectlWarnsOfWhatDependsOnPods) {
  const TemporaryFile file(experiment("nobody",
                                      "  target: {selector: {labelSelectors: {app: nobody}}}\n"
                                      "  faults: [{networkLatency: {latency: 300ms}}]\n"));
  const auto said = shop.kubectl({"apply", "-f", file.path()});
  EXPECT_EQ(said.status, 0) << said.output;
  EXPECT_THAT(said.output, HasSubstr("Warning: as it is now it would be refused"));
}

TEST_F(Faultline, NobodyButTheControllerWritesAStatus) {
  const TemporaryFile file(experiment("watched",
                                      "  target: {selector: {labelSelectors: {app: nobody}}}\n"
                                      "  faults: [{networkLatency: {latency: 300ms}}]\n"));
  ASSERT_EQ(shop.kubectl({"apply", "-f", file.path()}).status, 0);
  ASSERT_TRUE(comes_true([] { return phase("watched") == "Failed"; }, 30s)) << status("watched");
  boost::json::value object =
      boost::json::parse(shop.must_kubectl({"get", "experiment", "watched", "-o", "json"}));
  object.at("status").as_object()["phase"] = "Injecting";
  const TemporaryFile forged(boost::json::serialize(object));
  const auto said =
      kubectl({"replace", "--raw",
               "/apis/faultline.dev/v1alpha1/namespaces/shop/experiments/watched/status", "-f",
               forged.path()});
  EXPECT_NE(said.status, 0);
  EXPECT_THAT(said.output, HasSubstr("and nobody else"));
  EXPECT_EQ(phase("watched"), "Failed");
}

TEST_F(Faultline, AllReadyPodsOfADeploymentAreNotHitUnlessThatIsMeant) {
  const std::string all =
      "  target: {selector: {labelSelectors: {app: web}}, mode: all}\n"
      "  faults: [{networkLatency: {latency: 1ms}}]\n"
      "  phases: {baseline: 0s, fault: 1s, recovery: 0s}\n";
  shop.apply(experiment("all", all + "  limits: {maxPercent: 100}\n"));
  ASSERT_TRUE(comes_true([] { return phase("all") == "Failed"; }, 30s)) << status("all");
  EXPECT_THAT(text(status("all"), "reason"), HasSubstr("Deployment/web in shop"));
}

TEST_F(Faultline, WhoMayOnlyInOneNamespaceHitsNoOther) {
  const Namespace other("bank");
  other.apply(R"(
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: chaos}
rules: [{apiGroups: [faultline.dev], resources: [experiments], verbs: ['*']}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: chaos}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: chaos}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: jane}]
)");
  const TemporaryFile reaching(
      experiment("reach",
                 "  target: {selector: {namespaces: [shop], labelSelectors: {app: web}}}\n"
                 "  faults: [{networkLatency: {latency: 300ms}}]\n"));
  const auto as_jane = other.kubectl({"--as=jane", "apply", "-f", reaching.path()});
  EXPECT_NE(as_jane.status, 0);
  EXPECT_THAT(as_jane.output, HasSubstr("jane may not create experiments.faultline.dev in shop"));
  // The same without a selector of namespaces is about her own, where it matches nothing.
  const TemporaryFile own(experiment("own",
                                     "  target: {selector: {labelSelectors: {app: web}}}\n"
                                     "  faults: [{networkLatency: {latency: 300ms}}]\n"));
  EXPECT_EQ(other.kubectl({"--as=jane", "apply", "-f", own.path()}).status, 0);
  EXPECT_TRUE(comes_true(
      [&] {
        return other.must_kubectl({"get", "experiment", "own", "-o", "jsonpath={.status.phase}"}) ==
               "Failed";
      },
      30s));
  EXPECT_THAT(other.must_kubectl({"get", "experiment", "own", "-o", "yaml"}),
              HasSubstr("faultline.dev/requested-by: jane"));
  EXPECT_EQ(audited({R"("via":"webhook","verb":"create","user":"jane")", R"("from":")",
                     R"("experiment":"bank/reach")", R"("namespaces":["shop"])",
                     R"("decision":"denied","reason":"jane may not create)"}),
            1U);
  EXPECT_GE(audited({R"("via":"webhook","verb":"create","user":"jane")",
                     R"("experiment":"bank/own")", R"("decision":"allowed")"}),
            1U);
  EXPECT_GE(audited({R"("via":"operator","verb":"start","user":"jane")",
                     R"("experiment":"bank/own")", R"("decision":"denied")"}),
            1U);
}

// The webhooks are back at the end, and the controller has told the API server its authority.
struct WithoutWebhooks {
  WithoutWebhooks() {
    for (const char* kind : {"mutatingwebhookconfiguration", "validatingwebhookconfiguration"})
      must_kubectl({"delete", kind, "faultline"});
  }
  WithoutWebhooks(const WithoutWebhooks&) = delete;
  WithoutWebhooks& operator=(const WithoutWebhooks&) = delete;
  ~WithoutWebhooks() { kubectl({"apply", "-k", source("daemonset")}); }
};

TEST_F(Faultline, WithoutTheWebhooksNobodysExperimentBegins) {
  const auto annotated = [](const std::string& name) {
    return shop.must_kubectl({"get", "experiment", name, "-o", "jsonpath={.metadata.annotations}"})
               .find("faultline.dev/admitted") != std::string::npos;
  };
  std::string unasked;
  {
    const WithoutWebhooks gone;
    // By the cluster's administrator. The API server notices a moment later that nobody is to ask.
    int tries = 0;
    ASSERT_TRUE(comes_true(
        [&] {
          unasked = "unasked-" + std::to_string(tries++);
          const TemporaryFile file(slow(unasked));
          return shop.kubectl({"create", "-f", file.path()}).status == 0 && !annotated(unasked);
        },
        20s));
    ASSERT_TRUE(comes_true([&] { return over(unasked); }, 20s)) << status(unasked);
    EXPECT_EQ(phase(unasked), "Failed");
    std::cout << text(status(unasked), "reason") << "\n";
    EXPECT_THAT(text(status(unasked), "reason"),
                HasSubstr("there is no MutatingWebhookConfiguration faultline"));
    EXPECT_THAT(text(status(unasked), "reason"), HasSubstr("kubectl apply -k daemonset/"));
    EXPECT_EQ(text(status(unasked), "run"), "");
    EXPECT_EQ(audited({R"("via":"operator","verb":"start")", "shop/" + unasked,
                       R"("decision":"denied","reason":"there is no MutatingWebhook)"}),
              1U);
    for (const ShopPod& pod : web()) EXPECT_LT(felt(pod.ip), kUntouched) << pod.name;
    EXPECT_EQ(left(), "");
  }
  // The controller looks at the configurations every minute.
  ASSERT_TRUE(comes_true(
      [&] {
        const TemporaryFile file(slow("asked", "1s"));
        return shop.kubectl({"create", "-f", file.path()}).status == 0 && annotated("asked");
      },
      100s));
  EXPECT_TRUE(comes_true([&] { return phase("asked") == "Completed"; }, 30s)) << status("asked");
  EXPECT_EQ(phase(unasked), "Failed") << "it stays refused";
}

// The answer's status to a sync as the agent of `node`.
std::string sync_as(const ExistingNamespace& shop, const std::string& node,
                    const std::string& token) {
  std::vector<std::string> words{"exec",         "caller", "--",   "curl",      "-sk",
                                 "-m",           "5",      "-o",   "/dev/null", "-w",
                                 "%{http_code}", "-X",     "POST", "-d",        "{}"};
  if (!token.empty()) {
    words.emplace_back("-H");
    words.push_back("Authorization: Bearer " + token);
  }
  words.push_back("https://faultline-controller.faultline:7878/api/v1/nodes/" + node + "/sync");
  return shop.kubectl(words).output;
}

TEST_F(Faultline, AnAgentsTokenIsGoodForItsOwnNodeAndNothingElse) {
  const std::string agent = must_kubectl(
      {"-n", "faultline", "get", "pods", "-l", "app.kubernetes.io/name=faultline-agent",
       "--field-selector=spec.nodeName=n1", "-o", "jsonpath={.items[0].metadata.name}"});
  const auto token = [&](const std::string& audience, bool bound) {
    std::vector<std::string> words{"-n",
                                   "faultline",
                                   "create",
                                   "token",
                                   "faultline-agent",
                                   "--duration=10m",
                                   "--audience=" + audience};
    if (bound) {
      words.emplace_back("--bound-object-kind=Pod");
      words.push_back("--bound-object-name=" + agent);
    }
    std::string made = must_kubectl(words);
    made.erase(made.find_last_not_of('\n') + 1);
    return made.substr(made.rfind('\n') + 1);  // behind a warning
  };
  const std::string good = token("faultline-controller", true);
  EXPECT_EQ(sync_as(shop, "n1", good), "400") << "known, and the message is none";
  EXPECT_EQ(sync_as(shop, "n2", good), "403") << "another node";
  EXPECT_EQ(sync_as(shop, "n1", token("faultline-controller", false)), "401") << "of no pod";
  EXPECT_EQ(sync_as(shop, "n1", token("https://kubernetes.default.svc", true)), "401")
      << "for the API server";
  EXPECT_EQ(sync_as(shop, "n1", ""), "401");
  std::string forged = good;
  forged[forged.size() - 5] = forged[forged.size() - 5] == 'A' ? 'B' : 'A';
  EXPECT_EQ(sync_as(shop, "n1", forged), "401");
  const auto stop =
      shop.kubectl({"exec", "caller", "--", "curl", "-sk", "-m", "5", "-o", "/dev/null", "-w",
                    "%{http_code}", "-X", "POST", "-H", "Authorization: Bearer " + good,
                    "https://faultline-controller.faultline:7878/api/v1/stop"});
  EXPECT_EQ(stop.output, "403") << "what people may";
}

}  // namespace
}  // namespace faultline::test
