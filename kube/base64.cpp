// SPDX-License-Identifier: Apache-2.0
#include "kube/base64.h"

#include <openssl/evp.h>

#include <limits>

namespace faultline::kube {

std::optional<std::string> base64_decode(std::string_view text) {
  std::string packed;
  for (const char c : text) {
    if (c == '\n' || c == '\r') continue;
    if (c == ' ' || c == '\t') return std::nullopt;  // EVP_DecodeBlock would trim them
    packed += c;
  }
  if (packed.empty()) return std::string();
  // EVP_DecodeBlock takes padding anywhere.
  if (const auto first = packed.find('=');
      first != packed.npos && (first + 2 < packed.size() || packed.back() != '='))
    return std::nullopt;
  if (packed.size() % 4 != 0 || packed.size() > std::numeric_limits<int>::max())
    return std::nullopt;
  std::string out(packed.size() / 4 * 3, '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(packed.data()),
                                static_cast<int>(packed.size()));
  if (n < 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && packed[packed.size() - 1 - padding] == '=') ++padding;
  out.resize(static_cast<std::size_t>(n) - padding);
  return out;
}

std::string base64_encode(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL writes a NUL behind it
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(bytes.data()),
                                static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

}  // namespace faultline::kube
