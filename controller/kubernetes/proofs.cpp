// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/proofs.h"

#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include <array>

#include "kube/base64.h"
#include "kube/json.h"
#include "kube/times.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;
using Object = boost::json::object;

constexpr std::chrono::hours kRememberUse{1};
// What the API server makes of generateName, and how long what it keeps of that is.
constexpr std::size_t kRandomLetters = 5, kMostOfPrefix = 58;

// "an Experiment" without its article.
std::string bare(const std::string& kind) { return kind.substr(kind.find(' ') + 1); }

tl::unexpected<Error> denied(const std::string& kind, const std::string& why) {
  return fail(Errc::kDenied,
              why +
                  ". See that the webhook is there (kubectl apply -k daemonset/), then delete "
                  "this " +
                  bare(kind) + " and create it again");
}

std::map<std::string, std::string> notes_of(const Object& object) {
  std::map<std::string, std::string> notes;
  const Object* metadata = kube::object_at(object, "metadata");
  const Object* all = metadata == nullptr ? nullptr : kube::object_at(*metadata, "annotations");
  if (all == nullptr) return notes;
  for (const auto& [key, value] : *all)
    if (value.is_string()) notes[std::string(key)] = std::string(value.get_string());
  return notes;
}

ProvenWord proven_word(const Object& object, std::string webhook, std::string by, std::string as) {
  return {.ns = std::string(kube::meta(object, "namespace")),
          .name = std::string(kube::meta(object, "name")),
          .uid = std::string(kube::meta(object, "uid")),
          .word = notes_of(object)[kDayWord],
          .said_by = std::move(by),
          .said_as = std::move(as),
          .webhook = std::move(webhook)};
}

Result<std::string> key_in(const Object& secret, const std::string& name) {
  const Object* data = kube::object_at(secret, "data");
  auto key =
      kube::base64_decode(data == nullptr ? std::string_view() : kube::text_at(*data, "key"));
  if (!key || key->size() < kProofKeyBytes)
    return fail(Errc::kInvalid, "the Secret " + name + " has no `key` of at least " +
                                    std::to_string(kProofKeyBytes) +
                                    " bytes: delete it, and another one is made");
  return std::move(*key);
}

Result<std::string> new_key() {
  std::array<unsigned char, kProofKeyBytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    return fail(Errc::kInternal, "no random numbers for a key");
  return std::string(bytes.begin(), bytes.end());
}

std::string generated_from(const Object& metadata) {
  return std::string(kube::text_at(metadata, "generateName"));
}

bool was_generated(const std::string& name, const std::string& prefix) {
  const std::string kept = prefix.substr(0, kMostOfPrefix);
  return !prefix.empty() && name.starts_with(kept) && name.size() == kept.size() + kRandomLetters;
}

}  // namespace

Proofs::Proofs(kube::Client& client, const Clock& clock, ProofsOptions options)
    : client_(client), clock_(clock), options_(std::move(options)) {}

awaitable<Result<>> Proofs::maintain() {
  const kube::ResourceRef collection =
      kube::ResourceRef{.version = "v1", .plural = "secrets"}.in(options_.ns);
  const std::string name = options_.ns + "/" + options_.secret;
  for (int tries = 0; tries < 2; ++tries) {
    auto ref = collection.named(options_.secret);
    const auto found = co_await client_.get(std::move(ref));
    if (found) {
      auto key = key_in(*found, name);
      if (!key) co_return fail(key.error());
      if (!key_.empty() && key_ != *key)
        spdlog::info("the key of admission was changed: what it admitted before does not begin");
      key_ = std::move(*key);
      co_return Result<>{};
    }
    if (found.error().reason != kube::Reason::kNotFound)
      co_return fail(found.error().with_context("the Secret " + name));
    const auto made = new_key();
    if (!made) co_return fail(made.error());
    Object secret{{"apiVersion", "v1"},
                  {"kind", "Secret"},
                  {"type", "Opaque"},
                  {"metadata", Object{{"name", options_.secret}, {"namespace", options_.ns}}},
                  {"data", Object{{"key", kube::base64_encode(*made)}}}};
    auto into = collection;
    const auto created = co_await client_.create(std::move(into), std::move(secret));
    if (!created && created.error().reason != kube::Reason::kAlreadyExists)
      co_return fail(created.error().with_context("cannot keep the key of admission"));
    if (created) spdlog::info("a key of admission was made and kept in the Secret {}", name);
  }
  co_return fail(Errc::kUnavailable, "the Secret " + name + " comes and goes");
}

