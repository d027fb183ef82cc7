// SPDX-License-Identifier: Apache-2.0
// What the operators have in common: they know the objects of a collection, look at one after the
// other when it changed or its time has come, and delete finished ones. A change of an object costs
// a look at that object, and nothing for the others: keys wait in a queue. Not thread-safe: one
// event loop, one thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <memory>
#include <string>

#include "base/clock.h"
#include "controller/kubernetes/finished_ones.h"
#include "controller/kubernetes/work_queue.h"
#include "controller/routes/signal.h"
#include "kube/client.h"
#include "kube/informer.h"

namespace faultline::controller {

// Kept alive by its loops: make it with make_shared.
class ObjectLoops : public std::enable_shared_from_this<ObjectLoops> {
 public:
  struct About {
    FinishedKind kind;
    void (*trim)(boost::json::object&);  // before an object is kept
    FinishedOnes::KeptFor kept_for;
  };

  // References outlive it.
  ObjectLoops(boost::asio::any_io_executor executor, kube::Client& client, const Clock& clock,
              About about);
  virtual ~ObjectLoops() = default;
  ObjectLoops(const ObjectLoops&) = delete;
  ObjectLoops& operator=(const ObjectLoops&) = delete;

  void begin_loops();
  // What is waited for goes on to its end and does nothing any more.
  void end_loops();

  [[nodiscard]] const kube::InformerState& seen() const { return informer.state(); }
  [[nodiscard]] std::uint64_t looks() const { return looks_; }
  [[nodiscard]] std::uint64_t deleted() const { return finished.deleted(); }

 protected:
  using Object = boost::json::object;
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  static std::string uid_of(const Object& object);
  // Deleted, or replaced by another one of this name, while something was waited for.
  [[nodiscard]] bool is_gone(const Object& object) const;

  // It is there, or another one than before; it is not there any more; the first list is known.
  virtual void changed(const Object& now) = 0;
  virtual void gone(const Object& last) = 0;
  virtual void synced() {}
  // Looks at the object, if it is still there.
  virtual awaitable<void> reconcile(kube::ObjectKey key) = 0;
  // Whether it is looked at again each second.
  [[nodiscard]] virtual bool follows(const std::string& uid) const = 0;
  // Whether it may be deleted when its time is over.
  virtual awaitable<bool> may_go(Object object) = 0;
  // Of what is followed: a number that each change raises, a wait for the next one, and what to put
  // into the queue then.
  [[nodiscard]] virtual std::uint64_t changes() const = 0;
  virtual awaitable<void> wait_for_change(std::uint64_t seen, SteadyTime until) = 0;
  virtual void followed_changed(SteadyTime now) = 0;

  boost::asio::any_io_executor executor;
  kube::Client& client;
  const Clock& clock;
  Signal woken;
  WorkQueue queue;  // what may have something to do
  FinishedOnes finished;
  kube::Informer informer;
  bool stopped = false;

 private:
  awaitable<void> look_loop();
  awaitable<void> change_loop();
  awaitable<void> expire(kube::ObjectKey key);
  void spawn(awaitable<void> work);

  std::string plural_;
  std::uint64_t looks_ = 0;  // at single objects
};

}  // namespace faultline::controller
