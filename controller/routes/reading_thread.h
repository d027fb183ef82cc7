// SPDX-License-Identifier: Apache-2.0
// A named thread with a connection of its own to the store, so that whoever reads here waits for
// nobody who reads elsewhere. read() may be called from the event loop's thread only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "controller/store/store.h"
#include "controller/store/worker.h"

namespace faultline::controller {

class ReadingThread {
 public:
  // `name`: as Worker has it. The store is opened when it is read for the first time.
  ReadingThread(const std::string& name, std::string store_path)
      : store_path_(std::move(store_path)), worker_(name) {}

  // What `work(Store&)` returns, a Result; it must not throw. The error of opening the store: that.
  // Pass a named lambda, as to Worker::run().
  template <class Work>
  boost::asio::awaitable<std::invoke_result_t<Work, Store&>> read(Work work) {
    auto with_store = [this,
                       work = std::move(work)]() mutable -> std::invoke_result_t<Work, Store&> {
      auto opened = store();
      if (!opened) return fail(std::move(opened.error()));
      return work(**opened);
    };
    co_return co_await worker_.run(std::move(with_store));
  }
  // For what needs no store, or only perhaps: store() may be called there.
  [[nodiscard]] Worker& worker() { return worker_; }
  [[nodiscard]] Result<Store*> store() {  // on this thread only
    if (!store_) {
      auto opened = Store::open({.path = store_path_, .read_only = true});
      if (!opened) return fail(std::move(opened.error()));
      store_ = std::move(*opened);
    }
    return store_.get();
  }
  // As Worker::join().
  void join() { worker_.join(); }

 private:
  std::string store_path_;
  std::unique_ptr<Store> store_;  // of the thread
  Worker worker_;                 // last: it ends before the store goes
};

}  // namespace faultline::controller
