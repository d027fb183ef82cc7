// SPDX-License-Identifier: Apache-2.0
// Coroutines run to their end by a command that has nothing else to do meanwhile.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "base/result.h"

namespace faultline::cli {

// `io` must not be running. kInternal: the coroutine threw. T is a Result or an Answer.
template <class T>
T wait_for(boost::asio::awaitable<T> work, boost::asio::io_context& io) {
  std::optional<T> result;
  boost::asio::co_spawn(io, std::move(work), [&](const std::exception_ptr& failed, T value) {
    if (!failed) result = std::move(value);
  });
  io.run();
  if (result) return std::move(*result);
  typename T::error_type error{};
  static_cast<Error&>(error) = Error{Errc::kInternal, "asking the API server failed", 0};
  return T(tl::unexpect, std::move(error));
}

}  // namespace faultline::cli
