// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/socket_error.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "agent/faults/parts.h"
#include "agent/faults/socket_error_hooks.h"
#include "agent/faults/syscalls/attach.h"
#include "agent/kernel/counters.h"
#include "agent/kernel/dice.h"
#include "agent/kernel/lease.h"
#include "agent/kernel/link.h"
#include "agent/kernel/net_filter.h"
#include "agent/kernel/skeleton.h"
#include "socket_error.skel.h"

namespace faultline::agent {
namespace {

using api::SocketOperation;

constexpr const char* kByCgroup = "cgroup";
constexpr int kMaxErrno = 4095;  // include/linux/err.h

// What the hook of an operation sees besides the protocol.
enum class Sees { kNothing, kPodPort, kPeer };

enum class Rung { kSecurity, kCgroup };

struct Operation {
  SocketOperation operation;
  const char* name;
  Sees sees;
  std::optional<KernelFeature> cgroup;  // what its cgroup hook needs; none: there is no such hook
  bool security = false;                // by a security hook, which sees more than a cgroup hook
};

constexpr std::array kOperations{
    Operation{SocketOperation::socket, "socket", Sees::kNothing, KernelFeature::kCgroupSock},
    Operation{SocketOperation::bind, "bind", Sees::kPodPort, KernelFeature::kCgroupBind},
    Operation{SocketOperation::connect, "connect", Sees::kPeer, KernelFeature::kCgroupConnect},
    Operation{SocketOperation::listen, "listen", Sees::kPodPort, std::nullopt, true},
    Operation{SocketOperation::accept, "accept", Sees::kPodPort, std::nullopt, true},
    Operation{SocketOperation::sendmsg, "sendmsg", Sees::kPeer, KernelFeature::kCgroupSendmsg,
              true},
    Operation{SocketOperation::recvmsg, "recvmsg", Sees::kPeer, std::nullopt, true},
    Operation{SocketOperation::setsockopt, "setsockopt", Sees::kNothing,
              KernelFeature::kCgroupSockopt},
    Operation{SocketOperation::getsockopt, "getsockopt", Sees::kNothing,
              KernelFeature::kCgroupSockopt},
};

const Operation& find(SocketOperation operation) {
  return *std::ranges::find(kOperations, operation, &Operation::operation);
}

std::vector<bpf_program*> programs_of(const socket_error_bpf& object, SocketOperation operation) {
  const auto& p = object.progs;
  switch (operation) {  // no default: a new operation must be thought about here
    case SocketOperation::socket:
      return {p.fl_sock_create};
    case SocketOperation::bind:
      return {p.fl_sock_bind4, p.fl_sock_bind6};
    case SocketOperation::connect:
      return {p.fl_sock_conn4, p.fl_sock_conn6};
    case SocketOperation::sendmsg:
      return {p.fl_sock_send4, p.fl_sock_send6};
    case SocketOperation::setsockopt:
      return {p.fl_sock_setopt};
    case SocketOperation::getsockopt:
      return {p.fl_sock_getopt};
    case SocketOperation::listen:
    case SocketOperation::accept:
    case SocketOperation::recvmsg:
      return {};
  }
  return {};
}

// What the hook of the operation cannot see is refused: as a filter it would match nothing, as an
// exception it would leave nobody alone. `T`: NetworkFilter or NetworkException; `where`: before
// the names of its keys.
template <class T>
Result<> check_keys(const std::string& where, const T& keys, const Operation& op) {
  const auto refuse = [&](const char* key) {
    return fail(Errc::kInvalid, where + key + ": " + op.name +
                                    " has no such address to compare; give it a fault of its own");
  };
  const bool peer = op.sees == Sees::kPeer, pod_port = op.sees != Sees::kNothing;
  if (!peer && !keys.cidrs.empty()) return refuse("cidrs");
  if (!peer && keys.peer) return refuse("peer");
  if (!peer && !keys.peerPorts.empty()) return refuse("peerPorts");
  if (!pod_port && !keys.ports.empty()) return refuse("ports");
  if (!pod_port && !keys.podPorts.empty()) return refuse("podPorts");
  return {};
}

Result<> check_filters(const api::SocketError& spec, const Operation& op) {
  if (auto r = check_keys("", spec, op); !r || !spec.except) return r;
  return check_keys("except.", *spec.except, op);
}

// The rung that covers more, where the kernel has it.
Result<Rung> rung_of(const Operation& op, api::Protocol protocol, const FeatureProbe& features) {
  std::string reasons;
  if (op.security) {
    const std::string reason = security_reason(features);
    if (reason.empty()) return Rung::kSecurity;
    reasons = "by security hook: " + reason + "; ";
  }
  reasons += "by cgroup hook: ";
  if (!op.cgroup)
    reasons += "there is none for it";
  else if (!features.has(*op.cgroup))
    reasons += features.reason(*op.cgroup);
  // Asked for by name: the same word would promise more than the hook can give.
  else if (op.operation == SocketOperation::sendmsg && protocol == api::Protocol::tcp)
    reasons += "it sees only unconnected UDP";
  else
    return Rung::kCgroup;
  return fail(Errc::kUnsupported, std::string("operation ") + op.name + ": " + reasons);
}

struct Plan {
  std::vector<SocketOperation> security, cgroup;
};

Result<Plan> plan(const api::SocketError& spec, const FeatureProbe& features) {
  if (spec.errno_.value < 1 || spec.errno_.value > kMaxErrno)
    return fail(Errc::kInvalid, "errno must be 1 to 4095");
  if (spec.operations.empty()) return fail(Errc::kInvalid, "operations must name a call");
  Plan plan;
  for (const SocketOperation operation : spec.operations) {
    const Operation& op = find(operation);
    const auto rung = rung_of(op, spec.protocol, features);
    if (!rung) return fail(rung.error());
    if (auto r = check_filters(spec, op); !r) return fail(r.error());
    (*rung == Rung::kSecurity ? plan.security : plan.cgroup).push_back(operation);
  }
  return plan;
}

class ArmedInCgroup final : public ArmedFault {
 public:
  ArmedInCgroup(Skeleton<socket_error_bpf> skeleton, FilterMaps addresses, std::vector<Link> links,
                std::string mechanism, std::string errno_name)
      : skeleton_(std::move(skeleton)),
        addresses_(std::move(addresses)),
        links_(std::move(links)),
        mechanism_(std::move(mechanism)),
        errno_name_(std::move(errno_name)) {}

