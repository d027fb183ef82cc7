// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/proof.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>

#include "api/codec.h"
#include "api/plan.h"
#include "controller/kubernetes/experiments.h"
#include "kube/json.h"
#include "kube/times.h"

namespace faultline::controller {
namespace {

using Object = boost::json::object;
using Digest = std::array<unsigned char, EVP_MAX_MD_SIZE>;

constexpr std::size_t kMacDigits = 64, kKeyIdDigits = 8;
constexpr const char* kNotWhoAsked =
    "the annotation faultline.dev/requested-as is not of the webhook";
constexpr const char* kNotOurs = "the annotation faultline.dev/admitted is not of the webhook";

std::string hex(const unsigned char* bytes, std::size_t count) {
  static constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 0xf];
  }
  return text;
}

bool is_hex(std::string_view text, std::size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

// JSON, so that no two different things are the same text.
Object fields(const Proven& what) {
  return {{"of", "faultline.dev/admitted, 2"},
          {"namespace", what.ns},
          {"name", what.name},
          {"generateName", what.generate_name},
          {"requestedBy", what.requested_by},
          {"requestedAs", what.requested_as},
          {"webhook", what.webhook},
          {"spec", what.spec}};
}
Object fields(const ProvenWord& what) {
  return {{"of", "faultline.dev/gameday-said, 1"},
          {"namespace", what.ns},
          {"name", what.name},
          {"uid", what.uid},
          {"word", what.word},
          {"saidBy", what.said_by},
          {"saidAs", what.said_as},
          {"webhook", what.webhook}};
}

std::string mac(const std::string& key, Object what, const std::string& at) {
  what["at"] = at;
  const std::string text = boost::json::serialize(what);
  Digest bytes{};
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes.data(), &size);
  return hex(bytes.data(), size);
}

bool has(const Object& rule, const char* list, std::string_view word) {
  const auto words = kube::texts_at(rule, list);
  return std::ranges::any_of(words, [&](const auto& w) { return w == word || w == "*"; });
}

// Narrows nothing down: absent, or as the API server fills it in.
bool is_empty(const Object& hook, const char* key) {
  const auto* value = hook.if_contains(key);
  if (value == nullptr || value->is_null()) return true;
  if (const auto* list = value->if_array()) return list->empty();
  const auto* object = value->if_object();
  return object != nullptr && object->empty();
}

std::string proof_of(const std::string& key, Object what, UtcTime at) {
  const std::string time = kube::format_micro_time(at);
  return time + " " + key_id(key) + " " + mac(key, std::move(what), time);
}

bool is_proof(const std::string& key, const Proof& proof, Object what) {
  const std::string ours = mac(key, std::move(what), kube::format_micro_time(proof.at));
  return ours.size() == proof.mac.size() &&
         CRYPTO_memcmp(ours.data(), proof.mac.data(), ours.size()) == 0;
}

bool asks_about_all(const Object& hook, const std::string& plural) {
  const auto* rules = hook.if_contains("rules");
  if (rules == nullptr || !rules->is_array()) return false;
  return std::ranges::any_of(rules->get_array(), [&](const boost::json::value& value) {
    const Object* rule = value.if_object();
    if (rule == nullptr) return false;
    const auto scope = kube::text_at(*rule, "scope");
    return has(*rule, "apiGroups", experiments().group) &&
           has(*rule, "apiVersions", experiments().version) && has(*rule, "resources", plural) &&
           has(*rule, "operations", "CREATE") && has(*rule, "operations", "UPDATE") &&
           (scope.empty() || scope == "*");
  });
}

// Why somebody could make an object without this one being asked; empty: nobody could.
std::string what_passes(const Object& hook, const std::string& ns, const std::string& service,
                        const std::string& plural) {
  const Object* client = kube::object_at(hook, "clientConfig");
  const Object* ours = client == nullptr ? nullptr : kube::object_at(*client, "service");
  if (ours == nullptr || kube::text_at(*ours, "namespace") != ns ||
      kube::text_at(*ours, "name") != service)
    return "asks another service than " + ns + "/" + service;
  if (kube::text_at(hook, "failurePolicy") != "Fail") return "has no failurePolicy: Fail";
  for (const char* key : {"namespaceSelector", "objectSelector", "matchConditions"})
    if (!is_empty(hook, key)) return std::string("has a ") + key;
  if (!asks_about_all(hook, plural)) return "has no rule for CREATE and UPDATE of " + plural;
  return {};
}

}  // namespace

