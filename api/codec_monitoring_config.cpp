// SPDX-License-Identifier: Apache-2.0
#include <regex>
#include <set>

#include "api/detail/instances.h"
#include "api/detail/rules_monitoring.h"
#include "api/monitoring_config.h"
#include "document/yaml.h"

namespace faultline::api {
namespace {

// What the fields of one endpoint or destination say together.
template <class T>
void check_together(const T& one, const std::string& path, detail::Problems& problems) {
  if (!one.bearerTokenFile.empty() && one.basic)
    problems.add(path + ".basic", "bearerTokenFile and basic exclude each other");
  if (one.tls && !one.url.empty() && !one.url.starts_with("https://"))
    problems.add(path + ".tls", "is for an https url");
  if (one.tls && one.tls->certFile.empty() != one.tls->keyFile.empty())
    problems.add(path + ".tls", "certFile and keyFile go together");
}

template <class T>
void check_list(const std::vector<T>& list, const std::string& key, detail::Problems& problems) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string path = key + "[" + std::to_string(i) + "]";
    if (problems.spoiled(path)) continue;
    check_together(list[i], path, problems);
    if constexpr (requires { list[i].urlFile; })
      if (list[i].url.empty() == list[i].urlFile.empty())
        problems.add(path, "needs one of url and urlFile", detail::Problems::Where::kKey,
                     path + ".url");
    if constexpr (requires { list[i].urlFile; })
      if (list[i].kind == DestinationKind::grafana && list[i].url.find('?') != std::string::npos)
        problems.add(path + ".url", "is where Grafana is, without a query");
    if (!names.insert(list[i].name).second)
      problems.add(path + ".name", "\"" + list[i].name + "\" is there twice");
  }
}

bool matches(const std::string& text, std::string_view pattern) {
  return std::regex_match(text, std::regex(std::string(pattern)));
}

}  // namespace

FAULTLINE_CODEC(MonitoringConfig)

Result<MonitoringConfig> parse_monitoring(std::string_view text, std::string_view file) {
  document::YamlOptions options;
  options.budget = kPolicyBudget;
  document::YamlContent content = document::read_yaml(text, options);
  if (content.complete && content.problems.empty() && content.documents.empty())
    return MonitoringConfig{};
  detail::SourceMap map;
  detail::Problems problems(file, &map);
  for (document::Problem& problem : content.problems) problems.add(std::move(problem));
  MonitoringConfig config;
  if (content.complete && !content.documents.empty()) {
    map = std::move(content.documents.front().lines);
    detail::Decoder decoder(problems);
    detail::decode(decoder, content.documents.front().value, config);
    check_list(config.monitoring, "monitoring", problems);
    check_list(config.events, "events", problems);
  }
  if (problems.empty()) return config;
  // Whoever wrote a password into an address sees that it must not be there; logs need not.
  Error error = problems.error();
  error.message = std::regex_replace(error.message, std::regex("://[^/@\\s\"]*@"), "://***@");
  error.message =
      std::regex_replace(error.message, std::regex("(://[^?\\s\"]*)\\?[^\\s\"]*"), "$1?***");
  return fail(std::move(error));
}

Result<MonitoringEndpoint> parse_endpoint(SourceKind kind, std::string_view text) {
  MonitoringEndpoint endpoint{.name = boost::describe::enum_to_string(kind, "?"), .kind = kind};
  endpoint.url = text;
  const std::size_t equals = text.find('=');
  if (equals != text.npos && equals < text.find("://")) {
    endpoint.name = text.substr(0, equals);
    endpoint.url = text.substr(equals + 1);
    if (!matches(endpoint.name, detail::kEndpointName))
      return fail(Errc::kInvalid, "expected " + std::string(detail::kEndpointNameWords) +
                                      " before the =, got \"" + endpoint.name + "\"");
  }
  if (endpoint.url.size() > 2048 || !matches(endpoint.url, detail::kEndpointUrl))
    return fail(Errc::kInvalid, "expected " + std::string(detail::kEndpointUrlWords) + ", got \"" +
                                    endpoint.url.substr(0, 200) + "\"");
  return endpoint;
}

Result<> names_differ(const std::vector<MonitoringEndpoint>& endpoints) {
  std::set<std::string> names;
  for (const MonitoringEndpoint& endpoint : endpoints)
    if (!names.insert(endpoint.name).second)
      return fail(Errc::kInvalid, "the monitoring has two sources of the name \"" + endpoint.name +
                                      "\"; name them: NAME=URL");
  return {};
}

}  // namespace faultline::api
