// SPDX-License-Identifier: Apache-2.0
// The gaps of tls_plain in words.
#pragma once

#include <cstdint>

#include "tls_plain_abi.h"

namespace faultline::agent {

// What is missing when requests in TLS are not measured.
inline constexpr const char* kOfTlsRequests = "tls.request.*";

// Why such a connection or request was not measured.
[[nodiscard]] inline const char* words_of_tls(std::uint32_t gap) {
  switch (gap) {
    case FL_PLAIN_GAP_SEVERAL:
      return "several requests at once in TLS";
    case FL_PLAIN_GAP_STREAM:
      return "a stream in TLS: data without turns";
    case FL_PLAIN_GAP_OLD:
      return "TLS whose beginning was not seen";
    case FL_PLAIN_GAP_UNCLEAR:
      return "the answers in TLS do not fit the protocol of the requests";
    case FL_PLAIN_GAP_PAST:
      return "TLS whose bytes go by SSL_sendfile or as early data";
    case FL_PLAIN_GAP_UNREADABLE:
      return "the plain bytes of TLS could not be read";
    case FL_PLAIN_GAP_HTTP2:
      return "HTTP/2 in TLS whose frames could not be followed";
    case FL_PLAIN_GAP_ASKED:
      return "answers in TLS whose request was not seen";
    case FL_PLAIN_GAP_EARLY:
      return "the answer in TLS began before the request was over";
    case FL_PLAIN_GAP_FULL:
      return "HTTP/2 in TLS, more at once than are remembered";
    case FL_PLAIN_GAP_STATUS:
      return "HTTP/2 in TLS, a status that is told by a header which is not remembered";
    case FL_PLAIN_GAP_TRAILER:
      return "HTTP/2 in TLS, a status of gRPC that is told by a header which is not remembered";
    case FL_PLAIN_GAP_CUT:
      return "HTTP/2 in TLS, an answer that was broken off";
    default:
      return "more of the answer in TLS came after a pause of 5 s";
  }
}

// The metrics that have nothing of such a request.
[[nodiscard]] inline const char* metrics_of_tls(std::uint32_t gap) {
  switch (gap) {
    case FL_PLAIN_GAP_EARLY:
      return "tls.request.latency";
    case FL_PLAIN_GAP_LATE:
    case FL_PLAIN_GAP_CUT:
      return "tls.request.duration";
    case FL_PLAIN_GAP_TRAILER:
      return "tls.request.errors";
    default:
      return kOfTlsRequests;
  }
}

}  // namespace faultline::agent