  void renew(KtimeNs deadline) override { renew_lease(skeleton_->bss->fl_lease, deadline); }
  Result<> follow(const PeerSets& peers) override { return addresses_.follow(peers); }

  Result<FaultCounters> read() const override {
    const auto counters = read_counters(bpf_map__fd(skeleton_->maps.fl_counters));
    if (!counters) return fail(counters.error());
    FaultCounters out = counted_by(*counters);
    if (out.injected > 0) out.by_errno[errno_name_] = out.injected;
    return out;
  }

  Result<> disarm() override {
    disarm_lease(skeleton_->bss->fl_lease);
    links_.clear();
    return {};
  }
  std::string mechanism() const override { return mechanism_; }

 private:
  Skeleton<socket_error_bpf> skeleton_;
  FilterMaps addresses_;
  std::vector<Link> links_;
  std::string mechanism_, errno_name_;
};

Result<Link> attach(const bpf_program* program, const Pod& pod) {
  return attach_cgroup(bpf_program__fd(program), pod.cgroup_path,
                       static_cast<std::uint32_t>(bpf_program__expected_attach_type(program)));
}

Result<std::unique_ptr<ArmedFault>> arm_in_cgroup(const api::SocketError& spec,
                                                  const std::vector<SocketOperation>& operations,
                                                  const Pod& pod, const ArmContext& context,
                                                  const std::string& mechanism) {
  const auto filter = make_filter(spec, context.peers);
  if (!filter) return fail(filter.error());
  auto skeleton = Skeleton<socket_error_bpf>::open("socket_error");
  if (!skeleton) return fail(skeleton.error());
  socket_error_bpf& object = **skeleton;
  object.rodata->fl_config.error = static_cast<__u32>(spec.errno_.value);
  object.rodata->fl_config.probability = fl_threshold(spec.probability.value);
  object.rodata->fl_filter = filter->rules;
  object.rodata->fl_seed = context.seed;
  std::vector<bpf_program*> wanted;
  for (const SocketOperation operation : operations)
    for (bpf_program* program : programs_of(object, operation)) wanted.push_back(program);
  for (const Operation& op : kOperations)
    for (bpf_program* program : programs_of(object, op.operation))
      bpf_program__set_autoload(program, std::ranges::find(wanted, program) != wanted.end());
  if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());
  auto addresses = FilterMaps::fill(spec, *filter, bpf_map__fd(object.maps.fl_peers),
                                    bpf_map__fd(object.maps.fl_exceptions));
  if (!addresses) return fail(addresses.error());

