// SPDX-License-Identifier: Apache-2.0
// Whom an address stands for where callers without a name have budgets: itself, or of IPv6 its /64,
// of which one machine may have all. Pure and thread-safe.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <string>

namespace faultline::http {

[[nodiscard]] std::string address_key(const boost::asio::ip::address& address);
// Of Request::peer: "127.0.0.1:4711" or "[2001:db8::1]:4711". What is no address stands for itself.
[[nodiscard]] std::string address_key(const std::string& peer);

}  // namespace faultline::http
