// SPDX-License-Identifier: Apache-2.0
#include "http/listen.h"

#include <boost/asio/ip/address.hpp>
#include <charconv>

namespace faultline::http {

Result<ListenAddress> parse_listen(const std::string& text, const char* usual, const char* option) {
  const auto bad = [&] {
    const std::string port(usual);
    return fail(Errc::kInvalid, std::string(option) + " must be ADDRESS:PORT like 127.0.0.1:" +
                                    port + " or [::1]:" + port + ", got \"" + text + "\"");
  };
  ListenAddress listen;
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return bad();
  std::string address = text.substr(0, colon);
  const bool bracketed = address.size() > 2 && address.front() == '[' && address.back() == ']';
  if (bracketed) address = address.substr(1, address.size() - 2);
  if (address == "localhost") address = "127.0.0.1";
  boost::system::error_code error;
  const auto parsed = boost::asio::ip::make_address(address, error);
  if (error || parsed.is_v6() != bracketed) return bad();
  const char* end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data() + colon + 1, end, listen.port);
  if (failed != std::errc{} || stop != end) return bad();
  listen.address = std::move(address);
  return listen;
}

}  // namespace faultline::http
