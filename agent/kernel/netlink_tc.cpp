// SPDX-License-Identifier: Apache-2.0
// Qdiscs and filters.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>

#include "agent/kernel/netlink_message.h"

namespace faultline::agent {
namespace {

constexpr std::uint32_t kClsactHandle = TC_H_MAKE(TC_H_CLSACT, 0);

tcmsg side_of(IfIndex device, TcHook hook) {
  tcmsg header{};
  header.tcm_ifindex = static_cast<int>(number(device));
  header.tcm_parent =
      TC_H_MAKE(TC_H_CLSACT, hook == TcHook::kIngress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
  return header;
}

tcmsg header_of(const TcFilter& filter) {
  tcmsg header = side_of(filter.device, filter.hook);
  header.tcm_info = TC_H_MAKE(static_cast<std::uint32_t>(filter.pref) << 16, htons(ETH_P_ALL));
  header.tcm_handle = filter.handle;
  return header;
}

tcmsg clsact_of(IfIndex device) {
  tcmsg header{};
  header.tcm_ifindex = static_cast<int>(number(device));
  header.tcm_parent = TC_H_CLSACT;
  header.tcm_handle = kClsactHandle;
  return header;
}

// TCA_BPF_ID, nested in TCA_OPTIONS; 0: none.
std::uint32_t program_id_in(std::span<const std::uint8_t> options) {
  std::uint32_t id = 0;
  for (std::size_t at = 0; at + sizeof(rtattr) <= options.size();) {
    const auto nested = read_as<rtattr>(options.subspan(at));
    if (nested.rta_len < sizeof(rtattr) || at + nested.rta_len > options.size()) break;
    if ((nested.rta_type & NLA_TYPE_MASK) == TCA_BPF_ID)
      id = read_as<std::uint32_t>(
          options.subspan(at + sizeof(rtattr), nested.rta_len - sizeof(rtattr)));
    at += RTA_ALIGN(nested.rta_len);
  }
  return id;
}

}  // namespace

Result<> Netlink::set_root_qdisc(IfIndex index, const std::string& kind) {
  tcmsg header{};
  header.tcm_ifindex = static_cast<int>(number(index));
  header.tcm_parent = TC_H_ROOT;
  Request request(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, header);
  request.add(TCA_KIND, kind);
  return change(request, "cannot set qdisc " + kind);
}

Result<> Netlink::set_root_fq(IfIndex index, std::uint32_t packets, std::uint32_t queue_mask) {
  tcmsg header{};
  header.tcm_ifindex = static_cast<int>(number(index));
  header.tcm_parent = TC_H_ROOT;
  Request request(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, header);
  request.add(TCA_KIND, "fq");
  const std::size_t options = request.nest(TCA_OPTIONS);
  request.add(TCA_FQ_PLIMIT, packets);
  request.add(TCA_FQ_FLOW_PLIMIT, packets);
  request.add(TCA_FQ_ORPHAN_MASK, queue_mask);
  request.close(options);
  return change(request, "cannot set qdisc fq");
}

Result<std::string> Netlink::ingress_qdisc(IfIndex index) {
  tcmsg header = clsact_of(index);
  header.tcm_handle = 0;
  // Without the echo kernels before 6.8 tell all who listen, but not who asked; without the
  // acknowledgement they say nothing of a device that had one and has none now.
  Request request(RTM_GETQDISC, NLM_F_ECHO | NLM_F_ACK, header);
  std::string kind;
  auto done = exchange(request, [&](const nlmsghdr& message) {
    each_attribute<tcmsg>(message, [&](int type, std::span<const std::uint8_t> data) {
      if (type == TCA_KIND) kind = read_string(data);
    });
  });
  if (!done && done.error().sys_errno == ENOENT) return std::string();
  if (!done) return fail(with_errno(done.error().sys_errno, "cannot ask for the qdisc clsact"));
  return kind;
}

Result<> Netlink::add_clsact(IfIndex index) {
  Request request(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, clsact_of(index));
  request.add(TCA_KIND, std::string("clsact"));
  return change(request, "cannot add the qdisc clsact");
}

Result<> Netlink::remove_clsact(IfIndex index) {
  Request request(RTM_DELQDISC, NLM_F_ACK, clsact_of(index));
  request.add(TCA_KIND, std::string("clsact"));
  return change(request, "cannot remove the qdisc clsact");
}

Result<> Netlink::add_filter(const TcFilter& filter, int program_fd, const std::string& name) {
  Request request(RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, header_of(filter));
  request.add(TCA_KIND, std::string("bpf"));
  const std::size_t options = request.nest(TCA_OPTIONS);
  request.add(TCA_BPF_FD, static_cast<std::uint32_t>(program_fd));
  request.add(TCA_BPF_NAME, name);
  request.add(TCA_BPF_FLAGS, std::uint32_t{TCA_BPF_FLAG_ACT_DIRECT});
  request.close(options);
  return change(request, "cannot add a bpf filter");
}

Result<std::uint32_t> Netlink::filter_program(const TcFilter& filter) {
  Request request(RTM_GETTFILTER, 0, header_of(filter));
  request.add(TCA_KIND, std::string("bpf"));
  std::uint32_t id = 0;
  auto done = exchange(request, [&](const nlmsghdr& message) {
    each_attribute<tcmsg>(message, [&](int type, std::span<const std::uint8_t> data) {
      if (type == TCA_OPTIONS) id = program_id_in(data);
    });
  });
  if (!done) return fail(with_errno(done.error().sys_errno, "cannot ask for a bpf filter"));
  return id;
}

Result<> Netlink::remove_filter(const TcFilter& filter) {
  Request request(RTM_DELTFILTER, NLM_F_ACK, header_of(filter));
  request.add(TCA_KIND, std::string("bpf"));
  return change(request, "cannot remove a bpf filter");
}

Result<bool> Netlink::has_filters(IfIndex index) {
  bool any = false;
  for (const TcHook hook : {TcHook::kIngress, TcHook::kEgress}) {
    Request request(RTM_GETTFILTER, NLM_F_DUMP, side_of(index, hook));
    auto done = exchange(request, [&](const nlmsghdr& message) {
      each_attribute<tcmsg>(message, [&](int type, std::span<const std::uint8_t>) {
        any = any || type == TCA_OPTIONS;  // each kind's chain also has a line without
      });
    });
    if (!done) return fail(with_errno(done.error().sys_errno, "cannot list filters"));
  }
  return any;
}

}  // namespace faultline::agent
