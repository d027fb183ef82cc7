// SPDX-License-Identifier: Apache-2.0
#include "kube/client.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include "http/client.h"
#include "http/target.h"
#include "kube/json.h"

namespace faultline::kube {
namespace asio = boost::asio;
namespace json = boost::json;
using asio::awaitable;
using std::chrono::milliseconds;
namespace {

constexpr std::size_t kIdleConnections = 8;
constexpr const char* kJson = "application/json";

std::string with_query(const std::string& path,
                       std::initializer_list<std::pair<const char*, std::string>> query) {
  std::string target = path;
  for (const auto& [key, value] : query) {
    if (value.empty()) continue;
    target += (target.find('?') == target.npos ? '?' : '&');
    target += std::string(key) + "=" + http::percent_encode(value);
  }
  return target;
}

}  // namespace

struct Client::Impl {
  struct Connection {
    std::unique_ptr<http::Client> client;
    std::shared_ptr<std::string> token;
    std::uint64_t tls_version;
  };

  Impl(asio::any_io_executor ex, Config conf, ClientSettings set)
      : executor(std::move(ex)), config(std::move(conf)), settings(std::move(set)) {}

  Connection borrow(const Secret& secret) {
    while (!idle.empty()) {
      Connection connection = std::move(idle.back());
      idle.pop_back();
      if (connection.tls_version != secret.tls_version) continue;  // speaks with old certificates
      *connection.token = secret.token;
      return connection;
    }
    return open(secret);
  }
  Connection open(const Secret& secret) const {
    Connection connection;
    connection.token = std::make_shared<std::string>(secret.token);
    connection.tls_version = secret.tls_version;
    http::ClientOptions options;
    options.base_url = config.server;
    options.connect_timeout = settings.connect_timeout;
    options.max_body = settings.max_body;
    options.token = [token = connection.token] { return *token; };
    if (config.server.starts_with("https://"))
      options.tls = http::ClientTls{secret.ca_pem, secret.certificate_pem, secret.key_pem,
                                    secret.server_name};
    connection.client = std::make_unique<http::Client>(executor, std::move(options));
    return connection;
  }
  void give_back(Connection connection) {
    if (idle.size() < kIdleConnections) idle.push_back(std::move(connection));
  }

