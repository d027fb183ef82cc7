// SPDX-License-Identifier: Apache-2.0
// Asks the API server who somebody is and what they may do, and remembers for a moment. Not
// thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <compare>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "kube/client.h"

namespace faultline::kube {

struct Identity {
  bool authenticated = false;
  std::string user, uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
  std::vector<std::string> audiences;  // those of the question that the token is for
  std::string error;                   // why not, when the server says it
};

struct AccessQuestion {
  std::string user, uid;  // uid: may be empty
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
  std::string verb;             // "create"
  std::string group, resource;  // "faultline.dev", "experiments"
  std::string subresource;      // or empty
  std::string ns;               // empty: in all namespaces, or a cluster-wide kind
  std::string name;             // empty: any
  friend auto operator<=>(const AccessQuestion&, const AccessQuestion&) = default;
};
struct Access {
  bool allowed = false;
  std::string reason;  // of the authorizer; may be empty
};

struct ReviewOptions {
  // How long a yes and a no are remembered. A right that was taken away holds on for `positive`.
  // Failures to ask are never remembered.
  std::chrono::milliseconds positive{10'000};
  std::chrono::milliseconds negative{2'000};
  std::size_t entries = 4096;  // of each kind
};

// The question and answer as the API writes them. Pure.
[[nodiscard]] boost::json::object token_review(const std::string& token,
                                               const std::vector<std::string>& audiences);
[[nodiscard]] Identity identity_of(const boost::json::object& review,
                                   const std::vector<std::string>& audiences);
[[nodiscard]] boost::json::object access_review(const AccessQuestion& question);
[[nodiscard]] Access access_of(const boost::json::object& review);

class Reviews {
 public:
  // `client` and `clock` must outlive it.
  Reviews(Client& client, const Clock& clock, ReviewOptions options = {});
  ~Reviews();
  Reviews(const Reviews&) = delete;
  Reviews& operator=(const Reviews&) = delete;

  // `audiences` must not be empty: a token that is good for the API server must not be good for us.
  // A token for none of them is not authenticated. Tokens are kept as keyed hashes only.
  [[nodiscard]] boost::asio::awaitable<Answer<Identity>> authenticate(
      std::string token, std::vector<std::string> audiences);
  // An error is not a no: the server could not be asked.
  [[nodiscard]] boost::asio::awaitable<Answer<Access>> authorize(AccessQuestion question);

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace faultline::kube
