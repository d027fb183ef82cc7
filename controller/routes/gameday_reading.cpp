// SPDX-License-Identifier: Apache-2.0
// Days that somebody looks at: in memory where they are under way, else as the store has them; and
// the memory that answers take.
#include "controller/routes/gamedays.h"

namespace faultline::controller {

using gameday::Day;

namespace {

tl::unexpected<Error> no_day(const std::string& day) {
  return fail(Errc::kNotFound, "there is no game day " + day);
}

}  // namespace

const Day* Service::GameDays::in_memory(const std::string& day) const {
  const auto found = days_.find(day);
  return found == days_.end() ? nullptr : &found->second->day;
}

std::optional<DayRef> Service::GameDays::ref_in_memory(const std::string& day) const {
  const auto found = days_.find(day);
  if (found == days_.end()) return std::nullopt;
  const api::GameDayRecord& record = found->second->day.record();
  DayRef ref{.namespaces = found->second->namespaces};
  ref.summary = {.day = record.day,
                 .name = record.document.metadata.name,
                 .namespace_ = record.document.metadata.namespace_,
                 .title = record.document.spec.title,
                 .createdAt = {std::chrono::floor<std::chrono::microseconds>(
                     record.entries.front().at.value)}};
  return ref;
}

// Whoever makes a day has it in the store before the journal has taken it.
bool Service::GameDays::is_there(const DayRef& ref) const {
  const api::DayState state = ref.summary.state;
  return state == api::DayState::completed || state == api::DayState::aborted ||
         state == api::DayState::failed || days_.contains(ref.summary.day);
}

// Of those that are over only the last one is kept: whoever reads many must not fill the memory.
boost::asio::awaitable<Result<std::shared_ptr<const Day>>> Service::GameDays::find(
    std::string day) {
  const auto under_way = [this, &day]() -> std::shared_ptr<const Day> {
    const auto found = days_.find(day);
    if (found == days_.end()) return nullptr;
    return {found->second, &found->second->day};
  };
  constexpr std::chrono::seconds kLook{1};
  while (true) {
    if (auto found = under_way()) co_return found;
    if (read_ && read_->record().day == day) co_return read_;
    if (!reading_.contains(day)) break;  // else somebody reads it for all
    co_await answered_.wait(service_.clock_.steady() + kLook);
  }
  struct Reading {
    GameDays& all;
    const std::string& day;
    ~Reading() {
      all.reading_.erase(day);
      all.answered_.notify();
    }
  } reading{*this, day};
  reading_.insert(day);
  using Read = Result<std::shared_ptr<const Day>>;
  auto load = [day](Store& store) -> Read {
    auto record = store.load_day(day);
    if (!record) return fail(record.error());
    return std::make_shared<const Day>(std::move(*record));
  };
  auto loaded = co_await looks_.read(std::move(load));
  if (auto found = under_way()) co_return found;  // somebody said something of it meanwhile
  if (loaded && !(*loaded)->over()) co_return no_day(day);  // it is being made, or was in vain
  if (loaded) read_ = *loaded;
  co_return loaded;
}

boost::asio::awaitable<Result<std::shared_ptr<void>>> Service::GameDays::room_for(
    std::size_t bytes) {
  constexpr std::chrono::seconds kPatience{8};
  const SteadyTime until = service_.clock_.steady() + kPatience;
  while (answering_ != 0 && answering_ + bytes > kMostAnswering) {
    if (stopped_ || service_.clock_.steady() >= until)
      co_return fail(Errc::kUnavailable,
                     "too many answers about game days are being made; ask again in a moment");
    co_await answered_.wait(until);
  }
  answering_ += bytes;
  auto give_back = [self = service_.shared_from_this(), this, bytes](void*) {
    answering_ -= bytes;
    answered_.notify();
  };
  co_return std::shared_ptr<void>(nullptr, std::move(give_back));
}

boost::asio::awaitable<Result<Service::GameDays::Shared>> Service::GameDays::active_of(
    std::string day) {
  if (const auto found = days_.find(day); found != days_.end()) co_return found->second;
  // Its maker drives it as soon as it is stored: the copy that is here already is not to be driven
  // by somebody else.
  const auto being_made = [this, &day] { return made_now_.contains(day); };
  const Error not_yet{Errc::kUnavailable, "the game day " + day + " is being made; ask again"};
  if (being_made()) co_return fail(not_yet);
  auto load = [day](Store& store) { return store.load_day(day); };
  auto record = co_await looks_.read(std::move(load));
  if (!record) co_return fail(record.error());
  if (being_made()) co_return fail(not_yet);
  // Another one may have read it meanwhile.
  if (const auto found = days_.find(day); found != days_.end()) co_return found->second;
  auto active = std::make_shared<Active>(std::move(*record), service_.executor_);
  // It is being made, or was in vain: it must not be driven twice, nor without its journal.
  if (!active->day.over()) co_return no_day(day);
  if (read_ && read_->record().day == day) read_.reset();
  days_[day] = active;
  spawn(drive(active));
  co_return active;
}

}  // namespace faultline::controller
