// SPDX-License-Identifier: Apache-2.0
// Requests that are meant to harm a controller. Each is sent on a connection of its own, with TLS,
// and whatever comes back is only counted: what counts is how the controller fares.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "http/client.h"

namespace faultline::test {

struct Target {
  std::uint16_t port = 0;
  http::ClientTls tls;
  std::string person_token, agent_token;
};

struct Hostile {
  std::string name;
  // Sends the `number`th of them, and waits for an answer at most `Client`'s time-out. The status,
  // or 0 where none came.
  std::function<int(const Target&, int number)> send;
};

// Of every kind.
std::vector<Hostile> hostile_requests();

// Bytes through TLS, blocking, for what no HTTP client would send. Thread-safe as one object of its
// own each.
class RawTls {
 public:
  explicit RawTls(const Target& target);  // connects; see good()
  ~RawTls();
  RawTls(const RawTls&) = delete;
  RawTls& operator=(const RawTls&) = delete;
  [[nodiscard]] bool good() const;
  bool send(const std::string& bytes);
  // The status of the answer's first line, 0: none within `limit`.
  int status(std::chrono::milliseconds limit = std::chrono::seconds(2));

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace faultline::test
