// SPDX-License-Identifier: Apache-2.0
// What is known of a request before its body, and the answers that refuse it by that. Internal to
// http/. Pure and thread-safe.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/message.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "http/server.h"

namespace faultline::http {

// Puts method and headers into `request`. An answer refuses it, and the connection must end: the
// header has too many fields, or where the body ends is in doubt.
[[nodiscard]] std::optional<Response> read_head(const boost::beast::http::request_header<>& header,
                                                const ServerOptions& options, Request& request);

[[nodiscard]] std::string lower(std::string_view text);  // of ASCII
// "127.0.0.1:4711", "[::1]:4711"; "?" when it is gone.
[[nodiscard]] std::string endpoint_words(const boost::asio::ip::tcp::socket& socket);
// The header of that name, or empty.
[[nodiscard]] std::string authorization_of(const Request& request);

// 413: `most` are the bytes that the route takes.
[[nodiscard]] Response too_long(const Request& request, std::size_t most);
// 429, or 503 on a route whose callers take that for final.
[[nodiscard]] Response too_often(bool never_429);
[[nodiscard]] Response too_many(bool never_429);
[[nodiscard]] Response busy(std::string why);  // 503

}  // namespace faultline::http
