// SPDX-License-Identifier: Apache-2.0
// NetworkFilter of the language as the kernel compares it: rules that are fixed when it is armed,
// and two sets of addresses that may change afterwards (bpf/include/net_filter.bpf.h).
#pragma once

#include <bpf/libbpf.h>

#include <vector>

#include "agent/kernel/peer_sets.h"
#include "api/fault.h"
#include "base/result.h"
#include "net_filter_abi.h"

namespace faultline::agent {

// Of an opened object with a program for each direction only those of `direction` are loaded: the
// verifier takes ten milliseconds for each.
inline void load_only(api::Direction direction, bpf_program* to, bpf_program* from) {
  bpf_program__set_autoload(to, direction != api::Direction::from);
  bpf_program__set_autoload(from, direction != api::Direction::to);
}

// `direction` and `interfaces` are not part of it: they choose the hooks.
struct NetFilter {
  // rodata, or a part of a slot. The caller sets address_set where filters share their tries.
  fl_filter_rules rules{};
  std::vector<fl_address_key> peers, exceptions;  // for the tries; sorted, each once
};

// A peer must be in one of `cidrs` too when both are given; an exception need be in one of
// `except.cidrs` and `except.peer` only. Errors: kNotFound when a selector has no address, so that
// nobody could ever match, or nobody would be left alone; kInvalid for an address that is none, and
// for more ports or addresses than FL_MAX_PORTS, FL_MAX_ADDRESSES.
Result<NetFilter> make_filter(const api::NetworkFilter& filter, const PeerSets& peers);

// The addresses of one filter in the tries of a loaded object, whose descriptors must outlive it.
// Not thread-safe.
class FilterMaps {
 public:
  // Puts the addresses of `made`, which is make_filter(filter, ...), into tries that have none of
  // its address_set. `peers`, `exceptions`: descriptors of fl_peers and fl_exceptions, which stay
  // the caller's. Errors: what the kernel said; then the tries have none of them either, unless
  // the kernel refused that, too.
  static Result<FilterMaps> fill(const api::NetworkFilter& filter, const NetFilter& made, int peers,
                                 int exceptions);

  // Changes the tries while programs ask them, so that a packet finds an address that is in the old
  // set and in the new one at any time. New exceptions come before new peers, old peers go before
  // old exceptions. No peers at all: nothing matches until there are some again. No exceptions any
  // more: the last ones stay, because nobody may be hit whom the document leaves alone. Errors: as
  // make_filter() but kNotFound, and what the kernel said; then the tries hold a part of both sets,
  // until the next call that succeeds.
  Result<> follow(const PeerSets& peers);
  // Takes all of them out again, when no program asks for them any more. For tries that go on
  // without this filter. Errors: what the kernel said; then some may be left.
  Result<> clear();

 private:
  api::NetworkFilter filter_;
  NetFilter now_;     // what the tries hold; more than that where a change failed
  bool sure_ = true;  // they hold all of it
  int peers_ = -1, exceptions_ = -1;
};

}  // namespace faultline::agent
