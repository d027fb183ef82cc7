// SPDX-License-Identifier: Apache-2.0
#include "agent/link/outbox.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

namespace faultline::agent {
namespace {

std::size_t size_of(const api::Histogram& h) { return 40 + 10 * h.buckets.size(); }

std::size_t size_of(const api::EffectWindow& window) {
  std::size_t bytes = 200;
  for (const api::EffectSample& sample : window.samples)
    bytes += 120 + (sample.histogram ? size_of(*sample.histogram) : 0);
  return bytes;
}

template <class T>
void append(std::vector<T>& to, std::vector<T>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

// Newer totals take the place of older ones.
void merge(api::RunBatch& to, api::RunBatch&& from) {
  to.phase = from.phase;
  for (api::InjectionStatus& status : from.injections) {
    const auto it = std::find_if(to.injections.begin(), to.injections.end(), [&](const auto& s) {
      return s.index == status.index && s.pod.id() == status.pod.id();
    });
    if (it == to.injections.end())
      to.injections.push_back(std::move(status));
    else
      *it = std::move(status);
  }
  append(to.windows, std::move(from.windows));
  append(to.gaps, std::move(from.gaps));
  append(to.events, std::move(from.events));
}

// Takes all windows out of the batch and says so, one gap a pod.
std::size_t drop_windows(api::RunBatch& batch) {
  std::map<std::string, std::pair<api::Gap, std::size_t>> gaps;
  for (const api::EffectWindow& window : batch.windows) {
    auto& [gap, n] = gaps[window.pod.id()];
    if (n == 0 || window.from < gap.from) gap.from = window.from;
    if (n == 0 || window.to > gap.to) gap.to = window.to;
    ++n;
  }
  for (auto& [pod, entry] : gaps) {
    entry.first.pod = pod;
    entry.first.reason = std::to_string(entry.second) +
                         " windows dropped: the controller did not take them and the agent's "
                         "memory for them was full";
    batch.gaps.push_back(std::move(entry.first));
  }
  const std::size_t dropped = batch.windows.size();
  batch.windows = {};
  return dropped;
}

}  // namespace

std::size_t Outbox::size_of(const api::RunBatch& batch) {
  std::size_t bytes = 100 + 150 * batch.gaps.size();
  for (const auto& window : batch.windows) bytes += faultline::agent::size_of(window);
  for (const auto& status : batch.injections)
    bytes += 500 + faultline::agent::size_of(status.addedLatency);
  for (const auto& event : batch.events) bytes += 150 + event.text.size();
  return bytes;
}

void Outbox::add(api::RunBatch batch) {
  const auto same = std::find_if(entries_.rbegin(), entries_.rend(),
                                 [&](const Entry& e) { return e.numbered.batch.run == batch.run; });
  if (same != entries_.rend() && !same->sent && same->bytes < kFullBatch) {
    merge(same->numbered.batch, std::move(batch));
    bytes_ -= same->bytes;
    same->bytes = size_of(same->numbered.batch);
    bytes_ += same->bytes;
  } else {
    Entry entry;
    entry.numbered.number = ++last_number_;
    entry.bytes = size_of(batch);
    entry.numbered.batch = std::move(batch);
    bytes_ += entry.bytes;
    entries_.push_back(std::move(entry));
  }
  shrink();
}

void Outbox::shrink() {
  for (Entry& entry : entries_) {
    if (bytes_ <= max_bytes_) return;
    if (entry.numbered.batch.windows.empty()) continue;
    dropped_ += drop_windows(entry.numbered.batch);
    bytes_ -= entry.bytes;
    entry.bytes = size_of(entry.numbered.batch);
    bytes_ += entry.bytes;
  }
}

std::vector<api::NumberedBatch> Outbox::next(std::size_t max_bytes) {
  std::vector<api::NumberedBatch> batches;
  std::size_t bytes = 0;
  for (Entry& entry : entries_) {
    if (!batches.empty() && bytes + entry.bytes > max_bytes) break;
    bytes += entry.bytes;
    entry.sent = true;
    batches.push_back(entry.numbered);
  }
  return batches;
}

void Outbox::acknowledged(std::uint64_t number) {
  // A number that was never sent is not ours: of an earlier instance, or an error.
  while (!entries_.empty() && entries_.front().sent && entries_.front().numbered.number <= number) {
    bytes_ -= entries_.front().bytes;
    entries_.pop_front();
  }
}

}  // namespace faultline::agent
