// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>

#include "cli/convert/ends.h"
#include "cli/convert/kinds.h"

namespace faultline::cli {
namespace {

using namespace std::chrono_literals;

// A pod's faults are on its own interface, which every runtime calls eth0.
void device(const Node& node, Draft& draft) {
  const auto name = node.text();
  if (!node.given()) return;
  if (name && (name->empty() || *name == "eth0")) return node.read_all();
  if (!node.told()) node.left_out(why_not("NetworkChaos", "device"));
  draft.unsafe = true;
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

// Each fault with each filter.
void add_faults(const std::vector<api::NetworkFilter>& filters,
                const std::vector<api::Fault>& faults, api::ExperimentSpec& out) {
  for (const api::NetworkFilter& filter : filters)
    for (api::Fault fault : faults) {
      std::visit(
          [&]<class T>(T& of) {
            if constexpr (std::is_base_of_v<api::NetworkFilter, T>)
              static_cast<api::NetworkFilter&>(of) = filter;
          },
          fault.spec);
      out.faults.push_back(std::move(fault));
    }
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
  const Ends ends = network_ends(spec, word == "partition", draft);
  add_faults(ends.source, faults, draft.spec);
  if (draft.at_target) add_faults(ends.target, faults, *draft.at_target);
}

}  // namespace faultline::cli
