// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <csignal>
#include <memory>
#include <utility>

#include "base/printable.h"

namespace faultline {
namespace {

// Messages hold words of others: of agents, of the API server, of documents. This is the one place
// where all of them pass, so no message can be more than its line, whoever wrote it.
class OneLine : public spdlog::formatter {
 public:
  OneLine() : pattern_("%Y-%m-%dT%H:%M:%S.%fZ %^%-7l%$ %n: %v", spdlog::pattern_time_type::utc) {}
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string_view said(message.payload.data(), message.payload.size());
    const std::string shown = printable(said, kLongestLogMessage);
    spdlog::details::log_msg copy = message;
    copy.payload = spdlog::string_view_t(shown.data(), shown.size());
    pattern_.format(copy, out);
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<OneLine>();
  }

 private:
  spdlog::pattern_formatter pattern_;
};

thread_local bool unlogged = false;

class OurLogger : public spdlog::logger {
 public:
  using spdlog::logger::logger;

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (!unlogged) spdlog::logger::sink_it_(message);
  }
};

}  // namespace

Unlogged::Unlogged(bool on) : before_(std::exchange(unlogged, on)) {}
Unlogged::~Unlogged() { unlogged = before_; }

Result<> init_logging(std::string_view program, std::string_view level) {
  using enum spdlog::level::level_enum;
  static constexpr std::array<std::pair<std::string_view, spdlog::level::level_enum>, 6> kLevels{
      {{"trace", trace},
       {"debug", debug},
       {"info", info},
       {"warn", warn},
       {"error", err},
       {"off", off}}};
  for (const auto& [word, value] : kLevels) {
    if (word != level) continue;
    try {
      auto logger = std::make_shared<OurLogger>(
          std::string(program), std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
      logger->set_formatter(std::make_unique<OneLine>());
      logger->set_level(value);
      logger->flush_on(trace);
      // A line that could not be written is told on the same standard error otherwise.
      logger->set_error_handler([](const std::string&) {});
      std::signal(SIGPIPE, SIG_IGN);
      spdlog::set_default_logger(std::move(logger));
    } catch (const std::exception& e) {
      return fail(Errc::kInternal, std::string("cannot log: ") + e.what());
    }
    return {};
  }
  return fail(Errc::kInvalid, "log level must be trace, debug, info, warn, error or off, got \"" +
                                  std::string(level) + "\"");
}

}  // namespace faultline
