// SPDX-License-Identifier: Apache-2.0
// One webhook or Grafana that is told of runs. Not thread-safe; one message at a time.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <string>

#include "api/monitoring_config.h"
#include "controller/announce/words.h"

namespace faultline::controller::announce {

class Destination {
 public:
  Destination(boost::asio::any_io_executor executor, api::EventDestination config)
      : executor_(std::move(executor)), config_(std::move(config)) {}

  // Sends it once. Of a run that is over, the annotation of its begin gets an end; where that is
  // not known any more there is a new one. Errors, without the address, which may be a secret:
  // kUnavailable (no connection, time-out, 5xx, 429), kDenied (401, 403), else kInvalid.
  [[nodiscard]] boost::asio::awaitable<Result<>> tell(const Announcement& what);
  [[nodiscard]] const api::EventDestination& config() const { return config_; }
  // `before` was this destination under another configuration.
  void known(Destination& before) { annotations_ = std::move(before.annotations_); }

 private:
  [[nodiscard]] boost::asio::awaitable<Result<>> annotate(const Announcement& what);
  // The body of the answer.
  [[nodiscard]] boost::asio::awaitable<Result<std::string>> send(std::string method,
                                                                 std::string path,
                                                                 std::string body);
  boost::asio::any_io_executor executor_;
  api::EventDestination config_;
  std::map<std::string, std::int64_t> annotations_;  // of runs under way, by run
};

// Another try may do better.
[[nodiscard]] bool worth_another_try(const Error& error);

}  // namespace faultline::controller::announce
