// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/object_loops.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <exception>

#include "kube/json.h"

namespace faultline::controller {
namespace {

constexpr std::chrono::seconds kLookAgain{1};
// What a page may have, times the largest object of etcd, fits into our memory.
constexpr int kPage = 25;

}  // namespace

ObjectLoops::ObjectLoops(boost::asio::any_io_executor ex, kube::Client& api_client,
                         const Clock& time, About about)
    : executor(ex),
      client(api_client),
      clock(time),
      woken(ex),
      finished(api_client, time, about.kind, std::move(about.kept_for)),
      informer(ex, api_client, time,
               {.collection = about.kind.collection, .page = kPage, .trim = about.trim},
               {.added = [this](const Object& now) { changed(now); },
                .modified = [this](const Object&, const Object& now) { changed(now); },
                .deleted = [this](const Object& last) { gone(last); },
                .synced = [this] { synced(); }}),
      plural_(about.kind.collection.plural) {}

void ObjectLoops::begin_loops() {
  informer.start();
  spawn(look_loop());
  spawn(change_loop());
}

void ObjectLoops::end_loops() {
  stopped = true;
  informer.stop();
  woken.notify();
}

void ObjectLoops::spawn(awaitable<void> work) {
  boost::asio::co_spawn(executor, std::move(work),
                        [self = shared_from_this()](const std::exception_ptr& error) {
                          if (!error || self->stopped) return;
                          spdlog::critical("the loop of {} failed", self->plural_);
                          std::rethrow_exception(error);
                        });
}

std::string ObjectLoops::uid_of(const Object& object) {
  return std::string(kube::meta(object, "uid"));
}

bool ObjectLoops::is_gone(const Object& object) const {
  const kube::ObjectKey key = kube::key_of(object);
  const Object* now = informer.find(key.ns, key.name);
  return now == nullptr || uid_of(*now) != uid_of(object);
}

boost::asio::awaitable<void> ObjectLoops::look_loop() {
  while (!stopped) {
    const SteadyTime now = clock.steady();
    if (const auto key = queue.take(now)) {
      ++looks_;
      co_await reconcile(*key);
      const Object* object = informer.find(key->ns, key->name);
      if (object != nullptr && follows(uid_of(*object)))
        queue.add(*key, clock.steady() + kLookAgain);
    } else if (const auto old = finished.take(now)) {
      co_await expire(*old);
    } else {
      co_await woken.wait(std::min(queue.next(), finished.next()));
      continue;
    }
    // Requests and agents have their turn, however many wait here.
    co_await boost::asio::post(executor, boost::asio::use_awaitable);
  }
}

boost::asio::awaitable<void> ObjectLoops::expire(kube::ObjectKey key) {
  const Object* found = informer.find(key.ns, key.name);
  if (found == nullptr) co_return;
  const Object object = *found;  // the informer goes on while we wait
  Object asked = object;
  const bool may = co_await may_go(std::move(asked));
  if (may && !stopped && !is_gone(object)) co_await finished.look(object);
}

// Changes come in bursts: one look for all of them.
boost::asio::awaitable<void> ObjectLoops::change_loop() {
  while (!stopped) {
    const std::uint64_t seen = changes();
    co_await wait_for_change(seen, clock.steady() + kLookAgain);
    if (stopped || changes() == seen) continue;
    followed_changed(clock.steady());
    woken.notify();
  }
}

}  // namespace faultline::controller
