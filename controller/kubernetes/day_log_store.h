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
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "controller/kubernetes/run_log_object.h"
#include "controller/routes/signal.h"
#include "controller/store/day_journal.h"
#include "kube/client.h"
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

  awaitable<Result<>> take_over(Give give) override;
  awaitable<Result<>> create(api::GameDayRecord record) override;
  awaitable<Result<>> append(std::string day, std::vector<api::DayEntry> entries) override;
  void close() override;

 private:
  struct Log {
    std::uint64_t next = 1;          // number of the object to come
    std::vector<std::string> names;  // of those that are there, without fences
    std::vector<std::string> fences;
    std::uint64_t generation = 0;  // of the newest that was put together, whole or not
    SteadyTime together{};         // when that was tried
    api::GameDayRecord record;
  };
  struct Over {
    api::Timestamp created;
    std::vector<std::string> parts, others;  // names: what is read, and what goes with it
    std::vector<std::string> late;           // of what was said behind that, by this controller
    std::vector<std::string> fences;
    std::uint64_t next = 2, generation = 0;  // as of Log
    SteadyTime together{};                   // when it was put together, or taken over
  };
  // By day: the objects of the timeline by number, and of what was put together by generation.
  struct Found {
    std::map<std::uint64_t, RunLogObject> open;
    std::map<std::uint64_t, std::map<std::uint64_t, RunLogObject>> over;
  };
  struct AllFound {
    std::map<std::string, Found> days;
    bool strange = false;  // there is an object of which not even the day is known
  };
  // What the objects of one day are.
  struct Taken {
    std::optional<api::GameDayRecord> record;  // as far as it can be read
    std::string broken;                        // why not all of it can; empty: all can
    bool together = false;                     // it is what was put together
    bool late = false;                         // and something was said after that
    Over over;                                 // but for `created`
    std::vector<std::string> open;             // names of the objects of the timeline
  };

  awaitable<Result<AllFound>> read_all();
  // Until it is there. kConflict: another process has written one of this name; kInvalid: it can
  // never be written; kUnavailable: the controller is ending.
  awaitable<Result<>> put(RunLogObject object);
  // Writes an entry of a day. The name of its object; kConflict: another controller has its place.
  awaitable<Result<std::string>> put_entry(std::string day, std::uint64_t number, std::string text);
  // False: somebody wrote in between.
  awaitable<Result<bool>> fence_all(AllFound& found);
  static Taken sort_out(const std::string& day, const Found& objects);
  // Of a day that is over. It is put together again at most once in a while: it may be large, and
  // whoever takes over does it, too.
  awaitable<Result<>> append_late(std::string day, std::vector<api::DayEntry> entries);
  // Reads a day that is over, to put it together with what was said late.
  awaitable<Result<>> open_again(std::string day);
  awaitable<void> put_together(std::string day);
  awaitable<void> remove_all(std::vector<std::string> names);
  awaitable<void> delete_oldest();
  Error displaced(const std::string& what);

  kube::Client client_;
  const Clock& clock_;
  DayLogOptions options_;
  Signal ends_;
  std::map<std::string, Log> logs_;   // of days under way
  std::map<std::string, Over> over_;  // of the others
  bool closed_ = false, told_ = false;
};

}  // namespace faultline::controller
