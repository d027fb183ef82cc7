// SPDX-License-Identifier: Apache-2.0
#include "kube/exec_plugin.h"

#include <boost/json.hpp>

#include "base/printable.h"
#include "kube/json.h"
#include "kube/process.h"
#include "kube/times.h"

namespace faultline::kube {

namespace json = boost::json;

Result<ExecCredential> parse_exec_credential(std::string_view text, std::string_view api_version) {
  const auto parsed = parse_object(text);
  if (!parsed) return fail(Errc::kInvalid, "it printed no JSON object");
  const json::object& object = *parsed;
  if (text_at(object, "kind") != "ExecCredential")
    return fail(Errc::kInvalid, "it printed kind \"" + std::string(text_at(object, "kind")) +
                                    "\", expected \"ExecCredential\"");
  if (text_at(object, "apiVersion") != api_version)
    return fail(Errc::kInvalid, "it printed apiVersion \"" +
                                    std::string(text_at(object, "apiVersion")) + "\", expected \"" +
                                    std::string(api_version) + "\" as the kubeconfig says");
  const json::object* status = object_at(object, "status");
  if (status == nullptr) return fail(Errc::kInvalid, "what it printed has no status");
  ExecCredential credential;
  credential.token = text_at(*status, "token");
  credential.certificate_pem = text_at(*status, "clientCertificateData");
  credential.key_pem = text_at(*status, "clientKeyData");
  if (credential.certificate_pem.empty() != credential.key_pem.empty())
    return fail(Errc::kInvalid, "status has only one of clientCertificateData and clientKeyData");
  if (credential.token.empty() && credential.certificate_pem.empty())
    return fail(Errc::kInvalid, "status has neither token nor clientCertificateData");
  if (const std::string_view time = text_at(*status, "expirationTimestamp"); !time.empty()) {
    credential.expires = parse_time(time);
    if (!credential.expires)
      return fail(Errc::kInvalid,
                  "status.expirationTimestamp \"" + std::string(time) + "\" is no RFC 3339 time");
  }
  return credential;
}

boost::asio::awaitable<Result<ExecCredential>> run_exec_plugin(ExecPlugin plugin) {
  json::object spec{{"interactive", false}};
  if (auto cluster = parse_object(plugin.cluster_json)) spec["cluster"] = std::move(*cluster);
  const json::object info{
      {"apiVersion", plugin.api_version}, {"kind", "ExecCredential"}, {"spec", std::move(spec)}};
  auto environment = plugin.environment;
  environment.emplace_back("KUBERNETES_EXEC_INFO", json::serialize(info));
  std::vector<std::string> words = {plugin.command};
  words.insert(words.end(), plugin.arguments.begin(), plugin.arguments.end());
  const std::string what = "credential plugin " + plugin.command;
  const auto ran = co_await run_process(std::move(words), std::move(environment), plugin.timeout);
  if (!ran) {
    Error error = ran.error().with_context(what);
    if (error.code == Errc::kNotFound && !plugin.install_hint.empty())
      error.message += "; " + plugin.install_hint.substr(0, plugin.install_hint.find('\n'));
    co_return fail(std::move(error));
  }
  if (ran->status != 0) {
    std::string_view said = ran->err;
    while (said.ends_with('\n')) said.remove_suffix(1);
    if (const auto line = said.rfind('\n'); line != said.npos) said.remove_prefix(line + 1);
    co_return fail(Errc::kDenied, what + " failed with exit code " + std::to_string(ran->status) +
                                      (said.empty() ? "" : ": " + printable(said)));
  }
  auto credential = parse_exec_credential(ran->out, plugin.api_version);
  if (!credential) co_return fail(credential.error().with_context(what));
  co_return credential;
}

}  // namespace faultline::kube
