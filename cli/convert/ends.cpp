// SPDX-License-Identifier: Apache-2.0
#include "cli/convert/ends.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "cli/covers.h"

namespace faultline::cli {
namespace {

using api::Direction;
using api::NetworkFilter;
using api::Selector;

// "10.0.0.0/8", "10.0.0.7:80", "[fd00::1]:80". As Go reads them: bits after the prefix are cut off.
bool external(const Node& item, std::map<std::uint16_t, std::vector<api::Cidr>>& by_port) {
  const auto text = item.text();
  if (!text) return false;
  std::string host = *text;
  std::uint16_t port = 0;
  const std::size_t colon = host.rfind(':');
  const bool bracket = host.starts_with('[');
  if (colon != std::string::npos && (bracket ? host[colon - 1] == ']' : host.find(':') == colon)) {
    const char* end = host.data() + host.size();
    const auto read = std::from_chars(host.data() + colon + 1, end, port);
    if (read.ec != std::errc{} || read.ptr != end || port == 0) {
      item.left_out("expected a port from 1 to 65535 after the colon");
      return false;
    }
    host = bracket ? host.substr(1, colon - 2) : host.substr(0, colon);
  }
  const std::size_t slash = host.find('/');
  auto cidr = api::Cidr::parse(host.substr(0, slash));
  if (cidr && slash != std::string::npos) {
    int prefix = -1;
    const int bits = cidr->v4 ? 32 : 128;
    const char* end = host.data() + host.size();
    const auto read = std::from_chars(host.data() + slash + 1, end, prefix);
    if (read.ec != std::errc{} || read.ptr != end || prefix < 0 || prefix > bits) {
      item.left_out("expected a prefix from 0 to " + std::to_string(bits));
      return false;
    }
    cidr->prefix = prefix + 128 - bits;
    for (int bit = cidr->prefix; bit < 128; ++bit)
      cidr->address[bit / 8] &= static_cast<std::uint8_t>(~(0x80u >> (bit % 8)));
  }
  if (!cidr) {
    item.left_out("names are not looked up; write the addresses");
    return false;
  }
  auto& list = by_port[port];
  if (std::ranges::find(list, *cidr) == list.end()) list.push_back(*cidr);
  return true;
}

// Whether `mode` and `value` of `owner` choose every pod that the selector matches.
bool chooses_all(const Node& owner, const Selector& selector) {
  std::size_t named = 0;
  for (const auto& [space, names] : selector.pods) named += names.size();
  const std::string word = owner["mode"].text().value_or("");
  const std::string number = owner["value"].text().value_or("");
  const auto most = static_cast<std::size_t>(std::max(0, std::atoi(number.c_str())));
  return word == "all" || (word == "one" && named == 1) ||
         (word == "fixed" && named > 0 && most >= named) ||
         (word == "fixed-percent" && most == 100);
}

NetworkFilter filter_of(Direction direction, const Selector& peer) {
  NetworkFilter out;
  out.direction = direction;
  out.peer = peer;
  return out;
}

// Both directions of the pods that one end hits, where `own`, all of that end, may be peers, too.
// Between two of them a packet passes twice: it is hit where it is sent.
std::vector<NetworkFilter> once_each_way(const Selector& own, const Selector& peer) {
  NetworkFilter back = filter_of(Direction::from, peer);
  back.except.emplace().peer = own;
  return {filter_of(Direction::to, peer), std::move(back)};
}

constexpr std::string_view kAtTarget =
    "the faults are at these pods, which limits are of: there packets carry the address of the "
    "other pod behind a Service, too, as in Chaos Mesh";
constexpr std::string_view kRequestsToo =
    "behind a Service Chaos Mesh hits nothing that is sent to these pods; here it is hit where the "
    "Service leads to them alone; to leave it alone name the Service's address in except.cidrs";
constexpr std::string_view kOnlyWhole =
    "behind a Service that leads to other pods, too, nothing is hit here where its address is "
    "seen, "
    "and the report names it; Chaos Mesh hits what these pods see of it";
constexpr std::string_view kNameThem =
    "; for that name the pods of selector in selector.pods, with mode all";
constexpr std::string_view kWithout =
    "without it all traffic would be hit, so what it limits is left out";

// The faults of one manifest that has a `target` which can be read.
class Pair {
 public:
  Pair(const Node& spec, const Node& target, const Selector& peer, Draft& draft)
      : spec_(spec),
        target_(target),
        peer_(peer),
        draft_(draft),
        selected_(draft.spec.target.selector),
        all_selected_(chooses_all(spec, selected_)),
        all_targets_(chooses_all(target, peer)) {}

