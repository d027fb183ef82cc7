// SPDX-License-Identifier: Apache-2.0
// tls.request.* {side} by the plain bytes that processes of the pod read from and write to OpenSSL:
// uprobes on SSL_read, SSL_write and what begins and ends a connection, in the files of libssl that
// the pod's processes have mapped. Nothing enters the pod. Nothing is loaded while no process of
// the pod has such a file. docs/decisions/0037-plain-bytes-of-tls.md says what is told, what is a
// gap, and who pays.
#pragma once

#include <memory>

#include "agent/effects/effect.h"

namespace faultline::agent {

// Starts measuring `pod`. Where the kernel has no uprobes it starts, too: that is a gap only of
// processes that have TLS.
[[nodiscard]] Result<std::unique_ptr<Collector>> start_tls_plain(const Pod& pod,
                                                                 const CollectContext& context);

}  // namespace faultline::agent
