// SPDX-License-Identifier: Apache-2.0
// What a fault asks, in plain words.
#include "report/words.h"

#include <boost/describe.hpp>
#include <cmath>

#include "report/format.h"
#include "report/report.h"

namespace faultline::report {

std::string length_words(double length) {
  // Whole numbers without noughts behind the point.
  return length == std::floor(length) ? number_words(length, 1) : number_words(length, 3);
}
std::string megabits_words(const api::BitRate& rate) {
  const double megabits = static_cast<double>(rate.bits_per_second) / 1e6;
  return length_words(megabits);
}

std::string operation_words(api::SocketOperation operation) {
  return boost::describe::enum_to_string(operation, "?");
}

namespace {

using Parts = std::vector<std::string>;

std::string duration(const api::Duration& d) { return exact_seconds_words(d.seconds()); }
std::string percent(const api::Probability& p) { return percent_words(p.value, 6); }

// Only where it says something: a probability of 1 is every event.
void add_probability(Parts& parts, const api::Probability& p, std::string_view of_what) {
  if (p.value < 1) parts.push_back(percent(p) + " of " + std::string(of_what));
}

std::string jittered(const api::Duration& latency, const api::Duration& jitter) {
  return duration(latency) + (jitter.value.count() > 0 ? " +- " + duration(jitter) : "");
}

void add_distribution(Parts& parts, api::Distribution distribution, const api::Duration& jitter) {
  if (jitter.value.count() > 0 && distribution != api::Distribution::uniform)
    parts.push_back(std::string(boost::describe::enum_to_string(distribution, "?")) +
                    " distribution");
}

Parts asks(const api::NetworkLatency& f) {
  Parts parts{jittered(f.latency, f.jitter)};
  add_distribution(parts, f.distribution, f.jitter);
  if (f.correlation.value > 0) parts.push_back(percent(f.correlation) + " correlated");
  add_probability(parts, f.probability, "packets");
  return parts;
}
Parts asks(const api::NetworkLoss& f) {
  Parts parts{percent(f.loss) + " of packets lost"};
  if (f.burst) {
    parts.push_back("in bursts of " + length_words(f.burst->length) + " on average");
    if (f.burst->badLoss.value < 1 || f.burst->goodLoss.value > 0)
      parts.push_back(percent(f.burst->badLoss) + " inside a burst and " +
                      percent(f.burst->goodLoss) + " outside");
  }
  if (f.correlation.value > 0) parts.push_back(percent(f.correlation) + " correlated");
  return parts;
}
Parts with_correlation(std::string what, const api::Probability& correlation) {
  Parts parts{std::move(what)};
  if (correlation.value > 0) parts.push_back(percent(correlation) + " correlated");
  return parts;
}
Parts asks(const api::NetworkDuplicate& f) {
  return with_correlation(percent(f.duplicate) + " of packets sent twice", f.correlation);
}
Parts asks(const api::NetworkCorrupt& f) {
  return with_correlation(percent(f.corrupt) + " of packets damaged", f.correlation);
}
Parts asks(const api::NetworkReorder& f) {
  return with_correlation(
      percent(f.reorder) + " of packets overtaken by others within " + duration(f.latency),
      f.correlation);
}
Parts asks(const api::NetworkBandwidth& f) {
  Parts parts{"at most " + megabits_words(f.rate) + " Mbit/s"};
  if (f.burst.bytes > 0) parts.push_back("bursts of " + f.burst.format());
  return parts;
}
Parts asks(const api::NetworkPartition&) { return {"no packet passes"}; }
Parts asks(const api::TcpReset& f) {
  Parts parts{"connections reset"};
  add_probability(parts, f.probability, "packets");
  return parts;
}
Parts asks(const api::DnsError& f) {
  Parts parts;
  if (!f.rcode.empty()) parts.push_back("answered " + f.rcode);
  if (f.drop) parts.emplace_back("questions dropped");
  if (f.delay) parts.push_back("answered " + duration(*f.delay) + " later");
  parts.push_back(f.names.empty() ? "every name" : "names " + join(f.names, ", "));
  add_probability(parts, f.probability, "questions");
  return parts;
}
Parts asks(const api::SocketError& f) {
  Parts operations;
  for (const api::SocketOperation operation : f.operations)
    operations.push_back(operation_words(operation));
  const bool some = f.probability.value < 1;
  return {(some ? percent(f.probability) + " of " : "every ") + join(operations, ", ") +
          (some ? " calls fail with " : " call fails with ") + f.errno_.format()};
}
void add_syscall_filter(Parts& parts, const api::SyscallFilter& f) {
  add_probability(parts, f.probability, "calls");
  if (f.every > 1) parts.push_back("every " + count_words(f.every) + "th call");
  if (f.after > 0) parts.push_back("after the first " + count_words(f.after));
  if (f.count > 0) parts.push_back("at most " + plural(f.count, "time", "times"));
  if (!f.path.empty()) parts.push_back("on " + f.path);
  if (f.fd != api::FdKind::any)
    parts.push_back(std::string("on a ") + boost::describe::enum_to_string(f.fd, "?"));
  if (!f.process.empty()) parts.push_back("of process " + f.process);
}
Parts asks(const api::SyscallError& f) {
  Parts parts{join(f.syscalls, ", ") + " fail with " + f.errno_.format()};
  add_syscall_filter(parts, f);
  return parts;
}
Parts asks(const api::SyscallLatency& f) {
  Parts parts{join(f.syscalls, ", ") + " take " + jittered(f.latency, f.jitter) + " longer"};
  add_distribution(parts, f.distribution, f.jitter);
  add_syscall_filter(parts, f);
  if (f.spin) parts.emplace_back("holding the CPU");
  return parts;
}
Parts asks(const api::CpuPressure& f) {
  if (!f.percent)
    return {plural(static_cast<std::uint64_t>(f.workers.value_or(1)), "worker", "workers") +
            " at " + length_words(f.load) + " % of a CPU each"};
  Parts parts{length_words(*f.percent) + " % of the pod's CPU limit, else of the node's CPUs"};
  if (f.load < 100) parts.push_back("at most " + length_words(f.load) + " % of a CPU a worker");
  return parts;
}
Parts asks(const api::MemoryPressure& f) { return {f.bytes.format() + " of memory held"}; }
Parts asks(const api::ProcessPause& f) {
  return {f.process.empty() ? "all processes paused" : "process " + f.process + " paused"};
}
Parts asks(const api::ProcessKill& f) {
  return {f.signal + " to " + (f.process.empty() ? "every process" : f.process)};
}

std::string port_list(const std::vector<std::uint16_t>& ports, std::string_view whose) {
  Parts list;
  for (const std::uint16_t port : ports) list.push_back(std::to_string(port));
  return std::string(whose) + (ports.size() == 1 ? "port " : "ports ") + join(list, ", ");
}

}  // namespace

std::string direction_words(api::Direction direction) {
  switch (direction) {
    case api::Direction::to:
      return "on what it sends";
    case api::Direction::from:
      return "on what it receives";
    case api::Direction::both:
      break;
  }
  return "both directions";
}

namespace {

std::string network_list(const std::vector<api::Cidr>& cidrs) {
  Parts list;
  for (const api::Cidr& cidr : cidrs) list.push_back(cidr.format());
  return join(list, ", ");
}

// Ports and addresses, whose keys a filter and its exception have in common. `T`: NetworkFilter or
// NetworkException.
template <class T>
Parts where_words(const T& f) {
  Parts parts;
  if (!f.ports.empty()) parts.push_back(port_list(f.ports, ""));
  if (!f.podPorts.empty()) parts.push_back(port_list(f.podPorts, "its own "));
  if (!f.peerPorts.empty()) parts.push_back(port_list(f.peerPorts, "the peer's "));
  if (!f.cidrs.empty()) parts.push_back("peers in " + network_list(f.cidrs));
  if (f.peer) parts.push_back("peers " + selector_words(*f.peer));
  return parts;
}

}  // namespace

std::vector<std::string> filter_words(const api::NetworkFilter& f) {
  Parts parts = where_words(f);
  if (f.protocol != api::Protocol::any)
    parts.push_back(std::string(boost::describe::enum_to_string(f.protocol, "?")) + " only");
  if (!f.interfaces.empty()) parts.push_back("on " + join(f.interfaces, ", "));
  if (f.except) parts.push_back("all but " + join(where_words(*f.except), ", "));
  return parts;
}

std::string asked_words(const api::Fault& fault) {
  Parts parts = std::visit([](const auto& f) { return asks(f); }, fault.spec);
  if (const api::NetworkFilter* filter = api::network_filter(fault)) {
    // A socket operation has no direction.
    if (!std::holds_alternative<api::SocketError>(fault.spec))
      parts.push_back(direction_words(filter->direction));
    for (std::string& part : filter_words(*filter)) parts.push_back(std::move(part));
  }
  return join(parts, ", ");
}

}  // namespace faultline::report
