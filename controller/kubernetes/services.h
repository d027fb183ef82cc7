// SPDX-License-Identifier: Apache-2.0
// The Services of the cluster and where they lead, by which peers are reached beside their own
// addresses. Watches Services and EndpointSlices of all namespaces. On the executor's one thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "controller/engine/peers.h"
#include "kube/informer.h"

namespace faultline::controller {

class Services {
 public:
  // Told all Services once both lists are known, and again after changes, at most once in kPause.
  using Changed = std::function<void(std::vector<KnownService>)>;

  // `client` and `clock` must outlive it. Starts with start().
  Services(boost::asio::any_io_executor executor, kube::Client& client, const Clock& clock,
           Changed changed);
  ~Services();  // as stop()
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;

  void start();
  void stop();  // nobody is told after it

  static constexpr std::chrono::milliseconds kPause{200};

 private:
  void soon();
  void tell();

  kube::Informer services_, slices_;
  boost::asio::steady_timer timer_;
  Changed changed_;
  bool waiting_ = false;
};

// By namespace and name. What has no address (headless, ExternalName) is left out, and so is text
// that is no address. Pure.
[[nodiscard]] std::vector<KnownService> known_services(const kube::ObjectCache::Objects& services,
                                                       const kube::ObjectCache::Objects& slices);

}  // namespace faultline::controller
