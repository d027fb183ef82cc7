// SPDX-License-Identifier: Apache-2.0
// What the webhooks write and refuse, and which Experiments may begin. The API server is a fake one
// (tests/unit/kube/fake_api.h) that keeps one Secret and one webhook configuration; the HMAC is
// checked with openssl(1).
#include "controller/kubernetes/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <optional>
#include <set>

#include "api/codec.h"
#include "controller/kubernetes/access.h"
#include "controller/kubernetes/proofs.h"
#include "kube/base64.h"
#include "kube/times.h"
#include "tests/unit/kube/fake_api.h"
#include "tests/unit/kube/loop.h"

namespace faultline::controller {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr const char* kWebhook = R"({"metadata": {"name": "faultline", "uid": "hook-1"},
  "webhooks": [{"name": "mutate.experiments.faultline.dev", "failurePolicy": "Fail",
    "namespaceSelector": {}, "objectSelector": {},
    "clientConfig": {"service": {"namespace": "faultline", "name": "faultline-controller"}},
    "rules": [{"apiGroups": ["faultline.dev"], "apiVersions": ["v1alpha1"], "scope": "*",
               "resources": ["experiments"], "operations": ["CREATE", "UPDATE"]}]}]})";

class MovedClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady() const override { return system_.steady() + by; }
  [[nodiscard]] UtcTime utc() const override { return system_.utc() + by; }
  std::chrono::nanoseconds by{0};

 private:
  SystemClock system_;
};

class AdmissionTest : public testing::Test {
 protected:
  AdmissionTest()
      : api_([this](const std::string& request, int) { return answer(request); }),
        client_(io_.get_executor(), api_.config()),
        access_(client_, clock_),
        proofs_(client_, clock_, {}),
        admission_(access_, proofs_, clock_,
                   {.warnings = [this](const api::Experiment&) { return warnings_; },
                    .decided = [this](const AuditEntry& entry) { decisions_.push_back(entry); }}) {
    EXPECT_TRUE(kube::run(io_, proofs_.maintain()));
  }

  std::string answer(const std::string& request) {
    const std::string body = request.substr(request.find("\r\n\r\n") + 4);
    if (request.find("subjectaccessreviews") != request.npos) {
      json::value review = json::parse(body);
      const std::string ns(review.at_pointer("/spec/resourceAttributes/namespace").as_string());
      asked_ = review.at("spec").as_object();
      review.as_object()["status"] = {{"allowed", !forbidden_.contains(ns)}};
      return kube::FakeApi::answer(201, json::serialize(review));
    }
    if (request.find("mutatingwebhookconfigurations/faultline") != request.npos)
      return webhook_.empty() ? missing() : kube::FakeApi::answer(200, webhook_);
    if (request.starts_with("POST") && request.find("/secrets") != request.npos) {
      secret_ = body;
      return kube::FakeApi::answer(201, body);
    }
    if (request.find("/secrets/faultline-admission") != request.npos)
      return secret_.empty() ? missing() : kube::FakeApi::answer(200, secret_);
    return kube::FakeApi::answer(500, "");
  }
  static std::string missing() {
    return kube::FakeApi::answer(
        404, R"({"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"})");
  }