Result<std::string> write_asker(const Asker& asker) {
  const auto words = [](std::vector<std::string> texts) {
    // Neither groups nor values have an order.
    std::ranges::sort(texts);
    return boost::json::array(texts.begin(), texts.end());
  };
  Object object;
  if (!asker.uid.empty()) object["uid"] = asker.uid;
  object["groups"] = words(asker.groups);
  if (!asker.extra.empty()) {
    Object extra;
    for (const auto& [key, values] : asker.extra) extra[key] = words(values);
    object["extra"] = std::move(extra);
  }
  std::string text = boost::json::serialize(object);
  if (text.size() <= kLongestAsker) return text;
  return fail(Errc::kInvalid, asker.user + " has " + std::to_string(asker.groups.size()) +
                                  " groups and other attributes of " + std::to_string(text.size()) +
                                  " bytes, and at most " + std::to_string(kLongestAsker) +
                                  " can be kept with an Experiment");
}

Result<Asker> read_asker(const std::string& user, const std::string& text) {
  const auto object = kube::parse_object(text);
  if (!object || text.size() > kLongestAsker) return fail(Error{Errc::kDenied, kNotWhoAsked});
  Asker asker{
      user, std::string(kube::text_at(*object, "uid")), kube::texts_at(*object, "groups"), {}};
  if (const Object* extra = kube::object_at(*object, "extra"))
    for (const auto& entry : *extra)
      asker.extra[std::string(entry.key())] = kube::texts_at(*extra, entry.key());
  return asker;
}

std::string proven_spec(const api::Experiment& experiment) {
  return boost::json::serialize(api::to_json(experiment).at("spec"));
}

// `anyway` and `unattended` change what the day does, so nobody may change them afterwards.
std::string proven_spec(const api::GameDay& day) {
  const auto is_true = [&](const std::string& key) {
    const auto note = day.metadata.annotations.find(key);
    return note != day.metadata.annotations.end() && note->second == "true";
  };
  return boost::json::serialize(Object{{"kind", api::kGameDayKind},
                                       {"anyway", is_true(std::string(api::kAnywayNote))},
                                       {"unattended", is_true(kUnattended)},
                                       {"spec", api::to_json(day).at("spec")}});
}

ProofSubject subject_of(const api::Experiment& experiment) {
  return {.kind = "an Experiment",
          .plural = experiments().plural,
          .spec = proven_spec(experiment),
          .notes = experiment.metadata.annotations};
}
ProofSubject subject_of(const api::GameDay& day) {
  return {.kind = "a GameDay",
          .plural = gamedays().plural,
          .spec = proven_spec(day),
          .notes = day.metadata.annotations};
}

std::string key_id(const std::string& key) {
  Digest bytes{};
  unsigned size = 0;
  EVP_Digest(key.data(), key.size(), bytes.data(), &size, EVP_sha256(), nullptr);
  return hex(bytes.data(), size).substr(0, kKeyIdDigits);
}

std::string make_proof(const std::string& key, const Proven& what, UtcTime at) {
  return proof_of(key, fields(what), at);
}
std::string make_proof(const std::string& key, const ProvenWord& what, UtcTime at) {
  return proof_of(key, fields(what), at);
}

Result<Proof> read_proof(const std::string& text) {
  const std::size_t first = text.find(' '), second = text.find(' ', first + 1);
  if (first != text.npos && second != text.npos) {
    const auto at = kube::parse_time(text.substr(0, first));
    Proof proof{at.value_or(UtcTime{}), text.substr(first + 1, second - first - 1),
                text.substr(second + 1)};
    // Written in one way only: of one proof there are no two texts.
    if (at && kube::format_micro_time(*at) == text.substr(0, first) &&
        is_hex(proof.key_id, kKeyIdDigits) && is_hex(proof.mac, kMacDigits))
      return proof;
  }
  return fail(Error{Errc::kDenied, kNotOurs});
}

bool proves(const std::string& key, const Proof& proof, const Proven& what) {
  return is_proof(key, proof, fields(what));
}
bool proves(const std::string& key, const Proof& proof, const ProvenWord& what) {
  return is_proof(key, proof, fields(what));
}

Result<std::string> asking_webhook(const Object& configuration, const std::string& ns,
                                   const std::string& service, const std::string& plural,
                                   const std::string& kind) {
  const std::string name(kube::meta(configuration, "name"));
  const auto* hooks = configuration.if_contains("webhooks");
  std::string why = "has no webhook";
  if (hooks != nullptr && hooks->is_array())
    for (const auto& hook : hooks->get_array()) {
      if (!hook.is_object()) continue;
      // Of several the one for this kind has the most to say.
      std::string passes = what_passes(hook.get_object(), ns, service, plural);
      if (why != "has no webhook" && passes.starts_with("has no rule")) continue;
      why = std::move(passes);
      if (why.empty()) return std::string(kube::meta(configuration, "uid"));
    }
  return fail(Errc::kDenied, "the MutatingWebhookConfiguration " + name + " " + why + ", so that " +
                                 kind + " could be made without us being asked");
}

}  // namespace faultline::controller
