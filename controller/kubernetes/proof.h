// SPDX-License-Identifier: Apache-2.0
// The proof that the webhook was asked about an Experiment: time, key and HMAC-SHA256, in an
// annotation that only a holder of the key can write. Pure and thread-safe.
#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <string>
#include <vector>

#include "api/experiment.h"
#include "api/gameday.h"
#include "base/clock.h"
#include "base/result.h"

namespace faultline::controller {

// All are written by the webhook, whatever a person writes there.
inline constexpr const char* kRequestedBy = "faultline.dev/requested-by";  // the user's name
inline constexpr const char* kRequestedAs = "faultline.dev/requested-as";  // the rest: Asker
inline constexpr const char* kAdmitted = "faultline.dev/admitted";
// Of a GameDay: what somebody says on it, which a person writes; who that was, and the proof.
inline constexpr const char* kDayWord = "faultline.dev/gameday-do";
inline constexpr const char* kSaidBy = "faultline.dev/gameday-said-by";
inline constexpr const char* kSaidAs = "faultline.dev/gameday-said-as";
inline constexpr const char* kSaid = "faultline.dev/gameday-said";
// Of a GameDay, "true": nobody is there. Written when it is created, and proven with its spec.
inline constexpr const char* kUnattended = "faultline.dev/gameday-unattended";

// What an authorizer is asked with of who asked, so that it can be asked again when the run begins.
struct Asker {
  std::string user, uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
};
// JSON without the user's name, the same for the same asker. Errors: kInvalid, longer than
// kLongestAsker.
[[nodiscard]] Result<std::string> write_asker(const Asker& asker);
// kDenied: no text of write_asker().
[[nodiscard]] Result<Asker> read_asker(const std::string& user, const std::string& text);
inline constexpr std::size_t kLongestAsker = 32 << 10;  // bytes; annotations have 256 KiB in all

// Shorter keys are refused.
inline constexpr std::size_t kProofKeyBytes = 32;

// What is proven. A change of any of these makes the proof void.
struct Proven {
  std::string ns, name;
  std::string generate_name;  // instead of a name: the API server had not yet made one of it
  std::string requested_by, requested_as;  // the annotations
  std::string webhook;  // uid of the webhook configuration by which the API server asked
  // The parsed spec written again, so that what the API server fills in, and how somebody formats a
  // number or a duration, makes no difference.
  std::string spec;
};
[[nodiscard]] std::string proven_spec(const api::Experiment& experiment);
// Of a GameDay also what its annotations say of how it is done. No text of an Experiment is one of
// a GameDay.
[[nodiscard]] std::string proven_spec(const api::GameDay& day);

// What of an object is asked about: its kind ("an Experiment"), its spec and its annotations.
struct ProofSubject {
  std::string kind, plural;
  std::string spec;
  std::map<std::string, std::string> notes;
};
[[nodiscard]] ProofSubject subject_of(const api::Experiment& experiment);
[[nodiscard]] ProofSubject subject_of(const api::GameDay& day);

// What is proven of a word on a game day.
struct ProvenWord {
  std::string ns, name, uid;  // of the GameDay
  std::string word;           // the annotation
  std::string said_by, said_as, webhook;
};

// "2026-11-26T14:00:00.123456Z 5f1d2c3b 9e0a..."
[[nodiscard]] std::string make_proof(const std::string& key, const Proven& what, UtcTime at);
[[nodiscard]] std::string make_proof(const std::string& key, const ProvenWord& what, UtcTime at);

struct Proof {
  UtcTime at;
  std::string key_id, mac;
};
// kDenied: it does not have that form.
[[nodiscard]] Result<Proof> read_proof(const std::string& text);
[[nodiscard]] bool proves(const std::string& key, const Proof& proof, const Proven& what);
[[nodiscard]] bool proves(const std::string& key, const Proof& proof, const ProvenWord& what);
// Tells keys apart, and nothing of what is in them.
[[nodiscard]] std::string key_id(const std::string& key);

// The uid of a MutatingWebhookConfiguration by which the API server asks us about every object of
// this kind that is made or changed, and keeps none if we do not answer. kDenied: it has been
// changed into one that lets some pass.
[[nodiscard]] Result<std::string> asking_webhook(const boost::json::object& configuration,
                                                 const std::string& ns, const std::string& service,
                                                 const std::string& plural = "experiments",
                                                 const std::string& kind = "an Experiment");

}  // namespace faultline::controller
