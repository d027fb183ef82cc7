// SPDX-License-Identifier: Apache-2.0
#include "http/router.h"

#include <algorithm>
#include <set>

namespace faultline::http {
namespace {

bool is_param(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& segments) {
  if (pattern.size() != segments.size()) return false;
  for (std::size_t i = 0; i < pattern.size(); ++i)
    if (is_param(pattern[i]) ? segments[i].empty() : pattern[i] != segments[i]) return false;
  return true;
}

// Whether `a` names more of the path than `b`.
bool more_exact(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (is_param(a[i]) != is_param(b[i])) return is_param(b[i]);
  return false;
}

}  // namespace

void Router::add(std::string method, std::string_view pattern, std::vector<std::string> allowed,
                 Handler handler, RouteOptions options, std::size_t max_body) {
  auto route = std::make_unique<Route>();
  const bool has_body = method == "POST" || method == "PUT" || method == "PATCH";
  route->max_body = options.max_body.value_or(has_body ? max_body : 0);
  route->always = options.always;
  route->never_429 = options.never_429;
  route->before = std::move(options.before);
  route->method = std::move(method);
  route->allowed = std::move(allowed);
  route->handler = std::move(handler);
  while (!pattern.empty()) {
    pattern.remove_prefix(1);  // the slash
    const std::string_view segment = pattern.substr(0, pattern.find('/'));
    route->pattern.emplace_back(segment);
    pattern.remove_prefix(segment.size());
  }
  routes_.push_back(std::move(route));
}

Router::Match Router::find(std::string_view method,
                           const std::vector<std::string>& segments) const {
  const std::vector<std::string>* path = nullptr;  // the most exact pattern, whatever the method
  for (const auto& route : routes_)
    if (matches(route->pattern, segments) && (!path || more_exact(route->pattern, *path)))
      path = &route->pattern;
  Match match;
  if (!path) return match;

  std::set<std::string> methods;
  for (const auto& route : routes_) {
    if (route->pattern != *path) continue;
    methods.insert(route->method);
    if (route->method == "GET") methods.insert("HEAD");
    const bool answers = route->method == method || (route->method == "GET" && method == "HEAD");
    if (answers && (!match.route || route->method == method)) match.route = route.get();
  }
  for (const std::string& m : methods) match.allow += (match.allow.empty() ? "" : ", ") + m;
  if (match.route)
    for (std::size_t i = 0; i < path->size(); ++i)
      if (is_param((*path)[i]))
        match.params[(*path)[i].substr(1, (*path)[i].size() - 2)] = segments[i];
  return match;
}

}  // namespace faultline::http
