// SPDX-License-Identifier: Apache-2.0
// StressChaos, PodChaos, DNSChaos, KernelChaos.
#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>

#include "api/syscalls.h"
#include "cli/convert/kinds.h"

namespace faultline::cli {
namespace {

// "256MB", "1GiB", "4096": as Chaos Mesh's documentation spells them. nullopt: it is no size.
std::optional<std::uint64_t> bytes_of(std::string_view text) {
  double number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc{} || number < 0) return std::nullopt;
  std::string unit;
  for (const char* p = read.ptr; p != text.data() + text.size(); ++p)
    if (*p != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*p)));
  if (unit.ends_with('b')) unit.pop_back();
  const bool binary = unit.ends_with('i');
  if (binary) unit.pop_back();
  constexpr std::string_view kPowers = "kmgtp";
  double factor = 1;
  if (unit.size() == 1 && kPowers.find(unit[0]) != std::string_view::npos)
    factor = std::pow(binary ? 1024.0 : 1000.0, 1.0 + static_cast<double>(kPowers.find(unit[0])));
  else if (!unit.empty())
    return std::nullopt;
  const double value = number * factor;
  if (value >= 0x1p53) return std::nullopt;
  return static_cast<std::uint64_t>(value);
}

void cpu(const Node& node, Draft& draft) {
  if (!node.given()) return;
  const Node workers = node["workers"], load = node["load"];
  api::CpuPressure fault;
  const auto count = workers.number(0, 8192);
  const auto percent = load.number(0, 100);
  if (!count) {
    if (!workers.given()) node.missing("workers", "the fault is left out");
    return;
  }
  if (*count < 1) return workers.left_out("0 does nothing; the fault is left out");
  fault.workers = static_cast<std::int64_t>(*count);
  if (*fault.workers > 1024) {
    workers.left_out("at most 1024; so many are started");
    fault.workers = 1024;
  }
  if (load.given() && !percent) return;  // said already
  if (percent && *percent <= 0) return load.left_out("0 does nothing; the fault is left out");
  if (percent) fault.load = *percent;
  draft.spec.faults.push_back({fault});
}

void memory(const Node& node, Draft& draft) {
  if (!node.given()) return;
  const Node workers = node["workers"], size = node["size"];
  const auto count = workers.number(0, 8192);
  const auto text = size.text();
  if (!count) {
    if (!workers.given()) node.missing("workers", "the fault is left out");
    return;
  }
  if (*count < 1) return workers.left_out("0 does nothing; the fault is left out");
  if (!text || text->empty())
    return node.missing("size", "Chaos Mesh takes all memory; write bytes; the fault is left out");
  if (text->ends_with('%'))
    return size.left_out(
        "a part of the memory is not known here; write bytes; the fault is left out");
  const auto each = bytes_of(*text);
  if (!each) return size.left_out("expected a size like 256MB; the fault is left out");
  if (*each == 0) return size.left_out("0 does nothing; the fault is left out");
  draft.spec.faults.push_back({api::MemoryPressure{{*each * static_cast<std::uint64_t>(*count)}}});
}

// Names of a call chain to system calls. false: without it more would fail.
bool callchain(const Node& node, std::vector<std::string>& out) {
  bool all = true;
  for (const Node& frame : node.items()) {
    const Node function = frame["funcname"];
    frame["parameters"].left_out(why_not("KernelChaos", "failKernRequest.callchain.parameters"));
    if (const Node predicate = frame["predicate"]; predicate.given()) {
      predicate.left_out(why_not("KernelChaos", "failKernRequest.callchain.predicate"));
      all = false;
    }
    std::string name = function.text().value_or("");
    for (const std::string_view before :
         {"__x64_sys_", "__arm64_sys_", "__se_sys_", "__do_sys_", "ksys_", "sys_"})
      if (name.starts_with(before)) {
        name.erase(0, before.size());
        break;
      }
    if (api::find_syscall(name) != nullptr && out.empty()) {
      out.push_back(name);
      continue;
    }
    if (!function.given()) frame.missing("funcname", "the fault is left out");
    function.left_out(
        "only one system call can be named (__x64_sys_openat); without it more would fail, so the "
        "fault is left out");
    all = false;
  }
  if (node.given() && !node.value()->is_array()) {
    node.left_out("expected a list; the fault is left out");
    all = false;
  }
  return all;
}

}  // namespace

void convert_stress(const Node& spec, Draft& draft) {
  convert_containers(spec, draft);
  const Node stressors = spec["stressors"];
  if (const Node words = spec["stressngStressors"]; words.given()) {
    words.left_out(why_not("StressChaos", "stressngStressors"));
    if (stressors.given())
      stressors.note("has no effect beside stressngStressors, as in Chaos Mesh");
    stressors.read_all();
    return;
  }
  cpu(stressors["cpu"], draft);
  memory(stressors["memory"], draft);
  if (!stressors["cpu"].given() && !stressors["memory"].given())
    spec.missing("stressors", "nothing is known to be done");
}

