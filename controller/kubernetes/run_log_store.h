// SPDX-License-Identifier: Apache-2.0
// The journal of runs in the API server, that is in the cluster's etcd. Each run is written on its
// own, in order, so that none waits for another: whatever came for it since its last entry goes
// into the next, at most five times a second, so that the number of nodes makes entries larger, not
// more. docs/decisions/0019-runs-in-etcd.md, sizes: 0024-store-and-journal-sizes.md.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "controller/store/journal.h"
#include "kube/config.h"

namespace faultline::controller {

struct RunLogOptions {
  std::string ns;      // where the objects are
  std::string writer;  // unlike that of every other process, also of an earlier self
  std::chrono::milliseconds every{200};  // between two entries of a run, at least
  // Bytes of JSON that wait to be written: of all runs, and of one. 0024-store-and-journal-sizes.md
  std::size_t most_waiting = 64 << 20, most_waiting_of_run = 16 << 20;
  // Somebody else writes our runs: there is another leader. Called once.
  std::function<void(const std::string& who)> displaced;
};

class RunLogStore final : public Journal {
 public:
  // `clock` outlives it.
  RunLogStore(boost::asio::any_io_executor executor, kube::Config config, const Clock& clock,
              RunLogOptions options);
  ~RunLogStore() override;

  awaitable<Result<>> take_over(Give give) override;
  awaitable<Result<>> finished(Give give) override;
  awaitable<Result<>> create(api::RunRecord head) override;
  awaitable<bool> update(api::RunRecord head, std::optional<api::RunState> ending) override;
  void append(const std::string& node, const std::string& instance,
              const std::vector<api::NumberedBatch>& batches, UtcTime now) override;
  awaitable<std::uint64_t> acked(std::string node, std::string instance, std::uint64_t highest,
                                 SteadyTime until) override;
  awaitable<Result<>> finish(std::string run, Next next) override;
  awaitable<Result<>> remove(std::string run) override;
  [[nodiscard]] JournalState state() const override;
  void close() override;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace faultline::controller