  asio::any_io_executor executor;
  Config config;
  ClientSettings settings;
  std::vector<Connection> idle;
};

namespace {

using ImplPtr = std::shared_ptr<Client::Impl>;

struct Call {
  std::string method, target, body, content_type, what;
};

bool worth_a_retry(const ApiError& error, const ClientSettings& settings, int tries) {
  if (tries >= settings.tries) return false;
  const bool asked = error.status == 429 || (error.status >= 500 && error.retry_after);
  return asked && error.retry_after.value_or(std::chrono::seconds(1)) <= settings.longest_wait;
}

awaitable<Answer<std::string>> send(ImplPtr self, Call call) {
  std::string refused_token;
  bool refused = false;
  for (int tries = 1;; ++tries) {
    const auto secret = co_await self->config.credentials->get();
    if (!secret) co_return api_fail(secret.error().with_context(call.what));
    Client::Impl::Connection connection = self->borrow(**secret);
    http::RequestExtras extras;
    extras.content_type = call.content_type;
    extras.headers = {{"accept", kJson}, {"user-agent", self->settings.user_agent}};
    auto response = co_await connection.client->request(
        call.method, call.target, call.body, self->settings.request_timeout, std::move(extras));
    if (!response) co_return api_fail(response.error().with_context(call.what));
    self->give_back(std::move(connection));
    if (response->status < 300) co_return std::move(response->body);

    ApiError error = error_of(response->status, response->body, response->headers, call.what);
    if (error.status == 401 && !refused) {
      // A token may have been replaced between our look at the file and the server's.
      self->config.credentials->refused(**secret);
      refused = true;
      const auto again = co_await self->config.credentials->get();
      if (again &&
          ((*again)->token != (*secret)->token || (*again)->tls_version != (*secret)->tls_version))
        continue;
    }
    if (!worth_a_retry(error, self->settings, tries)) co_return api_fail(std::move(error));
    asio::steady_timer wait(self->executor, error.retry_after.value_or(std::chrono::seconds(1)));
    co_await wait.async_wait(asio::use_awaitable);
  }
}

awaitable<Answer<json::object>> ask(ImplPtr self, Result<> good, Call call) {
  if (!good) co_return api_fail(good.error());
  const std::string what = call.what;
  auto body = co_await send(std::move(self), std::move(call));
  if (!body) co_return api_fail(body.error());
  auto object = parse_object(*body);
  if (!object)
    co_return api_fail(Errc::kInternal, what + ": the API server answered with no JSON object");
  co_return std::move(*object);
}

awaitable<Answer<ObjectList>> list_once(ImplPtr self, ResourceRef ref, ListOptions options) {
  ObjectList list;
  std::string more;
  const std::string what = "list " + ref.words();
  do {
    const std::string target =
        with_query(ref.path(), {{"fieldSelector", options.selection.fields},
                                {"labelSelector", options.selection.labels},
                                {"limit", options.limit > 0 ? std::to_string(options.limit) : ""},
                                {"resourceVersion", more.empty() ? options.resource_version : ""},
                                {"continue", more}});
    // Not a temporary in the co_await: g++ 12 destroys such an aggregate twice.
    Call call{"GET", target, "", "", what};
    auto page = co_await ask(self, ref.check(), std::move(call));
    if (!page) co_return api_fail(page.error());
    ++list.pages;
    const std::string last = std::move(more);
    more = meta(*page, "continue");
    list.resource_version = meta(*page, "resourceVersion");
    json::value* items = page->if_contains("items");
    if (items == nullptr || !(items->is_array() || items->is_null()) ||
        (!more.empty() && more == last))
      co_return api_fail(Errc::kInternal, what + ": the API server answered with no list");
    if (items->is_null()) continue;
    for (json::value& item : items->get_array())
      if (item.is_object()) {
        if (options.trim) options.trim(item.get_object());
        list.items.push_back(std::move(item.get_object()));
      }
  } while (!more.empty());
  co_return list;
}

awaitable<Answer<ObjectList>> list_all(ImplPtr self, ResourceRef ref, ListOptions options) {
  if (!options.resource_version.empty()) options.limit = 0;
  auto list = co_await list_once(self, ref, options);
  if (list || list.error().reason != Reason::kGone || options.limit == 0) co_return list;
  options.limit = 0;
  co_return co_await list_once(std::move(self), std::move(ref), std::move(options));
}

std::optional<WatchEvent::Type> type_of(std::string_view word) {
  if (word == "ADDED") return WatchEvent::Type::kAdded;
  if (word == "MODIFIED") return WatchEvent::Type::kModified;
  if (word == "DELETED") return WatchEvent::Type::kDeleted;
  if (word == "BOOKMARK") return WatchEvent::Type::kBookmark;
  return std::nullopt;
}

awaitable<Answer<>> run_watch(ImplPtr self, ResourceRef ref, WatchOptions options,
                              std::function<void()> on_open,
                              std::function<bool(WatchEvent)> on_event) {
  const std::string what = "watch " + ref.words();
  if (auto good = ref.check(); !good) co_return api_fail(good.error());
  const auto secret = co_await self->config.credentials->get();
  if (!secret) co_return api_fail(secret.error().with_context(what));
  Client::Impl::Connection connection = self->open(**secret);  // a watch keeps it for itself
  const std::string target =
      with_query(ref.path(), {{"watch", "true"},
                              {"allowWatchBookmarks", "true"},
                              {"resourceVersion", options.resource_version},
                              {"timeoutSeconds", std::to_string(options.timeout.count())},
                              {"fieldSelector", options.selection.fields},
                              {"labelSelector", options.selection.labels}});
  std::optional<ApiError> wrong;
  const auto on_line = [&](std::string_view line) {
    if (line.empty()) return true;
    auto event = parse_object(line);
    json::value* object = event ? event->if_contains("object") : nullptr;
    if (object == nullptr || !object->is_object()) {
      wrong = ApiError{{Errc::kUnavailable, what + ": the API server sent no watch event", 0}};
      return false;
    }
    const std::string_view word = text_at(*event, "type");
    if (word == "ERROR") {
      wrong = error_of(object->get_object(), what);
      return false;
    }
    const auto type = type_of(word);
    if (!type) {
      wrong = ApiError{
          {Errc::kUnsupported, what + ": unknown type of event \"" + std::string(word) + "\"", 0}};
      return false;
    }
    return on_event({*type, std::move(object->get_object())});
  };
  const auto ended = co_await connection.client->lines(target, on_line, options.idle, on_open);
  if (wrong) co_return api_fail(std::move(*wrong));
  if (ended) co_return Answer<>{};
  if (ended.error().http_status == 401) self->config.credentials->refused(**secret);
  if (ended.error().http_status == 0) co_return api_fail(ended.error().with_context(what));
  ApiError error = error_of(ended.error().http_status, "", {}, what);
  error.message = what + ": " + ended.error().message;
  co_return api_fail(std::move(error));
}

}  // namespace

Client::Client(asio::any_io_executor executor, Config config, ClientSettings settings)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(config), std::move(settings))) {}
Client::~Client() = default;
const Config& Client::config() const { return impl_->config; }