  static json::object experiment(const std::string& latency = "300ms") {
    return json::parse(R"({"apiVersion": "faultline.dev/v1alpha1", "kind": "Experiment",
        "metadata": {"name": "slow", "namespace": "shop"},
        "spec": {"target": {"selector": {"labelSelectors": {"app": "web"}}},
                 "faults": [{"networkLatency": {"latency": ")" +
                       latency + R"("}}]}})")
        .as_object();
  }
  static std::string review(const json::object& object, const json::object& more = {}) {
    json::object request{{"uid", "1"},
                         {"operation", "CREATE"},
                         {"namespace", "shop"},
                         {"userInfo", {{"username", "jane"}}},
                         {"object", object}};
    for (const auto& [key, value] : more) request[key] = value;
    return json::serialize(json::object{{"kind", "AdmissionReview"}, {"request", request}});
  }
  json::object mutate(const std::string& text) {
    return response(kube::run(io_, admission_.mutate(text)));
  }
  json::object validate(const std::string& text) {
    return response(kube::run(io_, admission_.validate(text)));
  }
  static json::object response(const Result<json::object>& answered) {
    if (!answered) throw std::runtime_error(answered.error().message);
    return answered->at("response").as_object();
  }
  static std::string why(const json::object& response) {
    EXPECT_FALSE(response.at("allowed").as_bool());
    return std::string(response.at("status").at("message").as_string());
  }
  // As the API server does with add, replace and remove of annotations.
  static json::object patched(json::object object, const json::object& response) {
    EXPECT_TRUE(response.at("allowed").as_bool()) << json::value(response);
    if (!response.contains("patch")) return object;
    const json::value patch = json::parse(*kube::base64_decode(response.at("patch").as_string()));
    for (const auto& step : patch.as_array()) {
      const std::string path(step.at("path").as_string());
      auto& metadata = object["metadata"].as_object();
      if (path == "/metadata/annotations") metadata["annotations"] = json::object{};
      constexpr std::string_view kFolder = "/metadata/annotations/faultline.dev~1";
      if (!path.starts_with(kFolder)) continue;
      const std::string key = "faultline.dev/" + path.substr(kFolder.size());
      if (step.at("op") == "remove")
        metadata["annotations"].as_object().erase(key);
      else
        metadata["annotations"].as_object()[key] = step.at("value");
    }
    return object;
  }
  // Created by the API server now.
  json::object kept(json::object object, const std::string& uid = "u1") {
    auto& metadata = object["metadata"].as_object();
    metadata["uid"] = uid;
    metadata["creationTimestamp"] = kube::format_time(clock_.utc());
    return object;
  }
  json::object admitted(const json::object& object) {
    return patched(object, mutate(review(object)));
  }
  Result<> begins(const json::object& object) {
    const auto read = api::from_cluster_json(object);
    if (!read) return fail(read.error());
    return kube::run(io_, proofs_.check_created(object, read->experiment));
  }
  std::string refused(const json::object& object) {
    const auto checked = begins(object);
    EXPECT_FALSE(checked);
    if (checked) return "";
    EXPECT_EQ(checked.error().code, Errc::kDenied);
    EXPECT_THAT(checked.error().message, HasSubstr("kubectl apply -k"));
    return checked.error().message;
  }
  static std::string& note(json::object& object, const char* key, std::string& text) {
    text = object["metadata"].at("annotations").at(key).as_string();
    return text;
  }

  MovedClock clock_;
  std::string secret_, webhook_ = kWebhook;
  std::set<std::string> forbidden_;
  std::vector<AuditEntry> decisions_;
  std::vector<std::string> warnings_;
  json::object asked_;  // the spec of the last SubjectAccessReview
  boost::asio::io_context io_{1};
  kube::FakeApi api_;
  kube::Client client_;
  Access access_;
  Proofs proofs_;
  Admission admission_;
};

TEST_F(AdmissionTest, WhatWasAdmittedBeginsHoweverTheApiServerFormatsIt) {
  json::object object = kept(admitted(experiment()));
  EXPECT_TRUE(begins(object)) << begins(object).error().message;
  ASSERT_EQ(decisions_.size(), 1U);
  EXPECT_EQ(decisions_[0].verb, "prove");
  EXPECT_EQ(decisions_[0].allowed, true);
  EXPECT_EQ(object.at("metadata").at("annotations").at(kRequestedBy), "jane");
  EXPECT_TRUE(validate(review(object)).at("allowed").as_bool());
  // Filled in from the schema, and another way to write the same.
  auto& spec = object["spec"].as_object();
  spec["target"].as_object()["mode"] = "one";
  spec["faults"].as_array()[0].at("networkLatency").as_object()["latency"] = "0.3s";
  object["metadata"].as_object()["generation"] = 1;
  EXPECT_TRUE(begins(object));
}

TEST_F(AdmissionTest, TheProofIsAnHmacOfTheKeyInTheSecret) {
  json::object object = admitted(experiment());
  std::string text;
  const auto proof = read_proof(note(object, kAdmitted, text));
  ASSERT_TRUE(proof);
  const auto key = kube::base64_decode(json::parse(secret_).at_pointer("/data/key").as_string());
  ASSERT_EQ(key->size(), kProofKeyBytes);
  const auto read = api::from_cluster_json(object);
  const kube::Folder folder;
  const std::string message = folder.write(
      "message", json::serialize(json::object{{"of", "faultline.dev/admitted, 2"},
                                              {"namespace", "shop"},
                                              {"name", "slow"},
                                              {"generateName", ""},
                                              {"requestedBy", "jane"},
                                              {"requestedAs", R"({"groups":[]})"},
                                              {"webhook", "hook-1"},
                                              {"spec", proven_spec(read->experiment)},
                                              {"at", text.substr(0, text.find(' '))}}));
  std::string digits;
  for (const unsigned char c : *key) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", c);
    digits += two;
  }
  FILE* pipe = ::popen(
      ("openssl dgst -sha256 -mac HMAC -macopt hexkey:" + digits + " " + message).c_str(), "r");
  char said[512] = {};
  ASSERT_NE(std::fgets(said, sizeof said, pipe), nullptr);
  ::pclose(pipe);
  EXPECT_THAT(said, HasSubstr(proof->mac));
}

