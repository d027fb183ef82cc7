// SPDX-License-Identifier: Apache-2.0
// What applications will see, and how it is made: for people who have not read the design.
#include <algorithm>
#include <boost/describe.hpp>

#include "report/format.h"
#include "report/report.h"
#include "report/stats.h"
#include "report/words.h"

namespace faultline::report {
namespace {

std::string duration(double seconds) { return exact_seconds_words(seconds); }

// "packets the pod sends (port 8080)", with the share that is hit before it.
std::string packets(const api::NetworkFilter& f, const api::Probability& share) {
  std::string text =
      share.value < 1 ? percent_words(share.value, 6) + " of the packets" : "Packets";
  text += " the pod ";
  text += f.direction == api::Direction::to     ? "sends"
          : f.direction == api::Direction::from ? "receives"
                                                : "sends or receives";
  const std::vector<std::string> filter = filter_words(f);
  return filter.empty() ? text : text + " (" + join(filter, "; ") + ")";
}

// Seconds from the end of the fault until nothing waits any more: as long as a packet waits, at
// most 1 s (agent/faults/delay_line/delay_worker.h, kFlush).
double longest_end(const api::NetworkLatency& f) {
  const bool bounded = f.distribution == api::Distribution::uniform || f.jitter.seconds() == 0;
  return bounded ? std::min(1.0, f.latency.seconds() + f.jitter.seconds()) : 1.0;
}

std::string explain(const api::NetworkLatency& f) {
  // Both directions: a request and its answer each cross the delay once. A new connection crosses
  // it once more, in the handshake.
  const double round_trip = f.latency.seconds() * (f.direction == api::Direction::both ? 2 : 1);
  std::string text =
      packets(f, f.probability) + " arrive " + duration(f.latency.seconds()) + " later. ";
  text += f.probability.value < 1 ? "A request that is hit takes " : "A request takes ";
  return text + "about " + duration(round_trip) + " longer on a kept connection, about " +
         duration(2 * round_trip) +
         " where the caller connects anew. Packets wait beside the pod's interface and keep their "
         "order" +
         (f.probability.value < 1 ? ": one that the dice spare goes behind those of its connection "
                                    "that wait, so that a busy connection is late as a whole"
                                  : std::string()) +
         "; nothing inside the pod is touched. At the end what waits is let go at the pace it "
         "came, within " +
         duration(longest_end(f)) + ".";
}
std::string explain(const api::NetworkLoss& f) {
  std::string text =
      packets(f, f.loss) +
      " vanish, and the sender is not told. TCP sends them again, which costs from a few "
      "milliseconds to a fifth of a second or more and shows in p99 before p50; UDP loses them. ";
  if (f.burst)
    text += "Losses come in bursts of " + length_words(f.burst->length) +
            " packets on average, which stalls TCP longer than single ones. ";
  return text +
         "Each packet of the wire has dice of its own, also where TCP hands over many in one "
         "piece. Dropped by eBPF where the packet is received.";
}
std::string explain(const api::NetworkDuplicate& f) {
  return packets(f, f.duplicate) + " arrive twice. TCP hides it; a UDP service may answer twice.";
}
std::string explain(const api::NetworkCorrupt& f) {
  return packets(f, f.corrupt) + " are damaged. Checksums catch it, so that it acts like loss.";
}
std::string explain(const api::NetworkReorder& f) {
  return packets(f, f.reorder) +
         " arrive out of order. TCP may take it for loss and send them again.";
}
std::string explain(const api::NetworkBandwidth& f) {
  const double bytes_per_second =
      static_cast<double>(std::max<std::uint64_t>(1, f.rate.bits_per_second)) / 8;
  // As docs/decisions/0013-bandwidth.md says: 100 ms, 32 KiB at least.
  const double queue = std::max(0.1, (32 << 10) / bytes_per_second);
  return packets(f, api::Probability{1}) + " share a link of " + megabits_words(f.rate) +
         " Mbit/s" + (f.direction == api::Direction::both ? ", each direction its own" : "") +
         ": a megabyte takes " + seconds_words(1e6 / bytes_per_second) +
         " at least. Small requests feel nothing until its queue fills; then every packet waits "
         "behind the others, up to " +
         seconds_words(queue) +
         ", and what finds the queue full is dropped, as by a router. TCP slows down to that rate; "
         "UDP loses what is above it. Packets wait beside the pod's interface and keep their "
         "order; nothing inside the pod is touched. At the end what waits is let go within " +
         seconds_words(std::min(1.0, queue)) + ".";
}
std::string explain(const api::NetworkPartition& f) {
  return packets(f, api::Probability{1}) +
         " do not arrive. Open connections hang until the application's own time-out; new ones are "
         "not answered.";
}
std::string explain(const api::TcpReset& f) {
  return packets(f, f.probability) +
         " reset their connection. Applications see ECONNRESET and have to connect again.";
}
std::string explain(const api::DnsError& f) {
  std::string text = "Look-ups of " + (f.names.empty() ? "every name" : join(f.names, ", "));
  if (!f.rcode.empty()) text += " are answered " + f.rcode;
  if (f.drop) text += " get no answer, so that the resolver waits for its time-out (often 5 s)";
  if (f.delay) text += " are answered " + duration(f.delay->seconds()) + " later";
  return text + ". Names that an application has cached are not asked for and so not hit.";
}
std::string explain(const api::SocketError& f) {
  std::vector<std::string> operations;
  for (const api::SocketOperation operation : f.operations)
    operations.push_back(operation_words(operation) + "()");
  const std::vector<std::string> filter = filter_words(f);
  std::string text = f.probability.value < 1
                         ? percent_words(f.probability.value, 6) + " of the pod's calls to "
                         : "Every call of the pod to ";
  text += join(operations, ", ") + (filter.empty() ? "" : " (" + join(filter, "; ") + ")");
  const bool on_open_ones = std::ranges::any_of(f.operations, [](api::SocketOperation operation) {
    return operation == api::SocketOperation::sendmsg || operation == api::SocketOperation::recvmsg;
  });
  return text + std::string(f.probability.value < 1 ? " fail" : " fails") + " at once with " +
         f.errno_.format() + ", as if the system had said so; no packet is sent for it. " +
         (on_open_ones ? "Open connections stay open, and what is sent or received on them fails "
                         "too. "
                       : "Open connections are not touched. ") +
         "Returned by eBPF programs before the call does its work.";
}
std::string explain(const api::SyscallError& f) {
  return "System calls " + join(f.syscalls, ", ") + " of the pod fail with " + f.errno_.format() +
         (f.probability.value < 1 ? " (" + percent_words(f.probability.value, 6) + " of them)"
                                  : "") +
         ". Returned by eBPF before the call does its work.";
}
std::string explain(const api::SyscallLatency& f) {
  return "System calls " + join(f.syscalls, ", ") + " of the pod take " +
         duration(f.latency.seconds()) + " longer. " +
         (f.spin ? "The calling thread holds its CPU meanwhile."
                 : "The calling thread sleeps; other threads go on.");
}
std::string explain(const api::CpuPressure& f) {
  const std::string who =
      f.percent ? "Busy workers in the pod's cgroup ask for " + length_words(*f.percent) +
                      " % of the pod's CPU limit together, or of the node's CPUs where it has "
                      "none, and compete with the pod for CPU time."
      : f.workers.value_or(1) == 1
          ? "1 busy worker in the pod's cgroup competes with it for CPU time."
          : plural(static_cast<std::uint64_t>(*f.workers), "busy worker", "busy workers") +
                " in the pod's cgroup compete with it for CPU time.";
  return who + " What computes gets slower, and is throttled sooner where the pod has a CPU limit.";
}
std::string explain(const api::MemoryPressure& f) {
  return f.bytes.format() +
         " are held in the pod's cgroup. Near the pod's limit the kernel reclaims, which stalls, "
         "and "
         "at the limit it may kill.";
}
std::string explain(const api::ProcessPause& f) {
  return (f.process.empty() ? "Every process of the pod" : "Process " + f.process) +
         " stops and goes on at the end. Connections stay open and nothing is answered.";
}
std::string explain(const api::ProcessKill& f) {
  return (f.process.empty() ? "Every process of the pod" : "Process " + f.process) + " gets " +
         f.signal + ". Whoever supervises it should start it again.";
}

}  // namespace

std::string too_short_words(const api::Phases& phases) {
  const double least = static_cast<double>(kFewestWindows);  // windows of 1 s
  std::vector<std::string> what;
  if (phases.baseline.seconds() < least)
    what.push_back(duration(phases.baseline.seconds()) + " before");
  if (phases.fault.seconds() < least)
    what.push_back(duration(phases.fault.seconds()) + " with the fault");
  if (what.empty()) return "";
  return join(what, " and ") +
         ": too short to tell a change from chance, so that the report will call nothing a "
         "change; " +
         duration(least) + " each are needed";
}

std::string explain_words(const api::Fault& fault) {
  return std::visit([](const auto& f) { return explain(f); }, fault.spec);
}

}  // namespace faultline::report
