// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>

#include "cli/convert/kinds.h"

namespace faultline::cli {
namespace {

using namespace std::chrono_literals;

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

// The selector of the other end. nullopt, with findings: it would match more than was asked.
std::optional<api::Selector> peers(const Node& target, const Draft& draft) {
  const Node selector = target["selector"], mode = target["mode"], value = target["value"];
  if (!target.value()->is_object()) {
    target.left_out("expected a map");
    return std::nullopt;
  }
  if (!selector.given()) {
    target.missing("selector", "the traffic with every pod of the namespace would be hit");
    return std::nullopt;
  }
  auto peer = convert_selector(selector, draft.space);
  if (!peer) return std::nullopt;
  std::size_t named = 0;
  for (const auto& [space, names] : peer->pods) named += names.size();
  const std::string word = mode.text().value_or("");
  const std::string number = value.text().value_or("");
  const auto most = static_cast<std::size_t>(std::max(0, std::atoi(number.c_str())));
  const bool every = word == "all" || (word == "one" && named == 1) ||
                     (word == "fixed" && named > 0 && most >= named) ||
                     (word == "fixed-percent" && most == 100);
  if (every) {
    if (value.given() && (word == "all" || word == "one"))
      value.note("has no meaning with this mode, as in Chaos Mesh");
    value.read_all();
    return peer;
  }
  if (!mode.given())
    target.missing("mode", "the traffic with every pod that matches would be hit");
  else
    mode.left_out(
        "is not all, and the traffic with every pod that matches would be hit; name the "
        "pods in target.selector.pods, with mode all");
  if (value.given()) value.left_out(why_not("NetworkChaos", "target.value"));
  return std::nullopt;
}

// A pod's faults are on its own interface, which every runtime calls eth0.
void device(const Node& node, Draft& draft) {
  const auto name = node.text();
  if (!node.given()) return;
  if (name && (name->empty() || *name == "eth0")) return node.read_all();
  if (!node.told()) node.left_out(why_not("NetworkChaos", "device"));
  draft.unsafe = true;
}

// One filter for each kind of peer: in Chaos Mesh they add up, in a filter they narrow each other.
// Empty: peers were given and none can be said, so all traffic would be hit.
std::vector<api::NetworkFilter> filters(const Node& spec, const Draft& draft) {
  std::vector<api::NetworkFilter> out;
  api::NetworkFilter base;
  const Node direction = spec["direction"];
  if (const auto word = direction.text()) {
    if (*word == "from")
      base.direction = api::Direction::from;
    else if (*word == "both")
      base.direction = api::Direction::both;
    else if (*word != "to" && !word->empty()) {
      direction.left_out("expected one of to, from, both; the faults are left out");
      return out;
    }
  }
  const Node target = spec["target"], outside = spec["externalTargets"];
  if (target.given()) {
    if (auto peer = peers(target, draft)) {
      out.push_back(base);
      out.back().peer = std::move(*peer);
    } else {
      target.left_out("without it all traffic would be hit, so what it limits is left out");
    }
  }
  std::map<std::uint16_t, std::vector<api::Cidr>> by_port;
  if (outside.given() && !outside.value()->is_array()) outside.left_out("expected a list");
  for (const Node& item : outside.items()) external(item, by_port);
  for (auto& [port, cidrs] : by_port) {
    out.push_back(base);
    out.back().cidrs = std::move(cidrs);
    if (port != 0) out.back().peerPorts = {port};
  }
  const bool none =
      !outside.given() || (outside.value()->is_array() && outside.value()->get_array().empty());
  if (!target.given() && none) out.push_back(base);
  return out;
}

// A probability that does something. Nothing is said about one that is not there.
std::optional<api::Probability> chance(const Node& node, const Node& parent, std::string_view key) {
  if (!node.given()) {
    parent.missing(key, "the fault is left out");
    return std::nullopt;
  }
  const auto value = node.percent();
  if (value && value->value > 0) return value;
  if (value) node.left_out("0 does nothing; the fault is left out");
  return std::nullopt;
}

void correlation(const Node& node, api::Probability& out) {
  if (const auto value = node.percent()) out = *value;
}

void delay(const Node& node, std::vector<api::Fault>& out) {
  if (!node.given()) return;
  const Node jitter = node["jitter"], own = node["correlation"], reorder = node["reorder"];
  const auto latency = node["latency"].duration();
  api::NetworkLatency fault;
  if (latency) fault.latency = *latency;
  if (const auto width = jitter.duration()) fault.jitter = *width;
  correlation(own, fault.correlation);
  if (!latency || latency->value.count() == 0) {
    if (!node["latency"].given()) node.missing("latency", "the fault is left out");
    if (latency) node["latency"].left_out("0 does nothing; the fault is left out");
    return;
  }
  if (fault.latency.value > 10s)
    return node["latency"].left_out("a packet waits for at most 10s; the fault is left out");
  if (fault.jitter > fault.latency) {
    jitter.left_out("at most latency: no packet arrives before it was sent; the latency is taken");
    fault.jitter = fault.latency;
  }
  if (!reorder.given()) return out.push_back({fault});

  const Node gap = reorder["gap"], share = reorder["correlation"];
  const auto at_once = reorder["reorder"].percent();
  if (const auto every = gap.number(0, 1e9); every && *every > 1)
    gap.left_out("packets are not counted: each is held back or not by chance");
  if (!at_once || at_once->value <= 0) {
    if (!at_once && !reorder["reorder"].given()) reorder.missing("reorder", "nothing is reordered");
    if (at_once) reorder["reorder"].note("0 reorders nothing, as in Chaos Mesh");
    if (share.given()) share.note("has no effect without reorder, as in Chaos Mesh");
    return out.push_back({fault});
  }
  if (at_once->value >= 1)
    return reorder["reorder"].left_out("at 100 no packet would be late; the fault is left out");
  api::NetworkReorder held;
  held.reorder.value = 1 - at_once->value;
  held.latency = fault.latency;
  correlation(share, held.correlation);
  if (fault.jitter.value.count() > 0)
    jitter.left_out("packets that are held back wait equally long");
  if (fault.correlation.value > 0) own.left_out("packets that are held back wait equally long");
  out.push_back({held});
}

void rate(const Node& parent, std::vector<api::Fault>& out) {
  if (!parent.given()) return;
  const Node node = parent["rate"], buffer = parent["buffer"];
  api::NetworkBandwidth fault;
  if (const auto bytes = buffer.number(0, 4294967295.0))
    fault.burst.bytes = static_cast<std::uint64_t>(*bytes);
  std::string words;
  for (const char c : node.text().value_or(""))
    if (c != ' ') words += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (!node.given()) return parent.missing("rate", "the fault is left out");
  const auto parsed = api::BitRate::parse(words);
  if (!parsed) return node.left_out(parsed.error().message + "; the fault is left out");
  if (parsed->bits_per_second < 8000) return node.left_out("at least 8kbit; the fault is left out");
  fault.rate = *parsed;
  out.push_back({fault});
}

template <class Fault>
void dice(const Node& node, std::string_view key, api::Probability Fault::*member,
          std::vector<api::Fault>& out) {
  if (!node.given()) return;
  Fault fault;
  correlation(node["correlation"], fault.correlation);
  const auto value = chance(node[key], node, key);
  if (!value) return;
  fault.*member = *value;
  out.push_back({fault});
}

}  // namespace

void convert_network(const Node& spec, Draft& draft) {
  device(spec["device"], draft);
  device(spec["targetDevice"], draft);
  const Node action = spec["action"];
  const std::string word = action.text().value_or("");
  const bool netem = word == "netem" || word == "delay" || word == "loss" || word == "duplicate" ||
                     word == "corrupt";
  std::vector<api::Fault> faults;
  const auto idle = [&](std::initializer_list<const char*> keys) {
    for (const char* key : keys)
      if (const Node node = spec[key]; node.given()) {
        node.note("has no effect with action " + word + ", as in Chaos Mesh");
        node.read_all();
      }
  };
  if (netem) {
    delay(spec["delay"], faults);
    dice(spec["loss"], "loss", &api::NetworkLoss::loss, faults);
    dice(spec["duplicate"], "duplicate", &api::NetworkDuplicate::duplicate, faults);
    dice(spec["corrupt"], "corrupt", &api::NetworkCorrupt::corrupt, faults);
    rate(spec["rate"], faults);
    idle({"bandwidth", "partitionBehavior"});
    if (word != "netem" && !spec[word].given()) spec.missing(word, "the action needs it");
  } else if (word == "bandwidth") {
    rate(spec["bandwidth"], faults);
    idle({"delay", "loss", "duplicate", "corrupt", "rate", "partitionBehavior"});
    if (!spec["bandwidth"].given()) spec.missing("bandwidth", "the action needs it");
  } else if (word == "partition") {
    const Node how = spec["partitionBehavior"];
    const std::string behavior = how.text().value_or("drop");
    if (behavior == "drop" || behavior.empty()) {
      how.read_all();
      faults.push_back({api::NetworkPartition{}});
    } else {
      how.left_out(behavior == "reject" ? why_not("NetworkChaos", "partitionBehavior")
                                        : "expected one of drop, reject; the fault is left out");
    }
    idle({"delay", "loss", "duplicate", "corrupt", "bandwidth", "rate"});
  } else {
    action.left_out("expected one of netem, delay, loss, duplicate, corrupt, partition, bandwidth");
    if (!action.given()) spec.missing("action", "nothing is known to be done");
  }
  for (const api::NetworkFilter& filter : filters(spec, draft))
    for (api::Fault fault : faults) {
      std::visit(
          [&]<class T>(T& of) {
            if constexpr (std::is_base_of_v<api::NetworkFilter, T>)
              static_cast<api::NetworkFilter&>(of) = filter;
          },
          fault.spec);
      draft.spec.faults.push_back(std::move(fault));
    }
}

}  // namespace faultline::cli
