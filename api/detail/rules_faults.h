// SPDX-License-Identifier: Apache-2.0
// Rules of the faults. A new fault adds its Rules here.
#pragma once

#include "api/detail/rules.h"
#include "api/fault.h"
#include "bpf/include/fault_abi.h"

namespace faultline::api::detail {

inline constexpr std::string_view kRcodes[] = {"FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",
                                               "REFUSED", "YXDOMAIN", "YXRRSET",  "NXRRSET",
                                               "NOTAUTH", "NOTZONE"};
inline constexpr std::string_view kSignals[] = {"SIGKILL", "SIGTERM", "SIGINT",  "SIGQUIT",
                                                "SIGHUP",  "SIGUSR1", "SIGUSR2", "SIGABRT",
                                                "SIGSEGV", "SIGSTOP", "SIGCONT"};

constexpr FieldRule port_rule(std::string_view key, std::string_view help) {
  return {.key = key,
          .help = help,
          .not_empty = true,
          .min = 1,
          .max = 65535,
          .max_items = FL_MAX_PORTS,
          .example = "[8080]"};
}
// A probability that is the point of the fault: required, and 0 would be no fault.
constexpr FieldRule chance_rule(std::string_view key, std::string_view help) {
  return {.key = key,
          .help = help,
          .required = true,
          .min = 0,
          .max = 1,
          .more_than_min = true,
          .example = "\"5%\""};
}
constexpr FieldRule each_rule(std::string_view help) {
  return {.key = "probability",
          .help = help,
          .min = 0,
          .max = 1,
          .more_than_min = true,
          .example = "\"50%\""};
}
constexpr FieldRule latency_rule(std::string_view help, bool required) {
  return {.key = "latency",
          .help = help,
          .required = required,
          .min = 0,
          .max = 10,
          .more_than_min = true,
          .example = "\"200ms\""};
}
inline constexpr FieldRule kCorrelation{
    .key = "correlation",
    .help = "How much a packet shares the fate of the packet before it.",
    .example = "\"25%\""};
inline constexpr FieldRule kErrno{.key = "errno",
                                  .help = "The errno that the application gets, by name.",
                                  .required = true,
                                  .example = "\"ETIMEDOUT\""};
inline constexpr FieldRule kJitter{
    .key = "jitter",
    .help =
        "Uniform: half the width of the interval, at most latency. Normal and pareto: the "
        "standard deviation.",
    .max = 10,
    .example = "\"20ms\""};
inline constexpr std::string_view kAbsolutePathOrGlob = "^[/*].*$";
inline constexpr FieldRule kDistribution{.key = "distribution", .help = "The shape of the jitter."};

template <>
struct Rules<NetworkException> {
  static constexpr std::string_view help =
      "What is left alone: a packet that any one of these names passes untouched.";
  static constexpr FieldRule fields[] = {{.key = "cidrs",
                                          .help = "Networks or addresses of the peer.",
                                          .not_empty = true,
                                          .max_items = FL_MAX_CIDRS,
                                          .example = "[\"10.96.0.10/32\"]"},
                                         port_rule("ports", "Ports of either end."),
                                         port_rule("podPorts", "Ports of the pod's end."),
                                         port_rule("peerPorts", "Ports of the peer's end."),
                                         {.key = "peer",
                                          .help = "Traffic with these pods, and with the Services "
                                                  "that lead to them.",
                                          .not_empty = true}};
  static constexpr std::string_view schema = R"({"minProperties": 1})";
};

template <>
struct Rules<NetworkFilter> {
  static constexpr std::string_view help = "Which packets; all given filters must match.";
  static constexpr FieldRule fields[] = {
      {.key = "direction",
       .help = "to: what the pod sends to its peers; from: what it receives from them; both."},
      {.key = "cidrs",
       .help = "Networks or addresses of the peer.",
       .not_empty = true,
       .max_items = FL_MAX_CIDRS,
       .example = "[\"10.0.0.0/8\"]"},
      port_rule("ports", "Ports of either end."),
      port_rule("podPorts", "Ports of the pod's end."),
      port_rule("peerPorts", "Ports of the peer's end."),
      {.key = "protocol", .help = "any, tcp, udp, or icmp (ICMP and ICMPv6)."},
      {.key = "peer",
       .help = "Only traffic with these pods; resolved to their addresses.",
       .not_empty = true},
      interfaces_rule("Network devices of the pod; by default those with the pod's addresses."),
      {.key = "except",
       .help = "What the fault leaves alone, whatever the other filters say.",
       .not_empty = true}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<NetworkLatency> {
  static constexpr std::string_view help = "Packets arrive later. None is lost for it.";
  static constexpr FieldRule fields[] = {
      latency_rule("How much later, up to 10 s.", true),
      kJitter,
      kDistribution,
      {.key = "correlation",
       .help = "Of a packet's delay with the delay before it; the distribution stays.",
       .example = "\"25%\""},
      each_rule("Each packet is delayed with this probability.")};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<LossBurst> {
  static constexpr std::string_view help =
      "Gilbert-Elliott: loss comes in bursts; the long-run loss is the fault's.";
  static constexpr FieldRule fields[] = {
      {.key = "length",
       .help = "Mean packets of a burst, 1 or more.",
       .min = 1,
       .max = 1e6,
       .example = "5"},
      {.key = "badLoss", .help = "Loss inside a burst.", .min = 0, .max = 1, .more_than_min = true},
      {.key = "goodLoss", .help = "Loss between bursts.", .min = 0, .max = 1}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<NetworkLoss> {
  static constexpr std::string_view help = "Packets are lost on their way, as on a bad network.";
  static constexpr FieldRule fields[] = {
      chance_rule("loss", "Long-run fraction of packets that are lost."),
      {.key = "correlation",
       .help = "With this probability a packet shares its predecessor's fate; not with burst.",
       .example = "\"25%\""},
      {.key = "burst", .help = "Loss comes in bursts."}};
  static constexpr std::string_view schema = R"({"not": {"required": ["correlation", "burst"],
             "properties": {"correlation": {"not": {"enum": ["0%", "0", 0]}}}}})";
};

template <>
struct Rules<NetworkDuplicate> {
  static constexpr std::string_view help = "Packets arrive twice.";
  static constexpr FieldRule fields[] = {
      chance_rule("duplicate", "Fraction of packets that are doubled."), kCorrelation};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<NetworkCorrupt> {
  static constexpr std::string_view help = "Packets arrive with a wrong bit.";
  static constexpr FieldRule fields[] = {
      chance_rule("corrupt", "Fraction of packets that are damaged."), kCorrelation};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<NetworkReorder> {
  static constexpr std::string_view help = "Packets are overtaken by later ones.";
  static constexpr FieldRule fields[] = {
      chance_rule("reorder", "Fraction of packets that are held back."),
      latency_rule("How long they are held back, up to 10 s.", false), kCorrelation};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<NetworkBandwidth> {
  static constexpr std::string_view help =
      "The pod's packets share a narrow link, each direction its own.";
  static constexpr FieldRule fields[] = {
      {.key = "rate",
       .help = "tc's words: 10mbit is ten million bits per second, 10mbps ten million bytes. "
               "Headers count.",
       .required = true,
       .min = 8000,
       .example = "\"10mbit\""},
      {.key = "burst",
       .help = "Bytes that may pass at full speed at once. 0: as many as pass in 1 ms at the "
               "rate, two full packets at least.",
       .example = "\"64Ki\""}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<NetworkPartition> {
  static constexpr std::string_view help = "Nothing gets through.";
  static constexpr std::span<const FieldRule> fields{};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<TcpReset> {
  static constexpr std::string_view help = "TCP connections are reset.";
  static constexpr FieldRule fields[] = {
      each_rule("Each connection is reset with this probability.")};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<DnsError> {
  static constexpr std::string_view help =
      "DNS questions of the pod fail: exactly one of rcode, drop and delay.";
  static constexpr FieldRule fields[] = {
      {.key = "names",
       .help = "Names that are asked for; * stands for any text. Left out: every name.",
       .not_empty = true,
       .max_items = 64,
       .max_length = 253,
       .pattern = "^[A-Za-z0-9_*]([-A-Za-z0-9_*.]{0,251}[A-Za-z0-9_*.])?$",
       .pattern_words = "a domain name, * for any text",
       .example = "[\"*.example.org\"]"},
      {.key = "rcode", .help = "The answer they get.", .words = kRcodes, .example = "\"NXDOMAIN\""},
      {.key = "drop", .help = "They get no answer."},
      {.key = "delay",
       .help = "The answer comes this much later, up to 10 s.",
       .min = 0,
       .max = 10,
       .more_than_min = true,
       .example = "\"2s\""},
      each_rule("Each question fails with this probability.")};
  static constexpr std::string_view schema = R"({"oneOf": [{"required": ["rcode"]},
    {"required": ["drop"], "properties": {"drop": {"const": true}}}, {"required": ["delay"]}]})";
};

template <>
struct Rules<SocketError> {
  static constexpr std::string_view help = "Socket calls of the pod fail with an errno.";
  static constexpr FieldRule fields[] = {
      {.key = "direction", .help = "Has no meaning for socket calls; leave it out."},
      {.key = "operations",
       .help = "Calls that fail.",
       .required = true,
       .not_empty = true,
       .max_items = 16,
       .example = "[\"connect\"]"},
      kErrno,
      each_rule("Each call fails with this probability.")};
  static constexpr std::string_view schema = R"({"properties": {"direction": {"const": "to"}}})";
};

template <>
struct Rules<SyscallFilter> {
  static constexpr std::string_view help = "Which system calls; all given filters must match.";
  static constexpr FieldRule fields[] = {
      {.key = "syscalls",
       .help = "Names of system calls, or groups of them: file, io, memory, network, process.",
       .required = true,
       .not_empty = true,
       .max_items = 64,
       .max_length = 64,
       .pattern = "^[a-z][a-z0-9_-]{0,63}$",
       .pattern_words = "the name of a system call",
       .example = "[\"openat\", \"read\"]"},
      {.key = "path",
       .help = "Only calls on this file or below this directory of the pod; the last part may hold "
               "one *.",
       .not_empty = true,
       .max_length = 4096,
       .pattern = kAbsolutePathOrGlob,
       .pattern_words = "an absolute path or a pattern with *",
       .example = "\"/var/lib/data\""},
      {.key = "fd", .help = "Only calls on this kind of descriptor."},
      {.key = "process",
       .help = "Only processes with this command name (15 bytes at most).",
       .not_empty = true,
       .max_length = 15,
       .pattern = "^.{0,15}$",
       .pattern_words = "a command name of at most 15 bytes"},
      each_rule("Each matching call is hit with this probability."),
      {.key = "every", .help = "Only every Nth matching call. 0: all of them.", .max = 1e12},
      {.key = "count", .help = "At most this many calls are hit. 0: no bound.", .max = 1e12},
      {.key = "after", .help = "The first N matching calls are left alone.", .max = 1e12}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<SyscallError> {
  static constexpr std::string_view help = "System calls of the pod fail with an errno.";
  static constexpr FieldRule fields[] = {kErrno};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<SyscallLatency> {
  static constexpr std::string_view help = "System calls of the pod take longer.";
  static constexpr FieldRule fields[] = {
      latency_rule("How much longer, up to 10 s.", true),
      kJitter,
      kDistribution,
      {.key = "spin",
       .help = "Where the kernel has no other way: burn the CPU meanwhile (up to 1 ms)."}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<CpuPressure> {
  static constexpr std::string_view help = "Work competes with the pod for its CPU.";
  static constexpr FieldRule fields[] = {
      {.key = "workers",
       .help = "Processes that compete, inside the pod's cgroup. Without it and percent: 1.",
       .min = 1,
       .max = 1024,
       .example = "2"},
      {.key = "percent",
       .help =
           "Instead of workers: so much of the pod's CPU limit they ask for together, or of the "
           "node's CPUs where no limit holds.",
       .min = 0,
       .max = 100,
       .more_than_min = true,
       .example = "80"},
      {.key = "load",
       .help = "Percent of one CPU that each asks for; with percent, at most so much each.",
       .min = 0,
       .max = 100,
       .more_than_min = true}};
  static constexpr std::string_view schema = R"({"not": {"required": ["workers", "percent"]}})";
};

template <>
struct Rules<MemoryPressure> {
  static constexpr std::string_view help = "Memory of the pod's limit is taken.";
  static constexpr FieldRule fields[] = {{.key = "bytes",
                                          .help = "How much is taken.",
                                          .required = true,
                                          .min = 1,
                                          .example = "\"64Mi\""}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<ProcessPause> {
  static constexpr std::string_view help = "The pod's processes stand still.";
  static constexpr FieldRule fields[] = {
      {.key = "process",
       .help = "Only processes with this command name. Left out: all.",
       .not_empty = true,
       .max_length = 15,
       .pattern = "^.{0,15}$",
       .pattern_words = "a command name of at most 15 bytes"}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<ProcessKill> {
  static constexpr std::string_view help = "The pod's processes get a signal.";
  static constexpr FieldRule fields[] = {
      {.key = "signal", .help = "The signal.", .words = kSignals},
      {.key = "process",
       .help = "Only processes with this command name. Left out: all.",
       .not_empty = true,
       .max_length = 15,
       .pattern = "^.{0,15}$",
       .pattern_words = "a command name of at most 15 bytes"}};
  static constexpr std::string_view schema{};
};

}  // namespace faultline::api::detail
