// SPDX-License-Identifier: Apache-2.0
// What the webhooks write of GameDays and refuse, and who is believed to have said a word. The API
// server is a fake one that keeps one Secret and one webhook configuration.
#include "controller/kubernetes/day_admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <set>

#include "api/gameday_status.h"
#include "controller/kubernetes/access.h"
#include "controller/kubernetes/day_object.h"
#include "controller/kubernetes/proofs.h"
#include "kube/base64.h"
#include "kube/times.h"
#include "tests/unit/kube/fake_api.h"
#include "tests/unit/kube/loop.h"

namespace faultline::controller {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

constexpr const char* kWebhook = R"({"metadata": {"name": "faultline", "uid": "hook-1"},
  "webhooks": [
   {"name": "mutate.experiments.faultline.dev", "failurePolicy": "Fail",
    "clientConfig": {"service": {"namespace": "faultline", "name": "faultline-controller"}},
    "rules": [{"apiGroups": ["faultline.dev"], "apiVersions": ["v1alpha1"], "scope": "*",
               "resources": ["experiments"], "operations": ["CREATE", "UPDATE"]}]},
   {"name": "mutate.gamedays.faultline.dev", "failurePolicy": "Fail",
    "clientConfig": {"service": {"namespace": "faultline", "name": "faultline-controller"}},
    "rules": [{"apiGroups": ["faultline.dev"], "apiVersions": ["v1alpha1"], "scope": "*",
               "resources": ["gamedays"], "operations": ["CREATE", "UPDATE"]}]}]})";

class DayAdmissionTest : public testing::Test {
 protected:
  DayAdmissionTest()
      : api_([this](const std::string& request, int) { return answer(request); }),
        client_(io_.get_executor(), api_.config()),
        access_(client_, clock_),
        proofs_(client_, clock_, {}),
        admission_(access_, proofs_, clock_,
                   {.decided = [this](const AuditEntry& entry) { decisions_.push_back(entry); }}) {
    EXPECT_TRUE(kube::run(io_, proofs_.maintain()));
  }

  std::string answer(const std::string& request) {
    const std::string body = request.substr(request.find("\r\n\r\n") + 4);
    if (request.find("subjectaccessreviews") != request.npos) {
      json::value review = json::parse(body);
      const json::object& about = review.at_pointer("/spec/resourceAttributes").as_object();
      const std::string ns(about.at("namespace").as_string());
      bool allowed = !forbidden_.contains(ns);
      if (about.at("resource") == "secrets") {
        const std::string asked = std::string(review.at_pointer("/spec/user").as_string()) + " " +
                                  std::string(about.at("verb").as_string()) + " " + ns + "/" +
                                  std::string(about.at("name").as_string());
        asked_secrets_.push_back(asked);
        allowed = readable_.contains(asked);
      }
      review.as_object()["status"] = {{"allowed", allowed}};
      return kube::FakeApi::answer(201, json::serialize(review));
    }
    if (request.find("mutatingwebhookconfigurations/faultline") != request.npos)
      return kube::FakeApi::answer(200, webhook_);
    if (request.starts_with("POST") && request.find("/secrets") != request.npos) {
      secret_ = body;
      return kube::FakeApi::answer(201, body);
    }
    if (request.find("/secrets/faultline-admission") != request.npos && !secret_.empty())
      return kube::FakeApi::answer(200, secret_);
    return kube::FakeApi::answer(
        404, R"({"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"})");
  }

