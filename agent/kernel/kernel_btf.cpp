// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/kernel_btf.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <atomic>
#include <mutex>
#include <unordered_map>

#include "agent/kernel/libbpf_log.h"

namespace faultline::agent {

void KernelBtf::Free::operator()(btf* b) const { btf__free(b); }

Result<KernelBtf> KernelBtf::load() {
  // Once it could be read it is only read again for a name that is not known.
  static std::atomic<bool> readable{false};
  if (readable) return KernelBtf(nullptr);
  const LibbpfLog quiet;
  btf* loaded = btf__load_vmlinux_btf();
  if (const long error = libbpf_get_error(loaded); error != 0) {
    Error failed = from_libbpf(static_cast<int>(error), "cannot read the kernel's BTF");
    failed.code = Errc::kUnsupported;
    return fail(std::move(failed));
  }
  readable = true;
  return KernelBtf(loaded);
}

int KernelBtf::function(const std::string& name) const {
  static std::mutex mutex;
  static std::unordered_map<std::string, int> known;
  const std::scoped_lock lock(mutex);
  const auto found = known.find(name);
  if (found != known.end()) return found->second;
  if (!btf_) {
    const LibbpfLog quiet;
    btf* loaded = btf__load_vmlinux_btf();
    if (libbpf_get_error(loaded) != 0) return -1;
    btf_.reset(loaded);
  }
  const int id = btf__find_by_name_kind(btf_.get(), name.c_str(), BTF_KIND_FUNC);
  return known.emplace(name, id > 0 ? id : -1).first->second;
}

}  // namespace faultline::agent
