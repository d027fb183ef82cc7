// SPDX-License-Identifier: Apache-2.0
// The programs of packet_flow that all measured pods of this node share (flow_segments.bpf.c): the
// verifier needs half a second for them, and looks at them once.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "agent/kernel/shared_objects.h"
#include "agent/kernel/skeleton.h"
#include "base/result.h"
#include "flow_http2_abi.h"
// After the types of its globals.
#include "flow_segments.skel.h"
#include "packet_flow.skel.h"

namespace faultline::agent {

// Got by node_of_process(): nothing is loaded before the first slot is taken. Thread-safe.
class FlowNode {
 public:
  FlowNode() = default;
  // When it returns the kernel has let go of all that was loaded. Nothing of a pod's object is
  // open.
  ~FlowNode();
  FlowNode(const FlowNode&) = delete;
  FlowNode& operator=(const FlowNode&) = delete;

  // A slot for a pod whose object is opened and not loaded: the object is told the slot, and shares
  // what it must. Its global data are zero when it is loaded. Errors: kUnsupported when
  // FL_FLOW_PODS are measured; what the kernel said.
  Result<std::uint32_t> take_slot(packet_flow_bpf& opened);
  // The shared programs find the maps of the loaded object in its slot. Errors: what the kernel
  // said.
  Result<> show(std::uint32_t slot, const packet_flow_bpf& loaded);
  // They do not any more, and no program is within these maps when this returns. The pod's own
  // programs are gone.
  void give_back(std::uint32_t slot);

 private:
  Result<> load();

  std::mutex mutex_;
  std::optional<Skeleton<flow_segments_bpf>> shared_;
  std::vector<SharedObject> objects_;
  std::uint32_t tails_id_ = 0;  // of the map fl_flow_tails
  std::vector<bool> taken_;
};

// A pod's slot; gone, the slot is given back. It keeps the shared programs loaded, and goes after
// the pod's object. Not thread-safe.
class FlowSeat {
 public:
  // As FlowNode::take_slot().
  static Result<std::unique_ptr<FlowSeat>> take(packet_flow_bpf& opened);
  FlowSeat(const FlowSeat&) = delete;
  FlowSeat& operator=(const FlowSeat&) = delete;
  ~FlowSeat() { node_->give_back(slot_); }

  // As FlowNode::show().
  Result<> show(const packet_flow_bpf& loaded) { return node_->show(slot_, loaded); }

 private:
  FlowSeat(std::shared_ptr<FlowNode> node, std::uint32_t slot)
      : node_(std::move(node)), slot_(slot) {}

  std::shared_ptr<FlowNode> node_;
  std::uint32_t slot_;
};

}  // namespace faultline::agent
