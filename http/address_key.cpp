// SPDX-License-Identifier: Apache-2.0
#include "http/address_key.h"

#include <boost/asio/ip/address.hpp>

namespace faultline::http {

std::string address_key(const boost::asio::ip::address& address) {
  if (address.is_v4()) return address.to_string();
  const auto v6 = address.to_v6();
  if (v6.is_v4_mapped())
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, v6).to_string();
  const auto bytes = v6.to_bytes();
  return {bytes.begin(), bytes.begin() + 8};
}

std::string address_key(const std::string& peer) {
  std::string text = peer.substr(0, peer.rfind(':'));
  if (text.size() > 2 && text.front() == '[') text = text.substr(1, text.size() - 2);
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(text, error);
  return error ? text : address_key(address);
}

}  // namespace faultline::http