void convert_pod(const Node& spec, Draft& draft) {
  const Node action = spec["action"], grace = spec["gracePeriod"];
  const std::string word = action.text().value_or("");
  const auto seconds = grace.number(0, 1e9);
  if (word == "container-kill") {
    convert_containers(spec, draft);
  } else if (const Node names = spec["containerNames"]; names.given()) {
    names.note("has no effect with action " + word + ", as in Chaos Mesh");
    names.read_all();
  }
  if (word != "pod-kill" && grace.given() && seconds.value_or(0) > 0)
    grace.note("has no effect with action " + word + ", as in Chaos Mesh");
  if (word == "pod-kill" || word == "container-kill") {
    api::ProcessKill fault;
    if (word == "pod-kill") {
      action.left_out(
          "the pod is not deleted: its processes are killed and the kubelet restarts them; use "
          "kubectl delete pod to have it replaced");
      if (seconds && *seconds > 0) {
        fault.signal = "SIGTERM";
        grace.left_out("processes get SIGTERM, and no SIGKILL after it");
      }
    }
    draft.spec.faults.push_back({fault});
  } else if (word == "pod-failure") {
    action.left_out(
        "the pod's processes stand still: callers wait, where in Chaos Mesh nothing listens; add "
        "networkPartition or socketError to have them fail");
    draft.spec.faults.push_back({api::ProcessPause{}});
  } else if (action.given()) {
    action.left_out("expected one of pod-kill, pod-failure, container-kill");
  } else {
    spec.missing("action", "nothing is known to be done");
  }
}

void convert_dns(const Node& spec, Draft& draft) {
  const Node names = spec["containerNames"];
  names.read_all();
  if (names.given()) {
    names.left_out(
        "all containers of a pod share its network, so that the fault would hit them all; leave "
        "it out if that is meant; the document is left out");
    draft.unsafe = true;
  }
  const Node action = spec["action"], patterns = spec["patterns"];
  const std::string word = action.text().value_or("");
  api::DnsError fault;
  fault.rcode = "SERVFAIL";
  if (patterns.given() && !patterns.value()->is_array()) patterns.left_out("expected a list");
  for (const Node& item : patterns.items()) {
    const auto name = item.text();
    if (!name) continue;
    const bool plain = std::ranges::all_of(*name, [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '*';
    });
    if (!plain || name->empty() || name->size() > 253 || name->front() == '.' ||
        name->front() == '-')
      item.left_out(
          "no name is like that here: * stands for any text, ? for nothing; write it out");
    else
      fault.names.push_back(*name);
  }
  // A list of which nothing is left would mean every name.
  const bool lost = fault.names.empty() && patterns.given() &&
                    !(patterns.value()->is_array() && patterns.value()->get_array().empty());
  if (lost) patterns.left_out("no name is left, so the fault is left out");
  if (word == "error") {
    if (!lost) draft.spec.faults.push_back({fault});
  } else if (word == "random") {
    action.left_out("answers are never made up; use dnsError with an rcode (action error)");
  } else if (action.given()) {
    action.left_out("expected one of error, random");
  } else {
    spec.missing("action", "nothing is known to be done");
  }
}

void convert_kernel(const Node& spec, Draft& draft) {
  const Node names = spec["containerNames"];
  if (names.given()) names.note("has no effect, as in Chaos Mesh: the whole pod is hit");
  names.read_all();
  const Node request = spec["failKernRequest"];
  if (!request.given()) return spec.missing("failKernRequest", "nothing is known to be done");
  const Node type = request["failtype"], chance = request["probability"], times = request["times"];
  api::SyscallError fault;
  const bool known = callchain(request["callchain"], fault.syscalls);
  const auto number = type.number(0, 2);
  if (const auto count = times.number(0, 4294967295.0))
    fault.count = static_cast<std::uint64_t>(*count);
  if (chance.given()) {
    const auto value = chance.percent();
    if (!value) return;
    if (value->value <= 0) return chance.left_out("0 does nothing; the fault is left out");
    fault.probability = *value;
  } else {
    request.missing("probability",
                    "without it Chaos Mesh lets nothing fail; the fault is left out");
    return;
  }
  if (!number) {
    if (!type.given()) request.missing("failtype", "the fault is left out");
    return;
  }
  const bool memory = *number < 2;
  fault.errno_.value = memory ? ENOMEM : EIO;
  if (fault.syscalls.empty())
    fault.syscalls = memory ? std::vector<std::string>{"memory"}
                            : std::vector<std::string>{"read",     "pread64", "write",
                                                       "pwrite64", "fsync",   "fdatasync"};
  if (!memory) fault.fd = api::FdKind::regular;
  type.left_out(memory ? "the system call fails with ENOMEM, not an allocation within the kernel"
                       : "the system call fails with EIO, not a block request within the kernel");
  if (known) draft.spec.faults.push_back({fault});
}

}  // namespace faultline::cli
