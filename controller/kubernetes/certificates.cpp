// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/certificates.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "kube/base64.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;
using Object = boost::json::object;

constexpr std::size_t kMostAuthorities = 2;

kube::ResourceRef secrets() { return {.version = "v1", .plural = "secrets"}; }
kube::ResourceRef webhooks(std::string plural) {
  return {.group = "admissionregistration.k8s.io", .version = "v1", .plural = std::move(plural)};
}

Result<std::string> entry(const Object& secret, const char* key) {
  const Object* data = kube::object_at(secret, "data");
  const auto text = data == nullptr ? std::string_view() : kube::text_at(*data, key);
  if (text.empty()) return std::string();
  auto decoded = kube::base64_decode(text);
  if (!decoded) return fail(Errc::kInvalid, std::string(key) + " is not base64");
  return std::move(*decoded);
}

// A secret appears whole, and nobody else may read it at any time.
Result<> write_private(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail(from_errno(errno, "cannot write " + fresh));
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno != EINTR) {
      const int error = errno;
      ::close(fd);
      ::unlink(fresh.c_str());
      return fail(from_errno(error, "cannot write " + fresh));
    }
    done += n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  ::close(fd);
  if (std::rename(fresh.c_str(), path.c_str()) == 0) return {};
  return fail(from_errno(errno, "cannot write " + path));
}

Error of(const kube::ApiError& error, const std::string& doing) {
  return error.with_context(doing);
}

}  // namespace

Certificates::Certificates(kube::Client& client, const Clock& clock, CertificatesOptions options)
    : client_(client), clock_(clock), options_(std::move(options)) {}

awaitable<Result<>> Certificates::maintain() {
  auto stored = co_await read();
  if (!stored) co_return fail(stored.error());
  auto fresh = co_await renewed(std::move(*stored));
  if (!fresh) co_return fail(fresh.error());

  const std::string& authority = fresh->authority.certificate_pem;
  const bool known = std::ranges::find(authorities_, authority) != authorities_.end();
  if (!known) {
    authorities_.insert(authorities_.begin(), authority);
    if (authorities_.size() > kMostAuthorities) authorities_.resize(kMostAuthorities);
    newest_since_ = clock_.steady();
  }
  const auto told = co_await publish();
  if (!told && served_.empty()) {
    // Better to serve what agents may know already than nothing.
    if (auto served = serve(fresh->server); !served) co_return fail(served.error());
  }
  if (!told) co_return fail(told.error());
  const bool same_authority = authorities_.size() < 2 || served_.empty();
  if (same_authority || clock_.steady() >= newest_since_ + options_.spread)
    co_return serve(fresh->server);
  co_return Result<>{};
}

awaitable<Result<Certificates::Stored>> Certificates::read() {
  auto ref = secrets().in(options_.ns).named(options_.secret);
  const auto secret = co_await client_.get(std::move(ref));
  if (!secret && secret.error().reason == kube::Reason::kNotFound) co_return Stored{};
  if (!secret) co_return fail(of(secret.error(), "the Secret of our certificate"));
  Stored stored;
  for (const auto& [key, to] : {std::pair{"ca.crt", &stored.authority.certificate_pem},
                                {"ca.key", &stored.authority.key_pem},
                                {"tls.crt", &stored.server.certificate_pem},
                                {"tls.key", &stored.server.key_pem}}) {
    auto text = entry(*secret, key);
    if (!text) co_return fail(text.error().with_context("Secret " + options_.secret));
    *to = std::move(*text);
  }
  stored.version = std::string(kube::meta(*secret, "resourceVersion"));
  co_return stored;
}