  static json::object day(const std::string& steps = "") {
    const std::string slow = R"({"name": "slow", "experiment": {"spec": {
        "target": {"selector": {"namespaces": ["bank"], "labelSelectors": {"app": "pay"}}},
        "faults": [{"networkLatency": {"latency": "50ms"}}]}}})";
    return json::parse(R"({"apiVersion": "faultline.dev/v1alpha1", "kind": "GameDay",
        "metadata": {"name": "pay", "namespace": "shop"},
        "spec": {"title": "Payments is slow", "roles": {"facilitator": ["jane"]}, "steps": [)" +
                       (steps.empty() ? slow : steps) + "]}}")
        .as_object();
  }
  static std::string review(const json::object& object, const std::string& user,
                            const json::object* old = nullptr) {
    json::object request{{"uid", "1"},
                         {"operation", old == nullptr ? "CREATE" : "UPDATE"},
                         {"namespace", "shop"},
                         {"userInfo", {{"username", user}, {"groups", json::array{"dev"}}}},
                         {"object", object}};
    if (old != nullptr) request["oldObject"] = *old;
    return json::serialize(json::object{{"kind", "AdmissionReview"}, {"request", request}});
  }
  static json::object response(const Result<json::object>& answered) {
    if (!answered) throw std::runtime_error(answered.error().message);
    return answered->at("response").as_object();
  }
  json::object mutate(const std::string& text) {
    return response(kube::run(io_, admission_.mutate(text)));
  }
  json::object validate(const std::string& text) {
    return response(kube::run(io_, admission_.validate(text)));
  }
  static std::string why(const json::object& response) {
    EXPECT_FALSE(response.at("allowed").as_bool()) << json::value(response);
    if (response.at("allowed").as_bool()) return "";
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
  json::object created(const json::object& object, const std::string& user = "jane") {
    json::object kept = patched(object, mutate(review(object, user)));
    const auto valid = validate(review(kept, user));
    EXPECT_TRUE(valid.at("allowed").as_bool()) << json::value(valid);
    auto& metadata = kept["metadata"].as_object();
    metadata["uid"] = "u1";
    metadata["creationTimestamp"] = kube::format_time(clock_.utc());
    return kept;
  }
  static json::object with_note(json::object object, const char* key, const std::string& value) {
    auto& metadata = object["metadata"].as_object();
    if (!metadata.contains("annotations")) metadata["annotations"] = json::object{};
    metadata["annotations"].as_object()[key] = value;
    return object;
  }
  // What both webhooks make of an annotation; throws the words of a refusal.
  json::object written(const json::object& before, const std::string& word,
                       const std::string& user) {
    const json::object asked = with_note(before, kDayWord, word);
    const auto mutated = mutate(review(asked, user, &before));
    if (!mutated.at("allowed").as_bool()) throw std::runtime_error(why(mutated));
    json::object kept = patched(asked, mutated);
    const auto valid = validate(review(kept, user, &before));
    if (!valid.at("allowed").as_bool()) throw std::runtime_error(why(valid));
    return kept;
  }
  std::string refusal(const json::object& before, const std::string& word,
                      const std::string& user) {
    try {
      written(before, word, user);
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    ADD_FAILURE() << "\"" << word << "\" was let in";
    return "";
  }
  Result<> begins(const json::object& object) {
    const auto read = api::gameday_from_cluster_json(object);
    if (!read) return fail(read.error());
    return kube::run(io_, proofs_.check_created(object, read->day));
  }

  SystemClock clock_;
  std::string secret_, webhook_ = kWebhook;
  std::set<std::string> forbidden_;
  std::set<std::string> readable_;          // "jane get shop/pay-surprise"
  std::vector<std::string> asked_secrets_;  // likewise
  std::vector<AuditEntry> decisions_;
  boost::asio::io_context io_{1};
  kube::FakeApi api_;
  kube::Client client_;
  Access access_;
  Proofs proofs_;
  DayAdmission admission_;
};

TEST_F(DayAdmissionTest, WhoMayEachStepIsAdmittedAndItsDayBegins) {
  const json::object kept = created(day());
  EXPECT_EQ(note_on(kept, kRequestedBy), "jane");
  EXPECT_THAT(note_on(kept, kRequestedAs), HasSubstr("dev"));
  const auto fine = begins(kept);
  EXPECT_TRUE(fine) << fine.error().message;
}

TEST_F(DayAdmissionTest, OneStepOfAForeignNamespaceIsEnoughToBeRefused) {
  forbidden_ = {"bank"};
  EXPECT_THAT(why(mutate(review(day(), "jane"))),
              HasSubstr("jane may not create experiments.faultline.dev in bank"));
  EXPECT_THAT(why(validate(review(day(), "jane"))), HasSubstr("in bank"));
  EXPECT_EQ(decisions_.back().allowed, false);
}

constexpr const char* kHidden =
    R"({"name": "a", "surprise": true, "experiment": {"secret": "pay-surprise/slow.yaml"}},
       {"name": "b", "surprise": true, "experiment": {"secret": "pay-surprise/other.yaml"}})";