  // A packet that is dropped at one end needs no drop at the other, and at the target's each packet
  // between two pods carries the addresses of both.
  void partition(Direction direction, Ends& ends) {
    if (!all_selected_) return at_selected(direction, ends);
    if (direction != Direction::both)
      direction = direction == Direction::to ? Direction::from : Direction::to;
    at_target({filter_of(direction, selected_)}, ends);
  }

  // Chaos Mesh shapes what a pod sends: `to` at the selected pods, `from` at the target's.
  void shape(Direction direction, Ends& ends) {
    if (direction == Direction::both) return shape_both(ends);
    if (direction == Direction::from) {
      if (!all_selected_) return at_selected(direction, ends);
      return at_target({filter_of(Direction::to, selected_)}, ends);
    }
    if (!all_targets_) return nowhere();
    ends.source = {filter_of(direction, peer_)};
    target_.note(kRequestsToo);
  }

 private:
  void shape_both(Ends& ends) {
    if (!all_targets_) return nowhere();
    const bool within = covers(peer_, selected_), around = covers(selected_, peer_);
    const bool one = draft_.spec.target.mode == api::Mode::one;
    if (!all_selected_ && !one && (within || around)) {
      target_.left_out(
          "matches pods that are selected, too: between two that are hit each packet would be hit "
          "twice; the faults are left out");
    } else if (!all_selected_) {
      at_selected(Direction::both, ends);
      target_.note(kRequestsToo);
    } else if (peer_ == selected_) {  // each of them shapes what it sends to the others
      ends.source = {filter_of(Direction::to, peer_)};
      target_.note(kRequestsToo);
    } else if (within) {  // a pod is hit by one run at a time, so that one has to do
      ends.source = once_each_way(selected_, peer_);
      target_.note(kRequestsToo);
      target_.note(kOnlyWhole);
    } else if (around) {
      at_target(once_each_way(peer_, selected_), ends);
      target_.note(
          "behind a Service Chaos Mesh hits nothing that is sent to these pods; here it is hit");
    } else {
      ends.source = {filter_of(Direction::to, peer_)};
      at_target({filter_of(Direction::to, selected_)}, ends);
      target_.note(kRequestsToo);
      spec_["direction"].note(
          "becomes two experiments that have to run at the same time, one at the pods of selector "
          "and one at those of target: as in Chaos Mesh each shapes what it sends to the other. A "
          "pod is hit by one run at a time: where both select it the second one is refused");
    }
  }

  // At those of the selected pods that the mode chooses, whose peers are all of the target.
  void at_selected(Direction direction, Ends& ends) {
    if (!all_targets_) return nowhere();
    ends.source = {filter_of(direction, peer_)};
    target_.note(std::string(kOnlyWhole) + std::string(kNameThem));
  }

  // At those pods of the target that its mode chooses, whose peers are all that are selected.
  void at_target(std::vector<NetworkFilter> filters, Ends& ends) {
    if (!target_["mode"].given()) return nowhere();
    api::ExperimentSpec& spec = draft_.at_target.emplace();
    spec.target.selector = peer_;
    if (!convert_mode(target_, spec.target, spec.limits)) draft_.unsafe = true;
    ends.target = std::move(filters);
    target_.note(kAtTarget);
  }

