// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/edt/edt_pair.h"

#include <fcntl.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <thread>
#include <utility>

#include "agent/kernel/netlink.h"
#include "agent/kernel/netns.h"

namespace faultline::agent {
namespace {

constexpr const char* kOwnNetns = "/proc/thread-self/ns/net";
constexpr std::uint32_t kMtu = 65535;  // of veth, the largest: any packet of the pod goes through
constexpr const char* kFarName = "fl-far";

std::string path_of(const Fd& fd) { return "/proc/self/fd/" + std::to_string(fd.get()); }

Result<Fd> open_own_netns() {
  Fd fd(::open(kOwnNetns, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return fail(from_errno(errno, "cannot open our network namespace"));
  return fd;
}

// On a thread of its own, which leaves ours for good.
Result<Fd> make_netns() {
  Result<Fd> made;
  std::thread([&made] {
    if (::unshare(CLONE_NEWNET) != 0)
      made = fail(from_errno(errno, "cannot make a network namespace"));
    else
      made = open_own_netns();
  }).join();
  return made;
}

std::string near_name() {
  static std::atomic<unsigned> made{0};
  char name[16];  // IFNAMSIZ
  std::snprintf(name, sizeof name, "fl-e%x-%x", static_cast<unsigned>(::getpid()),
                made.fetch_add(1) & 0xffff);
  return name;
}

}  // namespace

Result<EdtPair> EdtPair::create(const Options& options) {
  EdtPair pair;
  auto home = open_own_netns();
  if (!home) return fail(home.error());
  pair.home_ = std::move(*home);
  auto netns = make_netns();
  if (!netns) return fail(netns.error());
  pair.netns_ = std::move(*netns);
  if (auto done = pair.configure(options); !done) return fail(done.error());
  return pair;
}

Result<> EdtPair::configure(const Options& options) {
  auto netlink = Netlink::open();
  if (!netlink) return fail(netlink.error());
  const std::string name = near_name();
  if (auto made = netlink->add_veth(name, kFarName, netns_.get()); !made) return made;
  const auto near = netlink->link(name);
  if (!near) return fail(near.error());
  near_ = near->index;
  const std::uint32_t mask = (1U << options.queue_bits) - 1;
  keeps_order_ = options.keep_order;
  if (options.packets > 0)
    if (auto done = netlink->set_root_fq(near_, options.packets, mask); !done) return done;
  if (options.take_no_gso) return netlink->take_no_gso(near_);
  return {};
}

Result<> EdtPair::open(TcMeans means, int turn, int back) {
  {
    const auto inside = ScopedNetns::enter(path_of(netns_));
    if (!inside) return fail(inside.error());
    auto there = Netlink::open();
    if (!there) return fail(there.error());
    const auto far = there->link(kFarName);
    if (!far) return fail(far.error());
    if (keeps_order_) {
      auto steering = ReceiveSteering::of(kFarName);
      if (!steering) return fail(steering.error());
      steering_ = std::move(*steering);
    }
    // A link, which ends with this process: what a killed agent leaves in the pair must not come
    // back to the pod, whose hooks are not there to put the packets' marks back.
    auto link = attach_tc(means, turn, far->index, TcHook::kIngress);
    if (!link) return fail(link.error());
    link->move_up();
    links_.push_back(std::move(*link));
    if (auto up = there->set_up_quietly(far->index, kMtu); !up) return up;
  }
  auto netlink = Netlink::open();
  if (!netlink) return fail(netlink.error());
  auto link = attach_to_own(*netlink, means, back, near_);
  if (!link) return fail(link.error());
  links_.push_back(std::move(*link));
  return netlink->set_up_quietly(near_, kMtu);
}

EdtPair::~EdtPair() {
  if (!netns_.valid() || near_ == IfIndex{}) return;
  steering_ = {};
  const auto remove = [this]() -> Result<> {
    const auto inside = ScopedNetns::enter(path_of(home_));
    if (!inside) return fail(inside.error());
    auto netlink = Netlink::open();
    if (!netlink) return fail(netlink.error());
    return netlink->remove(near_);
  };
  if (auto done = remove(); !done)
    spdlog::warn("{}; it goes with its namespace", done.error().message);
}

}  // namespace faultline::agent
