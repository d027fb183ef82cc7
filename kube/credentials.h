// SPDX-License-Identifier: Apache-2.0
// What a request proves its sender with, always the newest: projected tokens and mounted
// certificates are replaced while we run. Not thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "kube/exec_plugin.h"

namespace faultline::kube {

struct Secret {
  std::string token;                     // or empty
  std::string ca_pem;                    // or empty: the system's
  std::string certificate_pem, key_pem;  // or empty: no client certificate
  std::string server_name;               // or empty: the host of the URL
  std::uint64_t tls_version = 0;         // changes with everything but the token
};

class Credentials {
 public:
  virtual ~Credentials() = default;
  // Called before each request. May wait (for a plugin); several may wait at a time.
  virtual boost::asio::awaitable<Result<std::shared_ptr<const Secret>>> get() = 0;
  // The server did not know who we are (401) by `secret`: what was cached must not be used again.
  virtual void refused(const Secret& secret) = 0;
};

// Of each pair give at most one: text, or a file that is read again when it is another file, has
// another size or another time of change.
struct CredentialSources {
  std::string ca_pem, ca_file;
  std::string certificate_pem, certificate_file;
  std::string key_pem, key_file;
  std::string token, token_file;
  std::string server_name;
  std::optional<ExecPlugin> exec;
};

// A file that cannot be read is an error the first time. Later the last good text stays in use, and
// the log says so once.
[[nodiscard]] std::shared_ptr<Credentials> make_credentials(CredentialSources sources);

// The most bytes that are read of a kubeconfig, a token, a key or a certificate.
inline constexpr std::size_t kLargestFile = 8 << 20;

// The text of a small file. kNotFound, kDenied ... with the path; kInvalid: larger than
// kLargestFile, of which no more was read.
[[nodiscard]] Result<std::string> read_file(const std::string& path);

}  // namespace faultline::kube
