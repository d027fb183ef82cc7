// SPDX-License-Identifier: Apache-2.0
// One of many leads, by a Lease (coordination.k8s.io/v1), as client-go does it and together with
// it. The clocks of the candidates need not agree: a lease has expired when it did not change for
// its duration on the clock of who looks. Not thread-safe.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "kube/client.h"

namespace faultline::kube {

struct LeaderOptions {
  std::string ns, name;  // of the Lease; made when it is not there
  std::string identity;  // unlike that of every other candidate, also of an earlier self
  // What a holder promises: others wait for so long after its last sign of life. Whole seconds.
  std::chrono::seconds lease_duration{15};
  // A holder that could not renew for so long has stopped leading. Less than `lease_duration`.
  std::chrono::milliseconds renew_deadline{10'000};
  std::chrono::milliseconds retry_period{2'000};  // between tries, of holders and candidates
};

struct LeaderHandlers {
  std::function<void()> started;                         // we lead
  std::function<void()> stopped;                         // no more; also from stop()
  std::function<void(const std::string& who)> observed;  // another leader, or us; "" for nobody
};

// A Lease as its spec says.
struct LeaseRecord {
  std::string holder;
  std::chrono::seconds duration{0};
  std::string acquired, renewed;  // MicroTime
  std::int64_t transitions = 0;
  friend bool operator==(const LeaseRecord&, const LeaseRecord&) = default;
};
[[nodiscard]] LeaseRecord lease_record(const boost::json::object& lease);

// Whether a lease may be taken. Pure.
class LeaseView {
 public:
  // What the server said at `now`.
  void observe(const LeaseRecord& record, SteadyTime now);
  // Free, or expired on our own clock.
  [[nodiscard]] bool takable(SteadyTime now) const;
  [[nodiscard]] const LeaseRecord& record() const { return record_; }

 private:
  LeaseRecord record_;
  std::optional<SteadyTime> changed_;
};

class LeaderElector {
 public:
  // `clock` must outlive it. Handlers are called on the executor; they may stop or destroy it. It
  // has connections of its own, on which no answer is waited for longer than it helps.
  LeaderElector(boost::asio::any_io_executor executor, Config config, const Clock& clock,
                LeaderOptions options, LeaderHandlers handlers);
  // As stop_now().
  ~LeaderElector();
  LeaderElector(const LeaderElector&) = delete;
  LeaderElector& operator=(const LeaderElector&) = delete;

  // kInvalid: durations that cannot work, an empty name.
  Result<> start();
  // Stops leading, calls `stopped`, and gives the lease back, so that the next one need not wait.
  // An error when that could not be told to the server: then others wait for the lease to expire.
  [[nodiscard]] boost::asio::awaitable<Result<>> stop();
  // The same without telling the server.
  void stop_now();

  // Asks the clock too: false as soon as the renew deadline has passed, also when this process was
  // stopped meanwhile and no handler has run yet. Ask before each thing that only a leader may do.
  [[nodiscard]] bool leads() const;
  // Grows with each change of holder: what a follower has seen of an older leader can be told from
  // it. 0 until the lease was seen.
  [[nodiscard]] std::int64_t transitions() const;
  [[nodiscard]] const std::string& holder() const;
  [[nodiscard]] const std::string& last_error() const;  // empty after a success

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace faultline::kube
