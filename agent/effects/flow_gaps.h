// SPDX-License-Identifier: Apache-2.0
// The gaps of packet_flow in words.
#pragma once

#include <cstdint>

#include "flow_abi.h"

namespace faultline::agent {

// What is missing when requests are not measured.
inline constexpr const char* kOfRequests = "request.*";

// Why such a connection or request was not measured.
[[nodiscard]] inline const char* words_of(std::uint32_t gap) {
  switch (gap) {
    case FL_GAP_SEVERAL:
      return "several requests at once";
    case FL_GAP_HTTP2:
      return "HTTP/2 whose beginning was not seen, or more connections of it than are followed";
    case FL_GAP_STREAM:
      return "a stream: data without turns";
    case FL_GAP_TLS_HTTP2:
      return "TLS, in which the client offers HTTP/2";
    case FL_GAP_TLS_UNCLEAR:
      return "TLS whose records do not tell the requests";
    case FL_GAP_SIDE:
      return "it is not known who opened them";
    case FL_GAP_UNCLEAR:
      return "the answers do not fit the protocol of the requests";
    case FL_GAP_LOST:
      return "lost or reordered segments of TLS or HTTP/1";
    case FL_GAP_TICKET:
      return "first of a TLS 1.3 connection: a session ticket may be taken for the answer";
    case FL_GAP_H2_LOST:
      return "lost or reordered segments of HTTP/2";
    case FL_GAP_H2_FULL:
      return "HTTP/2, more at once than are remembered";
    case FL_GAP_STATUS:
      return "HTTP/2, a status that is told by a header which was not seen";
    case FL_GAP_EARLY:
      return "the answer began before the request was over";
    case FL_GAP_TRAILER:
      return "HTTP/2, a status of gRPC that is told by a header which was not seen";
    case FL_GAP_H2_CUT:
      return "HTTP/2, an answer that was broken off, or of which segments were lost";
    default:
      return "more of the answer came after a pause of 5 s";
  }
}

// The metrics that have nothing of such a request.
[[nodiscard]] inline const char* metrics_of(std::uint32_t gap) {
  switch (gap) {
    case FL_GAP_EARLY:
      return "request.latency";
    case FL_GAP_LATE:
    case FL_GAP_H2_CUT:
      return "request.duration";
    case FL_GAP_TRAILER:
      return "request.errors";
    default:
      return kOfRequests;
  }
}

}  // namespace faultline::agent
