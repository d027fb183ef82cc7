// SPDX-License-Identifier: Apache-2.0
// How the controller is reached, which may change while a command works: a port-forward breaks, a
// token runs out, another controller leads. Not thread-safe.
#pragma once

#include <chrono>
#include <string>

#include "http/client.h"

namespace faultline::cli {

class Way {
 public:
  virtual ~Way() = default;
  // For the next request. May wait while a way is made. A signal ends the wait (kUnavailable).
  [[nodiscard]] virtual Result<http::ClientOptions> options() = 0;
  // A request got no answer. Returns whether the next options() are another way.
  virtual bool broken() = 0;
  // The answer was 421: `leader` is the pod that leads, or empty when nobody knows. Returns whether
  // the next options() may lead there.
  virtual bool elsewhere(const std::string& leader) = 0;
  // How long a controller may be out of reach before a command that follows a run gives up.
  [[nodiscard]] virtual std::chrono::milliseconds patience() const = 0;
};

// An address that somebody gave.
class FixedWay final : public Way {
 public:
  explicit FixedWay(http::ClientOptions options) : options_(std::move(options)) {}
  Result<http::ClientOptions> options() override { return options_; }
  bool broken() override { return false; }
  bool elsewhere(const std::string&) override { return false; }
  [[nodiscard]] std::chrono::milliseconds patience() const override {
    return std::chrono::seconds(15);
  }

 private:
  http::ClientOptions options_;
};

// `leader` of a problem document; empty: it has none.
[[nodiscard]] std::string leader_of(const std::string& problem);

}  // namespace faultline::cli
