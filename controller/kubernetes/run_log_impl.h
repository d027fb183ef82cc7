// SPDX-License-Identifier: Apache-2.0
// What RunLogStore is made of. run_log_write.cpp has the writing in order, run_log_store.cpp taking
// over and putting together. Internal.
#pragma once

#include <deque>
#include <map>
#include <set>

#include "controller/kubernetes/run_log_fit.h"
#include "controller/kubernetes/run_log_object.h"
#include "controller/kubernetes/run_log_store.h"
#include "controller/routes/signal.h"
#include "kube/client.h"

namespace faultline::controller {

struct RunLogStore::Impl : std::enable_shared_from_this<RunLogStore::Impl> {
  template <class T>
  using awaitable = boost::asio::awaitable<T>;
  using Instance = std::pair<std::string, std::string>;  // node, instance
  static constexpr std::chrono::milliseconds kTryAgain{500};

  struct Waiting {
    api::LoggedBatch batch;
    std::size_t bytes = 0;  // of its JSON
  };
  struct Log {
    std::uint64_t next = 1;          // number of the entry to come
    std::vector<std::string> names;  // of the objects that are there, without fences
    std::optional<api::RunRecord> head;
    std::optional<api::RunState> ending;
    std::uint64_t asked = 0, written = 0;  // versions of the head
    std::deque<Waiting> batches;
    std::size_t bytes = 0;        // of `batches` and of the entry that is being written
    std::optional<api::Gap> gap;  // what was left out; goes into each head
    std::uint64_t left_out = 0;
    SteadyTime due;
    std::optional<SteadyTime> since;  // when the oldest that is not written came
    bool over = false;                // its last head is told: what comes now goes into finish()
    bool finishing = false;           // nothing is written any more
    bool writing = false;
    [[nodiscard]] bool waits() const { return head || !batches.empty(); }
  };

  Impl(boost::asio::any_io_executor ex, kube::Config config, const Clock& time,
       RunLogOptions given);

  [[nodiscard]] kube::ResourceRef all() const { return run_logs().in(options.ns); }

  // ---- one object
  enum class Put {
    kDone,
    kOther,    // another process has written this entry
    kRefused,  // it can never be written: too large, or not valid
    kNotYet
  };
  awaitable<Put> put(RunLogObject entry);
  awaitable<Result<>> remove_all(std::vector<std::string> names);
  void displaced(const std::string& by);

  // ---- writing in order, each run on its own
  void wake(const std::string& run);
  awaitable<void> drain(std::string run);
  awaitable<void> write_one(std::string run);
  void leave_out(Log& log, const std::string& run, std::size_t how_much, const std::string& why);
  void settled(const api::LoggedBatch& batch);

  // ---- reading
  // Gives all objects of a kind, page by page.
  awaitable<Result<>> list(std::string kind, std::function<void(RunLogObject)> give);
  // False: somebody wrote in between.
  awaitable<Result<bool>> fence(std::string run, std::uint64_t number);
  awaitable<Result<>> read_parts(std::string run, std::vector<std::string> names, Give give);
  awaitable<Result<>> write_parts(std::string run, std::uint64_t generation, Next next,
                                  std::vector<std::string>& written,
                                  std::vector<api::LoggedBatch>& had);

  boost::asio::any_io_executor executor;
  kube::Client client;
  const Clock& clock;
  RunLogOptions options;
  Signal done;                      // something was written, or failed
  Signal ends;                      // only close()
  std::map<std::string, Log> logs;  // of runs that are not finished
  std::map<std::string, std::pair<std::uint64_t, std::vector<std::string>>>
      finished;                                                // by run: generation and names
  std::map<std::string, std::vector<std::string>> fences;      // by run: names
  std::map<std::string, std::vector<std::string>> left_overs;  // entries without a beginning
  std::map<Instance, std::set<std::uint64_t>> pending;
  std::string last_error;
  std::size_t waiting_bytes = 0;
  std::uint64_t left_out = 0;
  bool closed = false, displaced_told = false, leads = false, knows_finished = false;
};

}  // namespace faultline::controller