TEST_F(AdmissionTest, WithoutOrWithAForgedProofNothingBegins) {
  EXPECT_THAT(refused(kept(experiment())), HasSubstr("the webhook was not asked"));
  json::object forged = experiment();
  forged["metadata"].as_object()["annotations"] = {
      {kRequestedBy, "root"},
      {kRequestedAs, "{}"},
      {kAdmitted,
       make_proof(std::string(32, 'k'), {.ns = "shop", .name = "slow", .requested_by = "root"},
                  clock_.utc())}};
  EXPECT_THAT(refused(kept(forged)), HasSubstr("a key that is no longer in the Secret"));
  forged["metadata"].as_object()["annotations"].as_object()[kAdmitted] = "yes";
  EXPECT_THAT(refused(kept(forged)), HasSubstr("is not of the webhook"));
  json::object changed = kept(admitted(experiment()));
  std::string text;
  note(changed, kAdmitted, text);
  text.back() = text.back() == '0' ? '1' : '0';
  changed["metadata"].as_object()["annotations"].as_object()[kAdmitted] = text;
  EXPECT_THAT(refused(changed), HasSubstr("is not of this Experiment"));
}

TEST_F(AdmissionTest, AProofIsOfOneNameNamespaceSpecPersonAndMoment) {
  const json::object good = kept(admitted(experiment()));
  const auto with = [&](const char* pointer, const json::value& value) {
    json::value changed = good;
    changed.at_pointer(pointer) = value;
    return refused(changed.as_object());
  };
  EXPECT_THAT(with("/metadata/name", "other"), HasSubstr("is not of this Experiment"));
  EXPECT_THAT(with("/metadata/namespace", "bank"), HasSubstr("is not of this Experiment"));
  EXPECT_THAT(with("/spec/faults/0/networkLatency/latency", "301ms"),
              HasSubstr("is not of this Experiment"));
  EXPECT_THAT(with("/spec/target/selector", {{"namespaces", {"bank"}}}),
              HasSubstr("is not of this Experiment"));
  EXPECT_THAT(with("/metadata/annotations/faultline.dev~1requested-by", "root"),
              HasSubstr("is not of this Experiment"));
  EXPECT_THAT(
      with("/metadata/annotations/faultline.dev~1requested-as", R"({"groups":["system:masters"]})"),
      HasSubstr("is not of this Experiment"));
  json::value later = good;
  std::string text(good.at("metadata").at("annotations").at(kAdmitted).as_string());
  text[18] = text[18] == '0' ? '1' : '0';  // a second
  later.at_pointer("/metadata/annotations/faultline.dev~1admitted") = text;
  EXPECT_THAT(refused(later.as_object()), HasSubstr("is not of this Experiment"));
  EXPECT_TRUE(begins(good)) << "the cases above change one thing of what is good";
}

TEST_F(AdmissionTest, AProofIsGoodForAMinuteAndForOneObject) {
  const json::object object = admitted(experiment());
  clock_.by = 55s;
  const json::object soon = kept(object);
  clock_.by = 70s;
  EXPECT_THAT(refused(kept(object)), HasSubstr("more than 60 s from its admission"));
  clock_.by = -70s;
  EXPECT_THAT(refused(kept(object)), HasSubstr("more than 60 s from its admission"));
  clock_.by = 0s;
  EXPECT_TRUE(begins(soon));
  EXPECT_TRUE(begins(soon)) << "the same object, looked at again";
  EXPECT_THAT(refused(kept(object, "u2")), HasSubstr("which has used it"));
  json::value timeless = soon;
  timeless.as_object()["metadata"].as_object().erase("creationTimestamp");
  EXPECT_THAT(refused(timeless.as_object()), HasSubstr("more than 60 s"));
}

TEST_F(AdmissionTest, WithoutTheWebhookConfigurationNothingIsProvenAndNothingBegins) {
  const json::object object = kept(admitted(experiment()));
  webhook_.clear();
  EXPECT_THAT(refused(object), HasSubstr("there is no MutatingWebhookConfiguration faultline"));
  EXPECT_THAT(why(mutate(review(experiment()))), HasSubstr("there is no MutatingWebhook"));
  // Made anew: what was admitted under the one before might have been made in between.
  json::value anew = json::parse(kWebhook);
  anew.at_pointer("/metadata/uid") = "hook-2";
  webhook_ = json::serialize(anew);
  EXPECT_THAT(refused(object), HasSubstr("is not of this Experiment"));
  EXPECT_TRUE(begins(kept(admitted(experiment()))));
}

