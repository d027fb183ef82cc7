// SPDX-License-Identifier: Apache-2.0
#include "cli/report_files.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace faultline::cli {
namespace {

Result<> write_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  const auto failed = [&] {
    const int error = errno ? errno : EIO;
    std::remove(fresh.c_str());
    return fail(from_errno(error, "cannot write " + path));
  };
  errno = 0;
  {
    std::ofstream file(fresh, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    if (!file) return failed();
  }
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return failed();
  return {};
}

}  // namespace

Result<std::string> write_report(const ControllerApi& api, const std::string& run,
                                 const std::string& folder, const std::string& json) {
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  if (ec) return fail(from_errno(ec.value(), "cannot make the folder " + folder));
  if (auto written = write_file(folder + "/report.json", json); !written)
    return fail(written.error());
  std::string path;
  for (const char* format : {"md", "html"}) {
    const auto text = api.report_text(run, format);
    if (!text) return fail(text.error().with_context("report of " + run));
    path = folder + "/report." + format;
    if (auto written = write_file(path, *text); !written) return fail(written.error());
  }
  return path;
}

}  // namespace faultline::cli
