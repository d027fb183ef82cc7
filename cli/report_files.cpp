// SPDX-License-Identifier: Apache-2.0
#include "cli/report_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "cli/process.h"

namespace faultline::cli {
namespace {

Result<> write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(from_errno(errno, "write"));
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  // What is no file has nothing to be kept.
  if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS) return fail(from_errno(errno, "fsync"));
  return {};
}

}  // namespace

Result<> replace_file(const std::string& path, std::string_view text) {
  // A device or a pipe is written to: to replace it would take it away.
  struct stat known {};
  if (stat(path.c_str(), &known) == 0 && !S_ISREG(known.st_mode)) {
    const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file.valid()) return fail(from_errno(errno, "cannot write " + path));
    if (auto written = write_all(file.get(), text); !written)
      return fail(written.error().with_context("cannot write " + path));
    return {};
  }
  const std::string fresh = path + ".new";
  const auto failed = [&](const Error& error) {
    unlink(fresh.c_str());
    return fail(error.with_context("cannot write " + path));
  };
  // One that a command before left, or somebody put there, is not written to.
  unlink(fresh.c_str());
  Fd file(open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file.valid()) return fail(from_errno(errno, "cannot write " + path));
  if (auto written = write_all(file.get(), text); !written) return failed(written.error());
  file.reset();
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return failed(from_errno(errno, "rename"));
  // The name must outlive a power cut, too.
  const Fd folder(
      open(std::filesystem::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.valid() && fsync(folder.get()) != 0 && errno != EINVAL)
    return fail(from_errno(errno, "cannot write " + path));
  return {};
}

Result<std::string> write_report(const ControllerApi& api, const std::string& run,
                                 const std::string& folder, const std::string& json) {
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  if (ec) return fail(from_errno(ec.value(), "cannot make the folder " + folder));
  if (auto written = replace_file(folder + "/report.json", json); !written)
    return fail(written.error());
  std::string path;
  for (const char* format : {"md", "html"}) {
    const auto text = api.report_text(run, format);
    if (!text) return fail(text.error().with_context("report of " + run));
    path = folder + "/report." + format;
    if (auto written = replace_file(path, *text); !written) return fail(written.error());
  }
  return path;
}

}  // namespace faultline::cli
