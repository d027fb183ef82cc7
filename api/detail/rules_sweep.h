// SPDX-License-Identifier: Apache-2.0
// Rules of a sweep and of the file that says how far it is.
#pragma once

#include "api/detail/rules_experiment.h"
#include "api/sweep.h"
#include "api/sweep_progress.h"

namespace faultline::api::detail {

template <>
inline constexpr bool kStrict<Sweep> = true;
template <>
inline constexpr bool kStrict<SweepProgress> = true;

inline constexpr std::string_view kSweepKinds[] = {"Sweep"};
inline constexpr std::string_view kProgressKinds[] = {kSweepProgressKind};

template <>
struct Rules<Sweep> {
  static constexpr std::string_view help =
      "A grid of faults and severities against one target: which of them does the monitoring "
      "notice?";
  static constexpr FieldRule fields[] = {
      {.key = "apiVersion",
       .help = "Version of this language.",
       .required = true,
       .words = kApiVersions},
      {.key = "kind", .help = "What this document is.", .required = true, .words = kSweepKinds},
      {.key = "metadata",
       .help = "Name and labels of the sweep; its experiments are named after it.",
       .required = true},
      {.key = "spec", .help = "The sweep itself.", .required = true}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<SweepSpec> {
  static constexpr std::string_view help = "What is tried, and on what.";
  static constexpr FieldRule fields[] = {
      {.key = "experiment",
       .help = "The spec that the experiments of all cells have in common; it expects an alert. "
               "Its faults act in each cell.",
       .required = true},
      {.key = "faults",
       .help = "The rows of the grid: a fault each, and its severities.",
       .required = true,
       .not_empty = true,
       .max_items = 16},
      {.key = "rest", .help = "What lies between two cells."}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<SweptFault> {
  static constexpr std::string_view help = "One fault in several severities.";
  static constexpr FieldRule fields[] = {
      {.key = "name",
       .help = "Name of the row; its experiments are called SWEEP-NAME-1, -2, ...",
       .required = true,
       .max_length = 32,
       .pattern = kDnsLabel,
       .pattern_words = kDnsLabelWords,
       .example = "\"latency\""},
      {.key = "fault",
       .help = "The fault, without the key that varies.",
       .required = true,
       .example = "{\"networkLatency\": {\"direction\": \"to\"}}"},
      {.key = "vary",
       .help = "The key of the fault that has another value in each cell: a duration, a "
               "probability, a rate, a size or a number.",
       .required = true,
       .max_length = 63,
       .example = "\"latency\""},
      {.key = "severities",
       .help = "Its values, from the mildest to the strongest.",
       .required = true,
       .not_empty = true,
       .number_ok = true,
       .max_items = 32,
       .max_length = kMostScalar,
       .example = "[\"10ms\", \"50ms\", \"200ms\"]"},
      {.key = "resolution",
       .help = "How exactly --threshold looks for the mildest severity that is noticed.",
       .number_ok = true,
       .max_length = kMostScalar,
       .example = "\"5ms\""}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<SweepRest> {
  static constexpr std::string_view help =
      "A cell begins when the alerts are silent and the effects of the cell before are over.";
  static constexpr FieldRule fields[] = {
      {.key = "least", .help = "Waited in any case.", .max = 3600, .example = "\"30s\""},
      {.key = "most",
       .help = "Waited at most; a cell whose alert fires still is not run, and a gap of the map.",
       .max = 3600,
       .example = "\"5m\""}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<SweepProgress> {
  static constexpr std::string_view help = "How far a sweep is.";
  static constexpr FieldRule fields[] = {
      {.key = "apiVersion", .required = true, .words = kApiVersions},
      {.key = "kind", .required = true, .words = kProgressKinds},
      {.key = "id",
       .required = true,
       .max_length = 63,
       .pattern = "^[0-9a-f]{16}$",
       .pattern_words = "16 hexadecimal digits"},
      {.key = "document", .required = true},
      {.key = "cells", .max_items = 4096}};
  static constexpr std::string_view schema{};
};

}  // namespace faultline::api::detail
