// SPDX-License-Identifier: Apache-2.0
#include "api/detail/check.h"
#include "api/detail/type_name.h"
#include "api/syscalls.h"

namespace faultline::api::detail {
namespace {

class FaultCheck {
 public:
  FaultCheck(std::string path, Problems& problems) : path_(std::move(path)), problems_(problems) {}

  void filter(const NetworkFilter& f) {
    if (f.peer && *f.peer == Selector{}) add("peer", "must select something: it is empty");
    if (f.except && f.except->peer && *f.except->peer == Selector{})
      add("except.peer", "must select something: it is empty");
    if (f.protocol != Protocol::icmp) return;
    if (!f.ports.empty()) add("ports", "icmp has no ports");
    if (!f.podPorts.empty()) add("podPorts", "icmp has no ports");
    if (!f.peerPorts.empty()) add("peerPorts", "icmp has no ports");
  }

  void operator()(const NetworkLatency& f) { jitter(f.latency, f.jitter, f.distribution); }
  void operator()(const SyscallError& f) { calls(f); }
  void operator()(const SyscallLatency& f) {
    calls(f);
    jitter(f.latency, f.jitter, f.distribution);
    if (f.spin && f.latency.value + f.jitter.value > std::chrono::milliseconds(1))
      add("spin", "is only for latencies up to 1ms in all");
  }
  void operator()(const NetworkLoss& f) {
    if (!f.burst) return;
    if (f.correlation.value != 0) add("burst", "goes not together with correlation");
    if (problems_.spoiled(path_ + ".loss")) return;
    if (f.burst->goodLoss > f.loss)
      add("burst.goodLoss",
          "must be at most loss (" + f.loss.format() + "), got " + f.burst->goodLoss.format());
    if (f.burst->badLoss < f.loss)
      add("burst.badLoss",
          "must be at least loss (" + f.loss.format() + "), got " + f.burst->badLoss.format());
  }
  void operator()(const TcpReset& f) { tcp_only(f, "resets are of TCP"); }
  void operator()(const DnsError& f) {
    const int given = (f.rcode.empty() ? 0 : 1) + (f.drop ? 1 : 0) + (f.delay ? 1 : 0);
    if (given != 1)
      add("", "needs exactly one of rcode, drop and delay, got " + std::to_string(given));
    if (f.protocol == Protocol::icmp) add("protocol", "DNS is udp or tcp, not icmp");
  }
  void operator()(const SocketError& f) {
    if (f.direction != Direction::to)
      add("direction", "has no meaning for socket calls; leave it out");
    if (!f.interfaces.empty()) add("interfaces", "a socket call is of no device; leave it out");
    for (std::size_t i = 0; i < f.operations.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (f.operations[i] == f.operations[j])
          return add("operations[" + std::to_string(i) + "]", "is given twice");
  }
  void operator()(const CpuPressure& f) {
    if (f.workers && f.percent) add("percent", "goes not together with workers");
  }
  template <class T>
  void operator()(const T&) {}

 private:
  void add(std::string_view field, std::string message) {
    std::string at = path_;
    if (!field.empty()) at += "." + std::string(field);
    // What concerns the whole fault is spoiled by a problem anywhere in it.
    if (!problems_.spoiled(field.empty() ? at + ".?" : at))
      problems_.add(at, std::move(message),
                    field.empty() ? Problems::Where::kKey : Problems::Where::kValue);
  }
  void jitter(Duration latency, Duration jitter, Distribution distribution) {
    if (distribution == Distribution::uniform && jitter > latency)
      add("jitter", "must be at most latency (" + latency.format() +
                        ") for distribution uniform, got " + jitter.format());
  }
  void calls(const SyscallFilter& f) {
    for (std::size_t i = 0; i < f.syscalls.size(); ++i)
      if (const auto known = expand_syscalls({f.syscalls[i]}); !known)
        add("syscalls[" + std::to_string(i) + "]", known.error().message);
    if (f.path.empty()) return;
    if (const auto pattern = parse_path_pattern(f.path); !pattern)
      add("path", pattern.error().message + ", got \"" + f.path + "\"");
  }
  void tcp_only(const NetworkFilter& f, const std::string& why) {
    if (f.protocol == Protocol::udp || f.protocol == Protocol::icmp) add("protocol", why);
  }

  std::string path_;
  Problems& problems_;
};

}  // namespace

void check_fault(const Fault& fault, const std::string& path, Problems& problems) {
  FaultCheck check(path + "." + std::string(fault.name()), problems);
  if (const NetworkFilter* filter = network_filter(fault)) check.filter(*filter);
  std::visit(check, fault.spec);
}

}  // namespace faultline::api::detail
