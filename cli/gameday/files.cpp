// SPDX-License-Identifier: Apache-2.0
#include "cli/gameday/files.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "base/printable.h"
#include "cli/report_files.h"

namespace faultline::cli {
namespace {

namespace fs = std::filesystem;

Result<> make_folder(const fs::path& folder) {
  std::error_code ec;
  fs::create_directories(folder, ec);
  if (ec) return fail(from_errno(ec.value(), "cannot make the folder " + folder.string()));
  return {};
}

}  // namespace

Result<std::string> write_day_report(const DayApi& days, const std::string& id,
                                     const std::string& folder, bool names, const std::string& json,
                                     const std::string& as) {
  if (auto made = make_folder(folder); !made) return fail(made.error());
  if (auto written = replace_file(folder + "/report.json", json); !written)
    return fail(written.error());
  std::string path;
  for (const char* format : {"md", "html"}) {
    const auto text = days.report(id, format, names, as);
    if (!text) return fail(text.error().with_context("report of " + id));
    path = folder + "/report." + format;
    if (auto written = replace_file(path, *text); !written) return fail(written.error());
  }
  return path;
}

bool is_path_below(std::string_view name) {
  constexpr std::size_t kLongest = 512;
  if (name.empty() || name.size() > kLongest) return false;
  while (true) {
    const std::size_t end = std::min(name.find('/'), name.size());
    const std::string_view part = name.substr(0, end);
    // A word that begins with a point is hidden, or leads up.
    if (part.empty() || part.front() == '.' || part.front() == '-' ||
        !std::ranges::all_of(part, [](unsigned char c) {
          return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
        }))
      return false;
    if (end == name.size()) return true;
    name.remove_prefix(end + 1);
  }
}

Result<> write_incident(const std::vector<IncidentFile>& files, const std::string& folder) {
  for (const IncidentFile& file : files)
    if (!is_path_below(file.name))
      return fail(Errc::kInternal, "the controller named a file that is not written: " +
                                       faultline::printable(file.name, 100));
  for (const IncidentFile& file : files) {
    const fs::path path = fs::path(folder) / file.name;
    if (auto made = make_folder(path.parent_path()); !made) return made;
    if (auto written = replace_file(path.string(), file.content); !written) return written;
  }
  return {};
}

}  // namespace faultline::cli
