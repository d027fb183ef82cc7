// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <memory>
#include <utility>

namespace faultline {

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
      auto logger = std::make_shared<spdlog::logger>(
          std::string(program), std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
      logger->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %^%-7l%$ %n: %v", spdlog::pattern_time_type::utc);
      logger->set_level(value);
      logger->flush_on(trace);
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
