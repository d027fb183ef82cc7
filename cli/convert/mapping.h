// SPDX-License-Identifier: Apache-2.0
// Every field of the Chaos Mesh kinds that are converted, and what becomes of it. The converters,
// the documentation and a test read the same table.
#pragma once

#include <span>
#include <string_view>

namespace faultline::cli {

struct FieldRow {
  std::string_view kind;     // "NetworkChaos"; "" in every kind
  std::string_view field;    // below spec: "delay.latency"
  std::string_view becomes;  // key of the experiment; empty: there is none
  std::string_view note;     // how; or why not, and what to use instead
};

[[nodiscard]] std::span<const FieldRow> field_rows();
// The note of a row without an equivalent; empty: no such row.
[[nodiscard]] std::string_view why_not(std::string_view kind, std::string_view field);

}  // namespace faultline::cli