awaitable<Result<Certificates::Stored>> Certificates::renewed(Stored stored) {
  const UtcTime now = clock_.utc();
  const bool ours = stored.version.empty() || !stored.authority.key_pem.empty();
  const auto validity = validity_of(stored.server.certificate_pem);
  const auto fits = check_issued(stored.server, stored.authority.certificate_pem);
  if (!ours) {
    if (!fits)
      co_return fail(fits.error().with_context(
          "Secret " + options_.secret + " (without ca.key, so that it is not ours to mend)"));
    if (!validity || now >= validity->not_after)
      co_return fail(Errc::kInvalid,
                     "the certificate in the Secret " + options_.secret +
                         " has expired, and without ca.key it is not ours to renew");
    co_return stored;
  }
  if (fits && validity && !is_due(*validity, now)) co_return stored;

  Stored made = stored;
  const auto authority_validity = validity_of(stored.authority.certificate_pem);
  if (!authority_validity || is_due(*authority_validity, now)) {
    auto authority = make_authority("faultline", options_.authority_valid, now);
    if (!authority) co_return fail(authority.error());
    made.authority = std::move(*authority);
  }
  auto server = issue(made.authority, options_.subject, options_.certificate_valid, now);
  if (!server) co_return fail(server.error().with_context("Secret " + options_.secret));
  made.server = std::move(*server);

  Object texts;
  texts["ca.crt"] = made.authority.certificate_pem;
  texts["ca.key"] = made.authority.key_pem;
  texts["tls.crt"] = made.server.certificate_pem;
  texts["tls.key"] = made.server.key_pem;
  Object metadata;
  metadata["name"] = options_.secret;
  metadata["namespace"] = options_.ns;
  if (!stored.version.empty()) metadata["resourceVersion"] = stored.version;
  Object secret{{"apiVersion", "v1"}, {"kind", "Secret"}, {"type", "Opaque"}};
  secret["metadata"] = std::move(metadata);
  secret["stringData"] = std::move(texts);
  auto collection = secrets().in(options_.ns);
  auto ref = collection.named(options_.secret);
  kube::Answer<Object> written;
  if (stored.version.empty())
    written = co_await client_.create(std::move(collection), std::move(secret));
  else
    written = co_await client_.replace(std::move(ref), std::move(secret));
  if (written) {
    spdlog::info("TLS: a certificate was issued and kept in the Secret {}/{}", options_.ns,
                 options_.secret);
    co_return made;
  }
  // Another controller was first: its word counts.
  if (written.error().reason == kube::Reason::kConflict ||
      written.error().reason == kube::Reason::kAlreadyExists)
    co_return co_await read();
  co_return fail(of(written.error(), "cannot keep our certificate"));
}

awaitable<Result<>> Certificates::publish() {
  std::string bundle;
  for (const std::string& authority : authorities_) bundle += authority;
  Object data;
  data["ca.crt"] = bundle;
  Object map{{"apiVersion", "v1"}, {"kind", "ConfigMap"}};
  map["metadata"] = Object{{"name", options_.config_map}, {"namespace", options_.ns}};
  map["data"] = std::move(data);
  auto ref = kube::config_maps().in(options_.ns).named(options_.config_map);
  const auto written =
      co_await client_.apply(std::move(ref), std::move(map), "faultline-controller", true);
  if (!written) co_return fail(of(written.error(), "cannot make our authority known to agents"));
  if (options_.webhooks.empty()) co_return Result<>{};
  for (const char* plural : {"mutatingwebhookconfigurations", "validatingwebhookconfigurations"}) {
    auto told = co_await publish_to_webhooks(plural);
    if (!told) co_return told;
  }
  co_return Result<>{};
}

awaitable<Result<>> Certificates::publish_to_webhooks(std::string plural) {
  auto ref = webhooks(plural).named(options_.webhooks);
  const auto found = co_await client_.get(ref);
  if (!found && found.error().reason == kube::Reason::kNotFound) co_return Result<>{};
  if (!found) co_return fail(of(found.error(), "cannot read the webhooks"));
  std::string bundle;
  for (const std::string& authority : authorities_) bundle += authority;
  const std::string encoded = kube::base64_encode(bundle);
  Object changed = *found;
  bool news = false;
  if (auto* hooks = changed["webhooks"].if_array())
    for (auto& hook : *hooks) {
      Object* config = hook.is_object() && hook.get_object().contains("clientConfig")
                           ? hook.get_object()["clientConfig"].if_object()
                           : nullptr;
      if (config == nullptr || kube::text_at(*config, "caBundle") == encoded) continue;
      (*config)["caBundle"] = encoded;
      news = true;
    }
  if (!news) co_return Result<>{};
  const auto written = co_await client_.replace(std::move(ref), std::move(changed));
  if (!written && written.error().status == 403) {
    // The installer writes it there (docs/kubernetes.md).
    if (!std::exchange(told_confined_, true))
      spdlog::warn(
          "our authority is not in the webhook configurations {}, and this controller may "
          "not write it there: {}",
          options_.webhooks, written.error().message);
    co_return Result<>{};
  }
  if (!written && written.error().reason != kube::Reason::kConflict)
    co_return fail(of(written.error(), "cannot make our authority known to the API server"));
  co_return Result<>{};
}

// The key first: a certificate without its key is what the HTTP server refuses to take.
Result<> Certificates::serve(const KeyPair& pair) {
  if (served_ == pair.certificate_pem) return {};
  if (auto written = write_private(options_.key_file, pair.key_pem); !written) return written;
  if (auto written = write_private(options_.certificate_file, pair.certificate_pem); !written)
    return written;
  served_ = pair.certificate_pem;
  return {};
}

}  // namespace faultline::controller
