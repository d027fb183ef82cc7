// SPDX-License-Identifier: Apache-2.0
#include "controller/store/order_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <sstream>

#include "api/codec.h"

namespace faultline::controller {
namespace {

constexpr std::size_t kAll = OrderFile::kPlaces * OrderFile::kPlaceBytes;

class File {
 public:
  File(const std::string& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)), error_(fd_ < 0 ? errno : 0) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] int error() const { return error_; }

 private:
  int fd_, error_;
};

// What went wrong; 0: all of it is on the disk.
int write_at(int fd, const std::string& bytes, std::size_t at) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n =
        ::pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(at + done));
    if (n < 0 && errno != EINTR) return errno;
    if (n > 0) done += static_cast<std::size_t>(n);
  }
  return ::fdatasync(fd) == 0 ? 0 : errno;
}

// "LENGTH CHECKSUM\n", then the order: the day and each entry in a line.
std::string text_of(const KeptOrder& order) {
  std::string text = order.day + "\n";
  for (const api::DayEntry& entry : order.entries) text += api::to_json_text(entry) + "\n";
  const auto sum =
      crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size()));
  return std::to_string(text.size()) + " " + std::to_string(sum) + "\n" + text;
}

// Nothing: there is none, or not all of it.
std::optional<KeptOrder> order_of(std::string_view place) {
  const auto line = place.substr(0, place.find('\n'));
  std::size_t length = 0;
  unsigned long sum = 0;
  const char* const end = line.data() + line.size();
  const auto first = std::from_chars(line.data(), end, length);
  if (first.ec != std::errc{} || first.ptr == end) return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, sum);
  if (second.ec != std::errc{} || second.ptr != end) return std::nullopt;
  if (line.size() == place.size() || length > place.size() - line.size() - 1) return std::nullopt;
  const std::string text(place.substr(line.size() + 1, length));
  if (crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())) != sum)
    return std::nullopt;
  KeptOrder order;
  std::istringstream lines(text);
  std::getline(lines, order.day);
  for (std::string one; std::getline(lines, one);) {
    auto entry = api::from_json_text<api::DayEntry>(one);
    if (!entry) return std::nullopt;
    order.entries.push_back(std::move(*entry));
  }
  if (order.day.empty() || order.entries.empty()) return std::nullopt;
  return order;
}

}  // namespace

Result<> OrderFile::reserve() {
  const File file(path_, O_RDWR | O_CREAT);
  if (file.fd() < 0) return fail(from_errno(file.error(), "cannot make " + path_));
  const off_t size = ::lseek(file.fd(), 0, SEEK_END);
  if (size < 0) return fail(from_errno(errno, "cannot use " + path_));
  const auto has = static_cast<std::size_t>(size);
  if (has >= kAll) return {};
  // Written, not only made longer: what was never written may need room when it is.
  if (const int error = write_at(file.fd(), std::string(kAll - has, '\0'), has); error != 0)
    return fail(from_errno(error, "cannot reserve " + path_));
  return {};
}

Result<std::string> OrderFile::read_all() const {
  const File file(path_, O_RDONLY);
  if (file.fd() < 0 && file.error() == ENOENT) return std::string();
  if (file.fd() < 0) return fail(from_errno(file.error(), "cannot read " + path_));
  std::string bytes(kAll, '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n =
        ::pread(file.fd(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno != EINTR) return fail(from_errno(errno, "cannot read " + path_));
    if (n == 0) break;
    if (n > 0) done += static_cast<std::size_t>(n);
  }
  return bytes;
}

Result<std::vector<KeptOrder>> OrderFile::read() const {
  const auto bytes = read_all();
  if (!bytes) return fail(bytes.error());
  std::vector<KeptOrder> orders;
  for (std::size_t at = 0; at < bytes->size(); at += kPlaceBytes)
    if (auto order = order_of(std::string_view(*bytes).substr(at, kPlaceBytes)))
      orders.push_back(std::move(*order));
  return orders;
}

Result<> OrderFile::keep(const KeptOrder& order) {
  const std::string text = text_of(order);
  if (text.size() > kPlaceBytes) return fail(Errc::kInvalid, "the order is too large");
  const auto bytes = read_all();
  if (!bytes) return fail(bytes.error());
  std::optional<std::size_t> unused, own;
  for (std::size_t i = 0; i < kPlaces; ++i) {
    const auto there =
        bytes->empty() ? std::nullopt
                       : order_of(std::string_view(*bytes).substr(i * kPlaceBytes, kPlaceBytes));
    if (!there && !unused) unused = i;
    if (there && there->day == order.day) own = i;
  }
  if (!own && !unused) return fail(Errc::kUnavailable, path_ + " is full");
  return write(own ? *own : *unused, text);
}

Result<> OrderFile::drop(const std::string& day) {
  const auto bytes = read_all();
  if (!bytes) return fail(bytes.error());
  for (std::size_t i = 0; i * kPlaceBytes < bytes->size(); ++i) {
    const auto there = order_of(std::string_view(*bytes).substr(i * kPlaceBytes, kPlaceBytes));
    if (!there || there->day != day) continue;
    if (auto written = write(i, std::string(kPlaceBytes, '\0')); !written) return written;
  }
  return {};
}

Result<> OrderFile::write(std::size_t place, const std::string& bytes) {
  const File file(path_, O_RDWR | O_CREAT);
  if (file.fd() < 0) return fail(from_errno(file.error(), "cannot write " + path_));
  if (const int error = write_at(file.fd(), bytes, place * kPlaceBytes); error != 0)
    return fail(from_errno(error, "cannot write " + path_));
  return {};
}

}  // namespace faultline::controller
