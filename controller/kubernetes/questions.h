// SPDX-License-Identifier: Apache-2.0
// What a question to the webhooks may cost before anything is decided: bytes, memory, how many at
// once and how many reviews a second (docs/decisions/0021-door-budgets.md). The API server need not
// say who it is, so that anybody may ask. Not thread-safe; parsing is done on a worker.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/rates.h"
#include "base/result.h"
#include "controller/routes/turns.h"
#include "controller/store/worker.h"
#include "http/server.h"

namespace faultline::controller {

struct QuestionOptions {
  // Not empty: only who shows a client certificate with this common name, of the authority of the
  // cluster's clients, may ask.
  std::string client_name;
  Worker* worker = nullptr;  // parses, and outlives this; null: parsed where it is asked
};

class Questions {
 public:
  Questions(const Clock& clock, QuestionOptions options);

  // An AdmissionReview holds the object twice when it is changed, each with its spec, the
  // annotation of `kubectl apply` that repeats it, and managedFields.
  static constexpr std::size_t kMostBytes = 1 << 20;
  static constexpr std::size_t kMostMemory = 8 << 20;  // of what is parsed, bytes
  static constexpr std::size_t kMostUnderWay = 4, kMostWaiting = 256;
  // Under way or waiting: whoever asks without end fills his own share and not the API server's.
  // Of several addresses each has its turn (controller/routes/turns.h).
  static constexpr std::size_t kMostOfAddress = 24;
  static constexpr double kReviewsAtOnce = 640, kReviewsPerSecond = 64;  // of one asker

  // For the routes of the webhooks.
  [[nodiscard]] http::RouteOptions route() const;

  struct Question {
    boost::json::object request;  // of the AdmissionReview, with a uid
    std::shared_ptr<void> turn;   // another one begins when this one ends
  };
  // Waits for its turn, then parses. `from`: address and port. Errors: kInvalid, no AdmissionReview
  // within the limits; kUnavailable, too many.
  boost::asio::awaitable<Result<Question>> open(std::string review, std::string from);

 private:
  const Clock& clock_;
  QuestionOptions options_;
  Turns turns_;
  Rates reviews_;
};

}  // namespace faultline::controller
