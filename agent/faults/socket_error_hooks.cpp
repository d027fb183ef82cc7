// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/socket_error_hooks.h"

#include <bpf/libbpf.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <utility>

#include "agent/faults/syscalls/attach.h"
#include "agent/kernel/dice.h"
#include "agent/kernel/net_filter.h"
#include "agent/kernel/node_programs.h"
#include "socket_error_abi.h"
// After the types of its globals.
#include "socket_error_lsm.skel.h"

namespace faultline::agent {
namespace {

using api::SocketOperation;

struct SocketHook {
  SocketOperation operation;
  const char* name;
  std::uint32_t number;  // FL_SOCK_AT_*
  bpf_program* (*program)(const socket_error_lsm_bpf&);
};

constexpr SocketHook kHooks[] = {
    {SocketOperation::listen, "socket_listen", FL_SOCK_AT_LISTEN,
     [](const socket_error_lsm_bpf& object) { return object.progs.fl_socket_listen; }},
    {SocketOperation::accept, "socket_accept", FL_SOCK_AT_ACCEPT,
     [](const socket_error_lsm_bpf& object) { return object.progs.fl_socket_accept; }},
    {SocketOperation::sendmsg, "socket_sendmsg", FL_SOCK_AT_SENDMSG,
     [](const socket_error_lsm_bpf& object) { return object.progs.fl_socket_sendmsg; }},
    {SocketOperation::recvmsg, "socket_recvmsg", FL_SOCK_AT_RECVMSG,
     [](const socket_error_lsm_bpf& object) { return object.progs.fl_socket_recvmsg; }},
};

const SocketHook& hook_for(SocketOperation operation) {
  return *std::ranges::find(kHooks, operation, &SocketHook::operation);
}

class SocketErrorNode : public NodePrograms<socket_error_lsm_bpf, fl_sock_fault> {
 public:
  // Has a program at each hook that these operations need, and joins them. `lsm`: by LSM programs,
  // else by fmod_ret on security_*. Errors: as SyscallErrorNode::join().
  Result<Places> join(const std::vector<SocketOperation>& operations, bool lsm) {
    const std::scoped_lock lock(mutex_);
    std::map<std::string, const SocketHook*> wanted, missing;
    Places names;
    for (const SocketOperation operation : operations) {
      const SocketHook& hook = hook_for(operation);
      wanted.emplace(place_of_hook(hook.name, lsm), &hook);
    }
    for (const auto& [name, hook] : wanted) {
      names.push_back(name);
      if (!places_.has(name)) missing.emplace(name, hook);
    }
    if (!missing.empty())
      if (auto loaded = load(missing, lsm); !loaded) return fail(loaded.error());
    if (auto joined = places_.join(names); !joined) return fail(joined.error());
    return names;
  }
  // Addresses of all its faults, each with the set that is its slot's number. An object is loaded.
  Result<FilterMaps> fill(const api::SocketError& spec, const NetFilter& made) const {
    const std::scoped_lock lock(mutex_);
    return FilterMaps::fill(spec, made, bpf_map__fd(first()->maps.fl_peers),
                            bpf_map__fd(first()->maps.fl_exceptions));
  }

 private:
  Result<> load(const std::map<std::string, const SocketHook*>& missing, bool lsm) {
    const auto loaded =
        load_object("socket_error_lsm", [&](socket_error_lsm_bpf& object) -> Result<> {
          for (const SocketHook& hook : kHooks) {
            const bool wanted = missing.contains(place_of_hook(hook.name, lsm));
            bpf_program__set_autoload(hook.program(object), wanted);
            if (wanted) choose_kind(hook.program(object), lsm);
          }
          return {};
        });
    if (!loaded) return fail(loaded.error());
    for (const auto& [name, hook] : missing)
      places_.enter(name, bpf_program__fd(hook->program(**loaded)));
    return {};
  }
};

using SocketSeat = Seat<SocketErrorNode>;

class ArmedAtHooks final : public ArmedFault {
 public:
  ArmedAtHooks(std::unique_ptr<SocketSeat> seat, FilterMaps addresses, std::string mechanism,
               std::string errno_name)
      : seat_(std::move(seat)),
        addresses_(std::move(addresses)),
        mechanism_(std::move(mechanism)),
        errno_name_(std::move(errno_name)) {}
  ArmedAtHooks(const ArmedAtHooks&) = delete;
  ArmedAtHooks& operator=(const ArmedAtHooks&) = delete;
  ~ArmedAtHooks() override {
    if (auto ended = end(); !ended) spdlog::warn("socketError: {}", ended.error().message);
  }

  Result<> show(const Pod& pod, KtimeNs deadline) {
    if (auto shown = seat_->show(pod.cgroup, pod.cgroup_path); !shown) return shown;
    arm_lease(seat_->slot().lease, deadline);
    return {};
  }
  void renew(KtimeNs deadline) override { renew_lease(seat_->slot().lease, deadline); }
  Result<> follow(const PeerSets& peers) override { return addresses_.follow(peers); }

  Result<FaultCounters> read() const override {
    FaultCounters out = counted_in_slot(seat_->slot().counters);
    out.errors += seat_->missed();
    if (out.injected > 0) out.by_errno[errno_name_] = out.injected;
    return out;
  }
  Result<> disarm() override { return end(); }
  std::string mechanism() const override { return mechanism_; }

 private:
  // The slot may be another fault's afterwards, which must not find addresses of this one.
  Result<> end() {
    const Result<> left = seat_->leave();
    const Result<> cleared = addresses_.clear();
    if (!cleared) seat_->spoil();
    return left ? cleared : left;
  }

  std::unique_ptr<SocketSeat> seat_;
  FilterMaps addresses_;
  std::string mechanism_, errno_name_;
};

}  // namespace

Result<std::unique_ptr<ArmedFault>> arm_at_socket_hooks(
    const api::SocketError& spec, const std::vector<SocketOperation>& operations, const Pod& pod,
    const ArmContext& context, std::string mechanism) {
  auto filter = make_filter(spec, context.peers);
  if (!filter) return fail(filter.error());
  auto seat = SocketSeat::take([&](SocketErrorNode& node) {
    return node.join(operations, context.features.has(KernelFeature::kLsm));
  });
  if (!seat) return fail(seat.error());
  filter->rules.address_set = (*seat)->slot_number();
  fl_sock_fault& fault = (*seat)->slot();
  fault.seed = fl_splitmix64(context.seed);  // its dice are not those of the cgroup rung
  fault.probability = fl_threshold(spec.probability.value);
  fault.retval = -spec.errno_.value;
  for (const SocketOperation operation : operations)
    fault.hooks |= 1U << hook_for(operation).number;
  fault.rules = filter->rules;
  auto addresses = (*seat)->node().fill(spec, *filter);
  if (!addresses) {
    // Some may be in the tries still.
    (*seat)->spoil();
    return fail(addresses.error());
  }
  auto armed = std::make_unique<ArmedAtHooks>(std::move(*seat), std::move(*addresses),
                                              std::move(mechanism), spec.errno_.format());
  if (auto shown = armed->show(pod, context.deadline); !shown) return fail(shown.error());
  return armed;
}

}  // namespace faultline::agent