awaitable<Result<std::string>> Proofs::webhook(std::string plural, std::string kind) {
  auto ref = kube::ResourceRef{.group = "admissionregistration.k8s.io",
                               .version = "v1",
                               .plural = "mutatingwebhookconfigurations"}
                 .named(options_.webhook);
  const auto found = co_await client_.get(std::move(ref));
  if (!found && found.error().reason == kube::Reason::kNotFound)
    co_return fail(Errc::kDenied, "there is no MutatingWebhookConfiguration " + options_.webhook +
                                      ", so that nobody is asked who may create " + kind);
  if (!found)
    co_return fail(Errc::kUnavailable, "cannot read the webhooks: " + found.error().message);
  co_return asking_webhook(*found, options_.ns, options_.service, plural, kind);
}

awaitable<Result<>> Proofs::know_key(std::string id, std::string kind) {
  if (id == key_id(key_)) co_return Result<>{};
  // Another controller may have made another key a moment ago.
  const auto read = co_await maintain();
  if (!read) co_return fail(Errc::kUnavailable, read.error().message);
  if (id == key_id(key_)) co_return Result<>{};
  co_return denied(kind, "the " + bare(kind) +
                             " was admitted with a key that is no longer in the Secret " +
                             options_.ns + "/" + options_.secret);
}

awaitable<Result<std::string>> Proofs::make(Object metadata, std::string ns, ProofSubject subject,
                                            std::string requested_by, std::string requested_as) {
  if (key_.empty()) co_return fail(Errc::kUnavailable, "there is no key of admission yet");
  // The API server does not say who it is: anybody who reaches us can put this question. While the
  // webhook configuration is there, what they get is of no use, since the API server puts its own
  // proof over it; and what is made under one configuration is void under the next.
  auto configuration = co_await webhook(subject.plural, subject.kind);
  if (!configuration) co_return fail(configuration.error());
  Proven what{.ns = std::move(ns),
              .name = std::string(kube::text_at(metadata, "name")),
              .requested_by = std::move(requested_by),
              .requested_as = std::move(requested_as),
              .webhook = std::move(*configuration),
              .spec = std::move(subject.spec)};
  if (what.name.empty()) what.generate_name = generated_from(metadata);
  co_return make_proof(key_, what, clock_.utc());
}

awaitable<Result<>> Proofs::check(Object object, ProofSubject subject) {
  const auto& notes = subject.notes;
  const std::string& kind = subject.kind;
  auto configuration = co_await webhook(subject.plural, subject.kind);
  if (!configuration && configuration.error().code != Errc::kDenied)
    co_return fail(configuration.error());
  if (!configuration) co_return denied(kind, configuration.error().message);
  for (const char* needed : {kAdmitted, kRequestedBy, kRequestedAs})
    if (!notes.contains(needed))
      co_return denied(kind, "the webhook was not asked when this " + bare(kind) +
                                 " was created (it has no " + std::string(needed) + ")");
  const auto proof = read_proof(notes.at(kAdmitted));
  if (!proof) co_return denied(kind, proof.error().message);
  auto known = co_await know_key(proof->key_id, subject.kind);
  if (!known) co_return known;
  Proven what{.ns = std::string(kube::meta(object, "namespace")),
              .name = std::string(kube::meta(object, "name")),
              .requested_by = notes.at(kRequestedBy),
              .requested_as = notes.at(kRequestedAs),
              .webhook = std::move(*configuration),
              .spec = subject.spec};
  if (proves(key_, *proof, what)) co_return Result<>{};
  const auto* metadata = kube::object_at(object, "metadata");
  what.generate_name = metadata == nullptr ? std::string() : generated_from(*metadata);
  const bool generated = what.name.empty() || was_generated(what.name, what.generate_name);
  what.name.clear();
  if (generated && proves(key_, *proof, what)) co_return Result<>{};
  co_return denied(kind, std::string("the proof in ") + kAdmitted + " is not of this " +
                             bare(kind) +
                             ": its name, namespace, spec, or who asked is another, "
                             "or the webhook configuration was made anew since");
}

