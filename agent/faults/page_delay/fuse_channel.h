// SPDX-License-Identifier: Apache-2.0
// The server's end of a FUSE file system with one file, whose reads the caller answers; all else it
// answers itself. Linux's <linux/fuse.h>, protocol 7.31, and Documentation/filesystems/fuse.rst.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "agent/kernel/fd.h"
#include "base/result.h"

namespace faultline::agent {

// Not thread-safe.
class FuseChannel {
 public:
  static constexpr const char* kFile = "pages";  // its name, in the root

  enum class What {
    kNone,       // there is none now
    kAnswered,   // by this
    kRead,       // of the file: to be answered with refuse()
    kInterrupt,  // whoever waits for `unique` got a signal
    kEnded,      // the connection was ended: nobody waits any more, and nobody will
  };
  struct Request {
    What what = What::kAnswered;
    std::uint64_t unique = 0;
    std::uint64_t offset = 0;  // bytes, of kRead
    pid_t thread = 0;          // that waits, of kRead, in the pid namespace of who mounted it
  };

  // `file_bytes`: size of the file. Errors: /dev/fuse is missing or may not be opened.
  static Result<FuseChannel> open(std::uint64_t file_bytes);
  // Ends the connection: nobody waits any more.
  void close() { fd_.reset(); }
  // To be polled for reading, and given to mount(2). Belongs to this.
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Does not block. Errors: what read(2) said.
  Result<Request> next();
  // The read fails with that errno. Whoever waited may be gone: that is no error.
  void refuse(std::uint64_t unique, int number) const;

 private:
  FuseChannel(Fd fd, std::uint64_t file_bytes);
  void answer(std::uint64_t unique, const void* data, std::size_t size) const;
  void answer_init(std::uint64_t unique) const;
  void answer_lookup(std::uint64_t unique, const char* name) const;

  Fd fd_;
  std::uint64_t file_bytes_;
  std::vector<char> buffer_;
};

}  // namespace faultline::agent