TEST_F(DayAdmissionTest, WhoMayNotReadTheSecretOfASurpriseIsRefusedByName) {
  for (const auto& answer :
       {mutate(review(day(kHidden), "mallory")), validate(review(day(kHidden), "mallory"))}) {
    EXPECT_THAT(why(answer), HasSubstr("spec.steps[0].experiment.secret: mallory may not get the "
                                       "Secret shop/pay-surprise"));
    EXPECT_FALSE(answer.contains("patch")) << "no proof either";
  }
  EXPECT_EQ(decisions_.back().allowed, false);
  for (const std::string& asked : asked_secrets_)
    EXPECT_EQ(asked, "mallory get shop/pay-surprise") << "that one, of the day's own namespace";
}

TEST_F(DayAdmissionTest, WhoMayReadTheSecretIsAdmittedAndTheWebhookReadsItNot) {
  readable_ = {"jane get shop/pay-surprise"};
  const json::object kept = created(day(kHidden));
  EXPECT_TRUE(begins(kept));
  for (const std::string& request : api_.requests())
    EXPECT_EQ(request.find("secrets/pay-surprise"), request.npos) << request;
  // The proof is of this Secret: another one in its place is another day.
  json::object other = kept;
  other["spec"] = day(R"({"name": "a", "surprise": true,
                          "experiment": {"secret": "faultline-admission/key"}})")["spec"];
  EXPECT_FALSE(begins(other));
}

TEST_F(DayAdmissionTest, WhatAnObjectCannotKeepIsRefusedWithTheWordsOfTheFile) {
  EXPECT_THAT(why(validate(review(day(R"({"name": "a", "note": "x", "surprise": true})"), "j"))),
              HasSubstr("spec.steps[0].note: whoever may read this object"));
  EXPECT_THAT(why(validate(review(day(R"({"name": "a", "puse": "1s"})"), "j"))),
              HasSubstr("did you mean \"pause\""));
  EXPECT_THAT(why(validate(review(with_note(day(), kDayWord, "start"), "j"))),
              HasSubstr("is for a day that is there"));
  EXPECT_THAT(why(validate(review(with_note(day(), kUnattended, "yes"), "j"))),
              HasSubstr("expected true or false"));
}

TEST_F(DayAdmissionTest, AProofIsOfThisSpecAndOfHowItIsDone) {
  const json::object kept = created(day());
  json::object other = kept;
  other["spec"].as_object()["title"] = "Something else";
  EXPECT_FALSE(begins(other));
  EXPECT_FALSE(begins(with_note(kept, kUnattended, "true")));
  EXPECT_FALSE(begins(with_note(kept, "faultline.dev/anyway", "true")));
  EXPECT_FALSE(begins(with_note(kept, kRequestedBy, "joe")));
  const auto unasked = begins(day());
  ASSERT_FALSE(unasked);
  EXPECT_THAT(unasked.error().message, HasSubstr("this GameDay was created"));
}

TEST_F(DayAdmissionTest, WithoutTheWebhookOfGameDaysNothingIsProven) {
  json::value hooks = json::parse(webhook_);
  hooks.at("webhooks").as_array().pop_back();
  webhook_ = json::serialize(hooks);
  EXPECT_THAT(why(mutate(review(day(), "jane"))),
              HasSubstr("has no rule for CREATE and UPDATE of gamedays"));
}

TEST_F(DayAdmissionTest, SpecAndWhatWasProvenDoNotChange) {
  const json::object kept = created(day());
  json::object changed = kept;
  changed["spec"].as_object()["title"] = "Another";
  EXPECT_THAT(why(validate(review(changed, "jane", &kept))), HasSubstr("its spec does not change"));
  const json::object unattended = with_note(kept, kUnattended, "true");
  EXPECT_THAT(why(validate(review(unattended, "jane", &kept))), HasSubstr("does not change"));
  // What somebody writes there is put back before it is judged.
  const json::object forged = with_note(kept, kRequestedBy, "admin");
  EXPECT_EQ(note_on(patched(forged, mutate(review(forged, "joe", &kept))), kRequestedBy), "jane");
}

