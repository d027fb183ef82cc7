// SPDX-License-Identifier: Apache-2.0
#include "kube/leader.h"

#include <spdlog/spdlog.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <random>

#include "kube/json.h"
#include "kube/times.h"

namespace faultline::kube {
namespace asio = boost::asio;
namespace json = boost::json;
using asio::awaitable;
using std::chrono::milliseconds;

LeaseRecord lease_record(const json::object& lease) {
  LeaseRecord record;
  const json::object* spec = object_at(lease, "spec");
  if (spec == nullptr) return record;
  record.holder = text_at(*spec, "holderIdentity");
  record.duration = std::chrono::seconds(number_at(*spec, "leaseDurationSeconds").value_or(0));
  record.acquired = text_at(*spec, "acquireTime");
  record.renewed = text_at(*spec, "renewTime");
  record.transitions = number_at(*spec, "leaseTransitions").value_or(0);
  return record;
}

void LeaseView::observe(const LeaseRecord& record, SteadyTime now) {
  if (changed_ && record == record_) return;
  record_ = record;
  changed_ = now;
}

bool LeaseView::takable(SteadyTime now) const {
  if (!changed_) return false;
  return record_.holder.empty() || now >= *changed_ + record_.duration;
}

struct LeaderElector::Impl : std::enable_shared_from_this<LeaderElector::Impl> {
  Impl(asio::any_io_executor ex, Config config, const Clock& cl, LeaderOptions o, LeaderHandlers h)
      : executor(ex),
        client(ex, std::move(config), quick(o)),
        clock(cl),
        options(std::move(o)),
        handlers(std::move(h)),
        deadline(ex),
        random(std::random_device{}()) {}

  // After a request that hangs there is time for another one.
  static ClientSettings quick(const LeaderOptions& options) {
    ClientSettings settings;
    settings.request_timeout = std::max(options.renew_deadline / 2, milliseconds(100));
    settings.connect_timeout = settings.request_timeout;
    settings.tries = 1;
    return settings;
  }
  [[nodiscard]] ResourceRef ref() const { return leases().in(options.ns).named(options.name); }
  [[nodiscard]] bool leads() const {
    return leading && clock.steady() < renewed_at + options.renew_deadline;
  }

  void stop_leading(const char* why) {
    deadline.cancel();
    if (!std::exchange(leading, false)) return;
    spdlog::info("{} leads no more: {}", options.identity, why);
    if (handlers.stopped) handlers.stopped();
  }

  // `asked_at`: before the request was sent, so that we are never the later one to believe in us.
  void renewed(SteadyTime asked_at) {
    if (clock.steady() >= asked_at + options.renew_deadline) return;  // the answer came too late
    renewed_at = asked_at;
    last_error.clear();
    deadline.expires_at(renewed_at + options.renew_deadline);
    deadline.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
      // Rearmed meanwhile: the clock says so.
      if (!ec && self->leading && !self->leads())
        self->stop_leading("it could not renew the lease in time");
    });
    if (std::exchange(leading, true)) return;
    spdlog::info("{} leads now", options.identity);
    if (handlers.started) handlers.started();
  }

  void observe(const json::object& lease) {
    view.observe(lease_record(lease), clock.steady());
    const std::string& holder = view.record().holder;
    if (seen && holder == told) return;
    seen = true;
    told = holder;
    if (handlers.observed && !stopped) handlers.observed(holder);
  }

  [[nodiscard]] json::object spec(const LeaseRecord& known) const {
    const std::string now = format_micro_time(clock.utc());
    const bool ours = known.holder == options.identity;
    return {{"holderIdentity", options.identity},
            {"leaseDurationSeconds", options.lease_duration.count()},
            {"acquireTime", ours && !known.acquired.empty() ? known.acquired : now},
            {"renewTime", now},
            {"leaseTransitions", known.transitions + (ours ? 0 : 1)}};
  }

  [[nodiscard]] json::object first_lease() const {
    json::object first = spec({});
    first["leaseTransitions"] = 0;
    return {{"apiVersion", "coordination.k8s.io/v1"},
            {"kind", "Lease"},
            {"metadata", {{"name", options.name}, {"namespace", options.ns}}},
            {"spec", std::move(first)}};
  }

  // Takes or renews; an error is only for the log.
  awaitable<Answer<>> attempt() {
    SteadyTime asked_at = clock.steady();
    auto lease = co_await client.get(ref());
    if (stopped) co_return Answer<>{};
    if (!lease && lease.error().reason == Reason::kNotFound) {
      asked_at = clock.steady();
      lease = co_await client.create(leases().in(options.ns), first_lease());
      if (stopped) co_return Answer<>{};
      if (!lease) co_return api_fail(lease.error());
      object = std::move(*lease);
      observe(object);
      renewed(asked_at);
      co_return Answer<>{};
    }
    if (!lease) co_return api_fail(lease.error());
    object = std::move(*lease);
    observe(object);
    if (stopped) co_return Answer<>{};
    const bool ours = view.record().holder == options.identity;
    if (leading && !leads()) stop_leading("it could not renew the lease in time");
    if (!ours && leading) stop_leading("another one took the lease");
    if (stopped || (!ours && !view.takable(clock.steady()))) co_return Answer<>{};
    json::object wanted = object;  // with its resourceVersion: who writes in between wins
    wanted["spec"] = spec(view.record());
    asked_at = clock.steady();
    auto written = co_await client.replace(ref(), std::move(wanted));
    if (stopped) co_return Answer<>{};
    if (!written) co_return api_fail(written.error());
    object = std::move(*written);
    observe(object);
    if (!stopped) renewed(asked_at);
    co_return Answer<>{};
  }

  static awaitable<Result<>> give_back(std::shared_ptr<Impl> self) {
    const LeaderOptions& options = self->options;
    auto lease = co_await self->client.get(self->ref());
    if (!lease) co_return fail(lease.error());
    const LeaseRecord known = lease_record(*lease);
    if (known.holder != options.identity) co_return Result<>{};
    const std::string now = format_micro_time(self->clock.utc());
    json::object& spec = (*lease)["spec"].get_object();
    spec["holderIdentity"] = "";
    spec["leaseDurationSeconds"] = 1;
    spec["acquireTime"] = spec["renewTime"] = now;
    const auto written = co_await self->client.replace(self->ref(), std::move(*lease));
    if (!written && written.error().reason != Reason::kConflict) co_return fail(written.error());
    co_return Result<>{};
  }

  asio::any_io_executor executor;
  Client client;
  const Clock& clock;
  LeaderOptions options;
  LeaderHandlers handlers;
  asio::steady_timer deadline;
  std::mt19937_64 random;
  asio::cancellation_signal cancel;
  LeaseView view;
  json::object object;
  std::string told, last_error;
  SteadyTime renewed_at{};
  bool started = false, stopped = false, leading = false, seen = false;
};

