// SPDX-License-Identifier: Apache-2.0
// Proof that a run left nothing: what it made in the kernel, and what of that is still there.
//
// A run owns what this process held new descriptors of after the run had started something
// (claim()). Its residue is what it owned and still exists, and what is named like ours, was not
// there when the run began, and is held by no process at all. A process of ours inside a pod is
// held by its parent. What other agents, or other runs of
// this one, hold is never blamed. What several runs share belongs to each run that has faults,
// whoever of them made it, and is blamed on the last. What each measured pod shares is blamed on
// nobody while another owner, which may have no faults (--observe), has claimed anything.
// Not thread-safe.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace faultline::agent {

enum class ObjectKind { program, map, link, device, process };

struct ObjectKey {
  ObjectKind kind{};
  std::uint32_t id = 0;  // of BPF objects; interface index of devices; pid of processes
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
};
using ObjectSet = std::set<ObjectKey>;

// What the kernel says. kernel_objects.h has the real one.
class KernelObjects {
 public:
  virtual ~KernelObjects() = default;
  // Everything whose name begins with fl_ (programs, maps, links of such programs) or fl-
  // (devices), and the processes that run inside pods.
  [[nodiscard]] virtual ObjectSet named_ours() const = 0;
  // Held by descriptors of this process, whatever the name.
  [[nodiscard]] virtual ObjectSet held_here() const = 0;
  // Of `wanted`, what other processes hold. Reads their descriptors: slow.
  [[nodiscard]] virtual ObjectSet held_elsewhere(const ObjectSet& wanted) const = 0;
  // Of those held here, what several faults or collectors share (agent/kernel/shared_objects.h).
  [[nodiscard]] virtual ObjectSet shared_here() const { return {}; }
  // Of those, what each pod that is measured shares.
  [[nodiscard]] virtual ObjectSet shared_by_measured() const { return {}; }
  // "BPF program fl_loss, id 12"; empty when it does not exist.
  [[nodiscard]] virtual std::optional<std::string> describe(const ObjectKey& object) const = 0;
};

class ResidueLedger {
 public:
  // `kernel` outlives this.
  explicit ResidueLedger(const KernelObjects& kernel) : kernel_(kernel) {}

  // `owner` is a run, or any other word for what holds objects.
  void begin(const std::string& owner);
  // What this process holds now and nobody has claimed belongs to `owner`. From now on what runs
  // share belongs to it, too, if it `has_faults`.
  void claim(const std::string& owner, bool has_faults = true);
  // After the objects of `owner` were destroyed. The kernel frees some of them a moment later, so a
  // non-empty answer is asked for again before it is believed.
  [[nodiscard]] std::vector<std::string> left_of(const std::string& owner) const;
  void forget(const std::string& owner);

 private:
  struct Owner {
    ObjectSet before;  // named like ours when it began
    ObjectSet owned;
    bool measures = false;  // it has claimed something, and all who do measure
    bool shares = false;    // what runs share belongs to it
  };
  const KernelObjects& kernel_;
  std::map<std::string, Owner> owners_;
};

}  // namespace faultline::agent
