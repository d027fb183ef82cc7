// SPDX-License-Identifier: Apache-2.0
// Rules of the messages between programs and of what is stored. Only what a receiver cannot do
// without is required: an older or newer peer may leave the rest out.
#pragma once

#include "api/detail/rules.h"
#include "api/run_record.h"

namespace faultline::api::detail {

template <>
struct Rules<PodRef> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "namespace", .required = true, .not_empty = true},
                                         {.key = "name", .required = true, .not_empty = true}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<SyncRequest> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "instance", .required = true, .not_empty = true},
                                         {.key = "waitSeconds", .min = 0, .max = 3600}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<DesiredRun> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {
      {.key = "run", .required = true, .not_empty = true},
      {.key = "experiment", .required = true},
      {.key = "phase", .required = true},
      {.key = "matching", .min = 0},
      {.key = "targets", .min = 0},
      {.key = "leaseSeconds", .min = 0, .max = 3600, .more_than_min = true},
      {.key = "faultSecondsLeft", .min = 0}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<RunBatch> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "run", .required = true, .not_empty = true}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<NumberedBatch> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "number", .required = true, .min = 1},
                                         {.key = "batch", .required = true}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<Report> {
  static constexpr std::string_view help{};
  static constexpr FieldRule fields[] = {{.key = "residue", .empty_word = "none"}};
  static constexpr std::string_view schema{};
};

}  // namespace faultline::api::detail