TEST_F(DayAdmissionTest, AWordIsOfWhoWroteIt) {
  const json::object kept = created(day());
  const json::object said = written(kept, "hold customers call", "joe");
  EXPECT_EQ(note_on(said, kSaidBy), "joe");
  const auto proven = kube::run(io_, proofs_.check_word(said));
  ASSERT_TRUE(proven) << proven.error().message;
  EXPECT_EQ(proven->who.user, "joe");
  EXPECT_EQ(proven->who.groups, std::vector<std::string>{"dev"});
  EXPECT_EQ(proven->key, *word_key(said));
  // Neither another word, nor another person, nor another object.
  for (const json::object& other :
       {with_note(said, kDayWord, "abort"), with_note(said, kSaidBy, "jane"),
        with_note(said, kSaidAs, R"({"groups":["admins"]})")})
    EXPECT_FALSE(kube::run(io_, proofs_.check_word(other)));
  json::object replaced = said;
  replaced["metadata"].as_object()["uid"] = "u2";
  EXPECT_FALSE(kube::run(io_, proofs_.check_word(replaced)));
}

TEST_F(DayAdmissionTest, WhatSomebodyWritesOfTheProofIsReplaced) {
  const json::object kept = created(day());
  const json::object said = written(kept, "note hello", "joe");
  // The proof of joe's word beside a word of her own.
  json::object mixed = with_note(kept, kDayWord, "abort");
  for (const char* key : {kSaid, kSaidBy, kSaidAs})
    mixed = with_note(mixed, key, note_on(said, key));
  const json::object put = patched(mixed, mutate(review(mixed, "mallory", &kept)));
  EXPECT_EQ(note_on(put, kSaidBy), "mallory");
  // And a proof without a change of the word stays that of the word.
  const json::object forged = with_note(said, kSaidBy, "jane");
  EXPECT_EQ(note_on(patched(forged, mutate(review(forged, "mallory", &said))), kSaidBy), "joe");
  EXPECT_THAT(why(validate(review(forged, "mallory", &said))),
              HasSubstr("written by the controller"));
}

TEST_F(DayAdmissionTest, AWordIsNotWrittenOverOneThatIsNotAnswered) {
  const json::object kept = created(day());
  json::object said = written(kept, "note one", "joe");
  EXPECT_THAT(refusal(said, "note two", "joe"), HasSubstr("\"note one\") is not answered yet"));
  said["status"] = {{"word", {{"word", "note one"}, {"by", "joe"}, {"key", *word_key(said)}}}};
  const json::object next = written(said, "note two", "joe");
  EXPECT_NE(*word_key(next), *word_key(said));
}

TEST_F(DayAdmissionTest, AWordThatIsNoneIsRefusedWhereItIsWritten) {
  const json::object kept = created(day());
  EXPECT_THAT(refusal(kept, "abrot", "joe"), HasSubstr("did you mean \"abort\""));
  EXPECT_THAT(refusal(kept, "skip", "joe"), HasSubstr("the name of a step"));
}

TEST_F(DayAdmissionTest, NobodyButTheControllerWritesAStatus) {
  json::object request{
      {"uid", "1"},          {"operation", "UPDATE"}, {"subResource", "status"},
      {"namespace", "shop"}, {"object", day()},       {"userInfo", {{"username", "jane"}}}};
  const auto text = [&] {
    return json::serialize(json::object{{"kind", "AdmissionReview"}, {"request", request}});
  };
  EXPECT_THAT(why(validate(text())), HasSubstr("and nobody else; you are jane"));
  request["userInfo"] = {{"username", "system:serviceaccount:faultline:faultline-controller"}};
  EXPECT_TRUE(validate(text()).at("allowed").as_bool());
}

}  // namespace
}  // namespace faultline::controller
