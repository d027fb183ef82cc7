// SPDX-License-Identifier: Apache-2.0
// The words for what is measured. One table: a collector, the report, `expect`, `abortWhen` and
// /metrics all use it.
#pragma once

#include <array>
#include <string_view>

namespace faultline::api {

enum class MetricKind {
  kHistogram,  // EffectSample::histogram is set; quantiles exist
  kCounter,  // EffectSample::value is the increase in the window; the report shows it as a rate per
             // second
  kGauge,    // EffectSample::value is the mean over the window
  kFraction,  // numerator and denominator are set; the report shows their ratio
};

struct Metric {
  std::string_view name;
  MetricKind kind;
  std::string_view unit;  // "s", "B", "1", "cores": base units
  std::string_view help;
  bool higher_is_worse;
};

// Labels in EffectSample::labels: request.* have {side: server|client, port: "8080"},
// request.responses {class: "2xx".."5xx"} too; tls.request.* {side}, and class as above;
// connect.failures has {errno}; net.* have {direction: to|from} as faults mean it (to: what the pod
// sends); syscall.* have {call}, syscall.failures {errno} too.
inline constexpr std::array kMetrics = {
    Metric{"request.latency", MetricKind::kHistogram, "s",
           "time from a request's last data packet to its answer's first", true},
    Metric{"request.duration", MetricKind::kHistogram, "s",
           "time from a request's first data packet to its answer's last", true},
    Metric{"request.rate", MetricKind::kCounter, "1", "answered requests", false},
    Metric{"request.errors", MetricKind::kFraction, "1",
           "requests that the server failed: its connection ended before the answer, HTTP 5xx, "
           "or a gRPC status that is its fault",
           true},
    Metric{"request.responses", MetricKind::kCounter, "1",
           "answers of HTTP in the clear, by class of their status", false},
    Metric{"request.abandoned", MetricKind::kCounter, "1",
           "requests whose client ended the connection before the answer", true},
    Metric{"request.unanswered", MetricKind::kCounter, "1",
           "requests that were neither answered nor given up within a minute", true},
    // Of what processes write to and read from OpenSSL: not of other libraries, and beside
    // request.*, which has the same requests where packets tell them.
    Metric{"tls.request.latency", MetricKind::kHistogram, "s",
           "time from a request's last plain byte in TLS to its answer's first", true},
    Metric{"tls.request.duration", MetricKind::kHistogram, "s",
           "time from a request's first plain byte in TLS to its answer's last", true},
    Metric{"tls.request.rate", MetricKind::kCounter, "1", "answered requests in TLS", false},
    Metric{"tls.request.errors", MetricKind::kFraction, "1",
           "requests in TLS that failed: HTTP 5xx, and of a client those whose connection it freed "
           "before the answer",
           true},
    Metric{"tls.request.responses", MetricKind::kCounter, "1",
           "answers of HTTP in TLS, by class of their status", false},
    Metric{"tls.request.unanswered", MetricKind::kCounter, "1",
           "requests in TLS whose connection was freed before the answer, or that waited a minute",
           true},
    Metric{"connect.latency", MetricKind::kHistogram, "s",
           "TCP handshake of connections the pod opens", true},
    Metric{"connect.attempts", MetricKind::kCounter, "1", "TCP connections the pod tried to open",
           false},
    Metric{"connect.failures", MetricKind::kCounter, "1",
           "TCP connections the pod could not open, by errno", true},
    Metric{"connect.abandoned", MetricKind::kCounter, "1",
           "TCP connections the pod's programs gave up before they were answered", true},
    Metric{"connect.resets", MetricKind::kCounter, "1",
           "TCP connections that were reset by the peer before a byte went either way", true},
    Metric{"connect.errors", MetricKind::kFraction, "1",
           "failed connects, of all that opened or failed", true},
    Metric{"tcp.rtt", MetricKind::kHistogram, "s",
           "TCP round trips of the path: handshakes, and data that peers acknowledge at once",
           true},
    Metric{"tcp.retransmits", MetricKind::kCounter, "1", "TCP segments the pod sent again", true},
    Metric{"tcp.resets", MetricKind::kCounter, "1", "TCP resets sent or received", true},
    Metric{"net.packets", MetricKind::kCounter, "1", "packets", false},
    Metric{"net.bytes", MetricKind::kCounter, "B", "bytes with link-layer headers", false},
    Metric{"syscall.latency", MetricKind::kHistogram, "s",
           "time within a system call, by call; those that the run's faults name", true},
    Metric{"syscall.rate", MetricKind::kCounter, "1", "system calls that returned, by call", false},
    Metric{"syscall.failures", MetricKind::kCounter, "1",
           "system calls that returned an error, by call and errno", true},
    Metric{"cpu.usage", MetricKind::kGauge, "cores", "CPU time used per second", false},
    Metric{"cpu.runqueue", MetricKind::kGauge, "s",
           "mean wait for a CPU each time a thread was scheduled", true},
    Metric{"cpu.throttled", MetricKind::kFraction, "1",
           "scheduling periods in which the limit of CPU time was reached, of those in which there "
           "was work",
           true},
    Metric{"cpu.throttled_time", MetricKind::kGauge, "cores",
           "CPU time a second that the limit kept back, as the kernel counts it", true},
    Metric{"cpu.pressure", MetricKind::kFraction, "1",
           "share of the time in which a thread waited for a CPU (PSI, some)", true},
};

// nullptr when there is no such metric.
[[nodiscard]] constexpr const Metric* find_metric(std::string_view name) {
  for (const Metric& m : kMetrics)
    if (m.name == name) return &m;
  return nullptr;
}

}  // namespace faultline::api
