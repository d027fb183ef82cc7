// SPDX-License-Identifier: Apache-2.0
// Answers as bytes. Internal to http/.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "http/server.h"
#include "http/stream.h"

namespace faultline::http {

// What of the request the answer's form depends on.
struct ReplyTo {
  unsigned version = 11;  // HTTP/1.1
  bool head = false;      // the header only
  bool keep = true;       // the connection goes on
};

// False: the client did not take it.
boost::asio::awaitable<bool> write_response(Stream& stream, Response response, ReplyTo to);
// The header of a stream; what is in it follows as chunks, to HTTP/1.0 as they are.
boost::asio::awaitable<bool> write_stream_header(Stream& stream, const Response& response,
                                                 ReplyTo to);
// One chunk, or with no bytes the last one.
boost::asio::awaitable<bool> write_chunk(Stream& stream, std::string bytes, ReplyTo to);

}  // namespace faultline::http
