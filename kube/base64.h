// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace faultline::kube {

// RFC 4648 section 4 with padding; line breaks are overlooked. Nothing: it is none. Pure.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);
[[nodiscard]] std::string base64_encode(std::string_view bytes);  // in one line

}  // namespace faultline::kube