namespace {

awaitable<void> run(std::shared_ptr<LeaderElector::Impl> self) {
  while (!self->stopped) {
    const auto tried = co_await self->attempt();
    if (self->stopped) break;
    if (!tried && tried.error().reason != Reason::kConflict &&
        tried.error().reason != Reason::kAlreadyExists) {
      if (self->last_error != tried.error().message) spdlog::warn("{}", tried.error().message);
      self->last_error = tried.error().message;
    }
    // Candidates that were started together do not stay together.
    const auto period = self->options.retry_period.count();
    std::uniform_int_distribution<milliseconds::rep> spread(0, self->leading ? 0 : period / 5);
    asio::steady_timer timer(self->executor, milliseconds(period + spread(self->random)));
    co_await timer.async_wait(asio::use_awaitable);
  }
}

}  // namespace

LeaderElector::LeaderElector(asio::any_io_executor executor, Config config, const Clock& clock,
                             LeaderOptions options, LeaderHandlers handlers)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(config), clock,
                                   std::move(options), std::move(handlers))) {}

LeaderElector::~LeaderElector() { stop_now(); }

Result<> LeaderElector::start() {
  const LeaderOptions& o = impl_->options;
  if (o.ns.empty() || o.name.empty() || o.identity.empty())
    return fail(Errc::kInvalid, "a leader election needs namespace, name and identity");
  if (o.lease_duration.count() < 1 || o.renew_deadline >= o.lease_duration ||
      o.retry_period * 6 / 5 >= o.renew_deadline || o.retry_period.count() <= 0)
    return fail(Errc::kInvalid,
                "a leader election needs retry period * 1.2 < renew deadline < lease duration");
  if (auto good = impl_->ref().check(); !good) return good;
  if (std::exchange(impl_->started, true)) return {};
  asio::co_spawn(impl_->executor, run(impl_),
                 asio::bind_cancellation_slot(impl_->cancel.slot(),
                                              [self = impl_](const std::exception_ptr&) {}));
  return {};
}

void LeaderElector::stop_now() {
  if (std::exchange(impl_->stopped, true)) return;
  impl_->cancel.emit(asio::cancellation_type::all);
  impl_->stop_leading("it was told to stop");
}

awaitable<Result<>> LeaderElector::stop() {
  const bool held = impl_->started && impl_->view.record().holder == impl_->options.identity;
  stop_now();
  if (held) return Impl::give_back(impl_);
  return []() -> awaitable<Result<>> { co_return Result<>{}; }();
}

bool LeaderElector::leads() const { return impl_->leads(); }
std::int64_t LeaderElector::transitions() const { return impl_->view.record().transitions; }
const std::string& LeaderElector::holder() const { return impl_->view.record().holder; }
const std::string& LeaderElector::last_error() const { return impl_->last_error; }

}  // namespace faultline::kube