TEST_F(AdmissionTest, AWebhookConfigurationThatLetsSomePassProvesNothing) {
  const auto changed = [&](const std::string& where, const char* key, const json::value& value) {
    json::value configuration = json::parse(kWebhook);
    configuration.at_pointer(where).as_object()[key] = value;
    webhook_ = json::serialize(configuration);
    return why(mutate(review(experiment())));
  };
  EXPECT_THAT(changed("/webhooks/0", "failurePolicy", "Ignore"), HasSubstr("failurePolicy: Fail"));
  EXPECT_THAT(changed("/webhooks/0", "namespaceSelector", {{"matchLabels", {{"a", "b"}}}}),
              HasSubstr("has a namespaceSelector"));
  EXPECT_THAT(changed("/webhooks/0", "objectSelector", {{"matchLabels", {{"a", "b"}}}}),
              HasSubstr("has a objectSelector"));
  EXPECT_THAT(changed("/webhooks/0", "matchConditions", json::array{json::object{}}),
              HasSubstr("has a matchConditions"));
  EXPECT_THAT(changed("/webhooks/0/rules/0", "operations", json::array{"CREATE"}),
              HasSubstr("no rule for CREATE and UPDATE"));
  EXPECT_THAT(changed("/webhooks/0/clientConfig/service", "name", "other"),
              HasSubstr("another service"));
  EXPECT_THAT(changed("", "webhooks", json::array{}), HasSubstr("has no webhook"));
}

