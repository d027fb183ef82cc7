// SPDX-License-Identifier: Apache-2.0
// How the server ends a connection so that the client gets what was sent. Internal to http/.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "http/deadline.h"
#include "http/stream.h"

namespace faultline::http {

// Tells the client that nothing follows. Waits a moment for its answer, which TLS wants.
// `deadline` must make what is pending on the stream end, also in linger().
boost::asio::awaitable<void> say_goodbye(Stream& stream, Deadline& deadline);

// The same, and reads on for a moment: closing with unread bytes resets the connection, which could
// destroy the answer before the client has read it.
boost::asio::awaitable<void> linger(Stream& stream, Deadline& deadline);

}  // namespace faultline::http