Client::Task<json::object> Client::get(ResourceRef ref) {
  return ask(impl_, ref.check(), {"GET", ref.path(), "", "", "get " + ref.words()});
}

Client::Task<ObjectList> Client::list(ResourceRef collection) {
  ListOptions options;
  return list(std::move(collection), std::move(options));
}

Client::Task<ObjectList> Client::list(ResourceRef collection, ListOptions options) {
  return list_all(impl_, std::move(collection), std::move(options));
}

Client::Task<json::object> Client::create(ResourceRef collection, Object object) {
  const std::string what = "create " + collection.named(std::string(meta(object, "name"))).words();
  return ask(impl_, collection.check(),
             {"POST", collection.path(), json::serialize(object), kJson, what});
}

Client::Task<json::object> Client::replace(ResourceRef ref, Object object) {
  return ask(impl_, ref.check(),
             {"PUT", ref.path(), json::serialize(object), kJson, "update " + ref.words()});
}

Client::Task<json::object> Client::merge_patch(ResourceRef ref, Object patch) {
  return ask(impl_, ref.check(),
             {"PATCH", ref.path(), json::serialize(patch), "application/merge-patch+json",
              "patch " + ref.words()});
}

Client::Task<json::object> Client::apply(ResourceRef ref, Object object, std::string field_manager,
                                         bool force) {
  const std::string target =
      with_query(ref.path(), {{"fieldManager", field_manager}, {"force", force ? "true" : ""}});
  return ask(impl_, ref.check(),
             {"PATCH", target, json::serialize(object), "application/apply-patch+yaml",
              "apply " + ref.words()});
}

Client::Task<json::object> Client::remove(ResourceRef ref, RemoveOptions options) {
  json::object body{{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
  if (!options.uid.empty()) body["preconditions"] = {{"uid", options.uid}};
  if (!options.propagation.empty()) body["propagationPolicy"] = options.propagation;
  if (options.grace_seconds >= 0) body["gracePeriodSeconds"] = options.grace_seconds;
  Result<> good = ref.check();
  if (good && ref.name.empty())
    good = fail(Errc::kInternal, "delete " + ref.words() + ": one object must be named");
  return ask(impl_, std::move(good),
             {"DELETE", ref.path(), json::serialize(body), kJson, "delete " + ref.words()});
}

Client::Task<json::object> Client::raw(std::string method, std::string target, std::string body) {
  return [](ImplPtr self, Call call) -> Task<json::object> {
    auto text = co_await send(std::move(self), std::move(call));
    if (!text) co_return api_fail(text.error());
    if (auto object = parse_object(*text)) co_return std::move(*object);
    co_return json::object{{"text", *text}};
  }(impl_, {method, target, std::move(body), "", method + " " + target});
}

awaitable<Answer<>> Client::watch(ResourceRef collection, WatchOptions options,
                                  std::function<void()> on_open,
                                  std::function<bool(WatchEvent)> on_event) {
  return run_watch(impl_, std::move(collection), std::move(options), std::move(on_open),
                   std::move(on_event));
}

}  // namespace faultline::kube
