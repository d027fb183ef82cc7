// SPDX-License-Identifier: Apache-2.0
#include "http/certificates.h"

#include <openssl/ssl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <boost/asio/buffer.hpp>
#include <fstream>
#include <iterator>

#include "http/tls.h"

namespace faultline::http {
namespace asio = boost::asio;
namespace ssl = asio::ssl;
using boost::system::error_code;
namespace {

Result<std::string> content(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in.is_open() || in.bad()) return fail(from_errno(errno == 0 ? EIO : errno, path));
  return text;
}

std::string valid_until(ssl::context& context) {
  const X509* certificate = SSL_CTX_get0_certificate(context.native_handle());
  return certificate ? time_words(X509_get0_notAfter(certificate)) : "an unknown time";
}

bool expired(ssl::context& context) {
  const X509* certificate = SSL_CTX_get0_certificate(context.native_handle());
  return certificate && X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0;
}

}  // namespace

Certificates::Mark Certificates::mark() const {
  Mark marks;
  const std::array<const std::string*, 3> paths = {&files_.certificate_file, &files_.key_file,
                                                   &files_.client_ca_file};
  for (std::size_t i = 0; i < paths.size(); ++i) {
    struct stat s {};
    if (paths[i]->empty() || stat(paths[i]->c_str(), &s) != 0) continue;
    for (const auto part :
         {static_cast<long long>(s.st_dev), static_cast<long long>(s.st_ino),
          static_cast<long long>(s.st_size), static_cast<long long>(s.st_mtim.tv_sec),
          static_cast<long long>(s.st_mtim.tv_nsec), static_cast<long long>(s.st_ctim.tv_sec),
          static_cast<long long>(s.st_ctim.tv_nsec)})
      marks[i] += std::to_string(part) + ' ';
  }
  return marks;
}

Result<std::shared_ptr<ssl::context>> Certificates::read() const {
  auto context = bare_context();
  SSL_CTX* raw = context->native_handle();
  // No resumption: a session must not outlive the certificates it was made with.
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  error_code ec;
  const auto bad = [&](const std::string& path) {
    return fail(Errc::kInvalid, path + ": " + tls_words(ec));
  };
  const auto certificate = content(files_.certificate_file);
  if (!certificate) return fail(certificate.error());
  if (context->use_certificate_chain(asio::buffer(*certificate), ec); ec)
    return bad(files_.certificate_file);
  const auto key = content(files_.key_file);
  if (!key) return fail(key.error());
  if (context->use_private_key(asio::buffer(*key), ssl::context::pem, ec); ec)
    return bad(files_.key_file);
  if (files_.client_ca_file.empty()) return context;
  const auto ca = content(files_.client_ca_file);
  if (!ca && ca.error().code == Errc::kNotFound && files_.client_ca_optional) return context;
  if (!ca) return fail(ca.error());
  if (context->add_certificate_authority(asio::buffer(*ca), ec); ec)
    return bad(files_.client_ca_file);
  // A CA that is given is trusted also when it is signed by another one that is not.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(raw), X509_V_FLAG_PARTIAL_CHAIN);
  // Tells the client which certificate to show.
  if (STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(files_.client_ca_file.c_str()))
    SSL_CTX_set_client_CA_list(raw, names);
  context->set_verify_mode(ssl::verify_peer, ec);  // asks, and goes on without one
  return context;
}

Result<> Certificates::load() {
  seen_ = mark();  // before they are read: a change meanwhile is one to come
  auto made = read();
  if (!made) return fail(made.error());
  context_ = std::move(*made);
  if (expired(*context_))
    spdlog::error("{} expired at {}", files_.certificate_file, valid_until(*context_));
  return {};
}

std::shared_ptr<ssl::context> Certificates::current() {
  if (mark() == seen_) return context_;
  if (auto loaded = load(); loaded)
    spdlog::info("{} was read anew, valid until {}", files_.certificate_file,
                 valid_until(*context_));
  else
    spdlog::error("changed certificates are not used, the old ones stay: {}",
                  loaded.error().message);
  return context_;
}

}  // namespace faultline::http
