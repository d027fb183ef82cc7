// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/run_log_fit.h"

#include <spdlog/spdlog.h>

#include "controller/kubernetes/run_log_object.h"

namespace faultline::controller {
namespace {

constexpr std::size_t kMostWords = 200;    // bytes of a text that is cut
constexpr std::size_t kMostResidues = 20;  // of an event
constexpr std::size_t kMostEvents = 100;   // of a batch

// At most kMostWords, and no half of a character.
void cut(std::string& text) {
  if (text.size() <= kMostWords) return;
  std::size_t size = kMostWords;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  text.resize(size);
}

UtcTime end_of(const api::RunBatch& batch, UtcTime at) {
  UtcTime end = at;
  for (const api::EffectWindow& window : batch.windows) end = std::max(end, window.to.value);
  return end;
}

// What a run needs to go on: that something was armed, disarmed, closed.
void keep_least(api::RunBatch& batch) {
  batch.gaps.clear();
  if (batch.events.size() > kMostEvents) batch.events.resize(kMostEvents);
  for (api::RunEvent& event : batch.events) {
    cut(event.text);
    if (event.residue.size() > kMostResidues) event.residue.resize(kMostResidues);
    for (std::string& left : event.residue) cut(left);
  }
  for (api::InjectionStatus& status : batch.injections) {
    status.byErrno.clear();
    status.byCall.clear();
    cut(status.reason);
  }
}

}  // namespace

Fitted fit(api::RunLogEntry entry, std::size_t most) {
  Fitted out;
  const auto add = [&](api::RunLogEntry part) {
    Fitted more = fit(std::move(part), most);
    for (std::string& data : more.data) out.data.push_back(std::move(data));
    out.left_out += more.left_out;
  };
  std::string data = pack(entry);
  if (data.size() <= most) {
    out.data.push_back(std::move(data));
    return out;
  }
  data.clear();
  if (entry.head && !entry.batches.empty()) {
    api::RunLogEntry head;
    head.at = entry.at;
    head.head = std::move(entry.head);
    head.ending = entry.ending;
    entry.head.reset();
    entry.ending.reset();
    add(std::move(head));
    add(std::move(entry));
    return out;
  }
  if (entry.head && entry.head->monitoring) {
    entry.head->monitoring.reset();
    entry.head->gaps.push_back({.from = entry.at,
                                .to = entry.at,
                                .reason = "what was seen of the monitoring is larger than the "
                                          "journal takes: another controller does not have it"});
    add(std::move(entry));
    return out;
  }
  if (entry.head) {
    out.left_out = 1;
    return out;
  }
  if (entry.batches.size() > 1) {
    api::RunLogEntry second;
    second.at = entry.at;
    const auto middle =
        entry.batches.begin() + static_cast<std::ptrdiff_t>(entry.batches.size() / 2);
    second.batches.assign(std::make_move_iterator(middle),
                          std::make_move_iterator(entry.batches.end()));
    entry.batches.erase(middle, entry.batches.end());
    add(std::move(entry));
    add(std::move(second));
    return out;
  }
  if (entry.batches.empty()) return out;
  out.left_out = 1;
  api::LoggedBatch& logged = entry.batches.front();
  api::Gap gap{.node = logged.node,
               .from = entry.at,
               .to = {end_of(logged.batch, entry.at.value)},
               .reason = "the measurements of a batch are larger than the journal takes"};
  if (!logged.batch.windows.empty()) gap.from = logged.batch.windows.front().from;
  logged.batch.windows.clear();
  logged.batch.gaps.push_back(gap);
  data = pack(entry);
  if (data.size() > most) {
    keep_least(logged.batch);
    logged.batch.gaps.push_back(gap);
    data = pack(entry);
  }
  if (data.size() > most) {
    logged.batch.events.clear();
    logged.batch.injections.clear();
    data = pack(entry);
  }
  if (data.size() <= most) out.data.push_back(std::move(data));
  return out;
}

void LogReader::missing(const std::string& what) {
  spdlog::error("run {}: entry {} of its log {}", run_, expected_, what);
  gaps_.push_back({"", "", "", {last_}, {last_}, "an entry of the log of the run " + what});
}

std::optional<api::RunLogEntry> LogReader::take(std::uint64_t number, const std::string& data) {
  auto entry = unpack(data);
  if (!begun_) {
    begun_ = entry && number == 1 && entry->head;
    if (!begun_) return std::nullopt;
  } else if (!entry || number != expected_) {
    missing(entry ? "is missing" : "cannot be read");
  }
  expected_ = number + 1;
  if (!entry) return std::nullopt;
  last_ = entry->at.value;
  for (api::Gap& gap : gaps_) gap.to = {std::max(gap.to.value, last_)};
  if (entry->head) {
    head_.at = entry->at;
    head_.head = entry->head;
    head_.ending = entry->ending;
  }
  return std::move(*entry);
}

std::optional<api::RunLogEntry> LogReader::end() {
  if (gaps_.empty() || !head_.head) return std::nullopt;
  head_.head->gaps.insert(head_.head->gaps.end(), gaps_.begin(), gaps_.end());
  head_.at = {std::max(head_.at.value, last_)};
  return std::move(head_);
}

}  // namespace faultline::controller
