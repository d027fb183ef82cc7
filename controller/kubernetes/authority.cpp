// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/authority.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <ctime>
#include <memory>

namespace faultline::controller {
namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;
using Serial = std::unique_ptr<BIGNUM, Deleter<BN_free>>;

constexpr int kVersion3 = 2;       // X.509 counts from 0
constexpr int kSerialBits = 159;   // RFC 5280: positive, at most 20 octets
constexpr long kMaxPem = 1 << 20;  // bytes

// What OpenSSL has to say, and forgets by that.
tl::unexpected<Error> ssl_fail(const std::string& doing) {
  char words[256] = "no reason given";
  if (const unsigned long code = ERR_get_error(); code != 0)
    ERR_error_string_n(code, words, sizeof words);
  ERR_clear_error();
  return fail(Errc::kInternal, doing + ": " + words);
}

Bio reader(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

Result<Certificate> read_certificate(const std::string& pem) {
  if (pem.size() < static_cast<std::size_t>(kMaxPem))
    if (Certificate found(PEM_read_bio_X509(reader(pem).get(), nullptr, nullptr, nullptr)); found)
      return found;
  ERR_clear_error();
  return fail(Errc::kInvalid, "there is no PEM certificate in it");
}

Result<Key> read_key(const std::string& pem) {
  // Without a callback OpenSSL would ask on the terminal for the word of an encrypted key.
  const auto no_word = [](char*, int, int, void*) { return 0; };
  if (pem.size() < static_cast<std::size_t>(kMaxPem))
    if (Key found(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, no_word, nullptr)); found)
      return found;
  ERR_clear_error();
  return fail(Errc::kInvalid, "there is no PEM private key in it that needs no password");
}

Result<KeyPair> written(X509* certificate, EVP_PKEY* key) {
  const Bio certificate_text(BIO_new(BIO_s_mem())), key_text(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(certificate_text.get(), certificate) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(key_text.get(), key, nullptr, nullptr, 0, nullptr, nullptr) !=
          1)
    return ssl_fail("cannot write a certificate");
  return KeyPair{text_of(certificate_text.get()), text_of(key_text.get())};
}

std::time_t seconds(UtcTime t) { return std::chrono::system_clock::to_time_t(t); }

bool set_name(X509_NAME* name, const std::string& common_name) {
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool set_serial(X509* certificate) {
  const Serial number(BN_new());
  return number && BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension made(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return made && X509_add_ext(certificate, made.get(), -1) == 1;
}

// All but issuer, extensions and signature.
Result<Certificate> begin(const std::string& common_name, EVP_PKEY* key, UtcTime not_before,
                          UtcTime not_after) {
  Certificate made(X509_new());
  if (!made || X509_set_version(made.get(), kVersion3) != 1 || !set_serial(made.get()) ||
      ASN1_TIME_set(X509_getm_notBefore(made.get()), seconds(not_before)) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(made.get()), seconds(not_after)) == nullptr ||
      !set_name(X509_get_subject_name(made.get()), common_name) ||
      X509_set_pubkey(made.get(), key) != 1)
    return ssl_fail("cannot make a certificate for " + common_name);
  return made;
}

Result<std::string> alternative_names(const Subject& subject) {
  std::string names;
  const auto add = [&](const std::string& name) { names += (names.empty() ? "" : ",") + name; };
  for (const std::string& dns : subject.dns_names) {
    // The text is OpenSSL's configuration language, in which these mean something.
    if (dns.empty() || dns.find_first_of(",:;= \n") != dns.npos)
      return fail(Errc::kInvalid, "\"" + dns + "\" is not a DNS name");
    add("DNS:" + dns);
  }
  for (const std::string& address : subject.addresses) {
    boost::system::error_code ec;
    const auto parsed = boost::asio::ip::make_address(address, ec);
    if (ec) return fail(Errc::kInvalid, "\"" + address + "\" is not an IP address");
    add("IP:" + parsed.to_string());
  }
  return names;
}

Result<UtcTime> time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return ssl_fail("a certificate's time");
  return std::chrono::time_point_cast<UtcTime::duration>(
      std::chrono::system_clock::from_time_t(::timegm(&parts)));
}

}  // namespace

