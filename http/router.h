// SPDX-License-Identifier: Apache-2.0
// Which handler answers a request. Not thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "http/server.h"

namespace faultline::http {

struct Route {
  std::string method;
  std::vector<std::string> pattern;  // segments; "{name}" takes any one segment that is not empty
  std::vector<std::string> allowed;  // identities; empty: everybody
  Handler handler;
  std::size_t max_body = 0;  // bytes
  bool always = false;       // see RouteOptions
  bool never_429 = false;    // the same
  std::function<boost::asio::awaitable<std::optional<Response>>(const Request&)> before;
};

class Router {
 public:
  // `max_body`: where `options` say nothing.
  void add(std::string method, std::string_view pattern, std::vector<std::string> allowed,
           Handler handler, RouteOptions options, std::size_t max_body);

  struct Match {
    const Route* route = nullptr;  // null: no such path, or `allow` says which methods it has
    std::map<std::string, std::string> params;
    std::string allow;  // "GET, HEAD, POST"
  };
  // HEAD is answered by GET's route. Where several patterns match, a literal segment goes before a
  // {name}, from the left. The route lives as long as the router and is not moved by add().
  [[nodiscard]] Match find(std::string_view method, const std::vector<std::string>& segments) const;

 private:
  std::vector<std::unique_ptr<Route>> routes_;
};

}  // namespace faultline::http
