// SPDX-License-Identifier: Apache-2.0
// What an earlier controller left, from the store or from the journal; and leaving it to the next.
#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "controller/kubernetes/status.h"
#include "controller/routes/gamedays.h"

namespace faultline::controller {
namespace {

constexpr std::size_t kPartBytes = 1 << 20;  // of JSON, in an entry of the journal
constexpr std::chrono::seconds kFinishAgain{2};
constexpr std::chrono::milliseconds kLook{20};

}  // namespace

Result<> Service::take_over_stored(const std::string& successor) {
  auto unfinished = store_->unfinished();
  if (!unfinished) return fail(std::move(unfinished.error()));
  for (UnfinishedRun& run : *unfinished) {
    // What the agents had reported counts, of the end too.
    if (auto filled = store_->fill(run.head); !filled) return fail(std::move(filled.error()));
    audited_[run.head.run].marks = run.head.history.size();
    Run taken =
        Run::taken_over(run.head, run.ending, run.last_seen, options_.times, now(), successor);
    const std::string& reason = taken.head().stateReason;
    const bool closing = taken.step() == RunStep::kClosing || taken.over();
    if (closing) causes_[taken.head().run].via = "restart";
    if (closing)
      spdlog::warn("run {}: {}", taken.head().run,
                   reason.empty() ? successor + " at its end" : reason);
    else
      spdlog::info("run {}: {}", taken.head().run, taken.head().history.back().reason);
    if (!closing && taken.head().monitoring) unwatched_.try_emplace(taken.head().run);
    engine_.adopt(std::move(taken));
  }
  publish();
  return {};
}

boost::asio::awaitable<Result<>> Service::take_over() {
  if (taken_over_) co_return Result<>{};
  if (journal_) {
    auto copied = co_await copy_journal();
    if (!copied) co_return copied;
  }
  auto taken = take_over_stored("another controller took over");
  if (taken && day_journal_) taken = gamedays_->take_over();
  if (!taken) co_return taken;
  engine_.begin_term(now());
  taken_over_ = true;
  watch_again();
  complete_ = journal_ == nullptr;
  if (journal_)
    boost::asio::co_spawn(executor_, copy_finished(), [self = shared_from_this()](auto failed) {
      if (failed) std::rethrow_exception(failed);
    });
  if (day_journal_) gamedays_->start();
  co_return Result<>{};
}

boost::asio::awaitable<Result<>> Service::copy_journal() {
  auto clear = [this] { return store_->clear(); };
  auto cleared = co_await store_worker_.run(std::move(clear));
  if (!cleared) co_return cleared;
  std::map<std::string, bool> over;
  Journal::Give keep = [this, &over](api::RunLogEntry entry) {
    if (entry.head) {
      over[entry.head->run] = is_final(entry.head->state);
      gamedays_->note_run(*entry.head);
    }
    return copy_entry(std::move(entry));
  };
  auto copied = co_await journal_->take_over(std::move(keep));
  if (copied && day_journal_) copied = co_await copy_days();
  if (!copied) co_return copied;
  // The one before ended when it had not yet put them together.
  for (const auto& [run, is_over] : over)
    if (is_over) to_finish_.insert(run);
  finish_signal_.notify();
  co_return Result<>{};
}

boost::asio::awaitable<Result<>> Service::copy_days() {
  DayJournal::Give keep = [this](api::GameDayRecord record) -> awaitable<Result<>> {
    Scope scope = scope_of(record.document);
    std::set<std::string> namespaces = std::move(scope.hit);
    namespaces.merge(scope.seen);
    auto insert = [this, record = std::move(record),
                   namespaces = std::move(namespaces)]() -> Result<> {
      api::GameDayRecord head = record;
      head.entries.resize(1);
      auto stored = store_->insert_day(head, namespaces);
      if (!stored || record.entries.size() < 2) return stored;
      const std::vector<api::DayEntry> rest(record.entries.begin() + 1, record.entries.end());
      return store_->append_entries(record.day, rest);
    };
    co_return co_await store_worker_.run(std::move(insert));
  };
  co_return co_await day_journal_->take_over(std::move(keep));
}

boost::asio::awaitable<void> Service::copy_finished() {
  while (!closed_) {
    Journal::Give keep = [this](api::RunLogEntry entry) {
      if (entry.head) gamedays_->note_run(*entry.head);
      return copy_entry(std::move(entry));
    };
    const auto read = co_await journal_->finished(std::move(keep));
    if (read) {
      complete_ = true;
      finish_signal_.notify();
      co_return;
    }
    spdlog::warn("runs that are over cannot be read yet: {}", read.error().message);
    co_await finish_signal_.wait(clock_.steady() + kFinishAgain);
  }
}

boost::asio::awaitable<Result<>> Service::copy_entry(api::RunLogEntry entry) {
  auto copy = [this, entry = std::move(entry)] { return store_->restore(entry); };
  co_return co_await store_worker_.run(std::move(copy));
}

boost::asio::awaitable<Result<std::optional<api::RunLogEntry>>> Service::next_entry(
    std::string run, std::shared_ptr<EntryPlace> place) {
  auto read = [this, run = std::move(run), place] {
    return reader_->next_entry(run, *place, kPartBytes);
  };
  co_return co_await report_worker_.run(std::move(read));
}

// Runs that are over are put together, so that the next controller need not read hundreds of
// entries of each; and once more when something of them arrives late.
boost::asio::awaitable<void> Service::finish_loop() {
  while (!closed_) {
    bool failed = false;
    for (const std::string& run : std::exchange(to_finish_, {})) {
      Journal::Next next = [this, run, place = std::make_shared<EntryPlace>()] {
        return next_entry(run, place);
      };
      const auto done = co_await journal_->finish(run, std::move(next));
      if (closed_) co_return;
      if (done) continue;
      if (done.error().code == Errc::kNotFound) continue;  // deleted meanwhile
      if (done.error().code == Errc::kInvalid) {
        // Trying again would only write again what can be written: its entries stay as they are.
        spdlog::error("run {}: {}", run, done.error().message);
        continue;
      }
      failed = true;
      to_finish_.insert(run);
    }
    if (closed_) co_return;
    if (failed)
      co_await finish_signal_.wait(clock_.steady() + kFinishAgain);
    else if (to_finish_.empty())
      co_await finish_signal_.wait(clock_.steady() + std::chrono::hours(1));
  }
}

boost::asio::awaitable<void> Service::hand_over(std::chrono::milliseconds limit) {
  ending_ = true;
  publish();
  const SteadyTime until = clock_.steady() + limit;
  while (!engine_.unsaved().empty() && store_error_.empty() && clock_.steady() < until)
    co_await event_signal_.wait(clock_.steady() + kLook);
  if (journal_) journal_->close();
  if (day_journal_) day_journal_->close();
}

// Empty: here. Else the answer that says where.
std::optional<http::Response> Service::elsewhere(std::uint64_t known_term) const {
  if (!leadership_) return std::nullopt;
  const Leadership now = leadership_();
  const bool outdated = known_term > now.term;
  if (now.leads && taken_over_ && !outdated) return std::nullopt;
  http::Response response = http::problem(
      421, outdated ? "a later leader has been seen"
           : now.leads
               ? "this controller leads since a moment, and still reads what the one before "
                 "left"
               : "another controller leads");
  response.headers["Retry-After"] = "1";
  if (now.leads || now.leader.empty()) return response;
  boost::json::object body = boost::json::parse(response.body).as_object();
  body["leader"] = now.leader;
  if (!now.address.empty()) body["leaderAddress"] = now.address;
  response.body = boost::json::serialize(body);
  return response;
}

}  // namespace faultline::controller
