// SPDX-License-Identifier: Apache-2.0
// The server's certificate, from files that change while it runs. Internal to http/. Not
// thread-safe.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "http/server.h"
#include "http/stream.h"

namespace faultline::http {

class Certificates {
 public:
  // Nothing is read yet.
  explicit Certificates(ServerTls files) : files_(std::move(files)) {}

  // Errors name the file: kNotFound, kDenied; kInvalid: PEM that is none, a key of another
  // certificate.
  Result<> load();
  // For the next connection. Looks whether a file has changed and reads all if one has. If they are
  // not good the old ones stay, which the log says once for each change: while the files are
  // replaced one by one they do not fit each other.
  [[nodiscard]] std::shared_ptr<Stream::Context> current();

 private:
  // What of a file changes with it: device, inode, size and times.
  using Mark = std::array<std::string, 3>;
  [[nodiscard]] Mark mark() const;
  [[nodiscard]] Result<std::shared_ptr<Stream::Context>> read() const;

  ServerTls files_;
  Mark seen_;
  std::shared_ptr<Stream::Context> context_;
};

}  // namespace faultline::http
