// SPDX-License-Identifier: Apache-2.0
// The --listen options of programs that serve. Pure and thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace faultline::http {

struct ListenAddress {
  std::string address;     // an IP address, without brackets
  std::uint16_t port = 0;  // 0: any free one
};

// "127.0.0.1:7878", "[::1]:7878", "localhost:7878". kInvalid, one line; `usual` is the port of its
// examples, `option` what it is the value of.
[[nodiscard]] Result<ListenAddress> parse_listen(const std::string& text, const char* usual,
                                                 const char* option = "--listen");

}  // namespace faultline::http
