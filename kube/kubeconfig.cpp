// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <boost/json.hpp>
#include <deque>
#include <filesystem>
#include <optional>

#include "document/yaml.h"
#include "kube/base64.h"
#include "kube/config.h"
#include "kube/credentials.h"

namespace faultline::kube {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

// Those of hundreds of clusters, certificates included.
constexpr document::YamlOptions kOptions{{kLargestFile, 100'000, 32}, 1, true};

// A node and the words for where it stands. The document must outlive it.
struct Field {
  const json::value* node;  // null: it is not there
  std::string file, path;

  [[nodiscard]] bool there() const { return node != nullptr && !node->is_null(); }
  [[nodiscard]] bool is_map() const { return node != nullptr && node->is_object(); }
  [[nodiscard]] Error wrong(std::string_view what) const {
    return {Errc::kInvalid, file + ": " + path + " " + std::string(what), 0};
  }
  [[nodiscard]] Field operator[](const std::string& key) const {
    const std::string inner = path.empty() ? key : path + "." + key;
    return {is_map() ? node->get_object().if_contains(key) : nullptr, file, inner};
  }
  // Of a list; none of anything else.
  [[nodiscard]] std::vector<Field> items() const {
    std::vector<Field> out;
    if (node == nullptr || !node->is_array()) return out;
    for (const json::value& item : node->get_array())
      out.push_back({&item, file, path + "[" + std::to_string(out.size()) + "]"});
    return out;
  }
  [[nodiscard]] Result<std::string> text() const {
    if (!there()) return std::string();
    if (!node->is_string()) return fail(wrong("must be a text"));
    return std::string(node->get_string());
  }
  // Paths in a kubeconfig are relative to it.
  [[nodiscard]] Result<std::string> file_path() const {
    auto value = text();
    if (!value || value->empty()) return value;
    return (fs::path(file).parent_path() / *value).lexically_normal().string();
  }
};

// The entry `name` of a list of {name, `inner`: {...}}.
Result<std::optional<Field>> entry(const Field& root, const std::string& list,
                                   const std::string& inner, const std::string& name) {
  const Field all = root[list];
  if (!all.there()) return std::optional<Field>();
  if (!all.node->is_array()) return fail(all.wrong("must be a list"));
  for (const Field& one : all.items()) {
    if (!one.is_map()) return fail(one.wrong("must be a map with name and " + inner));
    const auto own = one["name"].text();
    if (!own) return fail(own.error());
    if (*own == name) return std::optional(one[inner]);
  }
  return std::optional<Field>();
}

Result<std::string> pem(const Field& field, const std::string& text) {
  if (text.find("-----BEGIN ") == text.npos) return fail(field.wrong("holds no PEM block"));
  return text;
}

// `name`-data (base64 of PEM) or `name` (a path); data wins, as in kubectl.
Result<> pem_or_file(const Field& in, const std::string& name, std::string& text,
                     std::string& file) {
  const Field data = in[name + "-data"];
  const auto encoded = data.text();
  if (!encoded) return fail(encoded.error());
  if (!encoded->empty()) {
    const auto decoded = base64_decode(*encoded);
    if (!decoded) return fail(data.wrong("is not base64"));
    auto checked = pem(data, *decoded);
    if (!checked) return fail(checked.error());
    text = std::move(*checked);
    return {};
  }
  const Field path = in[name];
  const auto found = path.file_path();
  if (!found) return fail(found.error());
  if (found->empty()) return {};
  const auto content = read_file(*found);
  if (!content)
    return fail(Error{content.error().code, path.wrong(content.error().message).message,
                      content.error().sys_errno});
  if (auto checked = pem(path, *content); !checked) return fail(checked.error());
  file = *found;
  return {};
}

Result<> refuse(const Field& in, std::initializer_list<std::pair<const char*, const char*>> why) {
  for (const auto& [key, reason] : why) {
    const Field field = in[key];
    if (!field.there()) continue;
    if (field.node->is_string() &&
        (field.node->get_string() == "false" || field.node->get_string().empty()))
      continue;
    return fail(field.wrong(reason));
  }
  return {};
}

Result<std::vector<std::string>> texts(const Field& list) {
  std::vector<std::string> words;
  if (!list.there()) return words;
  if (!list.node->is_array()) return fail(list.wrong("must be a list of texts"));
  for (const Field& item : list.items()) {
    const auto word = item.text();
    if (!word || !item.there()) return fail(list.wrong("must be a list of texts"));
    words.push_back(*word);
  }
  return words;
}

Result<ExecPlugin> exec_plugin(const Field& exec, const std::string& server,
                               const std::string& ca_pem) {
  ExecPlugin plugin;
  const auto version = exec["apiVersion"].text();
  const auto command = exec["command"].text();
  const auto hint = exec["installHint"].text();
  const auto mode = exec["interactiveMode"].text();
  for (const auto* text : {&version, &command, &hint, &mode})
    if (!*text) return fail(text->error());
  if (*version != "client.authentication.k8s.io/v1" &&
      *version != "client.authentication.k8s.io/v1beta1")
    return fail(exec["apiVersion"].wrong("\"" + *version +
                                         "\" is not known: expected "
                                         "client.authentication.k8s.io/v1 or .../v1beta1"));
  if (command->empty()) return fail(exec["command"].wrong("is missing"));
  if (*mode == "Always")
    return fail(
        exec["interactiveMode"].wrong("Always is not supported: the plugin gets no terminal here"));
  plugin.api_version = *version;
  plugin.command = *command;
  plugin.install_hint = *hint;
  if (command->find('/') != command->npos) {
    const auto path = exec["command"].file_path();
    if (!path) return fail(path.error());
    plugin.command = *path;
  }
  auto arguments = texts(exec["args"]);
  if (!arguments) return fail(arguments.error());
  plugin.arguments = std::move(*arguments);
  const Field env = exec["env"];
  if (env.there() && !env.node->is_array()) return fail(env.wrong("must be a list"));
  for (const Field& one : env.items()) {
    const auto name = one["name"].text(), value = one["value"].text();
    if (!name) return fail(name.error());
    if (!value) return fail(value.error());
    if (name->empty()) return fail(one["name"].wrong("is missing"));
    plugin.environment.emplace_back(*name, *value);
  }
  const auto cluster = exec["provideClusterInfo"].text();
  if (!cluster) return fail(cluster.error());
  if (*cluster == "true") {
    json::object info{{"server", server}};
    if (!ca_pem.empty()) info["certificate-authority-data"] = ca_pem;
    plugin.cluster_json = json::serialize(info);
  }
  return plugin;
}

Result<> read_user(const Field& user, const std::string& server, CredentialSources& sources,
                   std::chrono::milliseconds exec_timeout) {
  if (user.there() && !user.is_map()) return fail(user.wrong("must be a map"));
  auto good = refuse(
      user, {{"username", "is not supported: API servers know no basic authentication any more"},
             {"password", "is not supported: API servers know no basic authentication any more"},
             {"auth-provider", "is not supported: kubectl dropped it, use an exec plugin"},
             {"as", "is not supported: Faultline does not impersonate"},
             {"as-groups", "is not supported: Faultline does not impersonate"},
             {"as-uid", "is not supported: Faultline does not impersonate"},
             {"as-user-extra", "is not supported: Faultline does not impersonate"}});
  if (!good) return good;
  good = pem_or_file(user, "client-certificate", sources.certificate_pem, sources.certificate_file);
  if (!good) return good;
  good = pem_or_file(user, "client-key", sources.key_pem, sources.key_file);
  if (!good) return good;
  const bool certificate = !sources.certificate_pem.empty() || !sources.certificate_file.empty();
  const bool key = !sources.key_pem.empty() || !sources.key_file.empty();
  if (certificate != key)
    return fail(user.wrong(certificate ? "has a client-certificate and no client-key"
                                       : "has a client-key and no client-certificate"));
  // tokenFile wins, as in kubectl: it is the one that is kept up to date.
  auto token_file = user["tokenFile"].file_path();
  auto token = user["token"].text();
  if (!token_file) return fail(token_file.error());
  if (!token) return fail(token.error());
  if (!token_file->empty()) {
    if (const auto text = read_file(*token_file); !text)
      return fail(Error{text.error().code, user["tokenFile"].wrong(text.error().message).message,
                        text.error().sys_errno});
    sources.token_file = std::move(*token_file);
  } else {
    sources.token = std::move(*token);
  }
  if (const Field exec = user["exec"]; exec.there()) {
    std::string ca = sources.ca_pem;
    if (!sources.ca_file.empty())
      if (const auto text = read_file(sources.ca_file)) ca = *text;
    auto plugin = exec_plugin(exec, server, ca);
    if (!plugin) return fail(plugin.error());
    plugin->timeout = exec_timeout;
    sources.exec = std::move(*plugin);
  }
  return {};
}

bool is_loopback(std::string_view server) {
  server.remove_prefix(std::string_view("http://").size());
  return server.starts_with("127.") || server.starts_with("localhost:") || server == "localhost" ||
         server.starts_with("[::1]");
}

Result<Config> read(const std::vector<Field>& roots, const Kubeconfig& from) {
  std::string context_name = from.context;
  for (const Field& root : roots) {
    const auto current = root["current-context"].text();
    if (!current) return fail(current.error());
    if (context_name.empty()) context_name = *current;
  }
  if (context_name.empty())
    return fail(Errc::kInvalid,
                roots[0].file + ": current-context is not set and no context was asked for");
  const auto find = [&](const std::string& list, const std::string& inner, const std::string& name,
                        const std::string& asked_by) -> Result<Field> {
    std::string files;
    for (const Field& root : roots) {
      auto found = entry(root, list, inner, name);
      if (!found) return fail(found.error());
      if (*found) return **found;
      files += (files.empty() ? "" : ", ") + root.file;
    }
    return fail(Errc::kInvalid,
                files + ": " + list + " has none named \"" + name + "\"" + asked_by);
  };
  const auto context = find("contexts", "context", context_name, "");
  if (!context) return fail(context.error());
  if (!context->there()) return fail(context->wrong("is missing"));
  const auto cluster_name = (*context)["cluster"].text(), user_name = (*context)["user"].text();
  const auto space = (*context)["namespace"].text();
  for (const auto* text : {&cluster_name, &user_name, &space})
    if (!*text) return fail(text->error());
  const std::string asked = ", which context " + context_name + " names";
  const auto cluster = find("clusters", "cluster", *cluster_name, asked);
  if (!cluster) return fail(cluster.error());

  Config config;
  const auto server = (*cluster)["server"].text();
  if (!server) return fail(server.error());
  const bool tls = server->starts_with("https://");
  if (!tls && !server->starts_with("http://"))
    return fail((*cluster)["server"].wrong("must begin with https://, got \"" + *server + "\""));
  auto good = refuse(*cluster, {{"insecure-skip-tls-verify",
                                 "is refused: anybody between could take the credentials; give "
                                 "certificate-authority instead"},
                                {"proxy-url", "is not supported"}});
  if (!good) return fail(good.error());
  CredentialSources sources;
  good = pem_or_file(*cluster, "certificate-authority", sources.ca_pem, sources.ca_file);
  if (!good) return fail(good.error());
  const auto server_name = (*cluster)["tls-server-name"].text();
  if (!server_name) return fail(server_name.error());
  sources.server_name = *server_name;
  if (!user_name->empty()) {
    const auto user = find("users", "user", *user_name, asked);
    if (!user) return fail(user.error());
    good = read_user(*user, *server, sources, from.exec_timeout);
    if (!good) return fail(good.error());
    const bool secret = !sources.token.empty() || !sources.token_file.empty() || sources.exec;
    if (!tls && secret && !is_loopback(*server))
      return fail((*cluster)["server"].wrong("is refused: " + *server +
                                             " would carry a token unencrypted"));
  }
  config.server = *server;
  config.ns = space->empty() ? "default" : *space;
  config.origin = "context " + context_name + " of " + context->file;
  config.credentials = make_credentials(std::move(sources));
  return config;
}

}  // namespace

std::vector<std::string> kubeconfig_files(std::string_view variable, std::string_view home) {
  std::vector<std::string> files;
  while (!variable.empty()) {
    const std::size_t end = std::min(variable.find(':'), variable.size());
    if (end > 0) files.emplace_back(variable.substr(0, end));
    variable.remove_prefix(std::min(end + 1, variable.size()));
  }
  if (files.empty() && !home.empty()) files.push_back(std::string(home) + "/.kube/config");
  return files;
}

Result<Config> load_kubeconfig(const Kubeconfig& from) {
  std::deque<json::value> values;  // where they are they stay
  std::vector<Field> roots;
  std::string missing;
  for (const std::string& file : from.files) {
    const auto text = read_file(file);
    if (!text && text.error().code == Errc::kNotFound) {
      missing += (missing.empty() ? "" : ", ") + file;
      continue;
    }
    if (!text) return fail(text.error());
    auto documents = document::read_documents(*text, file, kOptions);
    if (!documents) return fail(documents.error());
    if (documents->empty()) continue;
    values.push_back(std::move(documents->front().value));
    if (!values.back().is_object()) return fail(Errc::kInvalid, file + ": not a kubeconfig");
    roots.push_back({&values.back(), file, ""});
  }
  if (roots.empty())
    return fail(Errc::kNotFound,
                "there is no kubeconfig" + (missing.empty() ? "" : " at " + missing));
  return read(roots, from);
}

}  // namespace faultline::kube
