// SPDX-License-Identifier: Apache-2.0
#include "agent/link/conversation.h"

#include <algorithm>
#include <utility>

namespace faultline::agent {
namespace {

double seconds_between(UtcTime from, UtcTime to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

bool Conversation::pods(std::vector<api::PodRef> pods) {
  if (pods_ == pods) return false;
  pods_ = std::move(pods);
  return true;
}

void Conversation::add(std::vector<api::RunBatch> batches) {
  for (api::RunBatch& batch : batches) outbox_.add(std::move(batch));
}

api::SyncRequest Conversation::request(const Situation& situation, UtcTime now) {
  const bool waiting_is_fine = info_known_ && pods_ == known_pods_ && !situation.wants_answer;
  api::SyncRequest request;
  request.instance = instance_;
  request.knownRevision = revision_;
  request.term = term_;
  request.sentAt = {now};
  request.clockOffset = clock_offset_;
  request.clockRoundTrip = clock_round_trip_;
  if (!info_known_) request.info = info_;
  if (pods_ && (!info_known_ || pods_ != known_pods_)) request.pods = pods_;
  const std::size_t all = outbox_.size();
  request.batches = outbox_.next(kMaxRequest);
  // While something waits to be sent, or idle with something unacknowledged, the answer must not.
  if (waiting_is_fine && request.batches.size() == all) {
    if (situation.lease)
      request.waitSeconds =
          std::min(kRunningWait, std::chrono::duration<double>(*situation.lease).count() / 4);
    else if (all == 0)
      request.waitSeconds = kIdleWait;
  }
  return request;
}

bool Conversation::answered(const api::SyncRequest& request, const api::SyncResponse& response,
                            UtcTime arrived) {
  if (response.term < term_) return false;
  term_ = response.term;
  revision_ = response.revision;
  outbox_.acknowledged(response.ackedBatch);
  if (request.info) info_known_ = true;
  if (request.pods) known_pods_ = request.pods;
  if (response.sendInfo) {
    info_known_ = false;
    known_pods_.reset();
  }
  if (!response.receivedAt.set() || !response.answeredAt.set()) return true;
  // RFC 5905, section 8, with the signs of SyncRequest::clockOffset.
  const UtcTime t1 = request.sentAt.value, t2 = response.receivedAt.value;
  const UtcTime t3 = response.answeredAt.value, t4 = arrived;
  clock_offset_ = (seconds_between(t2, t1) + seconds_between(t3, t4)) / 2;
  clock_round_trip_ = std::max(0.0, seconds_between(t1, t4) - seconds_between(t2, t3));
  return true;
}

}  // namespace faultline::agent
