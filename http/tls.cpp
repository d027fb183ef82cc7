// SPDX-License-Identifier: Apache-2.0
#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/verify_context.hpp>
#include <ctime>

namespace faultline::http {
namespace asio = boost::asio;
namespace ssl = asio::ssl;
using boost::system::error_code;
namespace {

std::string name_words(const X509_NAME* name) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), BIO_free_all);
  // RFC 2253 escapes control characters, so this stays one line whatever is in the certificate.
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : "nobody";
}

// "shop.example, 10.0.0.1": what a certificate is for.
std::string names_of(X509* certificate) {
  const auto free_names = [](GENERAL_NAMES* names) { GENERAL_NAMES_free(names); };
  const std::unique_ptr<GENERAL_NAMES, decltype(free_names)> names(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      free_names);
  std::string words;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    std::string word;
    const ASN1_STRING* value = nullptr;
    if (name->type == GEN_DNS) value = name->d.dNSName;
    if (name->type == GEN_IPADD) value = name->d.iPAddress;
    if (!value) continue;
    const unsigned char* bytes = ASN1_STRING_get0_data(value);
    const auto size = static_cast<std::size_t>(ASN1_STRING_length(value));
    if (name->type == GEN_DNS) {
      for (std::size_t k = 0; k < size; ++k)
        word += bytes[k] > ' ' && bytes[k] <= '~' ? static_cast<char>(bytes[k]) : '?';
    } else if (asio::ip::address_v4::bytes_type v4; size == v4.size()) {
      std::copy_n(bytes, size, v4.begin());
      word = asio::ip::make_address_v4(v4).to_string();
    } else if (asio::ip::address_v6::bytes_type v6; size == v6.size()) {
      std::copy_n(bytes, size, v6.begin());
      word = asio::ip::make_address_v6(v6).to_string();
    }
    words += (words.empty() ? "" : ", ") + word;
  }
  return words.empty() ? "no name at all" : words;
}

std::string problem_words(X509_STORE_CTX* store, const std::string& expected) {
  const int error = X509_STORE_CTX_get_error(store);
  X509* certificate = X509_STORE_CTX_get_current_cert(store);
  const std::string which =
      X509_STORE_CTX_get_error_depth(store) == 0 || !certificate
          ? "its certificate"
          : "the certificate of its CA (" + name_words(X509_get_subject_name(certificate)) + ")";
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return which + " expired at " + time_words(X509_get0_notAfter(certificate));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return which + " is not valid before " + time_words(X509_get0_notBefore(certificate));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "its certificate is for " +
             names_of(certificate ? certificate : X509_STORE_CTX_get0_cert(store)) + ", not for " +
             expected;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return "its certificate is from an unknown issuer (" +
             name_words(X509_get_issuer_name(certificate)) + ")";
    default:
      return which + " is not accepted: " + X509_verify_cert_error_string(error);
  }
}

// Nothing: it cannot be said in UTF-8, or holds a NUL.
std::optional<std::string> text_of(const ASN1_STRING* value) {
  unsigned char* bytes = nullptr;
  const int size = ASN1_STRING_to_UTF8(&bytes, value);
  if (size < 0) return std::nullopt;
  std::string text(bytes, bytes + size);
  OPENSSL_free(bytes);
  return text.find('\0') == text.npos ? std::optional(std::move(text)) : std::nullopt;
}

std::optional<std::chrono::sys_seconds> seconds_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (!time || ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  return std::chrono::sys_seconds(std::chrono::seconds(timegm(&parts)));
}

}  // namespace

std::string time_words(const ASN1_TIME* time) {
  std::tm parts{};
  char text[32];
  if (!time || ASN1_TIME_to_tm(time, &parts) != 1 ||
      std::strftime(text, sizeof text, "%F %T UTC", &parts) == 0)
    return "an unknown time";
  return text;
}

std::shared_ptr<ssl::context> bare_context() {
  auto context = std::make_shared<ssl::context>(ssl::context::tls);
  SSL_CTX* raw = context->native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);  // most connections are idle most of the time
  return context;
}

