// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/socket_error.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

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

constexpr const char* kMechanism = "cgroup";
constexpr int kMaxErrno = 4095;  // include/linux/err.h

// What the hook of an operation sees besides the protocol.
enum class Sees { kNothing, kPodPort, kPeer };

struct Operation {
  SocketOperation operation;
  const char* name;
  KernelFeature feature;
  Sees sees;
};

constexpr std::array kOperations{
    Operation{SocketOperation::socket, "socket", KernelFeature::kCgroupSock, Sees::kNothing},
    Operation{SocketOperation::bind, "bind", KernelFeature::kCgroupBind, Sees::kPodPort},
    Operation{SocketOperation::connect, "connect", KernelFeature::kCgroupConnect, Sees::kPeer},
    Operation{SocketOperation::sendmsg, "sendmsg", KernelFeature::kCgroupSendmsg, Sees::kPeer},
    Operation{SocketOperation::setsockopt, "setsockopt", KernelFeature::kCgroupSockopt,
              Sees::kNothing},
    Operation{SocketOperation::getsockopt, "getsockopt", KernelFeature::kCgroupSockopt,
              Sees::kNothing},
};

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

const char* word(SocketOperation operation) {
  if (operation == SocketOperation::listen) return "listen";
  if (operation == SocketOperation::accept) return "accept";
  return "recvmsg";
}

Result<> check_filters(const api::SocketError& spec, const Operation& op) {
  const auto refuse = [&](const char* filter) {
    return fail(Errc::kInvalid, std::string(filter) + ": " + op.name +
                                    " has no such address to compare; give it a fault of its own");
  };
  const bool peer = op.sees == Sees::kPeer, pod_port = op.sees != Sees::kNothing;
  if (!peer && !spec.cidrs.empty()) return refuse("cidrs");
  if (!peer && spec.peer) return refuse("peer");
  if (!peer && !spec.peerPorts.empty()) return refuse("peerPorts");
  if (!pod_port && !spec.ports.empty()) return refuse("ports");
  if (!pod_port && !spec.podPorts.empty()) return refuse("podPorts");
  return {};
}

Result<> check(const api::SocketError& spec, const FeatureProbe& features) {
  if (spec.errno_.value < 1 || spec.errno_.value > kMaxErrno)
    return fail(Errc::kInvalid, "errno must be 1 to 4095");
  if (spec.operations.empty()) return fail(Errc::kInvalid, "operations must name a call");
  for (const SocketOperation operation : spec.operations) {
    const auto op = std::ranges::find(kOperations, operation, &Operation::operation);
    if (op == kOperations.end())
      return fail(Errc::kUnsupported, std::string("operation ") + word(operation) +
                                          ": the kernel has no cgroup hook for it");
    if (!features.has(op->feature))
      return fail(Errc::kUnsupported,
                  std::string("operation ") + op->name + ": " + features.reason(op->feature));
    // Asked for by name: the same word would promise more than the hook can give.
    if (operation == SocketOperation::sendmsg && spec.protocol == api::Protocol::tcp)
      return fail(Errc::kUnsupported,
                  "operation sendmsg with protocol tcp: the kernel's cgroup hook sees only "
                  "unconnected UDP");
    if (auto r = check_filters(spec, *op); !r) return r;
  }
  return {};
}

class ArmedSocketError final : public ArmedFault {
 public:
  ArmedSocketError(Skeleton<socket_error_bpf> skeleton, std::vector<Link> links, std::string name)
      : skeleton_(std::move(skeleton)), links_(std::move(links)), errno_name_(std::move(name)) {}

  void renew(KtimeNs deadline) override { renew_lease(skeleton_->bss->fl_lease, deadline); }

  Result<FaultCounters> read() const override {
    const auto counters = read_counters(bpf_map__fd(skeleton_->maps.fl_counters));
    if (!counters) return fail(counters.error());
    FaultCounters out;
    out.matched = counters->matched;
    out.injected = counters->injected;
    out.errors = counters->errors;
    out.first_injected = {counters->first_ns};
    out.last_injected = {counters->last_ns};
    if (out.injected > 0) out.by_errno[errno_name_] = out.injected;
    return out;
  }

  Result<> disarm() override {
    disarm_lease(skeleton_->bss->fl_lease);
    links_.clear();
    return {};
  }
  std::string mechanism() const override { return kMechanism; }

 private:
  Skeleton<socket_error_bpf> skeleton_;
  std::vector<Link> links_;
  std::string errno_name_;
};

Result<std::unique_ptr<ArmedFault>> arm_socket_error(const api::SocketError& spec, const Pod& pod,
                                                     const ArmContext& context) {
  if (auto r = check(spec, context.features); !r) return fail(r.error());
  const auto filter = make_filter(spec, context.peer_addresses);
  if (!filter) return fail(filter.error());

  auto skeleton = Skeleton<socket_error_bpf>::open("socket_error");
  if (!skeleton) return fail(skeleton.error());
  socket_error_bpf& object = **skeleton;
  object.rodata->fl_config.error = static_cast<__u32>(spec.errno_.value);
  object.rodata->fl_config.probability = fl_threshold(spec.probability.value);
  object.rodata->fl_filter = *filter;
  object.rodata->fl_seed = context.seed;
  std::vector<bpf_program*> wanted;
  for (const SocketOperation operation : spec.operations)
    for (bpf_program* program : programs_of(object, operation)) wanted.push_back(program);
  for (const Operation& op : kOperations)
    for (bpf_program* program : programs_of(object, op.operation))
      bpf_program__set_autoload(program, std::ranges::find(wanted, program) != wanted.end());
  if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());

  std::vector<Link> links;
  for (const bpf_program* program : wanted) {
    auto link =
        attach_cgroup(bpf_program__fd(program), pod.cgroup_path,
                      static_cast<std::uint32_t>(bpf_program__expected_attach_type(program)));
    if (!link) return fail(link.error().with_context(bpf_program__name(program)));
    link->move_up();
    links.push_back(std::move(*link));
  }
  arm_lease(object.bss->fl_lease, context.deadline);
  return std::make_unique<ArmedSocketError>(std::move(*skeleton), std::move(links),
                                            spec.errno_.format());
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
  for (const Operation& op : kOperations) {
    if (features.has(op.feature))
      answer.supported = true;
    else
      reasons +=
          (reasons.empty() ? "" : "; ") + std::string(op.name) + ": " + features.reason(op.feature);
  }
  if (answer.supported)
    answer.mechanism = kMechanism;
  else
    answer.reason = reasons;
  return answer;
}

}  // namespace

const FaultType kSocketError{"socketError", support, arm, true};

}  // namespace faultline::agent