  void nowhere() {
    const Node mode = target_["mode"], value = target_["value"];
    if (!mode.given())
      target_.missing("mode", "the traffic with every pod that matches would be hit");
    else if (!mode.told())
      mode.left_out(
          "is not all, and the traffic with every pod that matches would be hit; name the "
          "pods in target.selector.pods, with mode all");
    if (value.given())
      value.left_out("peers are all pods that match; name them in target.selector.pods");
    target_.left_out(kWithout);
  }

  const Node& spec_;
  const Node& target_;
  const Selector& peer_;
  Draft& draft_;
  const Selector selected_;
  const bool all_selected_, all_targets_;
};

// nullopt, with findings: the pods of the target cannot be said without matching more.
std::optional<Selector> target_selector(const Node& target, const Draft& draft) {
  const Node selector = target["selector"];
  if (!target.value()->is_object()) {
    target.left_out("expected a map");
    return std::nullopt;
  }
  if (!selector.given()) {
    target.missing("selector", "the traffic with every pod of the namespace would be hit");
    return std::nullopt;
  }
  return convert_selector(selector, draft.space);
}

// Of a target that is only a peer: convert_mode() says it of the others.
void value_without_meaning(const Node& target, const Draft& draft) {
  const std::string word = target["mode"].text().value_or("");
  const Node value = target["value"];
  if (!draft.at_target && !value.told() && value.given() && (word == "all" || word == "one"))
    value.note("has no meaning with this mode, as in Chaos Mesh");
}

// nullopt: it is no direction; that was said.
std::optional<Direction> direction_of(const Node& node) {
  const std::string word = node.text().value_or("");
  if (word == "to" || word.empty()) return Direction::to;
  if (word == "from") return Direction::from;
  if (word == "both") return Direction::both;
  node.left_out("expected one of to, from, both; the faults are left out");
  return std::nullopt;
}

}  // namespace

Ends network_ends(const Node& spec, bool partition, Draft& draft) {
  Ends out;
  const Node target = spec["target"], outside = spec["externalTargets"], way = spec["direction"];
  const auto direction = direction_of(way);
  if (!direction) {
    for (const Node& rest : {target, outside}) rest.read_all();
    return out;
  }
  // Chaos Mesh shapes what a pod sends, and the answers of others are sent by none of its pods.
  const bool answers = !partition && *direction != Direction::to;
  const bool none =
      !outside.given() || (outside.value()->is_array() && outside.value()->get_array().empty());
  if (target.given()) {
    if (const auto peer = target_selector(target, draft)) {
      Pair pair(spec, target, *peer, draft);
      partition ? pair.partition(*direction, out) : pair.shape(*direction, out);
      value_without_meaning(target, draft);
    } else {
      target.left_out(kWithout);
    }
  } else if (answers) {
    way.left_out(
        "Chaos Mesh refuses it for this action without target, and shapes only what pods send; the "
        "faults are left out; write the experiment with this direction, and peer or cidrs");
  }
  if (!none && answers) {
    outside.left_out(
        "Chaos Mesh refuses them for this action with direction from or both; write an experiment "
        "with cidrs");
    return out;
  }
  std::map<std::uint16_t, std::vector<api::Cidr>> by_port;
  if (outside.given() && !outside.value()->is_array()) outside.left_out("expected a list");
  for (const Node& item : outside.items()) external(item, by_port);
  for (auto& [port, cidrs] : by_port) {
    NetworkFilter& filter = out.source.emplace_back();
    filter.direction = *direction;
    filter.cidrs = std::move(cidrs);
    if (port != 0) filter.peerPorts = {port};
  }
  if (partition && target.given() && !by_port.empty())
    outside.note(
        "Chaos Mesh cuts the pods of target from these, too, which the manifest does not say; here "
        "only the selected pods are");
  if (!target.given() && none && !answers) out.source.emplace_back().direction = *direction;
  return out;
}

}  // namespace faultline::cli
