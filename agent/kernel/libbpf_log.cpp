// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/libbpf_log.h"

#include <bpf/libbpf.h>
#include <spdlog/spdlog.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <mutex>

namespace faultline::agent {
namespace {

thread_local LibbpfLog* innermost = nullptr;

std::string format(const char* pattern, va_list args) {
  va_list again;
  va_copy(again, args);
  const int size = std::vsnprintf(nullptr, 0, pattern, args);
  std::string text(size > 0 ? static_cast<std::size_t>(size) + 1 : 0, '\0');
  if (size > 0) {
    std::vsnprintf(text.data(), text.size(), pattern, again);
    text.pop_back();
  }
  va_end(again);
  return text;
}

}  // namespace

struct LibbpfPrinter {
  static int print(libbpf_print_level level, const char* pattern, va_list args) {
    if (level == LIBBPF_DEBUG) return 0;
    try {
      const std::string line = format(pattern, args);
      spdlog::debug("libbpf: {}", line.substr(0, line.find_last_not_of('\n') + 1));
      if (innermost != nullptr) innermost->text_ += line;
    } catch (const std::exception&) {  // out of memory, and C code is above us: the line is lost
    }
    return 0;
  }
};

LibbpfLog::LibbpfLog() : outer_(innermost) {
  static std::once_flag once;
  std::call_once(once, [] { libbpf_set_print(LibbpfPrinter::print); });
  innermost = this;
}

LibbpfLog::~LibbpfLog() { innermost = outer_; }

Error LibbpfLog::error(long negative_errno, std::string_view what) const {
  Error error = from_libbpf(negative_errno, what);
  if (const std::string reason = verifier_reason(text_); !reason.empty())
    error.message += ": " + reason;
  return error;
}

std::string verifier_reason(std::string_view log) {
  constexpr std::string_view kBegin = "-- BEGIN PROG LOAD LOG --", kEnd = "-- END PROG LOAD LOG --";
  constexpr std::array<std::string_view, 4> kStatistics{"processed ", "verification time",
                                                        "stack depth", "-- "};
  if (const auto begin = log.find(kBegin); begin != std::string_view::npos) {
    log.remove_prefix(begin + kBegin.size());
    log = log.substr(0, log.find(kEnd));
  }
  std::string reason;
  while (!log.empty()) {
    const auto end = log.find('\n');
    std::string_view line = log.substr(0, end);
    log = end == std::string_view::npos ? std::string_view{} : log.substr(end + 1);
    bool says = line.find_first_not_of(" \t\r") != std::string_view::npos;
    for (const auto statistics : kStatistics) says = says && !line.starts_with(statistics);
    // libbpf's own summary after a log repeats the errno that the error carries already.
    if (says && line.find("failed to load") == std::string_view::npos &&
        line.find("BPF program load failed") == std::string_view::npos)
      reason = line;
  }
  return reason;
}

}  // namespace faultline::agent