  std::vector<Link> links;
  for (const bpf_program* program : wanted) {
    auto link = attach(program, pod);
    if (!link) return fail(link.error().with_context(bpf_program__name(program)));
    link->move_up();
    links.push_back(std::move(*link));
  }
  arm_lease(object.bss->fl_lease, context.deadline);
  return std::make_unique<ArmedInCgroup>(std::move(*skeleton), std::move(*addresses),
                                         std::move(links), mechanism, spec.errno_.format());
}

// "cgroup" where there is no other rung, else "lsm on listen, accept".
std::string mechanism_of(const std::string& word, const std::vector<SocketOperation>& operations,
                         bool only) {
  std::string text = word;
  if (only) return text;
  for (const SocketOperation operation : operations)
    text += (operation == operations.front() ? " on " : ", ") + std::string(find(operation).name);
  return text;
}

Result<std::unique_ptr<ArmedFault>> arm_socket_error(const api::SocketError& spec, const Pod& pod,
                                                     const ArmContext& context) {
  const auto planned = plan(spec, context.features);
  if (!planned) return fail(planned.error());
  const auto& [security, cgroup] = *planned;
  auto parts = std::make_unique<ArmedParts>();
  if (!cgroup.empty()) {
    auto part = arm_in_cgroup(spec, cgroup, pod, context,
                              mechanism_of(kByCgroup, cgroup, security.empty()));
    if (!part) return part;
    parts->add(kByCgroup, std::move(*part));
  }
  if (!security.empty()) {
    const std::string word = security_word(context.features);
    auto part = arm_at_socket_hooks(spec, security, pod, context,
                                    mechanism_of(word, security, cgroup.empty()));
    if (!part) return part;
    parts->add(word, std::move(*part));
  }
  return parts;
}

Result<std::unique_ptr<ArmedFault>> arm(const api::Fault& fault, const Pod& pod,
                                        const ArmContext& context) {
  const auto* spec = std::get_if<api::SocketError>(&fault.spec);
  if (spec == nullptr) return fail(Errc::kInternal, "socketError was given another fault");
  auto armed = arm_socket_error(*spec, pod, context);
  if (!armed) return fail(armed.error().with_context("socketError on " + pod.ref.id()));
  return armed;
}

// Supported when one operation is; arm() tells about each that is asked for.
api::FaultSupport support(const FeatureProbe& features) {
  api::FaultSupport answer{.fault = "socketError"};
  std::string reasons;
  bool by_cgroup = false;
  for (const Operation& op : kOperations) {
    if (!op.cgroup) continue;
    if (features.has(*op.cgroup))
      by_cgroup = true;
    else
      reasons +=
          (reasons.empty() ? "" : "; ") + std::string(op.name) + ": " + features.reason(*op.cgroup);
  }
  if (by_cgroup) answer.mechanism = kByCgroup;
  if (const std::string reason = security_reason(features); reason.empty())
    answer.mechanism += (by_cgroup ? ", " : "") + std::string(security_word(features)) +
                        " (listen, accept, sendmsg, recvmsg)";
  else
    reasons += (reasons.empty() ? "" : "; ") + std::string("listen, accept, recvmsg: ") + reason;
  answer.supported = !answer.mechanism.empty();
  if (!answer.supported) answer.reason = reasons;
  return answer;
}

}  // namespace

const FaultType kSocketError{"socketError", support, arm, true};

}  // namespace faultline::agent
