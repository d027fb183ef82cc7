// SPDX-License-Identifier: Apache-2.0
// The fields of a fault that a sweep can vary: durations, probabilities, rates, sizes and numbers.
// Pure and thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/detail/decode.h"
#include "api/fault.h"

namespace faultline::api::detail {

// Their keys, in the order of the documentation.
[[nodiscard]] std::vector<std::string_view> varied_keys(const Fault& fault);

// A value that the field takes, for a place holder; null: the fault has no such field or it needs
// none. `fault`: the fault's word, as in a document.
[[nodiscard]] json::value place_holder(std::string_view fault, std::string_view key);

// Writes `text` into the field. What is wrong is noted in `d`, at the place where that stands;
// returns whether nothing was.
bool set_varied(Decoder& d, Fault& fault, std::string_view key, const std::string& text);

// The field in its base unit: seconds, a fraction, bits a second, bytes, or the number itself.
[[nodiscard]] double varied_value(const Fault& fault, std::string_view key);
// A distance between two values of the field; nothing: `text` is none.
[[nodiscard]] std::optional<double> varied_step(const Fault& fault, std::string_view key,
                                                const std::string& text);
// `value` as a document has it: "35ms".
[[nodiscard]] std::string varied_text(const Fault& fault, std::string_view key, double value);

}  // namespace faultline::api::detail