Result<std::shared_ptr<ssl::context>> client_context(const std::optional<ClientTls>& tls) {
  auto context = bare_context();
  error_code ec;
  const auto bad = [&](const std::string& what) {
    return fail(Errc::kInvalid, what + ": " + tls_words(ec));
  };
  if (!tls || tls->ca_pem.empty()) {
    if (context->set_default_verify_paths(ec); ec) return bad("the CAs of the system");
  } else {
    if (context->add_certificate_authority(asio::buffer(tls->ca_pem), ec); ec)
      return bad("the CA certificates");
    // A CA that is given is trusted also when it is signed by another one that is not.
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context->native_handle()),
                                X509_V_FLAG_PARTIAL_CHAIN);
  }
  context->set_verify_mode(ssl::verify_peer, ec);
  if (!tls || (tls->certificate_pem.empty() && tls->key_pem.empty())) return context;
  if (tls->certificate_pem.empty() || tls->key_pem.empty())
    return fail(Errc::kInvalid, "a client certificate and its key are given together");
  if (context->use_certificate_chain(asio::buffer(tls->certificate_pem), ec); ec)
    return bad("the client certificate");
  if (context->use_private_key(asio::buffer(tls->key_pem), ssl::context::pem, ec); ec)
    return bad("the key of the client certificate");
  return context;
}

bool expect_name(Stream::Tls& tls, const std::string& name, std::string& problem) {
  SSL* raw = tls.native_handle();
  X509_VERIFY_PARAM* param = SSL_get0_param(raw);
  X509_VERIFY_PARAM_set_hostflags(
      param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  error_code ec;
  asio::ip::make_address(name, ec);
  if (!ec) {
    if (X509_VERIFY_PARAM_set1_ip_asc(param, name.c_str()) != 1) return false;
  } else {
    if (name.empty() || name.find('\0') != name.npos) return false;
    if (X509_VERIFY_PARAM_set1_host(param, name.c_str(), name.size()) != 1) return false;
    // SSL_set_tlsext_host_name() without its cast; the name is copied.
    if (SSL_ctrl(raw, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 const_cast<char*>(name.c_str())) != 1)
      return false;
  }
  tls.set_verify_callback(
      [name, &problem](bool good, ssl::verify_context& context) {
        if (!good && problem.empty()) problem = problem_words(context.native_handle(), name);
        return good;
      },
      ec);
  return !ec;
}

ClientCertificate client_certificate(Stream::Tls& tls) {
  SSL* raw = tls.native_handle();
  X509* certificate = SSL_get0_peer_certificate(raw);
  if (!certificate || SSL_get_verify_result(raw) != X509_V_OK) return {};
  ClientCertificate client;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, i);
    const int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    if (kind != NID_commonName && kind != NID_organizationName) continue;
    auto text = text_of(X509_NAME_ENTRY_get_data(entry));
    if (!text) return {};
    if (kind == NID_commonName)
      client.common_name = std::move(*text);
    else
      client.organizations.push_back(std::move(*text));
  }
  const auto expires = seconds_of(X509_get0_notAfter(certificate));
  if (!expires) return {};
  client.expires = *expires;
  return client;
}

std::string tls_words(const error_code& ec) {
  if (ec.category() == asio::error::get_ssl_category()) {
    const auto code = static_cast<unsigned long>(static_cast<unsigned>(ec.value()));
    switch (ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0) {
      case SSL_R_WRONG_VERSION_NUMBER:
      case SSL_R_HTTP_REQUEST:
        return "the other side does not speak TLS";
      case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return "the other side asks for a client certificate";
      case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "our certificate is from an issuer that the other side does not know";
      case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "our certificate has expired, says the other side";
      case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
      case SSL_R_UNSUPPORTED_PROTOCOL:
        return "the other side has no TLS 1.2 or newer";
      default:
        break;
    }
    const bool no_pem =
        (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) ||
        ERR_GET_REASON(code) == ERR_R_PEM_LIB || ERR_GET_REASON(code) == ERR_R_UNSUPPORTED;
    if (no_pem) return "there is none in it in PEM form";
    if (ERR_GET_LIB(code) == ERR_LIB_X509 && ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH)
      return "the key does not belong to the certificate";
  }
  return ec.message();
}

}  // namespace faultline::http
