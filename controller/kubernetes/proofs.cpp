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
constexpr const char* kMend =
    ". See that the webhook is there (kubectl apply -k daemonset/), then delete this Experiment "
    "and "
    "create it again";
// What the API server makes of generateName, and how long what it keeps of that is.
constexpr std::size_t kRandomLetters = 5, kMostOfPrefix = 58;

tl::unexpected<Error> denied(const std::string& why) { return fail(Errc::kDenied, why + kMend); }

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

awaitable<Result<std::string>> Proofs::webhook() {
  auto ref = kube::ResourceRef{.group = "admissionregistration.k8s.io",
                               .version = "v1",
                               .plural = "mutatingwebhookconfigurations"}
                 .named(options_.webhook);
  const auto found = co_await client_.get(std::move(ref));
  if (!found && found.error().reason == kube::Reason::kNotFound)
    co_return fail(Errc::kDenied, "there is no MutatingWebhookConfiguration " + options_.webhook +
                                      ", so that nobody is asked who may create an Experiment");
  if (!found)
    co_return fail(Errc::kUnavailable, "cannot read the webhooks: " + found.error().message);
  co_return asking_webhook(*found, options_.ns, options_.service);
}

awaitable<Result<std::string>> Proofs::make(Object metadata, std::string ns,
                                            api::Experiment experiment, std::string requested_by,
                                            std::string requested_as) {
  if (key_.empty()) co_return fail(Errc::kUnavailable, "there is no key of admission yet");
  // The API server does not say who it is: anybody who reaches us can put this question. While the
  // webhook configuration is there, what they get is of no use, since the API server puts its own
  // proof over it; and what is made under one configuration is void under the next.
  auto configuration = co_await webhook();
  if (!configuration) co_return fail(configuration.error());
  Proven what{.ns = std::move(ns),
              .name = std::string(kube::text_at(metadata, "name")),
              .requested_by = std::move(requested_by),
              .requested_as = std::move(requested_as),
              .webhook = std::move(*configuration),
              .spec = proven_spec(experiment)};
  if (what.name.empty()) what.generate_name = generated_from(metadata);
  co_return make_proof(key_, what, clock_.utc());
}

awaitable<Result<>> Proofs::check(Object object, api::Experiment experiment) {
  const auto& notes = experiment.metadata.annotations;
  const auto text = notes.find(kAdmitted);
  auto configuration = co_await webhook();
  if (!configuration && configuration.error().code != Errc::kDenied)
    co_return fail(configuration.error());
  if (!configuration) co_return denied(configuration.error().message);
  for (const char* needed : {kAdmitted, kRequestedBy, kRequestedAs})
    if (!notes.contains(needed))
      co_return denied("the webhook was not asked when this Experiment was created (it has no " +
                       std::string(needed) + ")");
  const auto proof = read_proof(text->second);
  if (!proof) co_return denied(proof.error().message);
  if (proof->key_id != key_id(key_)) {
    // Another controller may have made another key a moment ago.
    const auto read = co_await maintain();
    if (!read) co_return fail(Errc::kUnavailable, read.error().message);
    if (proof->key_id != key_id(key_))
      co_return denied("the Experiment was admitted with a key that is no longer in the Secret " +
                       options_.ns + "/" + options_.secret);
  }
  Proven what{.ns = std::string(kube::meta(object, "namespace")),
              .name = std::string(kube::meta(object, "name")),
              .requested_by = notes.at(kRequestedBy),
              .requested_as = notes.at(kRequestedAs),
              .webhook = std::move(*configuration),
              .spec = proven_spec(experiment)};
  if (proves(key_, *proof, what)) co_return Result<>{};
  const auto* metadata = kube::object_at(object, "metadata");
  what.generate_name = metadata == nullptr ? std::string() : generated_from(*metadata);
  const bool generated = what.name.empty() || was_generated(what.name, what.generate_name);
  what.name.clear();
  if (generated && proves(key_, *proof, what)) co_return Result<>{};
  co_return denied(
      std::string("the proof in ") + kAdmitted +
      " is not of this Experiment: its name, namespace, spec, or who asked is another, "
      "or the webhook configuration was made anew since");
}

awaitable<Result<>> Proofs::check_created(Object object, api::Experiment experiment) {
  auto checked = co_await check(object, experiment);
  if (!checked) co_return checked;
  const auto proof = read_proof(experiment.metadata.annotations.at(kAdmitted));
  const auto created = kube::parse_time(kube::meta(object, "creationTimestamp"));
  const auto apart = created ? std::chrono::abs(*created - proof->at) : UtcTime::duration::max();
  if (apart > options_.most_apart)
    co_return denied("the Experiment was created at " +
                     std::string(kube::meta(object, "creationTimestamp")) + ", more than " +
                     std::to_string(options_.most_apart.count()) + " s from its admission at " +
                     kube::format_time(proof->at) +
                     " (if it was created just now, compare the clocks of the nodes)");
  co_return use(*proof, std::string(kube::meta(object, "uid")));
}

Result<> Proofs::use(const Proof& proof, const std::string& uid) {
  const SteadyTime now = clock_.steady();
  std::erase_if(used_, [&](const auto& use) { return now - use.second.at > kRememberUse; });
  const auto [first, fresh] = used_.try_emplace(proof.mac, Use{uid, now});
  if (fresh || first->second.uid == uid) return {};
  return denied("its proof of admission was that of another Experiment, which has used it");
}

}  // namespace faultline::controller
