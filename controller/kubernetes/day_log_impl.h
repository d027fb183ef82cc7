// SPDX-License-Identifier: Apache-2.0
// The inside of DayLogStore, for its own sources only. What puts days together keeps it alive.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controller/kubernetes/day_log_store.h"
#include "controller/kubernetes/run_log_object.h"
#include "controller/routes/signal.h"
#include "kube/client.h"

namespace faultline::controller {

class DayLogStore::Impl : public std::enable_shared_from_this<DayLogStore::Impl> {
 public:
  Impl(boost::asio::any_io_executor executor, kube::Config config, const Clock& clock,
       DayLogOptions options);

  // As DayJournal has them.
  awaitable<Result<>> take_over(Give give);
  awaitable<Result<>> create(api::GameDayRecord record);
  awaitable<Result<>> append(std::string day, std::vector<api::DayEntry> entries);
  void close();

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
  awaitable<Result<>> append_entries(std::string day, std::vector<api::DayEntry> entries);
  // Of a day that is over.
  awaitable<Result<>> append_late(std::string day, std::vector<api::DayEntry> entries);
  // Makes a day that is over small, beside all else. It may take long; that it fails is no harm.
  void begin_to_tidy(const std::string& day);
  awaitable<void> tidy(std::string day);
  // Until no entry of the day is on its way.
  awaitable<void> wait_for_entries(std::string day);
  // Reads a day that is over, to put it together with what was said late.
  awaitable<Result<>> open_again(std::string day);
  awaitable<void> put_together(std::string day);
  awaitable<void> remove_all(std::vector<std::string> names);
  awaitable<void> delete_oldest();
  Error displaced(const std::string& what);

  boost::asio::any_io_executor executor_;
  kube::Client client_;
  const Clock& clock_;
  DayLogOptions options_;
  Signal ends_, written_;
  std::map<std::string, Log> logs_;   // of days under way
  std::map<std::string, Over> over_;  // of the others
  std::set<std::string> writing_;     // days of which entries are on their way: append()
  std::set<std::string> tidying_;     // days that are being put together: tidy()
  bool closed_ = false, told_ = false;
};

}  // namespace faultline::controller
