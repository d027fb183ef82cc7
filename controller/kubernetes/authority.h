// SPDX-License-Identifier: Apache-2.0
// The certificates of the installation: an authority of its own, and what it issues to the
// controller. ECDSA on P-256, SHA-256. Pure but for the random numbers of the keys; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace faultline::controller {

struct KeyPair {
  std::string certificate_pem;  // one certificate
  std::string key_pem;          // PKCS #8, not encrypted
};

// For whom a certificate is good: names as in DNS, addresses as text.
struct Subject {
  std::string common_name;
  std::vector<std::string> dns_names, addresses;
};

struct Validity {
  UtcTime not_before, not_after;
};

// A certificate is good from a quarter of an hour before `now`: clocks of nodes differ.
inline constexpr std::chrono::minutes kClockSkew{15};

// A certificate that may sign others and nothing else (CA:TRUE, path length 0).
[[nodiscard]] Result<KeyPair> make_authority(const std::string& common_name,
                                             std::chrono::seconds valid_for, UtcTime now);
// For a server (serverAuth). Ends no later than the authority does. kInvalid: `authority` is no key
// pair, or an address is none.
[[nodiscard]] Result<KeyPair> issue(const KeyPair& authority, const Subject& subject,
                                    std::chrono::seconds valid_for, UtcTime now);
// kInvalid: no certificate in it.
[[nodiscard]] Result<Validity> validity_of(const std::string& certificate_pem);
// Do key and certificate belong together, and did `authority_pem` sign it? kInvalid says what not.
[[nodiscard]] Result<> check_issued(const KeyPair& pair, const std::string& authority_pem);
// Two thirds of its time are over, or it is not good at all at `now`.
[[nodiscard]] bool is_due(const Validity& validity, UtcTime now);

}  // namespace faultline::controller
