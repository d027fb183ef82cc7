// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/run_log_object.h"

#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "api/codec.h"
#include "kube/base64.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

constexpr std::size_t kLongestStem = 200;        // of 253 that a name may have
constexpr std::size_t kLargestEntry = 64 << 20;  // bytes of JSON; what we write is far below

// A run's id in small letters, which keeps them apart: they end with a time.
std::string stem(const std::string& run) {
  std::string text;
  for (const char c : run) text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (text.size() <= kLongestStem) return text;
  char sum[16];
  std::snprintf(
      sum, sizeof sum, "-%08lx",
      crc32(0, reinterpret_cast<const Bytef*>(run.data()), static_cast<uInt>(run.size())));
  return text.substr(0, kLongestStem - 9) + sum;
}

std::uint64_t count_at(const boost::json::object& spec, const char* key) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(kube::number_at(spec, key).value_or(0), 0));
}

}  // namespace

std::string RunLogObject::name() const {
  char end[64];
  if (parts == 0)
    std::snprintf(end, sizeof end, "-%06llu", static_cast<unsigned long long>(number));
  else
    std::snprintf(end, sizeof end, "-f%llu-%llu", static_cast<unsigned long long>(generation),
                  static_cast<unsigned long long>(number));
  // No run's id has a dot.
  return (day ? "gameday." : "") + stem(run) + end;
}

boost::json::object RunLogObject::object(const std::string& ns) const {
  boost::json::object spec{{"run", run}, {"number", number}, {"writer", writer}, {"data", data}};
  if (parts > 0) {
    spec["parts"] = parts;
    spec["generation"] = generation;
  }
  const char* of_run = parts == 0 ? kLogOpen : kLogFinished;
  const char* of_day = parts == 0 ? kDayLogOpen : kDayLogOver;
  boost::json::object labels{{kLogLabel, day ? of_day : of_run}};
  if (fence) labels[kFenceLabel] = "true";
  return {{"apiVersion", "faultline.dev/v1alpha1"},
          {"kind", "RunLog"},
          {"metadata", {{"name", name()}, {"namespace", ns}, {"labels", std::move(labels)}}},
          {"spec", std::move(spec)}};
}

Result<RunLogObject> RunLogObject::of(const boost::json::object& object) {
  const auto* spec = kube::object_at(object, "spec");
  RunLogObject read;
  if (spec != nullptr)
    read = {.run = std::string(kube::text_at(*spec, "run")),
            .number = count_at(*spec, "number"),
            .parts = count_at(*spec, "parts"),
            .generation = count_at(*spec, "generation"),
            .writer = std::string(kube::text_at(*spec, "writer")),
            .data = std::string(kube::text_at(*spec, "data"))};
  const auto* metadata = kube::object_at(object, "metadata");
  const auto* labels = metadata == nullptr ? nullptr : kube::object_at(*metadata, "labels");
  read.fence = labels != nullptr && kube::text_at(*labels, kFenceLabel) == "true";
  read.day = labels != nullptr && kube::text_at(*labels, kLogLabel).starts_with(kDayLogOpen);
  if (read.number == 0 || read.name() != kube::meta(object, "name"))
    return fail(Errc::kInvalid, "the RunLog " + std::string(kube::meta(object, "name")) +
                                    " is not what a controller has written");
  return read;
}

std::string pack(const api::RunLogEntry& entry) { return pack_text(api::to_json_text(entry)); }

std::string pack_text(const std::string& text) {
  // The length first: zlib wants to know how much comes out.
  uLongf size = compressBound(static_cast<uLong>(text.size()));
  std::string bytes(size, '\0');
  compress2(reinterpret_cast<Bytef*>(bytes.data()), &size,
            reinterpret_cast<const Bytef*>(text.data()), static_cast<uLong>(text.size()),
            Z_BEST_SPEED);
  bytes.resize(size);
  return std::to_string(text.size()) + ":" + kube::base64_encode(bytes);
}

Result<api::RunLogEntry> unpack(const std::string& data) {
  const auto text = unpack_text(data);
  if (!text) return fail(text.error());
  return api::from_json_text<api::RunLogEntry>(*text);
}

Result<std::string> unpack_text(const std::string& data) {
  const std::size_t colon = data.find(':');
  const std::size_t length =
      colon == data.npos || colon > 10 ? 0 : std::strtoull(data.c_str(), nullptr, 10);
  const auto bytes = colon == data.npos
                         ? std::nullopt
                         : kube::base64_decode(std::string_view(data).substr(colon + 1));
  if (!bytes || length == 0 || length > kLargestEntry)
    return fail(Errc::kInvalid, "an entry of a run's log is no data");
  std::string text(length, '\0');
  uLongf size = static_cast<uLongf>(length);
  if (uncompress(reinterpret_cast<Bytef*>(text.data()), &size,
                 reinterpret_cast<const Bytef*>(bytes->data()),
                 static_cast<uLong>(bytes->size())) != Z_OK ||
      size != length)
    return fail(Errc::kInvalid, "an entry of a run's log is broken");
  return text;
}

}  // namespace faultline::controller
