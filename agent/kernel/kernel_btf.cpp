// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/kernel_btf.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "agent/kernel/libbpf_log.h"

namespace faultline::agent {

void KernelBtf::Free::operator()(btf* b) const { btf__free(b); }

Result<KernelBtf> KernelBtf::load() {
  const LibbpfLog quiet;
  btf* loaded = btf__load_vmlinux_btf();
  if (const long error = libbpf_get_error(loaded); error != 0) {
    Error failed = from_libbpf(static_cast<int>(error), "cannot read the kernel's BTF");
    failed.code = Errc::kUnsupported;
    return fail(std::move(failed));
  }
  return KernelBtf(loaded);
}

int KernelBtf::function(const std::string& name) const {
  const int id = btf__find_by_name_kind(btf_.get(), name.c_str(), BTF_KIND_FUNC);
  return id > 0 ? id : -1;
}

}  // namespace faultline::agent