Result<KeyPair> make_authority(const std::string& common_name, std::chrono::seconds valid_for,
                               UtcTime now) {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return ssl_fail("cannot make a key");
  auto made = begin(common_name, key.get(), now - kClockSkew, now + valid_for);
  if (!made) return fail(made.error());
  X509* certificate = made->get();
  if (X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) != 1 ||
      !extend(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !extend(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !extend(certificate, certificate, NID_subject_key_identifier, "hash") ||
      X509_sign(certificate, key.get(), EVP_sha256()) == 0)
    return ssl_fail("cannot make an authority");
  return written(certificate, key.get());
}

Result<KeyPair> issue(const KeyPair& authority, const Subject& subject,
                      std::chrono::seconds valid_for, UtcTime now) {
  const auto names = alternative_names(subject);
  if (!names) return fail(names.error());
  const auto issuer = read_certificate(authority.certificate_pem);
  if (!issuer) return fail(issuer.error().with_context("the authority's certificate"));
  const auto issuer_key = read_key(authority.key_pem);
  if (!issuer_key) return fail(issuer_key.error().with_context("the authority's key"));
  const auto bounds = validity_of(authority.certificate_pem);
  if (!bounds) return fail(bounds.error());
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return ssl_fail("cannot make a key");
  auto made = begin(subject.common_name, key.get(), now - kClockSkew,
                    std::min<UtcTime>(now + valid_for, bounds->not_after));
  if (!made) return fail(made.error());
  X509* certificate = made->get();
  if (X509_set_issuer_name(certificate, X509_get_subject_name(issuer->get())) != 1 ||
      !extend(certificate, issuer->get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !extend(certificate, issuer->get(), NID_key_usage, "critical,digitalSignature") ||
      !extend(certificate, issuer->get(), NID_ext_key_usage, "serverAuth") ||
      !extend(certificate, issuer->get(), NID_subject_key_identifier, "hash") ||
      !extend(certificate, issuer->get(), NID_authority_key_identifier, "keyid") ||
      (!names->empty() && !extend(certificate, issuer->get(), NID_subject_alt_name, *names)) ||
      X509_sign(certificate, issuer_key->get(), EVP_sha256()) == 0)
    return ssl_fail("cannot issue a certificate to " + subject.common_name);
  return written(certificate, key.get());
}

Result<Validity> validity_of(const std::string& certificate_pem) {
  const auto certificate = read_certificate(certificate_pem);
  if (!certificate) return fail(certificate.error());
  const auto from = time_of(X509_get0_notBefore(certificate->get()));
  if (!from) return fail(from.error());
  const auto to = time_of(X509_get0_notAfter(certificate->get()));
  if (!to) return fail(to.error());
  return Validity{*from, *to};
}

Result<> check_issued(const KeyPair& pair, const std::string& authority_pem) {
  const auto certificate = read_certificate(pair.certificate_pem);
  if (!certificate) return fail(certificate.error());
  const auto key = read_key(pair.key_pem);
  if (!key) return fail(key.error());
  if (X509_check_private_key(certificate->get(), key->get()) != 1) {
    ERR_clear_error();
    return fail(Errc::kInvalid, "certificate and key do not belong together");
  }
  const auto authority = read_certificate(authority_pem);
  if (!authority) return fail(authority.error().with_context("the authority's certificate"));
  const Key signer(X509_get_pubkey(authority->get()));
  if (X509_verify(certificate->get(), signer.get()) != 1) {
    ERR_clear_error();
    return fail(Errc::kInvalid, "another authority signed the certificate");
  }
  return {};
}

bool is_due(const Validity& validity, UtcTime now) {
  if (now < validity.not_before || now >= validity.not_after) return true;
  return now - validity.not_before >= (validity.not_after - validity.not_before) * 2 / 3;
}

}  // namespace faultline::controller
