// SPDX-License-Identifier: Apache-2.0
// Tells a KubernetesSource which pods the API server has for this node, as they change. While the
// server is away nothing is told, and known pods stay known. One event loop, one thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <string>
#include <utility>

#include "agent/targets/kubernetes_source.h"
#include "base/clock.h"
#include "kube/client.h"
#include "kube/informer.h"

namespace faultline::agent {

class PodWatch {
 public:
  // `source` and `clock` outlive it.
  PodWatch(boost::asio::any_io_executor executor, kube::Config config, const Clock& clock,
           const std::string& node, KubernetesSource& source);
  // Called after each change that was told to the source. Set it before start().
  void on_change(std::function<void()> changed) { changed_ = std::move(changed); }
  PodWatch(const PodWatch&) = delete;
  PodWatch& operator=(const PodWatch&) = delete;

  void start() { informer_.start(); }
  void stop() { informer_.stop(); }
  [[nodiscard]] const kube::InformerState& state() const { return informer_.state(); }

 private:
  void tell(const boost::json::object& pod);

  KubernetesSource& source_;
  std::function<void()> changed_;
  kube::Client client_;
  kube::Informer informer_;
};

}  // namespace faultline::agent
