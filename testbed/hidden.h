// SPDX-License-Identifier: Apache-2.0
// What a machine may lack, hidden from a process: for children of a test, which keep it so. In a
// mount namespace of their own, so that nobody else misses it. Failures throw std::runtime_error.
#pragma once

#include <string>

namespace faultline::testbed {

// The process gets a mount namespace of its own. Once, before the others; needs one thread.
void leave_mount_namespace();
// The folder is there and empty.
void hide_folder(const std::string& path);
// /dev has what programs need and `device` ("fuse", "net/tun") not.
void hide_device(const std::string& device);

}  // namespace faultline::testbed
