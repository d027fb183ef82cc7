// SPDX-License-Identifier: Apache-2.0
// Bearer tokens in files that only their owner can read. Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "http/server.h"

namespace faultline::http {

// The token in the file. kNotFound: no file. kDenied: not ours to read, or group or others may read
// or write it (a secret that is known is none). kInvalid: no token in it. A symbolic link is
// followed only by load_token(): Kubernetes mounts secrets that way.
[[nodiscard]] Result<std::string> load_token(const std::string& path);

// The same; without the file, makes one with 32 random bytes in hex, mode 0600. It appears whole or
// not at all, and of two processes that make it at the same time both get the same token.
[[nodiscard]] Result<std::string> load_or_create_token(const std::string& path);

// Takes as long for a wrong first character as for a wrong last one.
[[nodiscard]] bool same_token(std::string_view a, std::string_view b);

// The token of "Authorization: Bearer TOKEN"; empty without one.
[[nodiscard]] std::string bearer(const Request& request);

}  // namespace faultline::http
