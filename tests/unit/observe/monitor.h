// SPDX-License-Identifier: Apache-2.0
// A Prometheus or Alertmanager that answers what a test says, over loopback.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "controller/observe/source.h"
#include "tests/unit/http/misbehaving.h"

namespace faultline::controller::observe::test {

// The query of the question to the body of the answer; an empty one never comes.
using Says = std::function<std::string(const std::map<std::string, std::string>&)>;

inline std::string success(const std::string& data) {
  return R"({"status":"success","data":)" + data + "}";
}
inline std::string vector_of(const std::string& series) {
  return success(R"({"resultType":"vector","result":[)" + series + "]}");
}
inline std::string matrix_of(const std::string& series) {
  return success(R"({"resultType":"matrix","result":[)" + series + "]}");
}
// A value of the time that was asked for, as Prometheus answers.
inline std::string value_now(const std::map<std::string, std::string>& query,
                             const std::string& value) {
  const auto time = query.find("time");
  return vector_of(R"({"metric":{},"value":[)" +
                   (time != query.end() ? time->second : "1795929484") + ",\"" + value + "\"]}");
}

class Monitor {
 public:
  explicit Monitor(const std::map<std::string, Says>& paths)
      : server_([&](http::Server& server) {
          for (const auto& [path, says] : paths)
            server.route("GET", path, {},
                         [this, path = path, says = says](
                             http::Request request) -> boost::asio::awaitable<http::Response> {
                           {
                             const std::lock_guard lock(mutex_);
                             asked_.push_back(path + " " + request.query["query"]);
                           }
                           http::Response out;
                           out.body = says(request.query);
                           if (out.body.empty()) {
                             boost::asio::steady_timer never(
                                 co_await boost::asio::this_coro::executor, std::chrono::hours(1));
                             co_await never.async_wait(boost::asio::use_awaitable);
                           }
                           co_return out;
                         });
        }) {}

  [[nodiscard]] SourceOptions options(const std::string& name) const {
    return {.name = name,
            .url = server_.client_options().base_url,
            .timeout = std::chrono::milliseconds(2000)};
  }
  // The questions whose path and query begin so.
  [[nodiscard]] std::size_t asked(const std::string& begin) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::ranges::count_if(
        asked_, [&](const std::string& one) { return one.starts_with(begin); }));
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> asked_;
  http::Loopback server_;
};

// What a Prometheus says that has these rules (of one group, each evaluated every second) and these
// ALERTS, and 7 as the value of each query.
inline std::map<std::string, Says> prometheus(const std::string& rules = "",
                                              const std::string& alerts = "") {
  return {
      {"/api/v1/query",
       [alerts](const auto& query) {
         const std::string& asks = query.at("query");
         if (asks.starts_with("ALERTS")) return matrix_of(alerts);
         if (asks == "time()") {
           const double now =
               std::chrono::duration<double>(SystemClock().utc().time_since_epoch()).count();
           return success(R"({"resultType":"scalar","result":[1,")" + std::to_string(now) + "\"]}");
         }
         return value_now(query, "7");
       }},
      {"/api/v1/query_range", [](const auto&) { return matrix_of(""); }},
      {"/api/v1/rules",
       [rules](const auto&) {
         return success(R"({"groups":[{"name":"g","interval":1,"rules":[)" + rules + "]}]}");
       }},
      {"/api/v1/targets", [](const auto&) { return success(R"({"activeTargets":[]})"); }},
      {"/api/v1/status/buildinfo", [](const auto&) { return success(R"({"version":"2.42"})"); }},
      {"/api/v1/status/runtimeinfo", [](const auto&) { return success("{}"); }},
  };
}

inline std::map<std::string, Says> alertmanager(const std::string& alerts = "",
                                                const std::string& groups = "") {
  return {
      {"/api/v2/status",
       [](const auto&) {
         return std::string(
             R"({"config":{"original":"route: {receiver: pager}\nreceivers: [{name: pager, )"
             R"(webhook_configs: [{url: x}]}]\n"},"versionInfo":{"version":"0.25"}})");
       }},
      {"/api/v2/alerts", [alerts](const auto&) { return "[" + alerts + "]"; }},
      {"/api/v2/alerts/groups", [groups](const auto&) { return "[" + groups + "]"; }},
      {"/api/v2/silences", [](const auto&) { return std::string("[]"); }},
  };
}

inline std::map<std::string, Says> hangs(std::map<std::string, Says> paths) {
  for (auto& [path, says] : paths) says = [](const auto&) { return std::string(); };
  return paths;
}

}  // namespace faultline::controller::observe::test
