// SPDX-License-Identifier: Apache-2.0
// Which source file instantiates the codec of a large struct, so that each is compiled once; and
// the public functions on top of the machinery.
#pragma once

#include <boost/json/serialize.hpp>

#include "api/detail/encode.h"
#include "base/printable.h"
#include "document/json.h"

#define FAULTLINE_CODEC_STRUCT(EXTERN, T)                                               \
  EXTERN template void faultline::api::detail::decode_struct(                           \
      faultline::api::detail::Decoder&, const boost::json::value&, faultline::api::T&); \
  EXTERN template boost::json::value faultline::api::detail::encode_struct(             \
      const faultline::api::detail::Encoder&, const faultline::api::T&);

FAULTLINE_CODEC_STRUCT(extern, MonitoringRecord)  // codec_monitoring.cpp
FAULTLINE_CODEC_STRUCT(extern, DetectionReport)   // codec_monitoring.cpp
FAULTLINE_CODEC_STRUCT(extern, SignalReport)      // codec_monitoring.cpp
FAULTLINE_CODEC_STRUCT(extern, Experiment)        // codec_experiment.cpp
FAULTLINE_CODEC_STRUCT(extern, ExperimentSpec)    // codec_experiment.cpp
FAULTLINE_CODEC_STRUCT(extern, Selector)          // codec_pods.cpp
FAULTLINE_CODEC_STRUCT(extern, PodRef)            // codec_pods.cpp
FAULTLINE_CODEC_STRUCT(extern, NodeInfo)          // codec_pods.cpp
FAULTLINE_CODEC_STRUCT(extern, InjectionStatus)   // codec_sync.cpp
FAULTLINE_CODEC_STRUCT(extern, EffectWindow)      // codec_sync.cpp
FAULTLINE_CODEC_STRUCT(extern, RunPod)            // codec_sync.cpp
FAULTLINE_CODEC_STRUCT(extern, Gap)               // codec_sync.cpp
FAULTLINE_CODEC_STRUCT(extern, RunEvent)          // codec_sync.cpp

namespace faultline::api {

namespace detail {
// Our answers and what we stored. Whoever reads them from a network has a limit on its bytes.
template <class T>
inline constexpr document::Budget kBudgetOf{256 << 20, 64'000'000, 64};
// What an agent sends at once: batches of 1 MiB, and the pods of its node; as much as the door
// takes. Lists of counts have a value in every three bytes.
template <>
inline constexpr document::Budget kBudgetOf<SyncRequest>{4 << 20, 1'000'000, 64};
template <>
inline constexpr document::Budget kBudgetOf<Experiment> = kExperimentBudget;
}  // namespace detail

template <class T>
boost::json::value to_json(const T& value) {
  return detail::encode(detail::Encoder{}, value);
}

template <class T>
Result<T> from_json(const boost::json::value& value) {
  detail::Problems problems;
  detail::Decoder decoder(problems);
  T out{};
  detail::decode(decoder, value, out);
  if (!problems.empty()) return fail(problems.error());
  return out;
}

template <class T>
std::string to_json_text(const T& value) {
  return printable_json(boost::json::serialize(to_json(value)));
}

template <class T>
Result<T> from_json_text(std::string_view text) {
  const auto value = document::parse_json(text, detail::kBudgetOf<T>);
  if (!value) return fail(value.error());
  return from_json<T>(*value);
}

}  // namespace faultline::api

// A type of codec.h with all four functions.
#define FAULTLINE_CODEC(...)                                                                    \
  template boost::json::value faultline::api::to_json(const __VA_ARGS__&);                      \
  template faultline::Result<__VA_ARGS__> faultline::api::from_json(const boost::json::value&); \
  template std::string faultline::api::to_json_text(const __VA_ARGS__&);                        \
  template faultline::Result<__VA_ARGS__> faultline::api::from_json_text(std::string_view);
