// SPDX-License-Identifier: Apache-2.0
// The proof that the webhook was asked about an Experiment: time, key and HMAC-SHA256, in an
// annotation that only a holder of the key can write. Pure and thread-safe.
#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <string>
#include <vector>

#include "api/experiment.h"
#include "base/clock.h"
#include "base/result.h"

namespace faultline::controller {

// All are written by the webhook, whatever a person writes there.
inline constexpr const char* kRequestedBy = "faultline.dev/requested-by";  // the user's name
inline constexpr const char* kRequestedAs = "faultline.dev/requested-as";  // the rest: Asker
inline constexpr const char* kAdmitted = "faultline.dev/admitted";

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

// "2026-11-26T14:00:00.123456Z 5f1d2c3b 9e0a..."
[[nodiscard]] std::string make_proof(const std::string& key, const Proven& what, UtcTime at);

struct Proof {
  UtcTime at;
  std::string key_id, mac;
};
// kDenied: it does not have that form.
[[nodiscard]] Result<Proof> read_proof(const std::string& text);
[[nodiscard]] bool proves(const std::string& key, const Proof& proof, const Proven& what);
// Tells keys apart, and nothing of what is in them.
[[nodiscard]] std::string key_id(const std::string& key);

// The uid of a MutatingWebhookConfiguration by which the API server asks us about every Experiment
// that is made or changed, and keeps none if we do not answer. kDenied: it has been changed into
// one that lets some pass.
[[nodiscard]] Result<std::string> asking_webhook(const boost::json::object& configuration,
                                                 const std::string& ns, const std::string& service);

}  // namespace faultline::controller
