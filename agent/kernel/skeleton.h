// SPDX-License-Identifier: Apache-2.0
// Owner of a bpftool skeleton. Four phases, in this order: open, set rodata (and autoload), load,
// attach each program by name with agent/kernel/link.h. Declare the skeleton before the links of
// its programs, so that the links go first.
//
//   auto skeleton = Skeleton<network_loss_bpf>::open("network_loss");
//   (*skeleton)->rodata->fl_seed = 42;
//   auto loaded = skeleton->load();
//
// Opening needs no privileges. Not thread-safe; the mmapped globals ((*skeleton)->bss) may be read
// and written from any thread as plain memory (agent/kernel/lease.h).
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include "agent/kernel/libbpf_log.h"
#include "base/result.h"

namespace faultline::agent {

template <class T>
class Skeleton {
 public:
  // `name` is for messages. `btf`: the path of a BTF that has what the object asks for of the
  // kernel's types (kernel_fields.h); empty: the kernel's own. Errors: kInternal, with libbpf's
  // words.
  static Result<Skeleton> open(std::string_view name, const std::string& btf = {}) {
    LibbpfLog log;
    LIBBPF_OPTS(bpf_object_open_opts, options);
    if (!btf.empty()) options.btf_custom_path = btf.c_str();
    T* skeleton = T::open(&options);
    if (skeleton == nullptr)
      return fail(log.error(-errno, "cannot open BPF object " + std::string(name)));
    return Skeleton(skeleton, name);
  }
  // Loads the programs that autoload was left on for. Errors: the errno's kind, with the verifier's
  // last word.
  Result<> load() {
    LibbpfLog log;
    if (const int rc = T::load(skeleton_.get()); rc != 0)
      return fail(log.error(rc, "cannot load BPF object " + name_));
    return {};
  }
  T* operator->() const { return skeleton_.get(); }
  T& operator*() const { return *skeleton_; }

 private:
  struct Destroy {
    void operator()(T* skeleton) const { T::destroy(skeleton); }
  };
  Skeleton(T* skeleton, std::string_view name) : skeleton_(skeleton), name_(name) {}
  std::unique_ptr<T, Destroy> skeleton_;
  std::string name_;
};

}  // namespace faultline::agent
