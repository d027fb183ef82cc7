// SPDX-License-Identifier: Apache-2.0
// A cluster for commands, of doubles: a controller that speaks TLS, an API server that keeps one
// Experiment as an operator would fill it, and a kubectl that writes down how it was called. The
// real ones are in tests/cluster.
#pragma once

#include <gtest/gtest.h>

#include <csignal>

#include "kube/base64.h"
#include "kube/json.h"
#include "tests/unit/cli/harness.h"
#include "tests/unit/http/pki.h"
#include "tests/unit/kube/fake_api.h"

namespace faultline::cli {

// What the API server gives a ServiceAccount, without a signature that means anything.
inline std::string account_token(const std::string& ns, const std::string& name) {
  std::string claims =
      kube::base64_encode(R"({"sub":"system:serviceaccount:)" + ns + ":" + name + "\"}");
  while (claims.ends_with('=')) claims.pop_back();
  return "eyJhbGciOiJub25lIn0." + claims + ".c2lnbmF0dXJl";
}

class InCluster : public testing::Test {
 protected:
  static constexpr const char* kForController = "for-the-controller-alone";

  InCluster() {
    const http::Pem pem = ca_.issue({.names = "DNS:faultline-controller.faultline.svc"});
    script_.tls = http::ServerTls{folder_.file("tls.crt", pem.certificate),
                                  folder_.file("tls.key", pem.key), ""};
    script_.token = kForController;
    shell_.console.plugin = true;
  }
  // `holder`: of the Lease. Whoever calls is `token_`.
  void serve(const std::string& holder) {
    controller_.emplace(script_);
    holder_ = holder;
    api_.emplace([this](const std::string& request, int) { return answer(request); });
    shell_.env["KUBECONFIG"] = folder_.file(
        "config", "clusters: [{name: c, cluster: {server: '" + api_->config().server +
                      "'}}]\nusers: [{name: jane, user: {token: " + token_ +
                      "}}]\ncontexts: [{name: dev, context: {cluster: c, user: jane, namespace: "
                      "shop}}]\ncurrent-context: dev\n");
    folder_.file("kubectl",
                 "#!/bin/sh\necho \"$@\" >> " + folder_.path() +
                     "/calls\ncase \"$*\" in *old-pod*) echo 'Error from server (NotFound): pods "
                     "\"old-pod\" not found' >&2; exit 1;; esac\necho Forwarding from 127.0.0.1:" +
                     std::to_string(controller_->port()) + " -\\> 7878\nexec sleep 1000\n",
                 true);
    shell_.env["PATH"] = folder_.path();
  }
  std::vector<std::string> targets() const {
    std::istringstream lines(folder_.read("calls"));
    std::vector<std::string> found;
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      for (std::string word; words >> word;)
        if (word.find('/') != word.npos) found.push_back(word);
    }
    return found;
  }
  // How often the API server was asked with this at the beginning: "POST /apis/...".
  [[nodiscard]] int asked(const std::string& line) const {
    int n = 0;
    for (const std::string& request : api_->requests()) n += request.starts_with(line) ? 1 : 0;
    return n;
  }
  int run_file(std::vector<std::string> more = {}) {
    std::vector<std::string> words{"run", folder_.file("slow.yaml", kExperiment), "--report",
                                   folder_.path() + "/out"};
    words.insert(words.end(), more.begin(), more.end());
    return shell_.run(words);
  }
  static std::string path(const std::string& name = "") {
    return "/apis/faultline.dev/v1alpha1/namespaces/shop/experiments" +
           (name.empty() ? "" : "/" + name);
  }
  // An Experiment shop/slow that was there before.
  void there_is(boost::json::object status) {
    stored_ = boost::json::parse(api::to_json_text(*api::parse_experiment(kExperiment, "there")))
                  .as_object();
    (*stored_)["metadata"] = {{"name", "slow"}, {"namespace", "shop"}, {"uid", "old"}};
    (*stored_)["status"] = std::move(status);
  }

  const Folder folder_;
  const http::Authority ca_{"the controllers' authority"};
  ControllerDouble::Script script_;
  std::optional<ControllerDouble> controller_;
  std::string token_ = account_token("shop", "robot");
  std::string holder_, then_holder_;  // the second: from the second question on
  bool leases_are_secret_ = false;
  bool tokens_are_forbidden_ = false;
  std::string webhook_says_;        // not empty: it refuses
  bool operator_works_ = true;      // begins what it sees
  int moves_ = 0;                   // the first so many find other pods than the plan showed
  std::string interrupt_at_;        // a look at the Experiment in this phase comes with a Ctrl-C
  boost::json::object end_status_;  // not empty: the status from the second look on
  // As the API server's: only its thread uses it while a command runs.
  std::optional<boost::json::object> stored_;
  int looks_ = 0;
  Shell shell_;
  std::optional<kube::FakeApi> api_;

 private:
  static std::string refusal(int status, const std::string& reason, const std::string& message) {
    return kube::FakeApi::answer(
        status, boost::json::serialize(boost::json::object{
                    {"kind", "Status"}, {"reason", reason}, {"message", message}}));
  }
  std::string answer(const std::string& request) {
    const std::string body = request.substr(request.find("\r\n\r\n") + 4);
    if (request.find("/configmaps/faultline-ca") != request.npos)
      return kube::FakeApi::answer(
          200, boost::json::serialize(boost::json::object{{"data", {{"ca.crt", ca_.pem()}}}}));
    if (request.find("/leases/") != request.npos) {
      if (leases_are_secret_) return refusal(403, "Forbidden", "no");
      const std::string holder = holder_;
      if (!then_holder_.empty()) holder_ = then_holder_;
      return kube::FakeApi::answer(
          200, boost::json::serialize(boost::json::object{{"spec", {{"holderIdentity", holder}}}}));
    }
    if (request.starts_with("POST /api/v1/namespaces/shop/serviceaccounts/robot/token")) {
      if (tokens_are_forbidden_) return refusal(403, "Forbidden", "no");
      return kube::FakeApi::answer(
          201,
          boost::json::serialize(boost::json::object{{"status", {{"token", kForController}}}}));
    }
    if (request.find(path()) != request.npos) return experiment(request, body);
    return refusal(404, "NotFound", "not here");
  }
  std::string experiment(const std::string& request, const std::string& body) {
    if (request.starts_with("POST")) {
      if (!webhook_says_.empty()) return refusal(403, "Forbidden", webhook_says_);
      if (stored_) return refusal(409, "AlreadyExists", "slow already exists");
      boost::json::object made = boost::json::parse(body).as_object();
      made["metadata"].as_object()["uid"] = "new";
      refused_ = request.find("dryRun=All") == request.npos && moves_-- > 0;
      if (refused_) controller_->pods_move();
      if (request.find("dryRun=All") != request.npos)
        return kube::FakeApi::answer(201, boost::json::serialize(made));
      stored_ = made;
      looks_ = 0;
      return kube::FakeApi::answer(201, boost::json::serialize(made));
    }
    if (!stored_) return refusal(404, "NotFound", "slow not found");
    if (request.starts_with("DELETE")) {
      const std::string uid(kube::meta(*stored_, "uid"));
      if (body.find("\"uid\":\"" + uid + "\"") == body.npos) return refusal(409, "Conflict", "no");
      stored_.reset();
      return kube::FakeApi::answer(200, R"({"kind":"Status","status":"Success"})");
    }
    if (kube::meta(*stored_, "uid") == "new") fill_status();
    return kube::FakeApi::answer(200, boost::json::serialize(*stored_));
  }
  void fill_status() {
    ++looks_;
    boost::json::object status{{"phase", "Pending"}, {"reason", "starting"}};
    if (operator_works_ && looks_ == 1 && !refused_) run_ = controller_->begin();
    if (operator_works_ && !refused_) {
      status["phase"] = controller_->over() ? "Completed" : "Injecting";
      status["run"] = run_;
    }
    if (looks_ > 1 && !end_status_.empty()) status = end_status_;
    if (refused_)
      status = {{"phase", "Failed"},
                {"reason", "the pods have changed"},
                {"conditions", boost::json::array{{{"type", "Selected"},
                                                   {"status", "False"},
                                                   {"reason", "Conflict"},
                                                   {"message", "the pods have changed"},
                                                   {"lastTransitionTime", "2026-11-28T10:00:00Z"},
                                                   {"observedGeneration", 1}}}}};
    if (status.at("phase").as_string() == interrupt_at_) kill(getpid(), SIGINT);
    (*stored_)["status"] = std::move(status);
  }
  std::string run_;
  bool refused_ = false;
};

}  // namespace faultline::cli
