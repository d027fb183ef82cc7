// SPDX-License-Identifier: Apache-2.0
// The faults of the language. All of them parse and validate; which of them an agent can arm is the
// agent's answer (NodeInfo::faults). In YAML a fault is a map with one key, the fault's name:
// {networkLatency: {latency: 50ms}}.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/selector.h"
#include "api/values.h"

namespace faultline::api {

// As Chaos Mesh means it: `to` is what the pod sends to its peers, `from` what it receives from
// them.
enum class Direction { to, from, both };
BOOST_DESCRIBE_ENUM(Direction, to, from, both)

enum class Protocol { any, tcp, udp, icmp };  // icmp is ICMP and ICMPv6
BOOST_DESCRIBE_ENUM(Protocol, any, tcp, udp, icmp)

enum class Distribution { uniform, normal, pareto };
BOOST_DESCRIBE_ENUM(Distribution, uniform, normal, pareto)

// What a network fault leaves alone beside its filters: a packet that any one of these names passes
// untouched. At least one is given.
struct NetworkException {
  std::vector<Cidr> cidrs;               // of the peer
  std::vector<std::uint16_t> ports;      // of either end
  std::vector<std::uint16_t> podPorts;   // of the pod's end
  std::vector<std::uint16_t> peerPorts;  // of the peer's end
  std::optional<Selector> peer;          // resolved to the peers' addresses
};
BOOST_DESCRIBE_STRUCT(NetworkException, (), (cidrs, ports, podPorts, peerPorts, peer))

// Common to all network faults. An empty list does not filter. All given filters must match, and
// `except` must not.
struct NetworkFilter {
  Direction direction = Direction::to;
  std::vector<Cidr> cidrs;               // of the peer
  std::vector<std::uint16_t> ports;      // of either end
  std::vector<std::uint16_t> podPorts;   // of the pod's end
  std::vector<std::uint16_t> peerPorts;  // of the peer's end
  Protocol protocol = Protocol::any;
  std::optional<Selector> peer;         // resolved to the peers' addresses
  std::vector<std::string> interfaces;  // of the pod; empty: those that are hit by default
  std::optional<NetworkException> except;
};
BOOST_DESCRIBE_STRUCT(NetworkFilter, (),
                      (direction, cidrs, ports, podPorts, peerPorts, protocol, peer, interfaces,
                       except))

// jitter: for uniform the half-width of the interval, for normal and pareto the standard deviation.
// correlation: of a packet's delay with the delay before it, 0..1; the distribution itself is not
// changed by it.
struct NetworkLatency : NetworkFilter {
  Duration latency;  // required, up to 10 s
  Duration jitter;
  Distribution distribution = Distribution::uniform;
  Probability correlation;
  Probability probability{1.0};
};
BOOST_DESCRIBE_STRUCT(NetworkLatency, (NetworkFilter),
                      (latency, jitter, distribution, correlation, probability))

// Gilbert-Elliott: a bad state with mean length `length` packets in which packets are lost with
// badLoss, a good state with goodLoss; the long-run loss is NetworkLoss::loss.
struct LossBurst {
  double length = 1;  // mean packets a burst, >= 1
  Probability badLoss{1.0};
  Probability goodLoss{0.0};
};
BOOST_DESCRIBE_STRUCT(LossBurst, (), (length, badLoss, goodLoss))

struct NetworkLoss : NetworkFilter {
  Probability loss;  // required
  Probability
      correlation;  // with this probability a packet shares its predecessor's fate; not with burst
  std::optional<LossBurst> burst;
};
BOOST_DESCRIBE_STRUCT(NetworkLoss, (NetworkFilter), (loss, correlation, burst))

struct NetworkDuplicate : NetworkFilter {
  Probability duplicate;  // required
  Probability correlation;
};
BOOST_DESCRIBE_STRUCT(NetworkDuplicate, (NetworkFilter), (duplicate, correlation))

struct NetworkCorrupt : NetworkFilter {
  Probability corrupt;  // required
  Probability correlation;
};
BOOST_DESCRIBE_STRUCT(NetworkCorrupt, (NetworkFilter), (corrupt, correlation))

struct NetworkReorder : NetworkFilter {
  Probability reorder;  // required
  Duration latency{std::chrono::milliseconds(10)};
  Probability correlation;
};
BOOST_DESCRIBE_STRUCT(NetworkReorder, (NetworkFilter), (reorder, latency, correlation))

struct NetworkBandwidth : NetworkFilter {
  BitRate rate;  // required
  ByteSize burst;
};
BOOST_DESCRIBE_STRUCT(NetworkBandwidth, (NetworkFilter), (rate, burst))

struct NetworkPartition : NetworkFilter {};
BOOST_DESCRIBE_STRUCT(NetworkPartition, (NetworkFilter), ())

struct TcpReset : NetworkFilter {
  Probability probability{1.0};
};
BOOST_DESCRIBE_STRUCT(TcpReset, (NetworkFilter), (probability))

// Exactly one of rcode, drop and delay.
struct DnsError : NetworkFilter {
  std::vector<std::string> names;  // empty: every name; "*.example.org" globs
  std::string rcode;               // NXDOMAIN, SERVFAIL, REFUSED ...
  bool drop = false;
  std::optional<Duration> delay;
  Probability probability{1.0};
};
BOOST_DESCRIBE_STRUCT(DnsError, (NetworkFilter), (names, rcode, drop, delay, probability))

enum class SocketOperation {
  socket,
  bind,
  connect,
  listen,
  accept,
  sendmsg,
  recvmsg,
  setsockopt,
  getsockopt
};
BOOST_DESCRIBE_ENUM(SocketOperation, socket, bind, connect, listen, accept, sendmsg, recvmsg,
                    setsockopt, getsockopt)

// The network filters apply where the operation has an address: bind, connect, sendmsg of
// unconnected UDP. `direction` does not apply to a socket operation and is refused unless left at
// its default.
struct SocketError : NetworkFilter {
  std::vector<SocketOperation> operations;  // required, not empty
  ErrnoName errno_;                         // key "errno", required
  Probability probability{1.0};
};
BOOST_DESCRIBE_STRUCT(SocketError, (NetworkFilter), (operations, errno_, probability))

enum class FdKind { any, regular, socket, pipe };
BOOST_DESCRIBE_ENUM(FdKind, any, regular, socket, pipe)

struct SyscallFilter {
  std::vector<std::string> syscalls;  // required: names or groups
  std::string path;                   // prefix or glob on the resolved path
  FdKind fd = FdKind::any;
  std::string process;  // comm
  Probability probability{1.0};
  std::uint64_t every = 0;  // every Nth matching call
  std::uint64_t count = 0;  // at most this many, 0: no bound
  std::uint64_t after = 0;  // leave the first N alone
};
BOOST_DESCRIBE_STRUCT(SyscallFilter, (),
                      (syscalls, path, fd, process, probability, every, count, after))

struct SyscallError : SyscallFilter {
  ErrnoName errno_;  // key "errno", required
};
BOOST_DESCRIBE_STRUCT(SyscallError, (SyscallFilter), (errno_))

struct SyscallLatency : SyscallFilter {
  Duration latency;  // required
  Duration jitter;
  Distribution distribution = Distribution::uniform;
  bool spin = false;
};
BOOST_DESCRIBE_STRUCT(SyscallLatency, (SyscallFilter), (latency, jitter, distribution, spin))

// Busy processes in the pod's cgroup. At most one of workers and percent; neither is one worker.
struct CpuPressure {
  std::optional<std::int64_t> workers;
  std::optional<double> percent;  // of the pod's CPU limit, else of the node, all together
  double load = 100;              // percent of one CPU each; with `percent` each at most so much
};
BOOST_DESCRIBE_STRUCT(CpuPressure, (), (workers, percent, load))

struct MemoryPressure {
  ByteSize bytes;  // required
};
BOOST_DESCRIBE_STRUCT(MemoryPressure, (), (bytes))

struct ProcessPause {
  std::string process;
};
BOOST_DESCRIBE_STRUCT(ProcessPause, (), (process))

struct ProcessKill {
  std::string signal = "SIGKILL";
  std::string process;
};
BOOST_DESCRIBE_STRUCT(ProcessKill, (), (signal, process))

// The order is the order of the documentation. A new fault adds its struct above and one line here.
using FaultSpec =
    std::variant<NetworkLatency, NetworkLoss, NetworkDuplicate, NetworkCorrupt, NetworkReorder,
                 NetworkBandwidth, NetworkPartition, TcpReset, DnsError, SocketError, SyscallError,
                 SyscallLatency, CpuPressure, MemoryPressure, ProcessPause, ProcessKill>;

struct Fault {
  FaultSpec spec;
  // "networkLatency": the struct's name with a small first letter.
  [[nodiscard]] std::string_view name() const;
};

// The network filter of a fault that has one, else nullptr. Owned by the fault.
[[nodiscard]] const NetworkFilter* network_filter(const Fault& fault);
// The same for system calls.
[[nodiscard]] const SyscallFilter* syscall_filter(const Fault& fault);
// Does it act on what all containers of a pod share, their network? Then it cannot be held to some
// of them.
[[nodiscard]] bool is_of_whole_pod(const Fault& fault);

}  // namespace faultline::api