TEST_F(AdmissionTest, NothingIsProvenOfWhatOneMayNotOrOfADryRun) {
  forbidden_ = {"bank"};
  json::object reaching = experiment();
  reaching["spec"].as_object()["target"] = {{"selector", {{"namespaces", {"bank"}}}}};
  EXPECT_THAT(why(mutate(review(reaching))),
              HasSubstr("jane may not create experiments.faultline.dev in bank"));
  ASSERT_EQ(decisions_.size(), 1U);
  const std::string line = audit_line(decisions_[0], "");
  EXPECT_THAT(line, HasSubstr(R"("via":"webhook","verb":"create","user":"jane")"));
  EXPECT_THAT(line, HasSubstr(R"("namespaces":["bank"],"decision":"denied","reason":"jane may)"));
  const auto dry = patched(experiment(), mutate(review(experiment(), {{"dryRun", true}})));
  EXPECT_FALSE(dry.at("metadata").at("annotations").as_object().contains(kAdmitted));
  EXPECT_TRUE(validate(review(dry, {{"dryRun", true}})).at("allowed").as_bool());
  EXPECT_THAT(why(validate(review(dry))), HasSubstr("the webhook was not asked"));
  EXPECT_THAT(why(mutate(review(experiment("soon")))), HasSubstr("latency"));
}

TEST_F(AdmissionTest, WhatAPersonWritesThereIsReplacedAndAnUpdateKeepsIt) {
  json::object claims = experiment();
  claims["metadata"].as_object()["annotations"] = {{kRequestedBy, "root"}, {kAdmitted, "yes"}};
  const json::object good = admitted(claims);
  EXPECT_TRUE(begins(kept(good)));
  EXPECT_EQ(good.at("metadata").at("annotations").at(kRequestedBy), "jane");
  const auto update = [&](const json::object& now, const json::object& before) {
    return review(now, {{"operation", "UPDATE"}, {"oldObject", before}});
  };
  json::object taken = good;
  taken["metadata"].as_object().erase("annotations");
  EXPECT_EQ(patched(taken, mutate(update(taken, good))), good);
  EXPECT_THAT(why(validate(update(taken, good))), HasSubstr("does not change"));
  EXPECT_EQ(patched(claims, mutate(update(claims, good))), good);
  // One that never had them gets none.
  const auto stays = patched(claims, mutate(update(claims, experiment())));
  EXPECT_TRUE(stays.at("metadata").at("annotations").as_object().empty());
  EXPECT_THAT(why(validate(update(claims, experiment()))), HasSubstr("does not change"));
  EXPECT_TRUE(validate(update(good, good)).at("allowed").as_bool());
}

TEST_F(AdmissionTest, AllThatIsKnownOfWhoAsksIsAskedAndKept) {
  const json::object user{{"username", "jane"},
                          {"uid", "jane-1"},
                          {"groups", {"shop", "on-call"}},
                          {"extra", {{"scopes", {"user:full"}}}}};
  const json::object object =
      patched(experiment(), mutate(review(experiment(), {{"userInfo", user}})));
  EXPECT_EQ(asked_.at("user"), "jane");
  EXPECT_EQ(asked_.at("uid"), "jane-1");
  EXPECT_EQ(asked_.at("extra"), (json::value{{"scopes", {"user:full"}}}));
  const std::string kept(object.at("metadata").at("annotations").at(kRequestedAs).as_string());
  const auto asker = read_asker("jane", kept);
  ASSERT_TRUE(asker);
  EXPECT_EQ(asker->user, "jane");
  EXPECT_EQ(asker->uid, "jane-1");
  EXPECT_THAT(asker->groups, testing::ElementsAre("on-call", "shop"));
  EXPECT_THAT(asker->extra.at("scopes"), testing::ElementsAre("user:full"));
  json::object many = user;
  many["groups"] = json::array(5000, "a-group-of-some-length");
  EXPECT_THAT(why(mutate(review(experiment(), {{"userInfo", many}}))), HasSubstr("5000 groups"));
}

TEST_F(AdmissionTest, NobodyButTheControllersWritesAStatus) {
  const auto written_by = [&](const char* user) {
    return validate(review(experiment(), {{"operation", "UPDATE"},
                                          {"subResource", "status"},
                                          {"oldObject", experiment()},
                                          {"userInfo", {{"username", user}}}}));
  };
  EXPECT_TRUE(
      written_by("system:serviceaccount:faultline:faultline-controller").at("allowed").as_bool());
  EXPECT_THAT(decisions_, testing::IsEmpty()) << "a line each second would be of no use";
  EXPECT_THAT(why(written_by("jane")), HasSubstr("and nobody else; you are jane"));
  EXPECT_THAT(why(written_by("system:serviceaccount:shop:faultline-controller")),
              HasSubstr("nobody else"));
  ASSERT_EQ(decisions_.size(), 2U);
  EXPECT_EQ(decisions_[0].verb, "update status");
}

TEST_F(AdmissionTest, WhatDependsOnPodsIsAWarning) {
  warnings_ = {"as it is now it would be refused: no pod matches", std::string(500, 'x')};
  const json::object object = admitted(experiment());
  const json::object answer = validate(review(object));
  EXPECT_TRUE(answer.at("allowed").as_bool());
  ASSERT_EQ(answer.at("warnings").as_array().size(), 2U);
  EXPECT_THAT(std::string(answer.at("warnings").as_array()[0].as_string()),
              HasSubstr("no pod matches"));
  EXPECT_LE(answer.at("warnings").as_array()[1].as_string().size(), 256U);
}

TEST_F(AdmissionTest, ANameThatTheApiServerMakesIsProvenByWhatItIsMadeOf) {
  json::object nameless = experiment();
  nameless["metadata"] = {{"generateName", "slow-"}};
  json::object object = admitted(nameless);
  auto& metadata = object["metadata"].as_object();
  metadata["namespace"] = "shop";
  metadata["name"] = "slow-x7k2p";
  EXPECT_TRUE(begins(kept(object))) << begins(kept(object)).error().message;
  metadata["name"] = "slow-other-one";
  EXPECT_THAT(refused(kept(object)), HasSubstr("is not of this Experiment"));
}

TEST_F(AdmissionTest, TheKeyIsSharedAndAnotherOneIsNoticed) {
  Proofs second(client_, clock_, {});
  EXPECT_TRUE(kube::run(io_, second.maintain()));
  const json::object object = kept(admitted(experiment()));
  const auto read = api::from_cluster_json(object);
  EXPECT_TRUE(kube::run(io_, second.check_created(object, read->experiment)));
  // Deleted, and made anew by the first controller that notices: the other reads it again.
  secret_.clear();
  EXPECT_TRUE(kube::run(io_, proofs_.maintain()));
  const json::object newer = kept(admitted(experiment()), "u2");
  const auto newer_read = api::from_cluster_json(newer);
  EXPECT_TRUE(kube::run(io_, second.check_created(newer, newer_read->experiment)));
  EXPECT_THAT(refused(kept(object, "u3")), HasSubstr("no longer in the Secret"));
  secret_ = R"({"data": {"key": "c2hvcnQ="}})";
  const auto shorter = kube::run(io_, second.maintain());
  ASSERT_FALSE(shorter);
  EXPECT_THAT(shorter.error().message, HasSubstr("at least 32 bytes"));
}

}  // namespace
}  // namespace faultline::controller
