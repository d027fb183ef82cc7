// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "api/detail/text.h"
#include "api/values.h"

namespace faultline::api {
namespace {

constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

Result<Cidr> Cidr::parse(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(Errc::kInvalid,
                "expected an address or network like \"10.0.0.0/8\" or \"fd00::/8\"" +
                    std::string(why) + ", got " + detail::in_quotes(text));
  };
  const std::size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  Cidr cidr;
  int bits = 128;
  in_addr v4{};
  if (host.find('\0') != std::string::npos) return bad("");
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    bits = 32;
    std::ranges::copy(kMapped, cidr.address);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&v4);
    std::copy(bytes, bytes + 4, cidr.address + 12);
  } else if (inet_pton(AF_INET6, host.c_str(), cidr.address) != 1) {
    return bad("");
  }
  int prefix = bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (digits.empty() || !detail::starts_with_digit(digits) || error != std::errc{} ||
        end != digits.data() + digits.size() || prefix > bits)
      return bad(" with a prefix of 0 to " + std::to_string(bits));
  }
  cidr.prefix = prefix + 128 - bits;
  cidr.v4 = cidr.prefix >= 96 && std::ranges::equal(kMapped, std::span(cidr.address, 12));
  Cidr network = cidr;
  for (int bit = cidr.prefix; bit < 128; ++bit)
    network.address[bit / 8] &= static_cast<std::uint8_t>(~(0x80u >> (bit % 8)));
  // 10.1.2.3/8 may be a typo for /32 or mean the whole /8; a fault must not guess which.
  if (network != cidr)
    return bad(" without bits after the prefix (the network is " + network.format() + ")");
  return cidr;
}

std::string Cidr::format() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (v4)
    inet_ntop(AF_INET, address + 12, text, sizeof text);
  else
    inet_ntop(AF_INET6, address, text, sizeof text);
  const int bits = v4 ? 32 : 128;
  const int shown = prefix - (128 - bits);
  return shown == bits ? std::string(text) : std::string(text) + "/" + std::to_string(shown);
}

}  // namespace faultline::api
