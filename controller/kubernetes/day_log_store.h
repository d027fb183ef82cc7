// SPDX-License-Identifier: Apache-2.0
// The journal of game days in the API server, that is in the cluster's etcd: objects of the kind
// RunLog (run_log_object.h) with a label of their own. What was written of a day at one moment is
// one object that never changes; its name says day and number, so that of two controllers who write
// the same one the second is told. A controller that takes over writes a fence where the one before
// would write next: nothing of that one comes into being afterwards. A day that is over is put
// together into few objects, of which the oldest are deleted. Decisions 0019 and 0035. Not
// thread-safe.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "controller/store/day_journal.h"
#include "kube/config.h"

namespace faultline::controller {

struct DayLogOptions {
  std::string ns;              // where the objects are
  std::string writer;          // unlike that of every other process, also of an earlier self
  std::size_t most_over = 50;  // days that are over, kept
  std::chrono::milliseconds try_again{500};
  // Somebody else writes our days: there is another leader. Called once.
  std::function<void(const std::string& who)> displaced;
};

class DayLogStore final : public DayJournal {
 public:
  // `clock` outlives it.
  DayLogStore(boost::asio::any_io_executor executor, kube::Config config, const Clock& clock,
              DayLogOptions options);
  ~DayLogStore() override;

  awaitable<Result<>> take_over(Give give) override;
  awaitable<Result<>> create(api::GameDayRecord record) override;
  awaitable<Result<>> append(std::string day, std::vector<api::DayEntry> entries) override;
  void close() override;

 private:
  class Impl;  // day_log_impl.h
  std::shared_ptr<Impl> impl_;
};

}  // namespace faultline::controller