awaitable<Result<>> Proofs::check_created(Object object, ProofSubject subject) {
  const std::string kind = subject.kind;
  const std::map<std::string, std::string> notes = subject.notes;
  auto checked = co_await check(object, std::move(subject));
  if (!checked) co_return checked;
  const auto proof = read_proof(notes.at(kAdmitted));
  const auto created = kube::parse_time(kube::meta(object, "creationTimestamp"));
  const auto apart = created ? std::chrono::abs(*created - proof->at) : UtcTime::duration::max();
  if (apart > options_.most_apart)
    co_return denied(kind, "the " + bare(kind) + " was created at " +
                               std::string(kube::meta(object, "creationTimestamp")) +
                               ", more than " + std::to_string(options_.most_apart.count()) +
                               " s from its admission at " + kube::format_time(proof->at) +
                               " (if it was created just now, compare the clocks of the nodes)");
  co_return use(*proof, std::string(kube::meta(object, "uid")), kind);
}

awaitable<Result<std::string>> Proofs::make_word(Object object, std::string said_by,
                                                 std::string said_as) {
  if (key_.empty()) co_return fail(Errc::kUnavailable, "there is no key of admission yet");
  std::string plural = "gamedays", kind = "a GameDay";
  auto configuration = co_await webhook(std::move(plural), std::move(kind));
  if (!configuration) co_return fail(configuration.error());
  const ProvenWord what =
      proven_word(object, std::move(*configuration), std::move(said_by), std::move(said_as));
  co_return make_proof(key_, what, clock_.utc());
}

awaitable<Result<Proofs::Said>> Proofs::check_word(Object object) {
  std::string plural = "gamedays", kind = "a GameDay";
  auto configuration = co_await webhook(std::move(plural), std::move(kind));
  if (!configuration) co_return fail(configuration.error());
  const auto notes = notes_of(object);
  for (const char* needed : {kSaid, kSaidBy, kSaidAs})
    if (!notes.contains(needed))
      co_return fail(Errc::kDenied,
                     "nobody knows who wrote it: the webhook was not asked (there is "
                     "no " +
                         std::string(needed) + "). Write it again");
  const auto proof = read_proof(notes.at(kSaid));
  if (!proof) co_return fail(Errc::kDenied, "it is not proven who wrote it. Write it again");
  std::string id = proof->key_id, a_gameday = "a GameDay";
  auto known = co_await know_key(std::move(id), std::move(a_gameday));
  if (!known && known.error().code == Errc::kUnavailable) co_return fail(known.error());
  const ProvenWord what =
      proven_word(object, std::move(*configuration), notes.at(kSaidBy), notes.at(kSaidAs));
  if (!known || !proves(key_, *proof, what))
    co_return fail(
        Errc::kDenied,
        "it is not proven who wrote it: the word, who said it or the GameDay is another, "
        "or the webhook configuration was made anew since. Write it again");
  auto who = read_asker(notes.at(kSaidBy), notes.at(kSaidAs));
  if (!who) co_return fail(who.error());
  co_return Said{.who = std::move(*who), .at = proof->at, .key = proof->mac.substr(0, 32)};
}

Result<> Proofs::use(const Proof& proof, const std::string& uid, const std::string& kind) {
  const SteadyTime now = clock_.steady();
  std::erase_if(used_, [&](const auto& use) { return now - use.second.at > kRememberUse; });
  const auto [first, fresh] = used_.try_emplace(proof.mac, Use{uid, now});
  if (fresh || first->second.uid == uid) return {};
  return denied(kind,
                "its proof of admission was that of another " + bare(kind) + ", which has used it");
}

}  // namespace faultline::controller
