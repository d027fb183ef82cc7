// SPDX-License-Identifier: Apache-2.0
// The one error type of the project. Functions that can fail return Result<T>; nothing of ours
// throws across a module border, and third-party exceptions are caught where they are called.
#pragma once

#include <string>
#include <string_view>
#include <system_error>
#include <tl/expected.hpp>
#include <utility>

namespace faultline {

// What kind of failure it is, which decides an HTTP status and an exit code. The words are for
// Error::message.
enum class Errc {
  kInvalid,      // the input is wrong: 400, exit 3
  kNotFound,     // the named thing does not exist: 404
  kUnsupported,  // this kernel, node or build cannot: 422, exit 2
  kConflict,     // something else holds it: 409
  kDenied,       // a rule or a permission forbids it: 403
  kUnavailable,  // a peer did not answer: 503, exit 5
  kInternal,     // anything else: 500, exit 5
};

struct Error {
  Errc code = Errc::kInternal;
  std::string message;  // one line for a person, no full stop
  int sys_errno = 0;    // positive errno where the kernel gave one, else 0
  int http_status = 0;  // of the answer, where a peer gave one that was not taken, else 0

  // "context: message". Use on the way up so that the person sees what was being done.
  [[nodiscard]] Error with_context(std::string_view context) const& {
    return {code, std::string(context) + ": " + message, sys_errno, http_status};
  }
};

template <class T = void>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

inline tl::unexpected<Error> fail(Errc code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message), 0});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

// From errno as a system call left it: "what: No such file or directory".
inline Error from_errno(int positive_errno, std::string_view what) {
  Errc code = Errc::kInternal;
  if (positive_errno == ENOENT) code = Errc::kNotFound;
  if (positive_errno == EPERM || positive_errno == EACCES) code = Errc::kDenied;
  if (positive_errno == EOPNOTSUPP || positive_errno == ENOSYS) code = Errc::kUnsupported;
  return {code, std::string(what) + ": " + std::generic_category().message(positive_errno),
          positive_errno};
}
// From libbpf, which returns a negative errno.
inline Error from_libbpf(long negative_errno, std::string_view what) {
  return from_errno(static_cast<int>(-negative_errno), what);
}

}  // namespace faultline
