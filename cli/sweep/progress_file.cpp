// SPDX-License-Identifier: Apache-2.0
#include "cli/sweep/progress_file.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/report_files.h"

namespace faultline::cli {
namespace {

constexpr std::size_t kMostBytes = 32 << 20;

}  // namespace

Result<SweepFolder> SweepFolder::open(const std::string& path) {
  std::error_code ec;
  std::filesystem::create_directories(path, ec);
  if (ec) return fail(from_errno(ec.value(), "cannot make the folder " + path));
  Fd lock(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock.valid()) return fail(from_errno(errno, "cannot open the folder " + path));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return errno == EWOULDBLOCK
               ? fail(Errc::kConflict, "another sweep is at work in " + path +
                                           "; wait for its end, or choose another folder with -d")
               : fail(from_errno(errno, "cannot lock the folder " + path));
  return SweepFolder(path, std::move(lock));
}

Result<std::optional<api::SweepProgress>> SweepFolder::read() const {
  const std::string file = path_ + "/sweep.json";
  const auto unusable = [&](const std::string& why) {
    return fail(Errc::kInvalid, file + " is not what a sweep left there: " + why +
                                    "\nnothing was changed; choose another folder with -d, or move "
                                    "the file away to begin anew");
  };
  std::error_code ec;
  const auto status = std::filesystem::status(file, ec);
  if (status.type() == std::filesystem::file_type::not_found) return std::nullopt;
  if (status.type() != std::filesystem::file_type::regular) return unusable("it is no plain file");
  if (std::filesystem::file_size(file, ec) > kMostBytes) return unusable("it is too large");
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return unusable("it cannot be read");
  auto progress = api::parse_sweep_progress(text.str());
  if (!progress) return unusable(progress.error().message);
  return std::optional(std::move(*progress));
}

Result<> SweepFolder::write(const api::SweepProgress& progress) const {
  return replace_file(path_ + "/sweep.json", api::sweep_progress_text(progress));
}

Result<> SweepFolder::write_maps(const api::SweepProgress& progress,
                                 const std::vector<report::ThresholdLine>& thresholds) const {
  if (auto good = replace_file(path_ + "/sweep.md", report::sweep_markdown(progress, thresholds));
      !good)
    return good;
  return replace_file(path_ + "/sweep.html", report::sweep_html(progress, thresholds));
}

}  // namespace faultline::cli
