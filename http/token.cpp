// SPDX-License-Identifier: Apache-2.0
#include "http/token.h"

#include <fcntl.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>

namespace faultline::http {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Error file_error(int error, const std::string& path) {
  return from_errno(error, "token file " + path);
}

Result<std::string> random_token() {
  std::array<unsigned char, 32> bytes{};
  // Up to 256 bytes are never cut short by a signal (getrandom(2)).
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return fail(from_errno(errno, "random bytes for a token"));
  std::string token;
  for (const unsigned char byte : bytes) {
    constexpr std::string_view kHex = "0123456789abcdef";
    token += {kHex[byte >> 4], kHex[byte & 15]};
  }
  return token;
}

Result<std::string> read_token(const std::string& path, int flags) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags));
  if (file.get() < 0) return fail(file_error(errno, path));
  struct stat info {};
  if (fstat(file.get(), &info) != 0) return fail(file_error(errno, path));
  if (!S_ISREG(info.st_mode)) return fail(Errc::kInvalid, "token file " + path + ": not a file");
  if ((info.st_mode & 077) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(info.st_mode & 07777));
    return fail(Errc::kDenied, "token file " + path + ": others than its owner may use it (mode " +
                                   mode + "); run: chmod 600 " + path);
  }
  char buffer[4097];
  const ssize_t n = read(file.get(), buffer, sizeof buffer);
  if (n < 0) return fail(file_error(errno, path));
  std::string_view text(buffer, static_cast<std::size_t>(n));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  if (text.size() == sizeof buffer)
    return fail(Errc::kInvalid, "token file " + path + ": longer than 4096 bytes");
  for (const char c : text)
    if (c <= ' ' || c > '~')
      return fail(Errc::kInvalid, "token file " + path + ": not one line of printable text");
  if (text.size() < 16)
    return fail(Errc::kInvalid, "token file " + path + ": no token in it (at least 16 characters)");
  return std::string(text);
}

Result<> write_whole(const std::string& path, const std::string& text) {
  const Descriptor file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) return fail(file_error(errno, path));
  if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      fsync(file.get()) != 0) {
    const int error = errno;
    unlink(path.c_str());
    return fail(file_error(error, path));
  }
  return {};
}

}  // namespace

Result<std::string> load_token(const std::string& path) { return read_token(path, 0); }

Result<std::string> load_or_create_token(const std::string& path) {
  auto known = read_token(path, O_NOFOLLOW);
  if (known || known.error().code != Errc::kNotFound) return known;
  auto token = random_token();
  if (!token) return token;
  const std::string temporary = path + "." + token->substr(0, 16) + ".new";
  // The name is not a part of the secret that is written.
  auto secret = random_token();
  if (!secret) return secret;
  if (auto done = write_whole(temporary, *secret + "\n"); !done) return fail(done.error());
  int error = 0;
  if (renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0)
    error = errno;
  if (error == EINVAL || error == ENOSYS)  // a file system without RENAME_NOREPLACE
    error = rename(temporary.c_str(), path.c_str()) == 0 ? 0 : errno;
  if (error == 0) return read_token(path, O_NOFOLLOW);
  unlink(temporary.c_str());
  if (error == EEXIST) return read_token(path, O_NOFOLLOW);  // somebody was faster
  return fail(file_error(error, path));
}

bool same_token(std::string_view a, std::string_view b) {
  // The length of a token is no secret; its characters are.
  if (a.size() != b.size()) return false;
  volatile unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

std::string bearer(const Request& request) {
  const auto it = request.headers.find("authorization");
  if (it == request.headers.end()) return {};
  constexpr std::string_view kScheme = "Bearer ";
  if (it->second.size() <= kScheme.size() ||
      strncasecmp(it->second.data(), kScheme.data(), kScheme.size()) != 0)
    return {};
  return it->second.substr(it->second.find_first_not_of(' ', kScheme.size()) == std::string::npos
                               ? it->second.size()
                               : it->second.find_first_not_of(' ', kScheme.size()));
}

}  // namespace faultline::http
